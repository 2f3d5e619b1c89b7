"""`upwell densify evaluate CHECKPOINT...`: what runs are worth, beside interpolation, in one table; and pictures of them."""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import torch

from upwell.densify import draw, labelled
from upwell.densify.correspondence import motorcycle
from upwell.densify.densifier import Densifier, load
from upwell.densify.evaluate import SIDE, Benchmark, baselines, table
from upwell.densify.images import HELD_OUT, folder, photographs
from upwell.densify.similarity import check_pixel
from upwell.train.arguments import Formatter, at_least
from upwell.train.checkpoint import make_folder, write_whole
from upwell.train.errors import TrainingError

TABLE, ROWS = "evaluation.md", "evaluation.json"


def pixel(text: str) -> tuple[int, int]:
    x, y = text.split(",")
    return int(x), int(y)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("upwell densify evaluate", description=__doc__, formatter_class=Formatter)
    add = parser.add_argument
    add("checkpoints", nargs="+", type=Path, metavar="CHECKPOINT", help="last.pt of runs over one backbone; those of one "
        "upsampler and ratio count as its seeds")
    add("--weights", type=Path, metavar="FILE", help="of the backbone; default: where they were in training")
    add("--held-out", type=Path, metavar="DIR", help="images of consistency; default: photographs that packages carry")
    add("--side", type=at_least(1), metavar="PX", help=f"of their small versions; default: about {SIDE}")
    add("--images", type=Path, metavar="DIR", help="pictures of a probe, with --masks")
    add("--masks", type=Path, metavar="DIR", help="index masks of the same stems and sizes")
    add("--ignore", type=int, default=255, metavar="I", help="mask value that does not count")
    add("--sets", nargs="*", choices=tuple(labelled.SETS), help="of probes; default: those whose packages are there, or none "
        "with --images")
    add("--no-pair", action="store_true", help="without stereo correspondence")
    add("--out", type=Path, metavar="DIR", help=f"folder for {TABLE}, {ROWS} and pictures")
    add("--probe", type=pixel, metavar="X,Y", help="pixel whose similarity and footprint are drawn too")
    return parser


def main(words: list[str] | None = None) -> None:
    parser = build_parser()
    arguments = parser.parse_args(words)
    if (arguments.images is None) != (arguments.masks is None):
        parser.error("--images and --masks: one without the other")
    try:
        run(arguments)
    except (TrainingError, ValueError) as error:
        sys.exit(f"upwell densify evaluate: {error}")


def run(arguments: argparse.Namespace) -> None:
    runs = load_all(arguments.checkpoints, arguments.weights)
    backbone = runs[0].backbone
    pictures = folder(arguments.held_out) if arguments.held_out else photographs(HELD_OUT)
    shown = cut(pictures[0][1], backbone.multiple)
    if arguments.probe:
        check_pixel("--probe", *arguments.probe, shown.shape[1:])
    pair = None if arguments.no_pair else motorcycle(backbone.multiple)
    benchmark = Benchmark(backbone, list(pictures), find_sets(arguments, backbone.multiple), pair, arguments.side)
    if arguments.out:
        make_folder(arguments.out)
    seeds, rows = Counter(), []
    for each in runs:
        kind = (each.dense.upsampler, each.dense.ratio)
        if not seeds[kind[1:]]:
            for name, dense in baselines(backbone.channels, each.dense.ratio).items():
                rows.append(benchmark.row(name, dense))
        rows.append(benchmark.row(each.dense.upsampler, each.dense, seeds[kind]))
        seeds.update([kind, kind[1:]])
    print(table(rows))
    if arguments.out:
        write_whole(arguments.out / TABLE, f"{table(rows)}\n".encode())
        write_whole(arguments.out / ROWS, json.dumps(rows, indent=1).encode())
        methods = {"bilinear": baselines(backbone.channels, runs[0].dense.ratio)["bilinear"]}
        methods |= {each.dense.upsampler: each.dense for each in runs}
        for path in draw.draw(arguments.out, backbone, methods, shown, arguments.probe):
            print(path)


def load_all(paths: list[Path], weights: Path | None) -> list[Densifier]:
    runs = [load(path, weights) for path in paths]
    first = runs[0].backbone
    for path, each in zip(paths, runs):
        if (each.backbone.name, each.backbone.channels) != (first.name, first.channels):
            raise TrainingError(f"{path}: is of {each.backbone.name}, but {paths[0]} of {first.name}, or of another layer")
    return runs


def find_sets(arguments: argparse.Namespace, multiple: int) -> dict[str, list[labelled.Labelled]]:
    names = arguments.sets
    if names is None:
        names = [] if arguments.images else labelled.available()
    sets = {name: labelled.named(name, multiple) for name in names}
    if arguments.images:
        sets[arguments.images.name] = labelled.folder(arguments.images, arguments.masks, multiple, arguments.ignore)
    return sets


def cut(picture: torch.Tensor, multiple: int) -> torch.Tensor:
    """[3, H, W], both sides a multiple."""
    return picture[:, : picture.shape[1] // multiple * multiple, : picture.shape[2] // multiple * multiple]


if __name__ == "__main__":
    main()
