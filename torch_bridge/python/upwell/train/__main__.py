"""`python -m upwell.train`, alone or under torchrun; `upwell train` is the same."""

import os
import sys

import torch

from upwell.train import interrupt
from upwell.train.arguments import parse_arguments
from upwell.train.distributed import Group
from upwell.train.errors import TrainingError
from upwell.train.training import train


def main(words: list[str] | None = None) -> None:
    arguments = parse_arguments(words)
    interrupt.listen()
    try:
        with Group(arguments.device, arguments.upsampler) as group:
            train(arguments, group)
    except TrainingError as error:
        sys.exit(f"upwell.train: {error}" if error.args else 1)
    except torch.OutOfMemoryError as error:
        first_line = str(error).splitlines()[0]
        sys.exit(f"upwell.train: {first_line} A smaller --crop or --batch-size takes less.")
    except KeyboardInterrupt:
        message = (
            f"upwell.train: interrupted; --resume auto continues from the last checkpoint in {arguments.out}"
        )
        print(f"\n{message}", file=sys.stderr)
        # At once: what the interpreter would wait for (loader workers, other processes) was interrupted too.
        sys.stderr.flush()
        os._exit(130)


if __name__ == "__main__":
    main()
