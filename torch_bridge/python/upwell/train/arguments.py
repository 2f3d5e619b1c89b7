"""The command line."""

import argparse
import os
from pathlib import Path
from typing import Any

import torch

from upwell.nn.make import NAMES
from upwell.train.encoder import ENCODERS

DESCRIPTION = """Train a segmentation model whose decoder upsamples only through the chosen upsampler.
Every image needs an index mask: a PNG of the same stem and size whose pixels are class indices."""

EPILOG = """Several processes (DDP: gloo on CPU, NCCL on GPU): torchrun --nproc-per-node 2 -m upwell.train ...
What --out receives: last.pt, previous.pt and best.pt (checkpoints), metrics.json, predictions.png."""


class Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Defaults where there are any."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


def at_least(least: int, most: int = 2**31 - 1):
    def convert(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"should be at least {least} but is {value}")
        if value > most:
            raise argparse.ArgumentTypeError(f"should be at most {most} but is {value}")
        return value

    convert.__name__ = "integer"  # argparse names it where the text is no integer
    return convert


def positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"should be positive but is {text}")
    return value


def not_negative(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"should be at least 0 but is {text}")
    return value


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "upwell train",
        None,
        DESCRIPTION,
        EPILOG,
        formatter_class=Formatter,
    )
    add_data(parser.add_argument_group("data"))
    add_model(parser.add_argument_group("model"))
    add_recipe(parser.add_argument_group("recipe"))
    add_run(parser.add_argument_group("run"))
    return parser


def add_data(group: argparse._ArgumentGroup) -> None:
    for name, what in (("", "training"), ("val-", "validation")):
        for kind in ("images", "masks"):
            group.add_argument(
                f"--{name}{kind}", type=Path, required=True, metavar="DIR", help=f"{what} {kind}"
            )
    group.add_argument(
        "--classes", type=at_least(2), required=True, metavar="N", help="mask values are 0 to N - 1"
    )
    group.add_argument(
        "--ignore", type=at_least(-(2**31)), default=255, metavar="I",
        help="mask value that does not count, none of the classes",
    )
    group.add_argument(
        "--allow-empty-classes", action="store_true", help="train though classes occur in no mask"
    )


def add_model(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--upsampler", choices=NAMES, default="resfu", help="what the decoder upsamples with")
    group.add_argument(
        "--encoder",
        choices=("auto", *ENCODERS),
        default="auto",
        help="auto: pretrained efficientnet-lite0 where its two packages are installed, else from scratch",
    )


def add_recipe(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--epochs", type=at_least(1), default=50, metavar="E", help="passes over the training images"
    )
    group.add_argument(
        "--batch-size", type=at_least(1), default=4, metavar="B", help="crops per step and process"
    )
    group.add_argument(
        "--crop", type=at_least(16), default=256, metavar="PX", help="side of the square training crops"
    )
    group.add_argument("--lr", type=positive, default=1e-3, help="peak learning rate of AdamW")
    group.add_argument("--weight-decay", type=not_negative, default=1e-2, help="of AdamW")
    group.add_argument(
        "--seed", type=at_least(0, 2**63 - 1), default=0, help="of initial values, order, crops and flips"
    )


def add_run(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for everything that is written"
    )
    group.add_argument(
        "--resume", metavar="PATH", help="checkpoint to continue; auto: the one in --out, if any"
    )
    group.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="auto: a GPU that can be used, else the CPU",
    )
    group.add_argument(
        "--workers", type=at_least(0), default=min(4, os.cpu_count() or 1), help="processes that read images"
    )
    group.add_argument(
        "--threads", type=at_least(1), metavar="T", help="CPU threads per process; default: torch's choice"
    )


def parse_arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = build_parser()
    arguments = parser.parse_args(words)
    if 0 <= arguments.ignore < arguments.classes:
        # Its class would be an output that nothing trains, and a score that can only be 0.
        parser.error(
            f"argument --ignore: {arguments.ignore} is one of the classes (0 to {arguments.classes - 1}); it should be"
            " another value, which the masks have where pixels do not count"
        )
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    return arguments


def plain(arguments: argparse.Namespace) -> dict[str, Any]:
    """As checkpoints and JSON hold them."""
    return {name: str(value) if isinstance(value, Path) else value for name, value in vars(arguments).items()}
