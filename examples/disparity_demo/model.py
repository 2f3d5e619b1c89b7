"""One model for every upsampler: low-res disparity in, the picture as guide, high-res disparity out."""

from torch import Tensor, nn

import upwell
from disparity_demo.scene import Part

NAMES = ("bilinear", "nearest", "carafe", "resfu")
TITLES = {"bilinear": "Bilinear", "nearest": "Nearest", "carafe": "CARAFE", "resfu": "ReSFU"}
PROJECTION_SPREAD = 0.3  # initial, of ReSFU's query and key projections
# CARAFE's published border would let the disparity fade to nothing at the picture's edge.
# The inputs are normalised already, by one rule for crops and whole pictures; so ReSFU need not do it per input.
OPTIONS = {"carafe": {"border": "mask"}, "resfu": {"embedding_dim": 16, "normx": False, "normy": False}}


class DisparityUpsampler(nn.Module):
    """Reassembles the low-res disparity itself; there is nothing else in the model that could help a method.

    The disparity is normalised by the training part's mean and spread. Weights that sum to 1 commute with that, so it
    only brings the inputs of the learned weights to a usual size.
    """

    def __init__(self, name: str, train: Part):
        super().__init__()
        self.register_buffer("mean", train.low.mean())
        self.register_buffer("spread", train.low.std())
        self.upsampler = upwell.nn.make(name, 1, 3, train.ratio, **OPTIONS.get(name, {}))
        if name == "resfu":  # the published 0.02 suits many channels; of 1 and 3 it would leave queries nearly constant
            for projection in (self.upsampler.q, self.upsampler.k):
                nn.init.normal_(projection.weight, std=PROJECTION_SPREAD)

    def forward(self, image: Tensor, low: Tensor) -> Tensor:
        """image [N, 3, H, W] in 0 .. 1, low [N, 1, h, w] in px -> [N, 1, H, W] in px."""
        x = (low - self.mean) / self.spread
        return self.upsampler(2 * image - 1, x) * self.spread + self.mean
