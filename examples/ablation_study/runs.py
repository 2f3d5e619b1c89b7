"""The trainings: what each is, how one is made, and all of them, several at a time."""

import multiprocessing
import os
import signal
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import lru_cache, partial
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import numpy as np
import torch
from ablation_study.variants import VARIANTS, make
from disparity_demo import report, scene
from disparity_demo.model import DisparityUpsampler
from disparity_demo.training import optimise
from tqdm import tqdm

UNTRAINED = ("bilinear", "nearest")
METHODS = (*UNTRAINED, "carafe", *VARIANTS)  # the rows of the table
POLL = 0.5  # s between two looks at the progress
finished_steps: Synchronized | None = None  # of all processes, counted where one trains


@dataclass(frozen=True)
class Run:
    """One training, or one interpolation where nothing is trained: then steps = 0."""

    method: str
    ratio: int
    seed: int
    steps: int
    crop: int

    @property
    def map_name(self) -> str:
        return f"{self.method}_ratio{self.ratio}_seed{self.seed}.npy"


def plan(methods: Iterable[str], ratios: Iterable[int], seeds: list[int], steps: int, crop: int) -> list[Run]:
    """Every run, seed by seed, so that what an interrupted study has is comparable."""
    every = [(method, ratio, seed) for seed in seeds for ratio in ratios for method in methods]
    runs = [Run(*each, 0 if each[0] in UNTRAINED else steps, crop) for each in every]
    return [run for run in runs if run.steps or run.seed == seeds[0]]


def execute(run: Run, folder: Path) -> dict:
    """Train, score on the held-out part, keep the upsampled map in the folder -> its results.json entry."""
    start, parts = time.perf_counter(), load(run.ratio)
    torch.manual_seed(run.seed)
    name = "resfu" if run.method in VARIANTS else run.method
    model = DisparityUpsampler(name, parts.train, partial(make, run.method))
    training = optimise(model, parts.train, run.steps, run.seed, run.crop) if run.steps else []
    begin = time.perf_counter()
    for _ in training:
        count_step()
    per_step = (time.perf_counter() - begin) / max(run.steps, 1)
    with torch.no_grad():
        upsampled = model(parts.test.image, parts.test.low)
    np.save(folder / run.map_name, upsampled[0, 0].numpy())
    return {
        **report.score(upsampled, parts.test),
        "seams": seams(upsampled, parts.test),
        "parameters": sum(each.numel() for each in model.parameters() if each.requires_grad),
        "ms_per_step": 1000 * per_step,
        "seconds": time.perf_counter() - start,
    }


load = lru_cache(scene.load)


def seams(upsampled: torch.Tensor, part: scene.Part) -> float:
    """The mosaic as a number, px: how much larger the mean step between neighbouring pixels is where a cell
    ends than inside cells, both away from jumps of the truth. About 0 where cells leave no trace."""
    steps = {True: [], False: []}  # by: across the border of two cells
    for axis in (2, 3):
        length = part.truth.shape[axis] - 1
        step = upsampled.diff(dim=axis).abs()
        known = part.valid.narrow(axis, 0, length) & part.valid.narrow(axis, 1, length)
        smooth = known & (part.truth.diff(dim=axis).abs() <= scene.EDGE_JUMP)
        border = (torch.arange(1, length + 1) % part.ratio == 0).view(-1, *[1] * (3 - axis))
        for across in steps:
            steps[across].append(step[smooth & (border == across)])
    return (torch.cat(steps[True]).mean() - torch.cat(steps[False]).mean()).item()


def execute_all(runs: list[Run], folder: Path, jobs: int) -> Iterator[tuple[Run, dict]]:
    """Each run and its outcome as it ends, jobs at a time, one thread each; a bar counts the steps of all."""
    context = multiprocessing.get_context("spawn")
    counter = context.Value("q", 0)
    total = sum(run.steps for run in runs)
    with (
        tqdm(total=total, unit="step", smoothing=0.02) as bar,
        ProcessPoolExecutor(min(jobs, len(runs)), context, start_worker, (counter,)) as pool,
    ):
        futures = {pool.submit(execute, run, folder): run for run in runs}
        try:
            for future in as_completed(futures, bar, counter):
                yield futures[future], future.result()
        except BaseException:  # of a failed run as of Ctrl-C: what has not begun shall not
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def as_completed(futures: Iterable[Future], bar: tqdm, counter: Synchronized) -> Iterator[Future]:
    """concurrent.futures.as_completed, moving the bar meanwhile."""
    pending = set(futures)
    count = len(pending)
    while pending:
        done, pending = wait(pending, POLL, FIRST_COMPLETED)
        bar.set_description(f"{count - len(pending)} of {count} runs", refresh=False)
        bar.update(counter.value - bar.n)
        yield from done


def start_worker(counter: Synchronized) -> None:
    global finished_steps
    finished_steps = counter
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends a worker without a traceback
    torch.set_num_threads(1)


def count_step() -> None:
    if finished_steps is not None:
        with finished_steps.get_lock():
            finished_steps.value += 1


def available_cores() -> int:
    return len(os.sched_getaffinity(0))
