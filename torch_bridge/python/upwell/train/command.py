"""What the commands that train have in common: what a user can put right ends them in one line, Ctrl-C without a traceback."""

import argparse
import os
import sys
from collections.abc import Callable

import torch

from upwell.train import interrupt
from upwell.train.distributed import Group
from upwell.train.errors import TrainingError


def follow(
    command: str,
    lighter: str,
    arguments: argparse.Namespace,
    group_of: Callable[[], Group],
    train: Callable[[argparse.Namespace, Group], None],
) -> None:
    """train(arguments, group); lighter names the options that take less memory."""
    interrupt.listen()
    try:
        with group_of() as group:
            train(arguments, group)
    except TrainingError as error:
        sys.exit(f"{command}: {error}" if error.args else 1)
    except torch.OutOfMemoryError as error:
        sys.exit(f"{command}: {str(error).splitlines()[0]} A smaller {lighter} takes less.")
    except KeyboardInterrupt:
        message = f"{command}: interrupted; --resume auto continues from the last checkpoint in {arguments.out}"
        print(f"\n{message}", file=sys.stderr)
        # At once: what the interpreter would wait for (loader workers, other processes) was interrupted too.
        sys.stderr.flush()
        os._exit(130)
