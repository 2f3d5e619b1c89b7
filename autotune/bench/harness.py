"""The benchmark itself, on whatever device: every candidate's first call, what all agree on, memory, times in turn."""

import contextlib
import gc
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict

import torch
from torch import Tensor

from autotune.bench.candidates import (
    COMPILED, EAGER, EXACT, PUBLISHED, UPWELL, Trial, check_agreement, make_trials
)  # fmt: skip
from autotune.bench.devices import Device
from autotune.bench.measure import interleave
from autotune.bench.rows import AUTOCAST, Row
from autotune.bench.workloads import FORWARD, TRAINING

_ROUNDED = 5e-2  # of the output's norm, between candidates in autocast


def bench(device: Device, rows: list[Row]) -> Iterator[tuple[dict, str]]:
    """A row of the report and the mode that it has got just now, once per row and mode."""
    for row in rows:
        entry = asdict(row.workload) | {"name": row.name, "shape": row.workload.shape, "precision": row.precision}
        entry["modes"] = {}
        for mode in (FORWARD, TRAINING):
            entry["modes"][mode] = bench_mode(device, row, mode)
            gc.collect()
            if torch.device(device.name).type == "cuda":
                torch.cuda.empty_cache()
            yield entry, mode


def bench_mode(device: Device, row: Row, mode: str) -> dict:
    """Times, their ratios to Upwell's, memory and bytes per second of every candidate."""
    torch._dynamo.reset()  # no shape inherits the recompilation limit of another
    trials = trials_of(device, row, mode)
    notes, least = first_calls(device, row, mode, trials)
    running = {name: trial for name, trial in trials.items() if "skipped" not in notes[name]}
    device.say(f"{row.name} {mode}: memory")
    for name, found in device.memory(row, mode, running).items():
        if "skipped" in found:
            notes[name] = found
            del running[name]
        else:
            notes[name] |= found
    device.say(f"{row.name} {mode}: timing")
    for name, timing in interleave(running, device.budget, device.clock).items():
        notes[name] |= asdict(timing) | {"bytes_per_s": 1e3 * least / timing.median_ms}
    if own := notes[UPWELL].get("median_ms"):
        for name in running:
            notes[name]["ratio"] = notes[name]["median_ms"] / own
    return {"least_bytes": least, "candidates": notes}


def trials_of(device: Device, row: Row, mode: str) -> dict[str, Trial]:
    """Every candidate, eager first: what the others have to agree with."""
    made = make_trials(row.workload, mode, device.dtype, device.name)
    found = {name: made[name] for name in (EAGER, UPWELL, COMPILED, EXACT) if name in made}
    if device.published is not None and row.workload.operator == "fns":
        eager = made[EAGER]
        call = lambda value, logits: device.published(value, logits, row.workload.kernel)  # noqa: E731
        found[PUBLISHED] = Trial(call, eager.tensors, [], eager.d_output, mode)
    if row.precision == AUTOCAST:
        for trial in found.values():
            trial.operator = _under_autocast(trial.operator, device.name)
    return found


def _under_autocast(operator: Callable, device: str) -> Callable:
    def call(*tensors: Tensor) -> Tensor:
        with torch.autocast(torch.device(device).type, dtype=torch.bfloat16):
            return operator(*tensors).float()  # as a loss does

    return call


@contextlib.contextmanager
def full_precision():
    """Convolutions in true float32, for comparing results; timed are torch's defaults."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def first_calls(device: Device, row: Row, mode: str, trials: dict[str, Trial]) -> tuple[dict[str, dict], int]:
    """Runs each candidate once, compiling what compiles, and compares.

    What is known of each: seconds of its first call, or why it is skipped; and the bytes that a call cannot do without.
    """
    notes: dict[str, dict] = {}
    expected: list | None = None
    least = 0
    for name, trial in trials.items():
        if name == COMPILED and not device.may_compile():
            notes[name] = {"skipped": "the time for compiling was over"}
            continue
        device.say(f"{row.name} {mode}: first call of {name}")
        start = time.perf_counter()
        try:
            with full_precision():
                results = trial()
            notes[name] = {"first_call_s": time.perf_counter() - start}
            if expected is None:
                expected, least = results, least_bytes(trial, results)
            elif name != EXACT:
                notes[name]["difference"] = _compare(name, row, results, expected)
        except Exception as error:
            if name not in device.may_fail:
                raise
            notes[name] = {"skipped": f"{type(error).__name__}: {error}".strip().splitlines()[0][:300]}
    return notes, least


def _compare(name: str, row: Row, results: list, expected: list) -> float:
    """The output's difference, of its norm; ValueError where candidates do not agree."""
    apart = ((results[0] - expected[0]).norm() / expected[0].norm()).item()
    if row.precision == AUTOCAST or name == PUBLISHED:  # whose gradient of the value is another one at the border
        if not apart <= _ROUNDED:
            raise ValueError(f"differs on {row.name}, in the output, by {apart:.1e} of it")
    else:
        check_agreement(name, row.workload, results, expected)
    return apart


def least_bytes(trial: Trial, results: list[Tensor | None]) -> int:
    """What a call cannot do without: it reads every input and writes the output once.

    In training it also reads the output's gradient and the inputs again, and writes their gradients.
    """
    inputs, output = _bytes(trial.leaves), _bytes(results[:1])
    forward = inputs + output
    return forward + (_bytes([trial.d_output]) + inputs + _bytes(results[1:]) if trial.training else 0)


def _bytes(tensors: list[Tensor | None]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors if tensor is not None)
