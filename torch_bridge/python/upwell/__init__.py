"""Upwell: feature upsampling operators, compiled ahead of time, as differentiable torch ops and modules."""

import os
from pathlib import Path

import torch

from upwell import built

if torch.__version__.split(".")[:2] != built.TORCH.split("."):
    raise ImportError(
        f"upwell: this build is for torch {built.TORCH}, but torch is {torch.__version__}; take the wheel whose version ends in "
        f"+torch{'.'.join(torch.__version__.split('.')[:2])}, or torch {built.TORCH}"
    )
LIBRARY = Path(os.environ.get("UPWELL_LIBRARY") or Path(__file__).with_name("libupwell_torch.so"))
if not LIBRARY.exists():
    raise ImportError(f"upwell: no library at {LIBRARY}; build it, or point UPWELL_LIBRARY at it")
torch.ops.load_library(str(LIBRARY))

from upwell import nn, ops  # noqa: E402  the modules call the operators that the library registers
import upwell.composed  # noqa: E402, F401  registers what gradients of gradients are made of
from upwell.build import BuildError, build, load  # noqa: E402
from upwell.flops import flop_formulas  # noqa: E402
from upwell.memory import keep_memory  # noqa: E402
from upwell.warned import warn_in_python  # noqa: E402

warn_in_python(LIBRARY)

cmake_prefix_path = str(Path(__file__).parent / "cmake")  # of an installed wheel: for find_package(Upwell)


def compile_cost() -> tuple[int, float]:
    """Kernels that the CUDA driver has compiled in this process so far, and the seconds that it took.

    Each is compiled at its first call, once for every device; the driver keeps the result on disk, so that
    the next process only loads it.
    """
    return torch.ops.upwell.compile_cost()


def use_tuned(on: bool) -> bool:
    """Lets calls take the kernels that were tuned for their size (schedules/tuned/), or not; returns what held before.

    They do from the start, unless the environment variable UPWELL_TUNED is `off`.
    """
    return torch.ops.upwell.use_tuned(on)


def tuned_kernels() -> list[tuple[str, tuple[int, int], tuple[int, int], tuple[int, int]]]:
    """The tuned kernels of this build for this machine: symbol, range of channels, range of pixels (both ends
    included), and (samples, threads): calls of fewer samples for each thread take the kernel scheduled by hand.
    """
    symbols, sizes = torch.ops.upwell.tuned_kernels()
    pairs = list(zip(sizes[::2], sizes[1::2]))
    return list(zip(symbols, pairs[::3], pairs[1::3], pairs[2::3]))


__all__ = [
    "BuildError",
    "build",
    "cmake_prefix_path",
    "compile_cost",
    "flop_formulas",
    "keep_memory",
    "load",
    "nn",
    "ops",
    "tuned_kernels",
    "use_tuned",
]
