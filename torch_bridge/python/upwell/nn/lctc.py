"""LCTC: large transposed convolutions with a small one beside them (arXiv 2311.17524)."""

import functools

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upwell import ops
from upwell.nn.check import check, check_divides, check_map, check_odd, check_whole
from upwell.nn.layer import has_hooks, is_plain, laid_out

# Channels of a group up to which Upwell's convolution is the faster one. On one core with AVX-512, forward and backward
# at stride 2, kernels of 7 and 11: 1/5 of the time of torch's with 1, 1/6 .. 1/12 with 2 and 4, 0.9 with 8, 1.1 with
# 16, 1.7 .. 1.8 with 64. (Torch's conv2d to stride^2 as many channels and a pixel_shuffle takes 1.5 .. 1.8 times as
# long as its transposed convolution.)
MOST_OF_GROUP = 8


class LCTC(nn.Module):
    """large(x) + small(x): two transposed convolutions of odd kernels that upsample by stride, computed as one.

    Both are called, and their maps added, where one is no plain ConvTranspose2d any more: with a hook, a
    reparametrisation or an adapter.

    Args:
        in_channels, out_channels: C of x and of the output.
        kernel_size: K of the large kernel.
        small_kernel: of the one beside it, at most K; None for none.
        stride: integer ratio r.
        groups: of channels, of both; in_channels makes each channel a map of its own.
        bias: of both.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 7,
        small_kernel: int | None = 3,
        stride: int = 2,
        groups: int = 1,
        bias: bool = True,
    ):
        super().__init__()
        for name, value in (("in_channels", in_channels), ("out_channels", out_channels), ("stride", stride)):
            check_whole("LCTC", name, value, 1)
        check_odd("LCTC", "kernel_size", kernel_size)
        check_divides("LCTC", "groups", groups, "in_channels", in_channels)
        check_divides("LCTC", "groups", groups, "out_channels", out_channels)
        if small_kernel is not None:
            check_odd("LCTC", "small_kernel", small_kernel)
            check(
                small_kernel <= kernel_size,
                f"LCTC: small_kernel should be at most kernel_size {kernel_size} but is {small_kernel}",
            )
        self.in_channels = int(in_channels)
        self.out_channels = int(out_channels)
        self.kernel_size = int(kernel_size)
        self.small_kernel = None if small_kernel is None else int(small_kernel)
        self.stride = int(stride)
        self.groups = groups
        self.large = self._branch(self.kernel_size, bias)
        self.small = None if self.small_kernel is None else self._branch(self.small_kernel, bias)

    def _branch(self, kernel_size: int, bias: bool, **factory) -> nn.ConvTranspose2d:
        return nn.ConvTranspose2d(
            self.in_channels,
            self.out_channels,
            kernel_size,
            self.stride,
            (kernel_size - 1) // 2,
            self.stride - 1,
            self.groups,
            bias,
            **factory,
        )

    @property
    def scale_factor(self) -> int:
        return self.stride

    def _branches(self) -> dict[str, tuple[nn.Module, int]]:
        """Name -> branch and kernel."""
        given = {"large": (self.large, self.kernel_size), "small": (self.small, self.small_kernel)}
        return {name: branch for name, branch in given.items() if branch[0] is not None}

    def _is_plain(self, branch: nn.Module, kernel_size: int) -> bool:
        """Whether branch is what the constructor makes it, and may be read instead of called."""
        channels = {"in_channels": self.in_channels, "out_channels": self.out_channels, "groups": self.groups}
        lengths = {
            "kernel_size": kernel_size,
            "stride": self.stride,
            "padding": (kernel_size - 1) // 2,
            "output_padding": self.stride - 1,
            "dilation": 1,
        }
        pairs = {name: (length, length) for name, length in lengths.items()}
        return is_plain(branch, nn.ConvTranspose2d, **channels, **pairs)

    def merged(self) -> tuple[Tensor, Tensor | None]:
        """Weight and bias of the one transposed convolution that both are. ValueError where one has to be called."""
        for name, (branch, kernel_size) in self._branches().items():
            check(
                self._is_plain(branch, kernel_size),
                f"LCTC: {name} should be a plain ConvTranspose2d as constructed, without hooks, reparametrisation or "
                f"adapter, to be merged, but is {branch}{' with hooks' if has_hooks(branch) else ''}",
            )
        return self._merged()

    def _merged(self) -> tuple[Tensor, Tensor | None]:
        if self.small is None:
            return laid_out(self.large.weight), self.large.bias
        weight = ops.merge_kernels(laid_out(self.large.weight), laid_out(self.small.weight))
        biases = [branch.bias for branch in (self.large, self.small) if branch.bias is not None]
        return weight, functools.reduce(torch.add, biases) if biases else None

    def forward(self, x: Tensor) -> Tensor:
        """x [N, in_channels, h, w] -> [N, out_channels, r h, r w]."""
        check_map(self, "x", x, self.in_channels)
        if not all(self._is_plain(*branch) for branch in self._branches().values()):
            x = x.flatten(1).view(x.shape)  # in channels_last, torch's backward (2.11) of a 1x1 kernel fails on a CPU
            return self.large(x) if self.small is None else self.large(x) + self.small(x)
        weight, bias = self._merged()
        options = (self.stride, (self.kernel_size - 1) // 2, self.stride - 1, self.groups)
        few = max(self.in_channels, self.out_channels) <= MOST_OF_GROUP * self.groups
        return (ops.transposed_conv if few else F.conv_transpose2d)(x, weight, bias, *options)

    def fold(self) -> nn.ConvTranspose2d:
        """A plain transposed convolution that computes the same, with parameters of its own. ValueError as merged."""
        weight, bias = (None if tensor is None else tensor.detach() for tensor in self.merged())
        folded = self._branch(self.kernel_size, bias is not None, device=weight.device, dtype=weight.dtype)
        folded.weight.data.copy_(weight)
        if bias is not None:
            folded.bias.data.copy_(bias)
        return folded
