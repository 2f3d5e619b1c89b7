"""Tuned kernels of this build: calls in their buckets take them and answer as with the kernels made by hand."""

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

import upwell
from resfu_draws import Call, assert_all_close, fan_in, with_gradients

OBSERVER = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_void_p)
SYMBOL = re.compile(
    r"upwell_(?P<kernel>\w+?)(?:_k(?P<size>\d+)_r(?P<ratio>\d+|any))?_(?P<dtype>float32|float64)_\w+_tuned_\d+"
)
TUNED = {symbol: sizes for symbol, *sizes in upwell.tuned_kernels() if "_cuda_" not in symbol}

NONE = pytest.param("", marks=pytest.mark.skip(reason="this build has no tuned kernels for this machine"))
every_tuned_kernel = pytest.mark.parametrize("symbol", list(TUNED) or [NONE])


@pytest.fixture(autouse=True)
def tuned_kernels_on():
    before, threads = upwell.use_tuned(True), torch.get_num_threads()
    yield
    upwell.use_tuned(before)
    torch.set_num_threads(threads)


@contextmanager
def observed() -> Iterator[list[str]]:
    """The symbols of the kernels that run within."""
    symbols: list[str] = []
    observer = OBSERVER(lambda symbol, _: symbols.append(symbol.decode()))
    library = ctypes.CDLL(str(upwell.LIBRARY))
    library.upwell_set_observer(observer)
    try:
        yield symbols
    finally:
        library.upwell_set_observer(None)


def sides(pixels: int) -> tuple[int, int]:
    """Height and width of a map of so many pixels, as close to a square as they divide."""
    height = next(h for h in range(int(pixels**0.5), 0, -1) if pixels % h == 0)
    return height, pixels // height


def window_call(kernel: str, size: int, ratio: int, samples: int, channels: int, pixels: int) -> Call:
    """ratio 0: no kernel of its own."""
    low = sides(pixels)
    high = (ratio * low[0], ratio * low[1]) if ratio else (2 * low[0] + 1, 3 * low[1] + 1)
    operator = re.sub("_d_(value|weight)$", "", kernel)
    options = {"kernel": size}
    shapes = ((samples, channels, *low), (samples, size * size, *high))
    if operator in ("bilinear", "nearest"):
        options, shapes = {"size": high}, shapes[:1]
    elif operator == "carafe_masked":
        operator, options = "carafe", {"kernel": size, "border": "mask"}
    return Call(operator, shapes, options, (1, 1))


def filter_call(kernel: str, samples: int, channels: int, pixels: int) -> Call | None:
    """None: no operator runs this kernel at a size that is the call's."""
    image = (samples, channels, *sides(pixels))
    if kernel.startswith("guided_filter"):
        return Call("guided_filter", (image, (samples, channels, 5, 6)), {"radius": 3, "eps": 1e-2}, (1, 1))
    if kernel.startswith("group_stats"):
        return Call("group_stats", (image,), {"groups": 1, "blur": True}, (1,))
    groups = 4 if channels % 4 == 0 else 1
    weight, bias = (32, channels // groups, 3, 3), (32,)
    if re.fullmatch("pcdc(_backward)?", kernel):
        options = {"groups": groups, "dilation": (2, 2)}
        return Call("pcdc", (image, image, weight, bias), options, (1, 1, fan_in(weight), 1))
    kept = re.fullmatch("pcdc_(upsampled_)?hidden(_statistics|_scores|_moments|_scores_backward)?", kernel)
    if kept or re.fullmatch("pcdc_(upsampled_)?(statistics|scores|moments|scores_backward)", kernel):
        key = (samples, channels, 3, 4) if "upsampled" in kernel else image
        block = ((channels,), weight, bias, (128, 32 // groups), (128,), (128,), (128,), (9, 128), (9,))
        spread = (1, 1, 1, fan_in(weight), 0.3, 0.3, 0.3, 1, 1, 0.1, 1)
        options = {"groups": groups, "norm_groups": groups, "keep_mib": 1023 if kept else 0}
        options |= {} if "upsampled" in kernel else {"ratio": (2, 1, 2, 1)}
        return Call("pcdc_scores", (key, image, *block), options, spread)
    return None


def call_of(symbol: str, samples: int, channels: int, pixels: int) -> Call:
    found = SYMBOL.fullmatch(symbol)
    call = None
    if found and found["size"]:
        ratio = 0 if found["ratio"] == "any" else int(found["ratio"])
        call = window_call(found["kernel"], int(found["size"]), ratio, samples, channels, pixels)
    elif found:
        call = filter_call(found["kernel"], samples, channels, pixels)
    if call is None:
        pytest.skip(f"no call is known that runs {symbol}")
    return call


def run(symbol: str, channels: int, pixels: int, more_threads: int = 0) -> tuple[list[torch.Tensor], list[str]]:
    """The results of a call that runs the symbol's operator in both directions, and the kernels that it took.

    As many samples as the kernel was tuned for, on as many threads and some more.
    """
    samples, threads = TUNED[symbol][2]
    torch.set_num_threads(threads + more_threads)
    call = call_of(symbol, samples, channels, pixels)
    dtype = getattr(torch, SYMBOL.fullmatch(symbol)["dtype"])
    with observed() as symbols:
        results = with_gradients(lambda tensors: call.run(upwell.ops, tensors), call.tensors(dtype))
    return results, symbols


@every_tuned_kernel
def test_call_in_the_bucket_takes_the_tuned_kernel_and_answers_alike(symbol):
    channels, pixels = (sizes[0] for sizes in TUNED[symbol][:2])
    tuned, symbols = run(symbol, channels, pixels)
    assert symbol in symbols
    upwell.use_tuned(False)
    by_hand, symbols = run(symbol, channels, pixels)
    assert symbols and not any("_tuned_" in taken for taken in symbols)
    assert_all_close(tuned, by_hand, 1e-5, symbol)


@every_tuned_kernel
def test_call_outside_takes_another(symbol):
    channels, pixels, _ = TUNED[symbol]
    assert symbol not in run(symbol, channels[0], pixels[0], more_threads=1)[1]
    assert symbol not in run(symbol, channels[0] - 1 or channels[1] + 1, pixels[0])[1]
    assert symbol not in run(symbol, channels[0], pixels[0] - 1 or pixels[1] + 1)[1]


def test_switch_returns_what_held_before():
    assert upwell.use_tuned(False) is True
    assert upwell.use_tuned(True) is False


@pytest.mark.parametrize("value, on", [("off", False), ("", True), ("auto", True), ("tables/mine.json", True)])
def test_environment_sets_the_switch_at_first(value, on):
    process = subprocess.run(
        [sys.executable, "-c", "import upwell; print(upwell.use_tuned(True))"],
        env=os.environ | {"UPWELL_TUNED": value},
        capture_output=True,
        text=True,
        check=True,
    )
    assert process.stdout.split() == [str(on)]
