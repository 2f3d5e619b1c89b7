"""Who takes part: Upwell's operator, the same formula composed from torch, and that composition compiled.

The composition is the tests' reference: its answers are known to be right.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F

import upwell
from workloads import FORWARD, Workload

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))
from reference import formula  # noqa: E402

UPWELL, EAGER, COMPILED, INTERPOLATE = "Upwell", "torch eager", "torch.compile", "F.interpolate"
Operator = Callable[..., torch.Tensor]

_AGREEMENT = {torch.float32: 1e-3, torch.float64: 1e-9}  # of the largest value


def operators(workload: Workload) -> dict[str, Operator]:
    """The candidates as functions of the workload's tensors alone."""
    composed = _bind(getattr(formula, workload.operator), workload)
    found = {
        UPWELL: _bind(getattr(upwell.ops, workload.operator), workload),
        EAGER: composed,
        COMPILED: torch.compile(composed, dynamic=False, fullgraph=True),
    }
    if workload.operator in ("bilinear", "nearest"):
        found[INTERPOLATE] = lambda value: F.interpolate(value, workload.size, mode=workload.operator)
    return found


def _bind(operator: Operator, workload: Workload) -> Operator:
    return lambda *tensors: operator(*tensors, *workload.options)


class Trial:
    """One candidate on one workload in one mode; call it to run it once."""

    def __init__(self, operator: Operator, tensors: list[torch.Tensor], d_output: torch.Tensor, mode: str):
        self.operator, self.d_output, self.training = operator, d_output, mode != FORWARD
        self.tensors = [tensor.detach().requires_grad_(self.training) for tensor in tensors]

    def forward(self) -> torch.Tensor:
        """The output N,C,H,W."""
        with torch.set_grad_enabled(self.training):
            return self.operator(*self.tensors)

    def __call__(self) -> list[torch.Tensor]:
        """The output and, in training, the gradient of every tensor."""
        output = self.forward()
        if not self.training:
            return [output]
        return [output.detach(), *torch.autograd.grad(output, self.tensors, self.d_output)]


def check_agreement(
    name: str, workload: Workload, results: list[torch.Tensor], expected: list[torch.Tensor]
) -> None:
    """Raises ValueError unless each result is the expected one: a wrong answer is not worth timing."""
    for result, reference in zip(results, expected, strict=True):
        worst = ((result - reference).abs().max() / reference.abs().max()).item()
        if not worst <= _AGREEMENT[reference.dtype]:
            amount = f"{worst:.1e} of the largest value"
            raise ValueError(f"bench: {name} differs on {workload.name} by {amount}")
