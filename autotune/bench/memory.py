"""How much memory a call takes: on a GPU what torch gave out, on a CPU what is seen in a process of its own."""

import gc
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import torch

from autotune.bench.candidates import AnyWorkload, make_trials
from autotune.bench.workloads import TRAINING

# Read by glibc at the start of a process: every tensor comes from the system and goes back to it when
# freed, so that memory left by an earlier call neither hides nor adds anything.
_ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
_RESET_PEAK = "5"  # proc(5), /proc/PID/clear_refs: set the peak of the resident size to the current size


@contextmanager
def observer(threads: int) -> Iterator[Executor]:
    """A process to run `measure_memory` in; it stays, idle between calls, until the context ends."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, torch.set_num_threads, (threads,)) as executor:
        os.environ.update(_ALLOCATOR)
        executor.submit(gc.collect).result()  # the first task starts the process, which inherits the settings
        for name in _ALLOCATOR:
            del os.environ[name]
        yield executor


def measure_memory(
    workload: AnyWorkload, mode: str, dtype: torch.dtype, names: list[str]
) -> dict[str, dict[str, int | None]]:
    """Of each named candidate.

    peak_bytes: most that a warm call adds to the process, results included; None if the system is silent.
    saved_bytes, in training: what autograd keeps from forward to backward, inputs included.
    """
    torch._dynamo.reset()
    trials = make_trials(workload, mode, dtype)
    results: dict[str, dict[str, int | None]] = {}
    for name in names:
        results[name] = {"peak_bytes": _peak(trials[name])}
        if mode == TRAINING:
            results[name]["saved_bytes"] = _saved(trials[name].forward)
    return results


def _peak(call: Callable[[], object]) -> int | None:
    for _ in range(2):
        call()
    gc.collect()
    try:
        Path("/proc/self/clear_refs").write_text(_RESET_PEAK)
    except OSError:
        return None
    before = peak_resident()
    call()
    return peak_resident() - before


def peak_resident() -> int:
    """Bytes: the most that this process has held so far, or since the peak was last reset."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmHWM")


def peak_on_gpu(call: Callable[[], object]) -> int:
    """The most that a warm call adds to what torch's allocator has given out."""
    call()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    call()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def _saved(forward: Callable[[], object]) -> int:
    """Each storage counts once."""
    storages: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = forward()  # kept to the end: a freed storage could lend its address to the next one
    del result
    return sum(storages.values())
