"""What a call takes: time, and memory beyond what was there."""

import ctypes
import gc
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.benchmark import Timer

RESET_PEAK = "5"  # proc(5), /proc/PID/clear_refs: the peak of the resident size becomes the current size
SECONDS = 1.0  # that the call is repeated for


def cost(call: Callable[[], object], device: torch.device) -> dict[str, float | None]:
    """seconds: the median of warm calls; bytes: the most that one adds, its result included, None if the system is silent
    (on a CPU: of the process, which first gives back what it keeps of earlier calls, where the system's library can)."""
    with torch.no_grad():
        call()
        timer = Timer("call()", globals={"call": call}, num_threads=torch.get_num_threads())
        return {"seconds": timer.blocked_autorange(min_run_time=SECONDS).median, "bytes": peak(call, device)}


def peak(call: Callable[[], object], device: torch.device) -> int | None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return torch.cuda.max_memory_allocated(device) - before
    _give_back()
    try:
        Path("/proc/self/clear_refs").write_text(RESET_PEAK)
        before = _peak_resident()
        call()
        return _peak_resident() - before
    except OSError:
        return None


def _give_back() -> None:
    """Memory that was freed to the system: what is left resident would hide as much of a call's."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim:
        trim(0)


def _peak_resident() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmHWM")
