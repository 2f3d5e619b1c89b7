"""Backbones of timm: vision transformers (DINOv2, DINOv3, CLIP, SigLIP, ...), convolutional networks, others with levels."""

from pathlib import Path

import torch
from torch import Tensor, nn

from upwell.densify import weights
from upwell.densify.network import Network, Taken, index_of
from upwell.train.errors import TrainingError

FILES = ("model.safetensors", "pytorch_model.bin")  # what timm's weights are called in the hub


def names() -> list[str]:
    import timm

    return timm.list_models()


def knows(name: str) -> bool:
    import timm

    return timm.is_model(name)


def build(name: str, path: Path | None, layer: str | int | None) -> Network:
    """layer: the index of a level or block, -1 or None the last."""
    import timm

    index, path = index_of(layer, name), path or _on_disk(name)
    # With the head that the weights have: only so does timm refuse a file that lacks some of them.
    options = {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": weights.read(path)}}
    try:
        network = _create(name, options)
    except (AssertionError, KeyError, RuntimeError, ValueError) as error:
        told = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise TrainingError(f"{path}: not the weights of {name}: {' '.join(told[:2])[:200]}")
    if not hasattr(network, "forward_intermediates"):
        raise TrainingError(f"--backbone {name}: timm takes no maps from within it")

    def take(net: nn.Module, image: Tensor) -> Tensor:
        found = net.forward_intermediates(image, [index], norm=True, intermediates_only=True, output_fmt="NCHW")
        return found[-1].contiguous()

    config = timm.data.resolve_model_data_config(network)
    return Network(Taken(network, take), config["mean"], config["std"], config["input_size"][-1])


def _create(name: str, options: dict) -> nn.Module:
    import timm

    try:
        return timm.create_model(name, dynamic_img_size=True, **options)
    except TypeError:  # a model that has no such option
        return timm.create_model(name, **options)


def _on_disk(name: str) -> Path:
    """Weights of a hub's cache."""
    import timm

    config = timm.get_pretrained_cfg(name).to_dict()
    repository, url = config.get("hf_hub_id"), config.get("url")
    found = [_in_hub(repository, file) for file in (config.get("hf_hub_filename"), *FILES) if repository and file]
    found = [path for path in (*found, url and weights.cached(url)) if path]
    if not found:
        where = f"{repository} is not in the hub's cache, nor " if repository else ""
        raise TrainingError(
            f"--backbone {name}: without weights: {where}in {torch.hub.get_dir()}/checkpoints; --weights FILE, or once"
            f" timm.create_model({name!r}, pretrained=True)"
        )
    return found[0]


def _in_hub(repository: str, file: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(repository, file)
    return Path(path) if isinstance(path, str) else None
