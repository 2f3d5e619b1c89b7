"""Images and index masks on disk: which belong together, and how one is read."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from upwell.train.errors import TrainingError

IMAGE_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
INDEX_MODES = {"1", "L", "P", "I", "I;16"}  # one channel; of a palette, the indices
WIDE_MODES = ("I", "F")  # more than 8 bits a channel: which values are black and white, the file does not say


class Pair(NamedTuple):
    image: Path
    mask: Path


def find_pairs(images: Path, masks: Path) -> list[Pair]:
    """Every image in the folder images with the mask of the same stem, in the order of their names."""
    by_stem: dict[str, Path] = {}
    for path in list_files(images, IMAGE_SUFFIXES):
        if path.stem in by_stem:
            raise TrainingError(f"{path} and {by_stem[path.stem].name} share one stem, so one mask")
        by_stem[path.stem] = path
    if not by_stem:
        raise TrainingError(f"{images}: no image ({', '.join(sorted(IMAGE_SUFFIXES))})")
    by_mask = {path.stem: path for path in list_files(masks, {".png"})}
    missing = [stem for stem in by_stem if stem not in by_mask]
    if missing:
        others = f", and {len(missing) - 1} more masks are missing" if len(missing) > 1 else ""
        raise TrainingError(f"{masks / missing[0]}.png: missing, the mask of {by_stem[missing[0]]}{others}")
    return [Pair(path, by_mask[stem]) for stem, path in by_stem.items()]


def list_files(folder: Path, suffixes: set[str]) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise TrainingError(f"{folder}: {error.strerror}")
    return [path for path in entries if path.suffix.lower() in suffixes and not path.name.startswith(".")]


def read_image(path: Path) -> np.ndarray:
    """[H, W, 3] uint8, turned as its EXIF says (the way viewers and drawing tools show it)."""
    image = _decode(path)
    if image.mode.startswith(WIDE_MODES):
        raise TrainingError(f"{path}: should have 8 bits per channel but has mode {image.mode}")
    return np.array(ImageOps.exif_transpose(image).convert("RGB"))


def read_mask(path: Path) -> np.ndarray:
    """[H, W] int64."""
    mask = _decode(path)
    if mask.mode not in INDEX_MODES:
        channels = ", ".join(mask.getbands())
        raise TrainingError(f"{path}: should have one channel of class indices but has {channels}")
    return np.array(mask).astype(np.int64)


def _decode(path: Path) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            return image
    except Exception as error:  # the decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        raise TrainingError(f"{path}: cannot be read: {error}")
