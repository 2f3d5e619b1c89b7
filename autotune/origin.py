"""Where a figure comes from: the commit and the processor. Without torch."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def first_line(command: list[str], folder: Path | None = None) -> str | None:
    """Of what a command says; None where it fails or is not there."""
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip().splitlines()[0] if done.returncode == 0 and done.stdout.strip() else None


def commit(folder: Path = ROOT) -> str | None:
    """Short hash, with "-changed" when the files differ from it; None outside a checkout."""
    return first_line(["git", "describe", "--always", "--exclude=*", "--dirty=-changed"], folder)


def processor() -> str | None:
    """As the system names its model; None where it does not."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return None
