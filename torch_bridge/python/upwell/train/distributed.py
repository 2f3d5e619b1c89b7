"""The processes that train together, as torchrun starts them; a lone process is a group of one."""

import gc
import os
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from upwell.nn import make
from upwell.train.errors import TrainingError

T = TypeVar("T")


def choose_device(name: str, upsampler: str, local_rank: int) -> torch.device:
    """name is cpu, cuda or auto: the GPU of this process, if torch has one and the upsampler runs on it."""
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if local_rank >= torch.cuda.device_count():
        raise TrainingError(f"--device {name}: process {local_rank} of this machine needs a GPU of its own")
    device = torch.device("cuda", local_rank)
    try:
        example = torch.zeros(1, 8, 2, 2, device=device)
        make(upsampler, 8, 8, 2).to(device)(torch.zeros(1, 8, 4, 4, device=device), example)
        return device
    except RuntimeError as error:  # NotImplementedError, built without GPU kernels, is one
        if name == "auto":
            return torch.device("cpu")
        raise TrainingError(f"--device cuda: {upsampler} does not run here: {str(error).splitlines()[0]}")


class Group:
    """rank of size processes, local_rank of local_size on this machine, each with a device."""

    def __init__(self, device: str, upsampler: str):
        def number(variable: str, alone: int) -> int:
            return int(os.environ.get(variable, alone))

        self.rank, self.size = number("RANK", 0), number("WORLD_SIZE", 1)
        self.local_rank, self.local_size = number("LOCAL_RANK", 0), number("LOCAL_WORLD_SIZE", 1)
        self.device = choose_device(device, upsampler, self.local_rank)

    def __enter__(self) -> "Group":
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        if self.size > 1:
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # After other errors the rest waits elsewhere: torchrun ends it.
        if self.size > 1 and (error is None or isinstance(error, TrainingError)):
            # The parallel model, which holds the group, goes first: threads of the group that let go of Python objects
            # while the interpreter ends would abort it.
            gc.collect()
            dist.destroy_process_group()

    @property
    def first(self) -> bool:
        """Whether this process is the one that prints and writes."""
        return self.rank == 0

    def sum(self, counts: Tensor) -> Tensor:
        """counts, any shape, summed over the processes."""
        counts = counts.to(self.device)
        if self.size > 1:
            dist.all_reduce(counts)
        return counts

    def together(self, task: Callable[[], T]) -> T:
        """task, in every process. Where it fails in one, it fails in all: none is left waiting."""
        result, message = None, None
        try:
            result = task()
        except TrainingError as error:
            message = str(error)
        messages = dict.fromkeys(text for text in self.gather(message) if text)
        if messages:
            self.fail("\n".join(messages))
        return result

    def fail(self, message: str) -> NoReturn:
        """For an error that every process has: the first tells it."""
        raise TrainingError(*[message] if self.first else [])

    def gather(self, value: T) -> list[T]:
        """The value of every process."""
        values = [value] * self.size
        if self.size > 1:
            dist.all_gather_object(values, value)
        return values

    def parallel(self, model: nn.Module) -> nn.Module:
        """model on the device; its gradients, after backward, are the mean over the processes."""
        model = model.to(self.device)
        if self.size == 1:
            return model
        return nn.parallel.DistributedDataParallel(model)
