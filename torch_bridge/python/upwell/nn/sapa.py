"""SAPA (NeurIPS 2022, arXiv 2209.12866): upsampling by the similarity of high-res queries and low-res keys."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upwell import ops
from upwell.compiled import KERNELS, check_kernel
from upwell.nn.check import check_channels, check_choice, check_map, check_multiple, check_same_batch, check_whole
from upwell.nn.initial import small_convolutions, small_projections
from upwell.nn.layer import is_plain, laid_out
from upwell.nn.norm import project_normalised, published_group_norm

QUERIES = ("encoder_only", "cat", "gate")


class SAPA(nn.Module):
    """The module of tiny-smart/sapa, of group norms and 1x1 convolutions: same constructor, call (y, x), initial values
    and state_dict.

    Args:
        dim_y, dim_x: channels of the guidance y and of the features x (as many as y's if None).
        up_factor: integer ratio r, which y has to be of x. None: y may have any size; pixel p of H belongs to cell
            floor(p h/H).
        up_kernel_size: K, taps per side.
        embedding_dim: D of queries and keys.
        qkv_bias: of the projections.
        norm: GroupNorm x and y before they are projected, in 32 groups (published; where 32 does not divide the channels,
            in their largest divisor below it).
        border: "zero" (published): a tap outside the map has score 0 and value 0, and its weight is lost; "mask": it
            leaves the softmax.
    """

    def __init__(
        self,
        dim_y: int,
        dim_x: int | None = None,
        up_factor: int | None = 2,
        up_kernel_size: int = 5,
        embedding_dim: int = 32,
        qkv_bias: bool = True,
        norm: bool = True,
        border: str = "zero",
    ):
        super().__init__()
        dim_x = dim_y if dim_x is None else dim_x
        check_channels("SAPA", dim_y=dim_y, dim_x=dim_x, embedding_dim=embedding_dim)
        _check_options("SAPA", up_factor, up_kernel_size, border)
        self.dim_y = dim_y
        self.dim_x = dim_x
        self.up_factor = up_factor
        self.up_kernel_size = up_kernel_size
        self.embedding_dim = embedding_dim
        self.norm = norm
        self.border = border
        if norm:
            self.norm_y = published_group_norm(dim_y)
            self.norm_x = published_group_norm(dim_x)
        self.q = nn.Conv2d(dim_y, embedding_dim, 1, bias=qkv_bias)
        self.k = nn.Conv2d(dim_x, embedding_dim, 1, bias=qkv_bias)
        self.apply(small_convolutions)

    def forward(self, y: Tensor, x: Tensor) -> Tensor:
        """Guidance y [N, dim_y, H, W], features x [N, dim_x, h, w] -> [N, dim_x, H, W]. ValueError if not."""
        _check_maps(self, y, x)
        q = project_normalised(self.q, self.norm_y if self.norm else None, y)
        k = project_normalised(self.k, self.norm_x if self.norm else None, x)
        return ops.sapa_attention(x, q, k, self.up_kernel_size, self.border)


class SAPAExp(nn.Module):
    """The module of poppinace/sapa (SAPAExp.py), the paper's own, of layer norms and linear layers: same constructor,
    call (y, x), initial values and state_dict.

    Args:
        dim_y, dim_x: channels of the guidance y and of the features x (as many as y's if None).
        out_dim: channels of the output (as many as x's if None).
        q_mode: what queries are made of: "encoder_only" of y; "cat" of y and the upsampled x side by side; "gate" of
            both, g qy(y) + (1 - g) qx(x), with a gate g of x. Here x is not normalised, as published.
        v_embed: upsample a projection of the normalised x, not x itself; so it is wherever out_dim is not dim_x.
        up_factor, up_kernel_size, border: as SAPA's.
        embedding_dim: D of queries and keys.
        qkv_bias: of the linear layers.
        norm: what makes the normalisation of so many channels, the last dimension.
    """

    def __init__(
        self,
        dim_y: int,
        dim_x: int | None = None,
        out_dim: int | None = None,
        q_mode: str = "encoder_only",
        v_embed: bool = False,
        up_factor: int | None = 2,
        up_kernel_size: int = 5,
        embedding_dim: int = 64,
        qkv_bias: bool = True,
        norm: Callable[[int], nn.Module] = nn.LayerNorm,
        border: str = "zero",
    ):
        super().__init__()
        dim_x = dim_y if dim_x is None else dim_x
        out_dim = dim_x if out_dim is None else out_dim
        check_channels("SAPAExp", dim_y=dim_y, dim_x=dim_x, out_dim=out_dim, embedding_dim=embedding_dim)
        _check_options("SAPAExp", up_factor, up_kernel_size, border)
        check_choice("SAPAExp", "q_mode", q_mode, QUERIES)
        self.dim_y = dim_y
        self.dim_x = dim_x
        self.up_factor = up_factor
        self.up_kernel_size = up_kernel_size
        self.embedding_dim = embedding_dim
        self.q_mode = q_mode
        self.border = border
        self.norm_y = norm(dim_y)
        self.norm_x = norm(dim_x)
        if q_mode == "gate":
            self.qy = nn.Linear(dim_y, embedding_dim, bias=qkv_bias)
            self.qx = nn.Linear(dim_x, embedding_dim, bias=qkv_bias)
            self.gate = nn.Linear(dim_x, 1, bias=qkv_bias)
        else:
            both = dim_x if q_mode == "cat" else 0
            self.q = nn.Linear(both + dim_y, embedding_dim, bias=qkv_bias)
        self.k = nn.Linear(dim_x, embedding_dim, bias=qkv_bias)
        self.v = nn.Linear(dim_x, out_dim, bias=qkv_bias) if v_embed or out_dim != dim_x else None
        self.apply(small_projections)

    def forward(self, y: Tensor, x: Tensor) -> Tensor:
        """Guidance y [N, dim_y, H, W], features x [N, dim_x, h, w] -> [N, out_dim, H, W]. ValueError if not."""
        _check_maps(self, y, x)
        normal_y, normal_x = self.norm_y(_channels_last(y)), self.norm_x(_channels_last(x))
        q = self._query(normal_y, _channels_last(x), normal_x)
        k = _channels_first(self.k(normal_x))
        value = x if self.v is None else _channels_first(self.v(normal_x))
        return ops.sapa_attention(value, q, k, self.up_kernel_size, self.border)

    def _query(self, normal_y: Tensor, x: Tensor, normal_x: Tensor) -> Tensor:
        """What is made of x is made at low resolution: a pixel of the upsampled map is a cell."""
        size = normal_y.shape[1:3]

        def upsampled(low: Tensor) -> Tensor:
            return ops.nearest(_channels_first(low), size)

        if self.q_mode == "gate":
            gate = torch.sigmoid(self.gate(normal_x))
            of_x = upsampled((1 - gate) * self.qx(x))
            return upsampled(gate) * _channels_first(self.qy(normal_y)) + of_x
        if self.q_mode == "encoder_only":
            return _channels_first(self.q(normal_y))
        if not is_plain(self.q, nn.Linear, in_features=self.dim_y + self.dim_x):
            return _channels_first(self.q(torch.cat([normal_y, _channels_last(upsampled(x))], -1)))
        of_y, of_x = laid_out(self.q.weight).split([self.dim_y, self.dim_x], 1)
        return _channels_first(F.linear(normal_y, of_y, self.q.bias)) + upsampled(F.linear(x, of_x))


def _check_options(module: str, up_factor: int | None, up_kernel_size: int, border: str) -> None:
    if up_factor is not None:
        check_whole(module, "up_factor", up_factor, 1)
    check_kernel(module, "up_kernel_size", up_kernel_size, KERNELS["carafe"])
    check_choice(module, "border", border, ops.BORDERS)


def _check_maps(module: SAPA | SAPAExp, y: Tensor, x: Tensor) -> None:
    name = type(module).__name__
    check_map(module, "y", y, module.dim_y)
    check_map(module, "x", x, module.dim_x)
    check_same_batch(name, "x", x, "y", y)
    if module.up_factor is not None:
        check_multiple(name, "y", y, x, int(module.up_factor))


def _channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def _channels_first(x: Tensor) -> Tensor:
    return x.permute(0, 3, 1, 2)
