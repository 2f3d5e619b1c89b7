"""Dense features of a pretrained MobileNetV2: upsamplers trained alike on a few photographs, without labels, are scored on
others beside interpolation. `python examples/densify_scores.py --help` lists the options."""

import argparse
import json
import sys
from pathlib import Path

import torch
from torch import nn

from densify_demo.training import Method, train
from upwell.densify import backbone, draw, labelled
from upwell.densify.correspondence import motorcycle
from upwell.densify.dense import make
from upwell.densify.evaluate import BASELINES, Benchmark, baselines, table
from upwell.densify.evaluate_command import cut
from upwell.densify.images import photographs
from upwell.densify.objective import WHOLE
from upwell.train.errors import TrainingError

# The stereo pair is scored on, so it is not trained on.
TRAIN, HELD_OUT = ("chelsea", "rocket", "flower"), ("astronaut", "coffee", "china")
TRAINED = 2  # the ratio of training
FREE = (2, 4, 8, 16)  # the ratios of upsamplers whose parameters serve every ratio
# Title: upsampler, options, ratios.
METHODS = {
    "ReSFU": ("resfu", {}, FREE),
    "AnyUp": ("anyup", {"qk_dim": 32}, FREE),
    "NAF": ("naf", {"dim": 32}, FREE),
    "JAFAR": ("jafar", {"qk_dim": 32}, FREE),
    "CARAFE": ("carafe", {}, (TRAINED,)),
    "DySample": ("dysample", {}, (TRAINED,)),
    "SAPA": ("sapa", {}, (TRAINED,)),
    "FADE": ("fade", {}, (TRAINED,)),
    "local attender": ("local_attender", {}, (TRAINED,)),
    "IndexNet": ("indexnet", {}, (TRAINED,)),
    "JBU": ("jbu", {}, (TRAINED,)),
    "WRC": ("wrc", {}, (TRAINED,)),
    "WRC's head, spectral": ("wrc_head", {"solver": "spectral"}, (TRAINED,)),
    "WRC's head, centred": ("wrc_head", {"solver": "spectral", "centre": "kernel"}, (TRAINED,)),
    "WRC's head, exact": ("wrc_head", {"solver": "exact"}, (TRAINED,)),
}
ROUNDS = 2  # of all methods one after the other, when costs are measured
PIXEL = (196, 70)  # of the first of HELD_OUT: hair near its outline; its similarity and footprint are drawn


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--backbone", default="mobilenet_v2", help="a name that upwell densify takes")
    parser.add_argument("--layer", default="features.13", help="what features are taken from")
    parser.add_argument("--steps", type=int, default=200, help="updates of every method that has parameters")
    parser.add_argument("--size", type=int, default=128, help="side of the small images in training, px")
    parser.add_argument("--batch-size", type=int, default=2, help="images of an update")
    parser.add_argument("--crops", type=int, default=2, help="of each of them")
    parser.add_argument("--whole-of", choices=WHOLE, default="source", help="what the whole output is compared with")
    parser.add_argument("--lr", type=float, default=3e-3, help="peak learning rate of AdamW")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2], help="of initial values, views and probes")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), metavar="M", help="what to compare")
    parser.add_argument("--resume", action="store_true", help="take what earlier runs have finished in --out")
    parser.add_argument("--costs", action="store_true", help="measure time and memory, and nothing else")
    parser.add_argument("--out", type=Path, default=Path("build/densify_scores"), help="folder for tables, pictures and modules")
    return parser.parse_args()


def train_all(frozen: nn.Module, seed: int, arguments: argparse.Namespace) -> None:
    """Every method on the same views; leaves its state_dict."""
    methods = []
    for title in arguments.methods:
        torch.manual_seed(seed)
        methods.append(Method(title, build(title, frozen.channels, TRAINED).train(), arguments.lr))
    arguments.seed, arguments.ratio = seed, TRAINED
    train(methods, frozen, photographs(TRAIN), arguments)
    for method in methods:
        torch.save(method.dense.state_dict(), arguments.out / f"{method.name}_{seed}.pt")


