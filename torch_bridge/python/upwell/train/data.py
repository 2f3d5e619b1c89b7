"""Images and index masks on disk: which belong together, and how one is read."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from upwell.train.errors import TrainingError
from upwell.train.stored import Stored, load

IMAGE_SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}
IMAGE_FORMATS = ("BMP", "JPEG", "MPO", "PNG", "PPM", "TIFF", "WEBP")  # MPO: a JPEG with more pictures behind it
INDEX_MODES = {"1", "L", "P", "I", "I;16"}  # one channel; of a palette, the indices


class Pair(NamedTuple):
    image: Path
    mask: Path


def find_images(folder: Path, consequence: str) -> dict[str, Path]:
    """The images in a folder by their stems, of which each may occur once. TrainingError of an empty one too."""
    by_stem = by_unique_stem(folder, IMAGE_SUFFIXES, consequence)
    if not by_stem:
        raise TrainingError(f"{folder}: no image ({', '.join(sorted(IMAGE_SUFFIXES))})")
    return by_stem


def find_pairs(images: Path, masks: Path) -> list[Pair]:
    """Every image in the folder images with the mask of the same stem, in the order of their names."""
    by_stem = find_images(images, "so one mask")
    by_mask = by_unique_stem(masks, {".png"}, "so one image")
    missing = [stem for stem in by_stem if stem not in by_mask]
    if missing:
        others = f", and {len(missing) - 1} more masks are missing" if len(missing) > 1 else ""
        raise TrainingError(f"{masks / missing[0]}.png: missing, the mask of {by_stem[missing[0]]}{others}")
    return [Pair(path, by_mask[stem]) for stem, path in by_stem.items()]


def by_unique_stem(folder: Path, suffixes: set[str], consequence: str) -> dict[str, Path]:
    by_stem: dict[str, Path] = {}
    for path in list_files(folder, suffixes):
        if path.stem in by_stem:
            raise TrainingError(f"{path} and {by_stem[path.stem].name} share one stem, {consequence}")
        by_stem[path.stem] = path
    return by_stem


def list_files(folder: Path, suffixes: set[str]) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise TrainingError(f"{folder}: {error.strerror}")
    return [path for path in entries if path.suffix.lower() in suffixes and not path.name.startswith(".")]


def open_image(path: Path) -> Stored:
    """As RGB. Of more than 8 bits, the file does not say which values are black and white."""
    stored = load(path, IMAGE_FORMATS, "RGB")
    if stored.bits > 8:
        raise TrainingError(f"{path}: should have 8 bits per channel but has {stored.bits}")
    return stored


def open_mask(path: Path) -> Stored:
    """PNG alone: lossy formats invent values between two classes."""
    stored = load(path, ("PNG",))
    if stored.image.mode not in INDEX_MODES:
        channels = ", ".join(stored.image.getbands())
        raise TrainingError(f"{path}: should have one channel of class indices but has {channels}")
    return stored


def indices(mask: Stored) -> np.ndarray:
    """[H, W] integers, the samples as they are in the file."""
    samples = np.array(mask.image)
    if mask.image.mode == "L" and mask.bits < 8:
        samples //= 255 // (2**mask.bits - 1)  # Pillow makes white of the largest sample
    return samples


def read_image(path: Path) -> np.ndarray:
    """[H, W, 3] uint8, turned as its EXIF says (the way viewers and drawing tools show it)."""
    return np.array(open_image(path).image)


def read_mask(path: Path) -> np.ndarray:
    """[H, W] int64, turned as its EXIF says."""
    return indices(open_mask(path)).astype(np.int64)
