"""A small segmentation data set for the training tests: noisy discs and squares, of odd sizes, with masks."""

import pathlib

import numpy as np
import upwell
from PIL import Image

from upwell.train.arguments import parse_arguments
from upwell.train.distributed import Group
from upwell.train.training import train

CLASSES, IGNORE = 3, 255
COLOURS = ((60, 60, 60), (200, 60, 60), (60, 200, 60))
# For processes of their own: what has to be on their PYTHONPATH.
PACKAGES = str(pathlib.Path(upwell.__file__).parent.parent)


def write_data(folder: pathlib.Path, seed: int = 0) -> None:
    """folder/{train,val}/{images,masks}: 12 and 4 pictures of about 61 x 47, the same sizes for every seed."""
    random = np.random.default_rng(seed)
    for part, count in (("train", 12), ("val", 4)):
        for i in range(count):
            image, mask = draw(random, 47 - i % 4, 61 - i % 3)
            save(folder / part, f"{i:02}", image, mask)


def draw(random: np.random.Generator, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """image [H, W, 3] uint8, mask [H, W] uint8 with a few ignored pixels."""
    y, x = np.mgrid[:height, :width]
    mask = np.zeros((height, width), np.uint8)
    for label in range(1, CLASSES):
        dy, dx = np.abs(y - random.uniform(0, height)), np.abs(x - random.uniform(0, width))
        distance = np.hypot(dy, dx) if label % 2 else np.maximum(dy, dx)
        mask[distance < random.uniform(8, 16)] = label
    image = np.array(COLOURS)[mask] + random.normal(0, 20, (height, width, 3))
    mask[:2, :5] = IGNORE
    return image.clip(0, 255).astype(np.uint8), mask


def save(part: pathlib.Path, stem: str, image: np.ndarray, mask: np.ndarray) -> None:
    for kind, pixels in (("images", image), ("masks", mask)):
        (part / kind).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(part / kind / f"{stem}.png")


def words(data: pathlib.Path, out: pathlib.Path, **options: object) -> list[str]:
    """A command line for data; options override, with underscores for dashes, True for a flag."""
    folders = {
        f"{v}{kind}": data / part / kind for v, part in (("", "train"), ("val_", "val")) for kind in KINDS
    }
    recipe = {"upsampler": "bilinear", "epochs": 2, "batch_size": 2, "crop": 48, "lr": 3e-3}
    run = {"classes": CLASSES, "encoder": "scratch", "workers": 0, "threads": 1, "device": "cpu", "out": out}
    pairs = {**folders, **recipe, **run, **options}.items()
    named = [(f"--{name.replace('_', '-')}", value) for name, value in pairs]
    return [word for name, value in named for word in ([name] if value is True else [name, str(value)])]


KINDS = ("images", "masks")


def run(data: pathlib.Path, out: pathlib.Path, **options: object) -> None:
    """The command, in this process."""
    arguments = parse_arguments(words(data, out, **options))
    with Group(arguments.device, arguments.upsampler) as group:
        train(arguments, group)
