"""Makes colour_guided_filter_elsewhere.npz: what OpenCV's and kornia's guided filters return for guides of three channels.
By hand, where both are installed:

    pip install opencv-contrib-python-headless==5.0.0.93 kornia==0.9.0
    python tests/torch_bridge/make_colour_elsewhere.py

`calls` is UTF-8 JSON, a list of calls by library: its arguments, and the arrays that it took and returned, C,H,W each.
"""

import json
from pathlib import Path

import cv2
import kornia
import numpy
import torch

FILE = Path(__file__).parent / "colour_guided_filter_elsewhere.npz"
random = numpy.random.default_rng(0)
arrays, calls = {}, []


def keep(array: numpy.ndarray) -> str:
    arrays[f"{len(arrays)}"] = array
    return f"{len(arrays) - 1}"


def record(library: str, guide, source, output, **options) -> None:
    calls.append({"library": library, "guide": keep(guide), "input": keep(source), "output": keep(output), **options})


def opencv(guide, source, radius: int, eps: float, scale: int = 1) -> None:
    output = cv2.ximgproc.guidedFilter(
        guide.transpose(1, 2, 0).copy(), source.transpose(1, 2, 0).copy(), radius, eps, scale=1 / scale
    )
    output = output.reshape(*output.shape[:2], -1).transpose(2, 0, 1)
    record("opencv", guide, source, output, radius=radius, eps=eps, scale=scale)


def in_kornia(guide, source, kernel_size: int, eps: float, subsample: int = 1) -> None:
    maps = (torch.from_numpy(a)[None] for a in (guide, source))
    output = kornia.filters.guided_blur(*maps, kernel_size, eps, subsample=subsample)[0].numpy()
    record("kornia", guide, source, output, radius=(kernel_size - 1) // 2, eps=eps, scale=subsample)


def image(*shape: int, dtype=numpy.float32) -> numpy.ndarray:
    return random.random(shape).astype(dtype)


def blocks(array: numpy.ndarray, side: int) -> numpy.ndarray:
    return array.repeat(side, 1).repeat(side, 2)


for radius in (1, 2, 5, 20):
    opencv(image(3, 12, 17), image(1, 12, 17), radius, 1e-2)
opencv(image(3, 12, 17), image(3, 12, 17), 3, 1e-3)
opencv(image(3, 12, 17), image(2, 12, 17), 2, 1e-2)
for scale in (2, 4):
    opencv(blocks(image(3, 5, 6), scale), blocks(image(1, 5, 6), scale), 1, 1e-2, scale)
for dtype in (numpy.float32, numpy.float64):
    for kernel_size in (3, 5, 11):
        in_kornia(image(3, 12, 15, dtype=dtype), image(2, 12, 15, dtype=dtype), kernel_size, 1e-2)
    for kernel_size, subsample in ((5, 2), (9, 2), (9, 4)):
        in_kornia(image(3, 12, 24, dtype=dtype), image(1, 12, 24, dtype=dtype), kernel_size, 1e-2, subsample)

arrays["calls"] = numpy.frombuffer(json.dumps(calls).encode(), numpy.uint8)
numpy.savez_compressed(FILE, **arrays)
