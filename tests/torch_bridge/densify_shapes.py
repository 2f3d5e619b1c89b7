"""Small images and a command line for the tests of densify; the backbone is the first layers of a pretrained MobileNetV2."""

import pathlib

import numpy as np
import torch
from PIL import Image

from train_shapes import draw
from upwell.densify import backbone
from upwell.densify.arguments import parse_arguments
from upwell.densify.training import train
from upwell.train.distributed import Group

BACKBONE = {"backbone": "mobilenet_v2", "layer": "features.3"}
CHANNELS, STRIDE = 24, 4
COUNT = 5


def write_images(folder: pathlib.Path, seed: int = 0) -> pathlib.Path:
    """COUNT pictures of about 61 x 47."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    for i in range(COUNT):
        image, _ = draw(random, 47 - i % 4, 61 - i % 3)
        Image.fromarray(image).save(folder / f"{i:02}.png")
    return folder


def frozen() -> backbone.Backbone:
    return backbone.make(*(BACKBONE[name] if name in BACKBONE else None for name in ("backbone", "weights", "layer")))


def words(images: pathlib.Path, out: pathlib.Path, **options: object) -> list[str]:
    """A command line; options override, with underscores for dashes; None leaves one out."""
    recipe = {"upsampler": "jbu", "size": 16, "crops": 2, "steps": 6, "save_every": 2, "batch_size": 2, "lr": 3e-3}
    run = {"workers": 0, "threads": 1, "device": "cpu", "images": images, "out": out}
    pairs = {**BACKBONE, **recipe, **run, **options}.items()
    named = [(f"--{name.replace('_', '-')}", str(value)) for name, value in pairs if value is not None]
    return [word for pair in named for word in pair]


def run(images: pathlib.Path, out: pathlib.Path, **options: object) -> None:
    """The command, in this process."""
    arguments = parse_arguments(words(images, out, **options))
    with Group(arguments.device, arguments.upsampler) as group:
        train(arguments, group)


def random_views(size: int, ratio: int, count: int, crops: int, dtype: torch.dtype = torch.float64) -> tuple:
    """source [count, 3, S, S], corners [count, crops, 2] in cells, colours [count, 6]."""
    generator = torch.Generator().manual_seed(3)
    source = torch.rand(count, 3, ratio * size, ratio * size, dtype=dtype, generator=generator)
    spare = (ratio * size - size) // STRIDE + 1
    corners = torch.randint(spare, (count, crops, 2), generator=generator)
    return source, corners, 0.8 + 0.4 * torch.rand(count, 6, dtype=dtype, generator=generator)
