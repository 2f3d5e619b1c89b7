"""The local attender of UPLiFT (arXiv 2601.17950): every high-res pixel is a mean of a few cells around its own."""

import torch.nn.functional as F
from torch import Tensor, nn

from upwell import ops
from upwell.nn.check import check, check_any_map, check_map, check_same_batch, check_whole

CONNECTED = (5, 9, 13, 17, 25)


class LocalAttender(nn.Module):
    """The module of mwalmer-umd/UPLiFT: same constructor, initial values and state_dict.

    Args:
        in_channels: of the guide.
        num_connected: cells that a pixel takes from: 5 (its own and the four next to it), 9 (3 x 3), 13 (those at most two
            steps away), 17 (and the corners of 5 x 5) or 25 (5 x 5).
        conv_res: the guide itself, its first num_connected channels, is added to the logits.
        low_mem: as published; here nothing is as large as what it saves.
    """

    def __init__(self, in_channels: int, num_connected: int = 5, conv_res: bool = True, low_mem: bool = False):
        super().__init__()
        check_whole("LocalAttender", "in_channels", in_channels, 1)
        check(
            num_connected in CONNECTED,
            f"LocalAttender: num_connected should be one of {', '.join(map(str, CONNECTED))} but is {num_connected}",
        )
        self.in_channels = in_channels
        self.num_connected = num_connected
        self.conv_res = conv_res
        self.low_mem = low_mem
        self.conv1 = nn.Conv2d(in_channels, num_connected, 1)

    def forward(self, guide: Tensor, value: Tensor) -> Tensor:
        """guide [N, in_channels, H, W], value [N, C, h, w], H, W multiples of h, w -> [N, C, H, W]. ValueError if not."""
        check_map(self, "guide", guide, self.in_channels)
        check_any_map(self, "value", value)
        check_same_batch("LocalAttender", "guide", guide, "value", value)
        (H, W), (h, w) = guide.shape[2:], value.shape[2:]
        check(
            H % h == 0 and W % w == 0,
            f"LocalAttender: guide should have multiples of {h} rows and {w} columns but is {list(guide.shape)}",
        )
        logits = self.conv1(guide)
        if self.conv_res:
            missing = max(0, self.num_connected - self.in_channels)
            logits = logits + F.pad(guide[:, : self.num_connected], (0, 0, 0, 0, 0, missing))
        return ops.local_attention(value, logits)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, num_connected={self.num_connected}, conv_res={self.conv_res}"
