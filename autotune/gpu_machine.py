"""What a GPU machine is, for the record: device, driver, torch, commit. Runs on a CPU too."""

import datetime
import os
import platform

import torch

import origin


def description(device: str) -> dict[str, object]:
    """Who measured what, where and when."""
    found = {
        "date": datetime.datetime.now().astimezone().isoformat(timespec="seconds"),
        "commit": commit(),
        "device": device_name(device),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "system": f"{platform.system()} {platform.release()}",
    }
    if torch.device(device).type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        found |= {
            "driver": _driver(),
            "devices": torch.cuda.device_count(),
            "capability": f"{properties.major}.{properties.minor}",
            "multiprocessors": properties.multi_processor_count,
            "memory_bytes": properties.total_memory,
        }
    return found


def device_name(device: str) -> str:
    """"NVIDIA H200", or the CPU's model."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    return origin.processor() or platform.machine()


def commit() -> str | None:
    """Short hash, with "-changed" when files differ from it; UPWELL_COMMIT where the checkout has no history."""
    return origin.commit() or os.environ.get("UPWELL_COMMIT")


def _driver() -> str | None:
    """Such as "580.95.05"."""
    named = origin.first_line(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"])
    return named or origin.first_line(["cat", "/proc/driver/nvidia/version"])
