"""ReSFU (arXiv 2407.02283): upsampling by the similarity of aligned high-res queries and low-res keys."""

import math

from torch import Tensor, nn

from upwell import ops
from upwell.compiled import KERNELS, check_kernel
from upwell.nn.check import check, check_channels, check_choice, check_divides, check_map, check_same_batch
from upwell.nn.guided_filter import GuidedFilter
from upwell.nn.initial import small_convolutions
from upwell.nn.norm import project_normalised, published_group_norm
from upwell.nn.pcdc import LAYOUTS, PCDCBlock, Ratio


class ReSFU(nn.Module):
    """The authors' published module: same constructor, call (y, x) and state_dict.

    Args:
        dim_y, dim_x: channels of the guidance y and of the features x (as many as y's if None).
        groups: G, of the PCDC convolutions; divides embedding_dim.
        kernel_size: K, neighbours per side, odd.
        scale_factor: an integer r has the published meaning: neighbours are r pixels apart and masked
            accordingly, even where y is not r times x. A real number, or None, means the true
            ratio H/h, W/w of y's size to x's. (Features themselves are read by that ratio always.)
        embedding_dim: D of queries and keys.
        y_conv: project y to D channels; without, dim_y has to be D.
        qkv_bias: of the projections.
        normx, normy: GroupNorm x and y before they are projected.
        gn_dim: groups of the PCDC GroupNorms; divides embedding_dim and 128.
        radius, eps, gf_scale: of the guided filter, fitted on every gf_scale-th pixel (paper: gf_scale=1).
        lr_mult: factor on the gradients of the PCDC parameters.
        layout: of the PCDC blocks, "published" or "paper".
        gf_centred: correct the published filter's shift by (gf_scale - 1)/2 pixels.
        keep_mib: of each PCDC block, see ops.pcdc_scores.
    """

    def __init__(
        self,
        dim_y: int,
        dim_x: int | None = None,
        groups: int = 4,
        kernel_size: int = 3,
        scale_factor: float | None = 4,
        embedding_dim: int = 32,
        y_conv: bool = True,
        qkv_bias: bool = True,
        normx: bool = True,
        normy: bool = True,
        gn_dim: int = 8,
        radius: int = 8,
        eps: float = 1e-3,
        lr_mult: float = 1.0,
        gf_scale: int = 2,
        layout: str = "published",
        gf_centred: bool = False,
        keep_mib: int = -1,
    ):
        super().__init__()
        dim_x = dim_y if dim_x is None else dim_x
        check_channels("ReSFU", dim_y=dim_y, dim_x=dim_x, embedding_dim=embedding_dim)
        for name, divisor in (("groups", groups), ("gn_dim", gn_dim)):
            check_divides("ReSFU", name, divisor, "embedding_dim", embedding_dim)
        check_choice("ReSFU", "layout", layout, LAYOUTS)
        check_kernel("ReSFU", "kernel_size", kernel_size, KERNELS["fns"])
        check(radius >= 0, f"ReSFU: radius should be at least 0 but is {radius}")
        check(gf_scale >= 1, f"ReSFU: gf_scale should be at least 1 but is {gf_scale}")
        check(
            scale_factor is None or 0 < scale_factor < math.inf,
            f"ReSFU: scale_factor should be positive and finite or None but is {scale_factor}",
        )
        check(
            y_conv or dim_y == embedding_dim,
            f"ReSFU: without y_conv, dim_y should be embedding_dim {embedding_dim} but is {dim_y}",
        )
        self.dim_y = dim_y
        self.dim_x = dim_x
        self.kernel_size = kernel_size
        self.y_conv = y_conv
        self.scale_factor = scale_factor
        if normx:
            self.norm_x = published_group_norm(dim_x)
        if normy:
            self.norm_y = published_group_norm(dim_y)
        self.normx = normx
        self.normy = normy
        self.GF = GuidedFilter(radius, eps, embedding_dim, gf_scale, gf_centred)
        self.q = nn.Conv2d(dim_y, embedding_dim, 1, bias=qkv_bias) if y_conv else nn.Identity()
        self.k = nn.Conv2d(dim_x, embedding_dim, 1, bias=qkv_bias)
        pcdc = (embedding_dim, kernel_size, groups, gn_dim, lr_mult, layout, keep_mib)
        self.semantic_scores = PCDCBlock(*pcdc)
        self.detail_scores = PCDCBlock(*pcdc)
        self.apply(small_convolutions)

    def forward(self, y: Tensor, x: Tensor) -> Tensor:
        """Guidance y [N, dim_y, H, W], features x [N, dim_x, h, w] -> [N, dim_x, H, W]. ValueError if not."""
        check_map(self, "y", y, self.dim_y)
        check_map(self, "x", x, self.dim_x)
        check_same_batch("ReSFU", "x", x, "y", y)
        true = self._true_ratios(y, x)
        spread = self._published_ratios() or true
        follows_size = all(s.high * t.low == s.low * t.high for s, t in zip(spread, true))

        q = project_normalised(self.q, self.norm_y if self.normy else None, y)
        k = project_normalised(self.k, self.norm_x if self.normx else None, x)
        q_gf = self.GF(q, k)
        if follows_size:
            semantic = self.semantic_scores(k, q_gf)
        else:
            semantic = self.semantic_scores(ops.bilinear(k, q.shape[2:]), q_gf, *spread)
        detail = self.detail_scores(q, q, *spread, blur=True)
        return ops.fns(x, semantic + detail, self.kernel_size, None if follows_size else spread[0].high)

    def _true_ratios(self, y: Tensor, x: Tensor) -> tuple[Ratio, Ratio]:
        return Ratio(y.shape[2], x.shape[2]), Ratio(y.shape[3], x.shape[3])

    def _published_ratios(self) -> tuple[Ratio, Ratio] | None:
        if self.scale_factor is None or self.scale_factor != int(self.scale_factor):
            return None
        return Ratio(int(self.scale_factor)), Ratio(int(self.scale_factor))
