"""The taps per side that kernels were compiled for, and the refusal of others."""

from collections.abc import Sequence
from numbers import Integral

import torch

from upwell.explained import called

KERNELS = {name: torch.ops.upwell.kernels(name) for name in ("fns", "carafe")}


def check_kernel(name: str, argument: str, value: int, compiled: Sequence[int]) -> None:
    """value, an argument of `name`, should be one of the taps per side that there are kernels of; else ValueError."""
    if not isinstance(value, Integral) or value not in compiled:
        others = "those that were compiled; upwell.build compiles others for an operator of your own"
        raise ValueError(f"{name}: {argument} should be one of {compiled} ({others}) but is {called(value)}")
