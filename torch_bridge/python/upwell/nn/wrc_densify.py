"""WRC as its paper uses it (arXiv 2605.17472): a network around it that makes features of a backbone twice as dense."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upwell.nn.check import check_map, check_same_batch, check_whole
from upwell.nn.wrc import WRC

# Published.
WIDTH = 32  # channels of the image branch
KERNEL, SCALE, PADDING, EPS = 2, 2, 2, 1e-5  # of WRC


def _layer(in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1) -> list[nn.Module]:
    """A convolution without bias that keeps the size but for its stride, and its norm."""
    convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(out_channels)]


class Bottleneck(nn.Module):
    """[N, in_channels, h, w] -> [N, out_channels, ceil(h / stride), ceil(w / stride)], as wide as its input."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1):
        super().__init__()
        self.body = nn.Sequential(
            *_layer(in_channels, in_channels),
            nn.ReLU(),
            *_layer(in_channels, in_channels, 3, stride),
            nn.ReLU(),
            *_layer(in_channels, out_channels),
        )
        changes = stride > 1 or in_channels != out_channels
        self.shortcut = nn.Sequential(*_layer(in_channels, out_channels, 1, stride)) if changes else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.body(x) + self.shortcut(x))


class WRCDensify(nn.Module):
    """Features at twice their resolution, from features and image: WRC between bottlenecks, joined with maps of the image
    before and behind it.

    The published layers, widths and WRC; the names of its state_dict are Upwell's own.

    Args:
        channels: C of the features, at least 2.
        width: channels of the maps of the image.
        solver, centre, tolerance, max_iterations: of `WRC`.
    """

    scale_factor = SCALE

    def __init__(self, channels: int, width: int = WIDTH, **solver):
        super().__init__()
        check_whole("WRCDensify", "channels", channels, 2)
        check_whole("WRCDensify", "width", width, 1)
        self.channels = C = int(channels)
        e, half = int(width), (C + int(width)) // 2
        self.stem = nn.Sequential(*_layer(3, e), nn.ReLU())
        self.to_quarter = nn.Sequential(*(Bottleneck(e, e, stride) for stride in (2, 1, 2, 1)))
        self.to_low = nn.Sequential(*(Bottleneck(e, e, stride) for stride in (2, 1)))
        self.before = nn.Sequential(Bottleneck(C + e, half), Bottleneck(half, half))
        self.wrc = WRC(half, half, KERNEL, SCALE, PADDING, "circular", EPS, **solver)
        self.behind = Bottleneck(half + e, C // 2)
        self.head = nn.Conv2d(C // 2, C, 1)

    def forward(self, image: Tensor, x: Tensor) -> Tensor:
        """image [N, 3, H, W], x [N, C, h, w] -> [N, C, 2 h, 2 w]. H and W are usually the backbone's patch times h and w;
        where a quarter of the image is no whole multiple of the output, it is interpolated to 4 h x 4 w first."""
        check_map(self, "image", image, 3)
        check_map(self, "x", x, self.channels)
        check_same_batch("WRCDensify", "image", image, "x", x)
        high = self._at_output(self.to_quarter(self.stem(image)), x)
        low = self.to_low(high)
        output = self.wrc(self.before(torch.cat([x, low], 1)))
        return self.head(self.behind(torch.cat([output, high], 1)))

    @staticmethod
    def _at_output(guide: Tensor, x: Tensor) -> Tensor:
        """guide [N, e, H/4, W/4] -> [N, e, 2 h, 2 w]: by a maximum over whole squares."""
        height, width = (SCALE * length for length in x.shape[2:])
        pooled, rest = divmod(guide.shape[2], height)
        if rest or pooled == 0 or list(guide.shape[2:]) != [pooled * height, pooled * width]:
            guide = F.interpolate(guide, (2 * height, 2 * width), mode="bilinear", align_corners=False)
            pooled = 2
        return F.max_pool2d(guide, pooled) if pooled > 1 else guide
