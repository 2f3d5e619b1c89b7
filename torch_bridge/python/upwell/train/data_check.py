"""Every file is read once before training: a bad one is found in minutes, not in the middle of a run."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from tqdm import tqdm

from upwell.train.data import Pair, indices, open_image, open_mask
from upwell.train.distributed import Group
from upwell.train.errors import TrainingError
from upwell.train.stored import Stored

T, Found = TypeVar("T"), TypeVar("Found")
SHOWN = 10  # complaints; the rest are counted
THREADS = (4, 16)  # at least, to hide a slow disk; at most, since each holds a picture
AT_ONCE = 1024  # files, or pairs of them, in a pool's queue, which costs 2 KB each


class Survey(NamedTuple):
    """What a set of masks holds, and how many images are turned by their EXIF as their masks are not."""

    pixels: np.ndarray  # [classes + 1], of each class and of --ignore
    turned_alone: int


def check_data(pairs: list[Pair], part: str, classes: int, ignore: int, group: Group) -> Survey:
    """TrainingError names the files that are unreadable, of the wrong size, or hold a value that is no class.

    The processes of a machine share the work, so every machine checks its own copy of the files.
    """
    check_same([pair.image.name for pair in pairs], pairs[0].image.parent, group)
    share = group.together(lambda: check_share(pairs, part, classes, ignore, group))
    machines = group.size // group.local_size
    total = group.sum(torch.tensor([*share.pixels, share.turned_alone])).cpu().numpy() // machines
    return Survey(total[:-1], int(total[-1]))


def check_share(pairs: list[Pair], part: str, classes: int, ignore: int, group: Group) -> Survey:
    pixels, turned_alone = np.zeros(classes + 1, np.int64), 0
    for found in look_at_share(pairs, lambda pair: look_at(pair, classes, ignore), f"reading {part} files", group):
        pixels += found.pixels
        turned_alone += found.turned_alone
    return Survey(pixels, turned_alone)


def check_same(names: list[str], folder: Path, group: Group) -> None:
    """TrainingError unless every process found the same files in a folder."""
    if any(other != names for other in group.gather(names)):
        group.fail(f"{folder}: not the same files on every machine")


def look_at_share(
    items: Sequence[T], look: Callable[[T], Found | str], title: str, group: Group
) -> Iterator[Found]:
    """What look finds in each item of this process's share of its machine's; TrainingError of all the texts that it gave
    instead, which are complaints, once every item was seen."""
    share, complaints = items[group.local_rank :: group.local_size], []
    results = look_at_all(share, look, threads(group))
    for found in tqdm(results, title, len(share), disable=not group.first, leave=False):
        if isinstance(found, str):
            complaints.append(found)
        else:
            yield found
    if complaints:
        rest = [f"and {len(complaints) - SHOWN} more"] if len(complaints) > SHOWN else []
        raise TrainingError("\n".join(complaints[:SHOWN] + rest))


def look_at_all(items: Sequence[T], look: Callable[[T], Found], threads: int) -> Iterator[Found]:
    with ThreadPoolExecutor(threads) as pool:  # decoding releases Python's lock
        for start in range(0, len(items), AT_ONCE):
            yield from pool.map(look, items[start : start + AT_ONCE])


def threads(group: Group) -> int:
    least, most = THREADS
    return min(max((os.cpu_count() or 1) // group.local_size, least), most)


def look_at(pair: Pair, classes: int, ignore: int) -> Survey | str:
    """What a pair holds, or what is wrong with it, in a line that names the file."""
    try:
        image, mask = open_image(pair.image), open_mask(pair.mask)
    except TrainingError as error:
        return str(error)
    if image.image.size != mask.image.size:
        return f"{pair.mask}: is {size(mask)} but {pair.image} is {size(image)}"
    labels = indices(mask)
    values = np.bincount(labels.ravel(), minlength=classes)
    ignored = values[ignore] if 0 <= ignore < len(values) else 0
    if values[:classes].sum() + ignored < labels.size:
        row, column = np.argwhere((labels >= classes) & (labels != ignore))[0]
        value = f"{pair.mask}: value {labels[row, column]} at row {row}, column {column}"
        return f"{value} is neither a class (0 to {classes - 1}) nor --ignore {ignore}"
    return Survey(np.append(values[:classes], ignored), image.orientation != mask.orientation)


def size(stored: Stored) -> str:
    turned = f" (turned by its EXIF orientation {stored.orientation})" if stored.orientation != 1 else ""
    return "{} x {}".format(*stored.image.size) + turned
