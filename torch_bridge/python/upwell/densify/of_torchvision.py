"""Backbones of torchvision: convolutional networks, Swin and its vision transformers."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from upwell.densify import weights
from upwell.densify.network import Network, Taken
from upwell.train.errors import TrainingError

LAST = ("features", "layer4", "blocks", "trunk_output", "conv5")  # what models call the modules before their heads


def names() -> list[str]:
    import torchvision.models

    return torchvision.models.list_models(module=torchvision.models)


def knows(name: str) -> bool:
    return name in names()


def build(name: str, path: Path | None, layer: str | int | None) -> Network:
    """layer: the path of a submodule; the last before the head if None."""
    from torchvision.models import VisionTransformer, get_model

    network = get_model(name, weights=None)
    path = path or _on_disk(name)
    if isinstance(network, VisionTransformer):
        if layer is not None:
            raise TrainingError(f"--layer {layer}: of {name}, only the last can be taken; timm's models have others")
        module = Tokens(network)
        weights.fill(module, path, name)
        return Network(module, side=network.image_size)
    extracted = _extract(network, str(layer) if layer is not None else _last(name, network), name)
    weights.fill(extracted, path, name)
    if "swin" in name:
        return Network(Taken(extracted, lambda net, image: net(image)["map"].permute(0, 3, 1, 2).contiguous()))
    return Network(Taken(extracted, lambda net, image: net(image)["map"]))


def _extract(network: nn.Module, layer: str, name: str) -> nn.Module:
    """The network up to a submodule."""
    from torchvision.models.feature_extraction import create_feature_extractor

    try:
        return create_feature_extractor(network.eval(), {layer: "map"})
    except ValueError:
        top = [path for path, _ in network.named_children()]
        raise TrainingError(f"--layer {layer}: no submodule of {name}, which has {', '.join(top)}, and others within")


def _last(name: str, network: nn.Module) -> str:
    found = [path for path in LAST if hasattr(network, path)]
    if not found:
        raise TrainingError(f"--backbone {name}: which map to take? --layer names a submodule")
    return found[0]


def _on_disk(name: str) -> Path:
    """Weights of a package or of the hub's cache, the best of them first."""
    from torchvision.models import get_model_weights

    choices = get_model_weights(name)
    if weights.packaged(name):
        return weights.packaged(name)
    known = sorted(choices, key=lambda entry: entry is not choices.DEFAULT) if len(choices) else []
    found = [path for path in (weights.cached(entry.url) for entry in known) if path]
    if not found:
        files = " and ".join(entry.url.rsplit("/", 1)[1] for entry in known) or "weights"
        raise TrainingError(
            f"--backbone {name}: without weights: {files} not in the cache {torch.hub.get_dir()}/checkpoints; --weights FILE"
        )
    return found[0]


class Tokens(nn.Module):
    """The patch tokens of a vision transformer, as a map of any size: its position embeddings are interpolated."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.conv_proj, self.encoder, self.class_token = network.conv_proj, network.encoder, network.class_token

    def forward(self, image: Tensor) -> Tensor:
        """[N, 3, p h, p w] -> [N, C, h, w]."""
        x = self.conv_proj(image)
        h, w = x.shape[2:]
        tokens = torch.cat([self.class_token.expand(len(x), -1, -1), x.flatten(2).transpose(1, 2)], 1)
        tokens = self.encoder.ln(self.encoder.layers(tokens + self._positions(h, w)))
        return tokens[:, 1:].transpose(1, 2).unflatten(2, (h, w)).contiguous()

    def _positions(self, h: int, w: int) -> Tensor:
        whole = self.encoder.pos_embedding
        side = round((whole.shape[1] - 1) ** 0.5)
        if (h, w) == (side, side):
            return whole
        grid = whole[:, 1:].transpose(1, 2).unflatten(2, (side, side))
        grid = F.interpolate(grid, (h, w), mode="bicubic", align_corners=False)
        return torch.cat([whole[:, :1], grid.flatten(2).transpose(1, 2)], 1)
