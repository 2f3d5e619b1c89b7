"""Makes guided_filter_elsewhere.npz: what OpenCV's and kornia's guided filters return. By hand, where both are installed:

    pip install opencv-contrib-python-headless==5.0.0.93 kornia==0.9.0
    python tests/torch_bridge/make_elsewhere.py

`calls` is UTF-8 JSON, a list of calls by library: its version, arguments, and the arrays that it took and returned.
"""

import json
from pathlib import Path

import cv2
import kornia
import numpy
import torch

FILE = Path(__file__).parent / "guided_filter_elsewhere.npz"
random = numpy.random.default_rng(0)
arrays, calls = {}, []


def keep(array: numpy.ndarray) -> str:
    name = next((n for n, a in arrays.items() if a is array), f"{len(arrays)}")
    arrays[name] = array
    return name


def record(library: str, version: str, guide, source, output, **options) -> None:
    maps = {"guide": keep(guide), "input": keep(source), "output": keep(output)}
    calls.append({"library": library, "version": version, **maps, **options})


def opencv(guide, source, radius: int, eps: float, scale: int = 1, depth: int = -1) -> None:
    """Maps are H,W or H,W,C."""
    output = cv2.ximgproc.guidedFilter(guide, source, radius, eps, dDepth=depth, scale=1 / scale)
    record("opencv", cv2.__version__, guide, source, output, radius=radius, eps=eps, scale=scale)


def in_kornia(guide, source, kernel_size: int, eps: float, subsample: int = 1) -> None:
    """Maps are C,H,W."""
    maps = (torch.from_numpy(a)[None] for a in (guide, source))
    output = kornia.filters.guided_blur(*maps, kernel_size, eps, subsample=subsample)[0].numpy()
    options = {"kernel_size": kernel_size, "eps": eps, "subsample": subsample}
    record("kornia", kornia.__version__, guide, source, output, **options)


def image(*shape: int, dtype=numpy.float32, largest: float = 1) -> numpy.ndarray:
    return (largest * random.random(shape)).astype(dtype)


def blocks(array: numpy.ndarray, side: int) -> numpy.ndarray:
    return array.repeat(side, 0).repeat(side, 1)


guide, source, colours = image(12, 17), image(12, 17), image(12, 17, 3)
for radius in (0, 1, 2, 5, 20):
    opencv(guide, source, radius, 1e-2)
opencv(guide, source, 3, 1e-4)
opencv(guide, colours, 2, 1e-2)
bytes_guide, bytes_source = (image(12, 17, dtype=numpy.uint8, largest=255) for _ in range(2))
opencv(bytes_guide, bytes_source, 2, 1e-2 * 255**2, depth=cv2.CV_32F)
opencv(bytes_guide, bytes_source, 2, 1e-2 * 255**2)
opencv(image(12, 17, dtype=numpy.uint16, largest=65535), source, 2, 1e-2 * 65535**2)
for scale in (2, 3, 4):
    small = image(5, 6), image(5, 6)
    opencv(*(blocks(array, scale) for array in small), 1, 1e-2, scale)
    opencv(*(blocks(array, scale) for array in small), 2, 1e-2, scale)
opencv(image(15, 18), image(15, 18), 1, 1e-2, 3)
opencv(image(15, 20), image(15, 20), 2, 1e-2, 5)

for dtype in (numpy.float32, numpy.float64):
    guide, source = image(1, 12, 15, dtype=dtype), image(2, 12, 15, dtype=dtype)
    for kernel_size in (1, 3, 5, 11):
        in_kornia(guide, source, kernel_size, 1e-2)
    guide, source = image(1, 12, 24, dtype=dtype), image(1, 12, 24, dtype=dtype)
    for kernel_size, subsample in ((5, 2), (9, 2), (7, 3), (9, 3), (9, 4)):
        in_kornia(guide, source, kernel_size, 1e-2, subsample)

arrays["calls"] = numpy.frombuffer(json.dumps(calls).encode(), numpy.uint8)
numpy.savez_compressed(FILE, **arrays)
