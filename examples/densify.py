"""Dense features without labels: upsamplers learn, side by side on the same views, to make the features of a pretrained
MobileNetV2 dense, and are scored on photographs that they never saw. `python examples/densify.py --help` lists the options."""

import argparse
import sys
from pathlib import Path

import torch
from tqdm import tqdm

from densify_demo import picture, report
from densify_demo.training import Method, train
from upwell.densify import backbone, dense, images
from upwell.densify.consistency import score, targets, up
from upwell.densify.objective import WHOLE
from upwell.train.errors import TrainingError

BASELINES = ("nearest", "bilinear", "bicubic")
DEFAULT = (*BASELINES, "carafe", "dysample", "wrc", "resfu", "jbu")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--backbone", default="mobilenet_v2", help="as of upwell densify")
    parser.add_argument("--weights", type=Path, help="of the backbone; default: a package's or a hub's cache's")
    parser.add_argument("--layer", default="features.13", help="what to take features from; last: the last")
    parser.add_argument("--ratio", type=int, default=2, help="pixels of the output per cell and side")
    parser.add_argument("--steps", type=int, default=400, help="training steps of every method that has parameters")
    parser.add_argument("--size", type=int, default=160, help="side of the small images in training, px")
    parser.add_argument("--batch-size", type=int, default=4, help="images per step")
    parser.add_argument("--crops", type=int, default=2, help="of each image")
    parser.add_argument("--whole-of", choices=WHOLE, default=WHOLE[0], help="what the whole output is compared with")
    parser.add_argument("--lr", type=float, default=3e-3, help="peak learning rate of AdamW")
    parser.add_argument("--seed", type=int, default=0, help="of initial values and views, the same for every method")
    parser.add_argument("--out", type=Path, default=Path("build/densify"), help="folder for table and picture")
    choices = (*dense.NAMES, "all")
    parser.add_argument("--methods", nargs="+", choices=choices, default=list(DEFAULT), metavar="M", help="or all")
    arguments = parser.parse_args()
    for name, least in (("steps", 0), ("size", 1), ("batch_size", 1), ("crops", 1), ("ratio", 2)):
        if getattr(arguments, name) < least:
            parser.error(f"--{name.replace('_', '-')} should be at least {least} but is {getattr(arguments, name)}")
    if "all" in arguments.methods:
        arguments.methods = list(dict.fromkeys([*BASELINES, *dense.NAMES]))
    return arguments


def build(name: str, channels: int, arguments: argparse.Namespace) -> Method:
    torch.manual_seed(arguments.seed)
    return Method(name, dense.make(name, channels, arguments.ratio), arguments.lr)


def main() -> None:
    arguments = parse_arguments()
    layer = None if arguments.layer == "last" else arguments.layer
    frozen = backbone.make(arguments.backbone, arguments.weights, layer)
    if arguments.size % frozen.multiple:
        raise TrainingError(f"--size should be a multiple of {frozen.multiple} but is {arguments.size}")
    tqdm.write(
        f"Features of {frozen.name}: {frozen.channels} channels at 1/{frozen.stride}, made {arguments.ratio} times as dense;"
        f" training on {', '.join(images.TRAIN)}, held out: {', '.join(images.HELD_OUT)}\n"
    )
    methods = [build(name, frozen.channels, arguments) for name in arguments.methods]
    train(methods, frozen, images.photographs(images.TRAIN), arguments)
    held_out = images.photographs(images.HELD_OUT)
    side = up(report.SIDE, frozen.multiple)
    found = [targets(frozen, picture[None], side, arguments.ratio) for _, picture in held_out]
    with torch.no_grad():
        results = [report.Result(method, score(method.dense.eval(), found)) for method in methods]
    arguments.out.mkdir(parents=True, exist_ok=True)
    files = [
        *report.write(results, vars(arguments), arguments.out),
        picture.show(results, frozen, held_out[0][1], arguments.out / "densify.png"),
    ]
    print(f"\n{report.table(results)}\n")
    print("\n".join(f"{what}: {path.resolve()}" for what, path in files))


if __name__ == "__main__":
    try:
        main()
    except (TrainingError, ValueError) as error:
        sys.exit(f"densify: {error}")
