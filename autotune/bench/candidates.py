"""Who takes part: Upwell, the same thing composed from torch operations, and that composition compiled.

The compositions are those of reference/, whose answers are known to be right; of bilinear and nearest, torch's own.
"""

import functools
from collections.abc import Callable, Iterable

import torch
import torch.nn.functional as F

import upwell
import upwell.nn
from autotune.bench.filters import EPS, FILTER_SCALE, KINKED, NORM_GROUPS, RADIUS, FilterWorkload
from autotune.bench.layers import LayerWorkload
from autotune.bench.workloads import FORWARD, Workload
from reference import composition, formula, wrc

UPWELL, EAGER, COMPILED = "Upwell", "torch eager", "torch.compile"
PUBLISHED = "published CUDA"  # of FNS, as the authors of ReSFU wrote it
EXACT = "Upwell, exact"  # WRC's other solver: another answer, so it is compared in time alone
Operator = Callable[..., torch.Tensor]
AnyWorkload = Workload | FilterWorkload | LayerWorkload

_AGREEMENT = {torch.float32: 1e-3, torch.float64: 1e-9}  # of the largest value
_KINKED_AGREEMENT = 1e-2  # of the norm


class Trial:
    """One candidate on one workload in one mode; call it to run it once."""

    def __init__(
        self,
        operator: Operator,
        tensors: Iterable[torch.Tensor],
        parameters: Iterable[torch.Tensor],
        d_output: torch.Tensor,
        mode: str,
    ):
        self.operator, self.d_output, self.training = operator, d_output, mode != FORWARD
        self.tensors = [tensor.detach().requires_grad_(self.training) for tensor in tensors]
        self.leaves = [*self.tensors, *parameters]

    def forward(self) -> torch.Tensor:
        """The output."""
        with torch.set_grad_enabled(self.training):
            return self.operator(*self.tensors)

    def __call__(self) -> list[torch.Tensor | None]:
        """The output and, in training, the gradient of every tensor and parameter; None where it has none."""
        output = self.forward()
        if not self.training:
            return [output]
        return [
            output.detach(),
            *torch.autograd.grad(output, self.leaves, self.d_output, allow_unused=True),
        ]


def make_trials(
    workload: AnyWorkload, mode: str, dtype: torch.dtype, device: str = "cpu"
) -> dict[str, Trial]:
    """Every candidate, on the same tensors and parameters."""
    own, composed, parameters = _operators(workload, dtype, device)
    compiled = torch.compile(composed, dynamic=False, fullgraph=True)
    found = {UPWELL: own, EAGER: composed, COMPILED: compiled}
    if workload.operator == "wrc":
        found[EXACT] = workload.module(solver="exact").to(device, dtype)
    tensors = [tensor.to(device) for tensor in workload.tensors(dtype)]
    d_output = workload.d_output(dtype).to(device)
    held = {EXACT: list(found[EXACT].parameters())} if EXACT in found else {}
    return {
        name: Trial(operator, tensors, held.get(name, parameters), d_output, mode) for name, operator in found.items()
    }


def _operators(
    workload: AnyWorkload, dtype: torch.dtype, device: str
) -> tuple[Operator, Operator, list[torch.Tensor]]:
    """Upwell's and torch's as functions of the workload's tensors alone, and the parameters both hold."""
    if workload.operator == "resfu":
        module = _resfu(workload).to(device, dtype)
        return module, functools.partial(composition.resfu, module), list(module.parameters())
    if isinstance(workload, LayerWorkload):
        module = workload.module().to(device, dtype)
        return module, functools.partial(_PUBLISHED[workload.operator], module), list(module.parameters())
    if isinstance(workload, FilterWorkload):
        return workload.bind(upwell.ops), workload.bind(composition), []
    if workload.operator in ("bilinear", "nearest"):
        return _bind(upwell.ops, workload), lambda x: F.interpolate(x, workload.size, mode=workload.operator), []
    return _bind(upwell.ops, workload), _bind(formula, workload), []


_PUBLISHED = {
    "wrc": lambda module, x: wrc.layer(x, module, wrc.spectral),
    "lctc": lambda module, x: module.large(x) + module.small(x),
}


def _bind(where: object, workload: Workload) -> Operator:
    operator = getattr(where, workload.operator)
    return lambda *tensors: operator(*tensors, *workload.options)


def _resfu(workload: FilterWorkload) -> upwell.nn.ReSFU:
    torch.manual_seed(3)
    return upwell.nn.ReSFU(
        dim_y=workload.Cy, dim_x=workload.C, groups=workload.groups, kernel_size=workload.kernel,
        scale_factor=workload.ratio, embedding_dim=workload.D, gn_dim=NORM_GROUPS, radius=RADIUS, eps=EPS,
        gf_scale=FILTER_SCALE,
    )  # fmt: skip


def check_agreement(
    name: str, workload: AnyWorkload, results: list, expected: list[torch.Tensor | None]
) -> None:
    """Raises ValueError unless each result is the expected one: a wrong answer is not worth timing.

    A missing gradient counts as zeros. A gradient far below the largest of all is held against that one: what
    cancels leaves rounding. Behind a ReLU norms are compared: a value within rounding of its kink may get
    the other slope, which changes a few elements of float32 gradients by as much as they are large.
    """
    dtype = expected[0].dtype
    kinked = dtype == torch.float32 and workload.operator in KINKED
    for i, (result, reference) in enumerate(zip(results, expected, strict=True)):
        size, tolerance = (_norm, _KINKED_AGREEMENT) if i and kinked else (_largest, _AGREEMENT[dtype])
        floor = 1e-3 * max(map(size, expected[1:])) if i else 0
        worst = size(_difference(result, reference)) / max(size(reference), floor)
        if not worst <= tolerance:
            what = f"gradient {i} of {len(expected) - 1}" if i else "the output"
            raise ValueError(f"bench: {name} differs on {workload.name}, in {what}, by {worst:.1e} of it")


def _difference(a: torch.Tensor | None, b: torch.Tensor | None) -> torch.Tensor | None:
    return b if a is None else a if b is None else a - b


def _largest(x: torch.Tensor | None) -> float:
    return 0.0 if x is None else x.abs().max().item()


def _norm(x: torch.Tensor | None) -> float:
    return 0.0 if x is None else x.norm().item()
