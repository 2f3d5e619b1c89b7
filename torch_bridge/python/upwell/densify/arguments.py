"""The command line of `upwell densify`."""

import argparse
from pathlib import Path

import torch

from upwell.densify.dense import NAMES, canonical
from upwell.densify.objective import WHOLE
from upwell.densify.write import FORMATS, KINDS
from upwell.train.arguments import Formatter, add_run, at_least, not_negative, positive

DESCRIPTION = """Make the features of a frozen backbone dense: train an upsampler on images without labels, so that features of
a small image, upsampled, are those of the large one; and write the dense features of every image."""

EPILOG = """Several processes (DDP: gloo on CPU, NCCL on GPU): torchrun --nproc-per-node 2 -m upwell.densify ...
What --out receives: last.pt and previous.pt (checkpoints), metrics.json.
upwell densify evaluate CHECKPOINT...: scores and pictures of what was trained; evaluate --help tells more."""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("upwell densify", None, DESCRIPTION, EPILOG, formatter_class=Formatter)
    add_data(parser.add_argument_group("data"))
    add_model(parser.add_argument_group("model"))
    add_objective(parser.add_argument_group("objective"))
    add_recipe(parser.add_argument_group("recipe"))
    add_run(parser.add_argument_group("run"))
    return parser


def add_data(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--images", type=Path, required=True, metavar="DIR", help="images to train on")
    group.add_argument("--held-out", type=Path, metavar="DIR", help="images to score on at the end, beside bilinear")
    group.add_argument("--write", type=Path, metavar="DIR", help="folder for dense features, a file for each image")
    group.add_argument("--write-images", type=Path, metavar="DIR", help="the images of --write; default: --images")
    group.add_argument("--format", choices=FORMATS, default="npy", help="of the files of --write")
    group.add_argument("--dtype", choices=KINDS, default="float32", help="of the features in the files of --write")


def upsampler(text: str) -> str:
    try:
        return canonical(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"should be one of {', '.join(NAMES)} but is {text}")


def add_model(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--backbone", required=True, metavar="NAME", help="a model of torchvision or timm; timm:NAME, timm's")
    group.add_argument("--weights", type=Path, metavar="FILE", help="of the backbone; default: those in a hub's cache")
    group.add_argument(
        "--layer", help="what to take features from; torchvision: a submodule, timm: an index; default: the last"
    )
    group.add_argument("--upsampler", type=upsampler, default="resfu", metavar="NAME", help=", ".join(NAMES))
    group.add_argument("--ratio", type=at_least(2), default=2, metavar="R", help="pixels of the output per cell and side")


def add_objective(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--size", type=at_least(1), default=224, metavar="PX", help="side of the small image; the large one's is ratio PX"
    )
    group.add_argument("--crops", type=at_least(1), default=4, metavar="N", help="of the large image, each of --size")
    for name, what in (
        ("local", "output against features of crops of the large image"),
        ("whole", "output against features of the whole image"),
        ("consistency", "output with a recoloured guide against that with the plain one"),
        ("regulariser", "what the upsampler's own paper adds"),
    ):
        group.add_argument(f"--{name}", type=not_negative, default=1.0, metavar="W", help=f"weight: {what}")
    group.add_argument(
        "--whole-of", choices=WHOLE, default=WHOLE[0], help="--whole: against the small image enlarged, or the large one"
    )


def add_recipe(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--steps", type=at_least(1), default=2000, metavar="N", help="updates")
    group.add_argument("--batch-size", type=at_least(1), default=4, metavar="B", help="images per batch and process")
    group.add_argument("--accumulate", type=at_least(1), default=1, metavar="A", help="batches per update and process")
    group.add_argument("--lr", type=positive, default=1e-3, help="peak learning rate of AdamW")
    group.add_argument("--weight-decay", type=not_negative, default=1e-5, help="of AdamW")
    group.add_argument(
        "--precision", choices=("float32", "bfloat16"), default="float32", help="of backbone and upsampler; bfloat16: autocast"
    )
    group.add_argument("--seed", type=at_least(0, 2**63 - 1), default=0, help="of initial values, order, crops and colours")
    group.add_argument("--save-every", type=at_least(1), default=500, metavar="N", help="updates between checkpoints")


def parse_arguments(words: list[str] | None = None) -> argparse.Namespace:
    parser = build_parser()
    arguments = parser.parse_args(words)
    if arguments.write_images and not arguments.write:
        parser.error("argument --write-images: is of no use without --write")
    if not (arguments.local or arguments.whole):
        parser.error("argument --local: nothing is left to train for, with --whole 0 too")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    return arguments
