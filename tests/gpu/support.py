"""What the tests of this folder share: the device under test, tests for each of some cases, tensors on the device.

They use the standard library and torch alone, so that they run where nothing can be installed.
"""

import dataclasses
import gc
import os
import unittest
from collections.abc import Callable, Iterable

import torch
import upwell
from problems import Problem
from problems import random as random_on_cpu
from torch import Tensor

DEVICE = torch.device(os.environ.get("UPWELL_TEST_DEVICE", "cuda"))
ON_CUDA = DEVICE.type == "cuda"
FLOATS = (torch.float32, torch.float64)
HALVES = (torch.float16, torch.bfloat16)
REFUSALS = (RuntimeError, ValueError, TypeError, NotImplementedError)

needs_cuda = unittest.skipUnless(ON_CUDA, "needs a CUDA device")


def _takes_halves() -> bool:
    try:
        upwell.ops.bilinear(torch.zeros(1, 1, 1, 1, dtype=torch.bfloat16, device=DEVICE), (2, 2))
    except REFUSALS:
        return False
    return True


# On CUDA a refusal is a failure; the CPU operators may not take them.
needs_halves = unittest.skipUnless(ON_CUDA or _takes_halves(), "float16 and bfloat16 are not taken on the CPU")


def each(*groups: Iterable) -> Callable:
    """Runs a test method once for every combination: @each(FLOATS, OPERATORS) def test(self, dtype, operator)."""

    def mark(method: Callable) -> Callable:
        combinations = [()]
        for group in groups:
            combinations = [(*some, value) for some in combinations for value in group]
        method.cases = combinations
        return method

    return mark


class DeviceTest(unittest.TestCase):
    """Every test starts from the same seed, with full float32 precision, and leaves torch's settings as they were."""

    def __init_subclass__(cls):
        for name, method in list(vars(cls).items()):
            for case in getattr(method, "cases", ()):
                setattr(cls, f"{name}[{', '.join(map(_label, case))}]", _bound(method, case))
            if hasattr(method, "cases"):
                delattr(cls, name)

    def setUp(self):
        torch.manual_seed(0)
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False

    def tearDown(self):
        torch.use_deterministic_algorithms(False)
        if ON_CUDA:
            torch.cuda.set_sync_debug_mode("default")


def _bound(method: Callable, case: tuple) -> Callable:
    def test(self):
        method(self, *case)

    test.__unittest_skip__ = getattr(method, "__unittest_skip__", False)
    test.__unittest_skip_why__ = getattr(method, "__unittest_skip_why__", "")
    return test


def _label(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_label, value))
    return str(getattr(value, "__name__", value)).removeprefix("torch.")


def random(shape: tuple[int, ...], dtype: torch.dtype = torch.float32, seed: int = 0) -> Tensor:
    """Normally distributed on the device; the same values on every device and in every dtype that holds them."""
    return random_on_cpu(shape, torch.float32, seed).to(DEVICE, dtype)


def tensors(problem: Problem, dtype: torch.dtype, seed: int = 0) -> list[Tensor]:
    """The problem's inputs on the device."""
    return [tensor.to(DEVICE, dtype) for tensor in problem.tensors(torch.float32, seed)]


def cotangent(problem: Problem, dtype: torch.dtype) -> Tensor:
    """A gradient of the problem's output on the device."""
    return problem.cotangent(torch.float32).to(DEVICE, dtype)


def with_gradients(
    call: Callable, given: list[Tensor], parameters: Iterable[Tensor] = (), cotangents: list[Tensor] | None = None
) -> list[Tensor]:
    """The outputs of call(*given), then the gradient of each tensor and parameter; without cotangents, random ones."""
    leaves = [tensor.detach().requires_grad_() for tensor in given]
    outputs = _as_tuple(call(*leaves))
    if cotangents is None:
        cotangents = cotangents_of(outputs)
    gradients = torch.autograd.grad(outputs, [*leaves, *parameters], cotangents, materialize_grads=True)
    return [*(output.detach() for output in outputs), *gradients]


def cotangents_of(outputs: Tensor | tuple[Tensor, ...]) -> list[Tensor]:
    """A random gradient of each output."""
    return [random(tuple(output.shape), output.dtype, 100 + i) for i, output in enumerate(_as_tuple(outputs))]


def _as_tuple(outputs: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)


def same_bits(first: list[Tensor], second: list[Tensor]) -> bool:
    """Whether two lists of results are equal, element for element."""
    return len(first) == len(second) and all(torch.equal(a, b) for a, b in zip(first, second))


def distance(actual: Tensor, expected: Tensor) -> float:
    """Norm of the difference over the norm of what is expected."""
    actual, expected = actual.detach().double(), expected.detach().double()
    return ((actual - expected).norm() / expected.norm().clamp_min(1e-30)).item()


def perturbed(module: torch.nn.Module) -> torch.nn.Module:
    """On the device, with no parameter left at 0 or 1, where a wrong gradient could hide."""
    with torch.no_grad():
        for i, parameter in enumerate(module.parameters()):
            parameter += 0.2 * random_on_cpu(tuple(parameter.shape), parameter.dtype, 50 + i)
    return module.to(DEVICE)


def moved(case):
    """A golden case with what goes into the operator on the device; what should come out stays where it is."""

    def move(group: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor.to(DEVICE) for name, tensor in group.items()}

    return dataclasses.replace(
        case, inputs=move(case.inputs), parameters=move(case.parameters), buffers=move(case.buffers),
        cotangents=move(case.cotangents),
    )  # fmt: skip


def delay(milliseconds: float) -> None:
    """Keeps the current stream busy for at least this long, without the host waiting."""
    torch.cuda._sleep(int(milliseconds * 2.5e6))  # cycles, of a clock of 2.5 GHz at most


def forget() -> None:
    """Gives memory that nothing uses back to the device."""
    gc.collect()
    if ON_CUDA:
        torch.cuda.empty_cache()
