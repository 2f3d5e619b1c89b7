"""Reads the golden cases of tests/golden/ (its README describes the arrays and the tolerance)."""

import dataclasses
import json
import pathlib

import numpy
import torch

from compare import assert_close, largest

FOLDER = pathlib.Path(__file__).parent.parent / "golden"
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}


@dataclasses.dataclass
class Case:
    """One golden case. Inputs, parameters and buffers are in the wanted dtype, expected values in float64."""

    name: str
    dtype: torch.dtype
    hyper: dict
    inputs: dict[str, torch.Tensor]
    parameters: dict[str, torch.Tensor]
    buffers: dict[str, torch.Tensor]
    outputs: dict[str, torch.Tensor]
    cotangents: dict[str, torch.Tensor]
    gradients: dict[str, torch.Tensor]
    zero_gradients: set[str]

    @property
    def state_dict(self) -> dict[str, torch.Tensor]:
        return {**self.parameters, **self.buffers}

    @property
    def cotangent(self) -> torch.Tensor:
        """Of the one output."""
        (cotangent,) = self.cotangents.values()
        return cotangent

    def leaves(self) -> list[torch.Tensor]:
        """The inputs as leaves that require a gradient, in the operator's argument order."""
        return [tensor.clone().requires_grad_() for tensor in self.inputs.values()]

    def backward(self, actual: torch.Tensor | dict[str, torch.Tensor]) -> None:
        """From what the operator made: its one output, or all by name."""
        actual = self._by_name(actual)
        torch.autograd.backward([actual[name] for name in self.cotangents], list(self.cotangents.values()))

    def check_output(self, actual: torch.Tensor | dict[str, torch.Tensor]) -> None:
        actual = self._by_name(actual)
        assert set(actual) == set(self.outputs)
        for name, expected in self.outputs.items():
            assert actual[name].dtype == self.dtype
            assert_close(actual[name], expected, TOLERANCE[self.dtype], f"{self.name}: {name}")

    def _by_name(self, actual: torch.Tensor | dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return actual if isinstance(actual, dict) else {"out": actual}

    def check_gradients(self, group: str, actual: dict[str, torch.Tensor | None]) -> None:
        """Compares every gradient of a group, "in" or "param"; no name of the file may be missing."""
        expected = {
            key.removeprefix(f"grad.{group}."): value
            for key, value in self.gradients.items()
            if key.startswith(f"grad.{group}.")
        }
        assert set(actual) == set(expected)
        group_largest = max(largest(value) for value in expected.values())
        for key, value in expected.items():
            what = f"grad.{group}.{key}"
            if actual[key] is not None and actual[key].dim() == 0:
                value = value.squeeze(0)  # the files hold a scalar as one element
            if what in self.zero_gradients and actual[key] is None:
                continue  # a gradient known to cancel need not be computed
            scale = (
                group_largest if what in self.zero_gradients else max(largest(value), 1e-3 * group_largest)
            )
            assert_close(actual[key], value, TOLERANCE[self.dtype], f"{self.name}: {what}", scale)


def names(operator: str) -> list[str]:
    """The cases of an operator, sorted; there is at least one."""
    found = sorted(path.stem for path in FOLDER.glob(f"{operator}__*.npz"))
    assert found, f"no golden data of {operator} in {FOLDER}"
    return found


def load(name: str, dtype: torch.dtype) -> Case:
    """Reads one case with its float32 arrays, which are exact, converted to dtype."""
    with numpy.load(FOLDER / f"{name}.npz") as file:
        arrays = {key: file[key] for key in file.files}
    meta = json.loads(bytes(arrays.pop("meta")))

    def group(prefix: str) -> dict[str, torch.Tensor]:
        return {
            key.removeprefix(prefix): torch.from_numpy(value).to(dtype)
            for key, value in arrays.items()
            if key.startswith(prefix)
        }

    # What follows "out" and "cot": nothing where there is one output.
    outputs = [key.removeprefix("out") for key in arrays if key.split(".")[0] == "out"]
    gradients = {key: torch.from_numpy(value) for key, value in arrays.items() if key.startswith("grad.")}
    return Case(
        name,
        dtype,
        meta["hyper"],
        group("in."),
        group("param."),
        group("buf."),
        {name[1:] or "out": torch.from_numpy(arrays[f"out{name}"]) for name in outputs},
        {name[1:] or "out": torch.from_numpy(arrays[f"cot{name}"]).to(dtype) for name in outputs},
        gradients,
        set(meta["zero_gradients"]),
    )
