"""Upwell: feature upsampling operators, compiled ahead of time, as differentiable torch ops and modules."""

import os
from pathlib import Path

import torch

LIBRARY = Path(os.environ.get("UPWELL_LIBRARY") or Path(__file__).with_name("libupwell_torch.so"))
if not LIBRARY.exists():
    raise ImportError(f"upwell: no library at {LIBRARY}; build it, or point UPWELL_LIBRARY at it")
torch.ops.load_library(str(LIBRARY))

from upwell import nn, ops  # noqa: E402  the modules call the operators that the library registers


def compile_cost() -> tuple[int, float]:
    """Kernels that the CUDA driver has compiled in this process so far, and the seconds that it took.

    Each is compiled at its first call, once for every device; the driver keeps the result on disk, so that
    the next process only loads it.
    """
    return torch.ops.upwell.compile_cost()


__all__ = ["compile_cost", "nn", "ops"]
