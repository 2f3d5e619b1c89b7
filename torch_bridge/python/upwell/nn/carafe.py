"""CARAFE: weights encoded from the low-res features, then content-aware reassembly."""

from torch import Tensor, nn

from upwell import ops
from upwell.compiled import KERNELS, check_kernel
from upwell.nn.check import check_channels, check_choice, check_divides, check_map, check_odd, check_whole
from upwell.nn.pixel_shuffle import pixel_shuffle


class CARAFE(nn.Module):
    """mmcv's CARAFEPack: same constructor, initial values and state_dict.

    Args:
        channels: C of the features.
        scale_factor: integer ratio r.
        up_kernel: K, taps per side of the reassembly.
        up_group: channel groups with weights of their own.
        encoder_kernel, encoder_dilation: of the convolution that encodes the weights.
        compressed_channels: channels that the weights are encoded from.
        border: "zero" (published) loses the weight of taps outside the image; "mask" leaves them out of the
            softmax.
    """

    def __init__(
        self,
        channels: int,
        scale_factor: int,
        up_kernel: int = 5,
        up_group: int = 1,
        encoder_kernel: int = 3,
        encoder_dilation: int = 1,
        compressed_channels: int = 64,
        border: str = "zero",
    ):
        super().__init__()
        check_channels("CARAFE", channels=channels, compressed_channels=compressed_channels)
        check_whole("CARAFE", "scale_factor", scale_factor, 1)
        check_kernel("CARAFE", "up_kernel", up_kernel, KERNELS["carafe"])
        check_odd("CARAFE", "encoder_kernel", encoder_kernel)
        check_divides("CARAFE", "up_group", up_group, "channels", channels)
        check_choice("CARAFE", "border", border, ops.BORDERS)
        self.channels = channels
        self.scale_factor = int(scale_factor)
        self.up_kernel = up_kernel
        self.up_group = up_group
        self.border = border
        self.channel_compressor = nn.Conv2d(channels, compressed_channels, 1)
        self.content_encoder = nn.Conv2d(
            compressed_channels,
            up_kernel**2 * up_group * self.scale_factor**2,
            encoder_kernel,
            padding=(encoder_kernel - 1) * encoder_dilation // 2,
            dilation=encoder_dilation,
        )
        self.init_weights()

    def init_weights(self) -> None:
        nn.init.xavier_uniform_(self.channel_compressor.weight)
        nn.init.normal_(self.content_encoder.weight, std=0.001)
        nn.init.zeros_(self.channel_compressor.bias)
        nn.init.zeros_(self.content_encoder.bias)

    def forward(self, x: Tensor) -> Tensor:
        """x [N, C, h, w] -> [N, C, r h, r w]."""
        check_map(self, "x", x, self.channels)
        code = self.content_encoder(self.channel_compressor(x))
        logits = pixel_shuffle(code, self.scale_factor)
        return ops.carafe(x, logits, self.up_kernel, self.up_group, self.border)
