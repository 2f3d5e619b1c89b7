"""Time, memory and bytes on a device: with CUDA events, or with the host's clock where the device is a CPU."""

import time
from collections.abc import Callable

import torch
from torch import Tensor

from candidates import Trial

_COPY, _SMALL_COPY = 1 << 30, 1 << 24  # bytes of the buffer that is copied, on a GPU and on a CPU
_COPIES = 20


def clock(device: str) -> Callable[[Callable[[], object], int], float]:
    """A function of a call and how often to repeat it, that gives seconds per call."""
    return _seconds_on_device if torch.device(device).type == "cuda" else _seconds_on_host


def _seconds_on_device(call: Callable[[], object], repeats: int) -> float:
    """Between two events around the calls: what they take one behind the other, launches included."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(repeats):
        call()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3 / repeats


def _seconds_on_host(call: Callable[[], object], repeats: int) -> float:
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def copy_bandwidth(device: str) -> float:
    """Bytes per second, read plus written, of copying a buffer within the device: the best of some copies."""
    cuda = torch.device(device).type == "cuda"
    size = _COPY if cuda else _SMALL_COPY
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.zeros_like(source)
    seconds = clock(device)
    for _ in range(3):
        target.copy_(source)
    return 2 * size / min(seconds(lambda: target.copy_(source), 1) for _ in range(_COPIES))


def peak_bytes(call: Callable[[], object], device: str) -> int | None:
    """The most that a warm call adds to what torch's allocator has given out; None on a CPU."""
    if torch.device(device).type != "cuda":
        return None
    call()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def least_bytes(trial: Trial, results: list[Tensor | None]) -> int:
    """What a call cannot do without: it reads every input and writes the output once.

    In training it also reads the output's gradient and the inputs again, and writes their gradients.
    """
    inputs, output = _bytes(trial.leaves), _bytes(results[:1])
    forward = inputs + output
    return forward + (_bytes([trial.d_output]) + inputs + _bytes(results[1:]) if trial.training else 0)


def _bytes(tensors: list[Tensor | None]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors if tensor is not None)
