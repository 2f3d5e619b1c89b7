"""Many methods on the same views: the backbone's work, most of it, is done once for all of them."""

import argparse
import time
from collections.abc import Sequence

import torch
from torch import nn
from torch.utils.data import default_collate
from tqdm import tqdm

from upwell.densify.dense import Dense
from upwell.densify.objective import Batch, Objective, Teacher, Weights
from upwell.densify.views import View, Views
from upwell.train.loop import learning_rate


class Method:
    """An upsampler in training; what it takes is measured."""

    def __init__(self, name: str, dense: Dense, lr: float):
        self.name = name
        self.dense = dense
        self.objective = Objective(dense)
        self.lr = lr
        self.losses: list[float] = []
        self.seconds: list[float] = []  # of every step: forward, backward and update
        parameters = [each for each in dense.parameters() if each.requires_grad]
        self.optimiser = torch.optim.AdamW(parameters, lr, weight_decay=1e-5) if parameters else None

    def step(self, batch: Batch, progress: float) -> None:
        start = time.perf_counter()
        for parameters in self.optimiser.param_groups:
            parameters["lr"] = learning_rate(self.lr, progress)
        self.objective.train()
        loss, _ = self.objective(batch)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.seconds.append(time.perf_counter() - start)
        self.losses.append(loss.item())


def train(methods: list[Method], frozen: nn.Module, photographs: Sequence, arguments: argparse.Namespace) -> None:
    """Train in place those that have something to train."""
    side, size = arguments.ratio * arguments.size, arguments.batch_size
    cells = (side // frozen.stride, arguments.size // frozen.stride)
    views = Views(photographs, side, cells, arguments.crops, arguments.seed)
    teacher = Teacher(frozen, arguments.ratio, arguments.size, arguments.whole_of)
    trained = [method for method in methods if method.optimiser]
    for step in tqdm(range(arguments.steps if trained else 0), "training", unit="step"):
        chosen = default_collate([views[k] for k in range(step * size, (step + 1) * size)])
        batch = teacher(View(*chosen), Weights())
        for method in trained:
            torch.manual_seed(step)
            method.step(batch, step / arguments.steps)
