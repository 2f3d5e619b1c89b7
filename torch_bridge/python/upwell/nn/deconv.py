"""Deconvolution: a plain transposed convolution that upsamples by exactly its stride."""

from torch import Tensor, nn

from upwell.nn.check import check, check_divides, check_map, check_whole


class Deconv(nn.ConvTranspose2d):
    """torch's transposed convolution, with its initial values and state_dict, and with the padding that makes the output
    r times the input.

    The kernel of a cell has its centre in that of the cell's r x r pixels, or, where K - r is odd, half a pixel above and
    left of it. (LCTC's has it in the first of them.) A kernel smaller than r reaches the first K x K of them alone.

    Args:
        in_channels, out_channels: C of x and of the output (as many as x's if None).
        kernel_size: K; 3, or r where that is larger, if None. At r = 1 it has to be odd.
        stride: integer ratio r.
        groups: of channels.
        bias: whether there is one.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int | None = None,
        kernel_size: int | None = None,
        stride: int = 2,
        groups: int = 1,
        bias: bool = True,
    ):
        out_channels = in_channels if out_channels is None else out_channels
        for name, value in (("in_channels", in_channels), ("out_channels", out_channels), ("stride", stride)):
            check_whole("Deconv", name, value, 1)
        ratio = int(stride)
        kernel_size = max(3, ratio) if kernel_size is None else kernel_size
        check_whole("Deconv", "kernel_size", kernel_size, 1)
        check(
            ratio > 1 or kernel_size % 2 == 1,
            f"Deconv: kernel_size should be odd where stride is 1 but is {kernel_size}",
        )
        check_divides("Deconv", "groups", groups, "in_channels", in_channels)
        check_divides("Deconv", "groups", groups, "out_channels", out_channels)
        # (h - 1) r - 2 padding + K + more = r h, and more is as small as it can be.
        padding = max(0, (kernel_size - ratio + 1) // 2)
        more = 2 * padding + ratio - kernel_size
        super().__init__(in_channels, out_channels, kernel_size, ratio, padding, more, groups, bias)

    @property
    def scale_factor(self) -> int:
        return self.stride[0]

    def forward(self, x: Tensor) -> Tensor:
        """x [N, in_channels, h, w] -> [N, out_channels, r h, r w]."""
        check_map(self, "x", x, self.in_channels)
        return super().forward(x)