def build(title: str, channels: int, ratio: int, state: dict[str, torch.Tensor] | None = None) -> nn.Module:
    upsampler, options, _ = METHODS[title]
    dense = make(upsampler, channels, ratio, **options)
    if state:
        dense.load_state_dict(state)
    return dense.eval()


def score(frozen: nn.Module, seed: int, arguments: argparse.Namespace) -> None:
    """Every method's rows_METHOD_SEED.json."""
    sets = {name: labelled.named(name, frozen.multiple) for name in labelled.available()}
    benchmark = Benchmark(frozen, photographs(HELD_OUT), sets, motorcycle(frozen.multiple))
    for title in (*BASELINES, *arguments.methods):
        path = arguments.out / f"rows_{title}_{seed}.json"
        if arguments.resume and path.exists():
            continue
        rows = []
        for ratio in METHODS[title][2] if title in METHODS else FREE:
            state = torch.load(arguments.out / f"{title}_{seed}.pt") if title in METHODS else None
            dense = build(title, frozen.channels, ratio, state) if state else make(title, frozen.channels, ratio)
            rows.append(benchmark.row(title, dense, seed, with_cost=False))
        path.write_text(json.dumps(rows, indent=1))


def measure(frozen: nn.Module, arguments: argparse.Namespace) -> None:
    """costs.json: of each method the round in which it was fastest. No parameter changes them, so nothing is trained."""
    benchmark, methods = Benchmark(frozen), []
    for ratio in FREE:
        methods += baselines(frozen.channels, ratio).items()
        methods += [(title, build(title, frozen.channels, ratio)) for title in arguments.methods if ratio in METHODS[title][2]]
    rounds = [[benchmark.row(*method) for method in methods] for _ in range(ROUNDS)]
    rows = [min(found, key=lambda row: row["seconds"]) for found in zip(*rounds)]
    (arguments.out / "costs.json").write_text(json.dumps(rows, indent=1))


def report(out: Path) -> str:
    """One table of all that was scored and measured so far."""
    files = [path for title in (*BASELINES, *METHODS) for path in sorted(out.glob(f"rows_{title}_*.json"))]
    rows = [row for path in files for row in json.loads(path.read_text())]
    costs = json.loads((out / "costs.json").read_text()) if (out / "costs.json").exists() else []
    text = table([*rows, *costs])
    (out / "densify.md").write_text(text + "\n")
    return text


def pictures(frozen: nn.Module, out: Path) -> list[Path]:
    """Of the modules of seed 0, each at the highest ratio that it serves."""
    channels = frozen.channels
    methods = {"bilinear": baselines(channels, max(FREE))["bilinear"]}
    for title, (_, _, ratios) in METHODS.items():
        path = out / f"{title}_0.pt"
        if path.exists():
            methods[title] = build(title, channels, max(ratios), torch.load(path))
    ((_, picture),) = photographs(HELD_OUT[:1])
    return draw.draw(out, frozen, methods, cut(picture, frozen.multiple), PIXEL)


def main() -> None:
    arguments = parse_arguments()
    arguments.out.mkdir(parents=True, exist_ok=True)
    frozen = backbone.make(arguments.backbone, layer=arguments.layer)
    if arguments.size % frozen.multiple:
        raise TrainingError(f"--size should be a multiple of {frozen.multiple} but is {arguments.size}")
    if arguments.costs:
        measure(frozen, arguments)
    else:
        for seed in arguments.seeds:
            finished = [(arguments.out / f"{title}_{seed}.pt").exists() for title in arguments.methods]
            if not (arguments.resume and all(finished)):
                train_all(frozen, seed, arguments)
            score(frozen, seed, arguments)
        print("\n".join(map(str, pictures(frozen, arguments.out))))
    print(report(arguments.out))


if __name__ == "__main__":
    try:
        main()
    except (TrainingError, ValueError) as error:
        sys.exit(f"densify_scores: {error}")
