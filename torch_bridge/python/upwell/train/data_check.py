"""Every file is read once before training: a bad one is found in minutes, not in the middle of a run."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm import tqdm

from upwell.train.data import Pair, read_image, read_mask
from upwell.train.distributed import Group
from upwell.train.errors import TrainingError

SHOWN = 10  # complaints; the rest are counted


def check_data(pairs: list[Pair], classes: int, ignore: int, group: Group) -> None:
    """TrainingError names the files that are unreadable, of the wrong size, or hold a value that is no class.

    The processes of a machine share the work, so every machine checks its own copy of the files.
    """
    names = [pair.image.name for pair in pairs]
    if any(other != names for other in group.gather(names)):
        group.fail(f"{pairs[0].image.parent}: not the same files on every machine")
    group.together(lambda: check_share(pairs, classes, ignore, group))


def check_share(pairs: list[Pair], classes: int, ignore: int, group: Group) -> None:
    share = pairs[group.local_rank :: group.local_size]
    with ThreadPoolExecutor(4) as pool:  # decoding releases Python's lock
        results = pool.map(lambda pair: complaint(pair, classes, ignore), share)
        bar = tqdm(results, "checking files", len(share), disable=not group.first, leave=False)
        complaints = [text for text in bar if text]
    if complaints:
        rest = [f"and {len(complaints) - SHOWN} more"] if len(complaints) > SHOWN else []
        raise TrainingError("\n".join(complaints[:SHOWN] + rest))


def complaint(pair: Pair, classes: int, ignore: int) -> str | None:
    """What is wrong with a pair, in a line that names the file; None for a good one."""
    try:
        image, mask = read_image(pair.image), read_mask(pair.mask)
    except TrainingError as error:
        return str(error)
    if image.shape[:2] != mask.shape:
        image_size, mask_size = (f"{shape[1]} x {shape[0]}" for shape in (image.shape, mask.shape))
        return f"{pair.mask}: is {mask_size} but {pair.image} is {image_size}"
    wrong = (mask != ignore) & ((mask < 0) | (mask >= classes))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        value = f"{pair.mask}: value {mask[row, column]} at row {row}, column {column}"
        return f"{value} is neither a class (0 to {classes - 1}) nor --ignore {ignore}"
    return None
