"""What this machine is, and the most that its processor can do: copy bandwidth and multiply-adds per second."""

import ctypes
import datetime
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch

from autotune import origin
from autotune.bench.measure import copy_bandwidth
from autotune.bench.workloads import Work

_MEMORY_BUFFER = 64 << 20  # bytes, well over the cache for the two buffers of a copy
_USUAL_CACHE = 32 << 20  # bytes, where the system does not tell


@dataclass(frozen=True)
class Limits:
    """Measured peaks: bytes per second (read plus written) and multiply-adds per second."""

    cache_bytes: int
    cache_bandwidth: float
    memory_bandwidth: float
    multiply_adds: float

    def seconds(self, passes: list[Work]) -> tuple[float, str]:
        """Least time for passes one after the other, and what limits: "bandwidth" or "arithmetic"."""
        moving = [self._moving(work) for work in passes]
        computing = [self._computing(work) for work in passes]
        least = sum(max(pair) for pair in zip(moving, computing))
        return least, "bandwidth" if sum(moving) > sum(computing) else "arithmetic"

    def _moving(self, work: Work) -> float:
        """What fits in the last-level cache is held against the cache's bandwidth."""
        cached = work.traffic <= self.cache_bytes
        return work.traffic / (self.cache_bandwidth if cached else self.memory_bandwidth)

    def _computing(self, work: Work) -> float:
        return work.multiply_adds / self.multiply_adds

    def best(self, other: "Limits") -> "Limits":
        """The higher of two measurements: whatever disturbs them only lowers them."""
        return Limits(self.cache_bytes, max(self.cache_bandwidth, other.cache_bandwidth),
                      max(self.memory_bandwidth, other.memory_bandwidth),
                      max(self.multiply_adds, other.multiply_adds))


def machine_library(upwell_package: Path) -> ctypes.CDLL:
    """The target upwell_machine of the build that the package is in; FileNotFoundError if not built."""
    default = upwell_package.resolve().parents[1] / "autotune" / "libupwell_machine.so"
    path = Path(os.environ.get("UPWELL_MACHINE_LIBRARY", default))
    if not path.exists():
        raise FileNotFoundError(f"bench: {path} is missing; build the CMake target upwell_machine")
    return ctypes.CDLL(str(path))


def measure_limits(library: ctypes.CDLL, threads: int, dtype: torch.dtype) -> Limits:
    """About a second of copying and multiplying on `threads` threads."""
    peak = getattr(library, f"upwell_multiply_add_peak_{str(dtype).removeprefix('torch.')}")
    peak.restype, peak.argtypes = ctypes.c_double, [ctypes.c_int]
    cache = _last_level_cache_bytes()
    # Source and destination together take half the cache: the other half may be in use by neighbours.
    return Limits(cache, copy_bandwidth(cache // 4, 40), copy_bandwidth(_MEMORY_BUFFER, 10), peak(threads))


def _last_level_cache_bytes() -> int:
    try:
        text = Path("/sys/devices/system/cpu/cpu0/cache/index3/size").read_text().strip()
    except OSError:
        return _USUAL_CACHE
    return int(text.removesuffix("K")) * 1024


def description(device: str = "cpu", threads: int | None = None) -> dict[str, object]:
    """Who measured what, where and when, for the record. threads: of a CPU; None: as many as torch takes."""
    found = {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "commit": commit(),
        "device": device_name(device),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    return found | (_of_gpu(device) if torch.device(device).type == "cuda" else _of_processor(threads))


def _of_processor(threads: int | None) -> dict[str, object]:
    return {
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": len(os.sched_getaffinity(0)),
        "threads": threads or torch.get_num_threads(),
        "load_average_1min": os.getloadavg()[0],
    }


def _of_gpu(device: str) -> dict[str, object]:
    properties = torch.cuda.get_device_properties(device)
    return {
        "cuda": torch.version.cuda,
        "driver": _driver(),
        "devices": torch.cuda.device_count(),
        "capability": f"{properties.major}.{properties.minor}",
        "multiprocessors": properties.multi_processor_count,
        "memory_bytes": properties.total_memory,
    }


def said(machine: dict[str, object]) -> str:
    """A processor's description in the first words of a table."""
    return f"{machine['device']}, {machine['cpu_capability']}, threads: {machine['threads']}"


def device_name(device: str) -> str:
    """"NVIDIA H200", or the CPU's model."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return origin.processor() or platform.processor() or platform.machine()


def commit() -> str | None:
    """Short hash, with "-changed" when files differ from it; UPWELL_COMMIT where the checkout has no history."""
    return origin.commit() or os.environ.get("UPWELL_COMMIT")


def _driver() -> str | None:
    """Such as "580.95.05"."""
    named = origin.first_line(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"])
    return named or origin.first_line(["cat", "/proc/driver/nvidia/version"])
