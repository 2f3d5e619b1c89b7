"""What a GPU machine is, for the record: device, driver, torch, commit. Runs on a CPU too."""

import datetime
import os
import platform
import subprocess
from pathlib import Path

import torch

_ROOT = Path(__file__).resolve().parent.parent


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
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def commit() -> str | None:
    """Short hash, with "-changed" when files differ from it; UPWELL_COMMIT where the checkout has no history."""
    command = ["git", "describe", "--always", "--exclude=*", "--dirty=-changed"]
    return _first_line(command, _ROOT) or os.environ.get("UPWELL_COMMIT")


def _driver() -> str | None:
    """Such as "580.95.05"."""
    named = _first_line(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"])
    return named or _first_line(["cat", "/proc/driver/nvidia/version"])


def _first_line(command: list[str], folder: Path | None = None) -> str | None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else None
