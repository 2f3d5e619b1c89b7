"""Guided disparity upsampling on the Middlebury motorcycle: train every upsampler alike on the left of the picture,
score it on the right, and show what it does. `python examples/disparity.py --help` lists the options."""

import argparse
from pathlib import Path

import torch
from tqdm import tqdm

from disparity_demo import picture, report, scene
from disparity_demo.model import NAMES, TITLES, DisparityUpsampler
from disparity_demo.training import train
from kept import kept


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--ratio", type=int, default=8, help="high-res pixels per low-res pixel, 2 to 32")
    parser.add_argument("--steps", type=int, default=1200, help="training steps of every method that has parameters")
    parser.add_argument("--seed", type=int, default=0, help="of initial values and crops, the same for every method")
    parser.add_argument("--out", type=Path, default=Path("build/demo"), help="folder for pictures and tables")
    parser.add_argument("--methods", nargs="+", choices=("all", *TITLES), default=list(NAMES), help="what to compare")
    parser.add_argument("--resume", action="store_true", help="take what runs of the same settings have finished in --out")
    arguments = parser.parse_args()
    if "all" in arguments.methods:
        arguments.methods = list(TITLES)
    if not 2 <= arguments.ratio <= 32:
        parser.error(f"--ratio should be 2 to 32 but is {arguments.ratio}")
    if arguments.steps < 1:
        parser.error(f"--steps should be at least 1 but is {arguments.steps}")
    return arguments


def run(method: str, parts: scene.Parts, arguments: argparse.Namespace) -> report.Result:
    """Train one method (if it has anything to train) and upsample the held-out part with it."""
    torch.manual_seed(arguments.seed)
    model = DisparityUpsampler(method, parts.train)
    history = train(method, model, parts.train, arguments.steps, arguments.seed)
    with torch.no_grad():
        upsampled = model(parts.test.image, parts.test.low)
    parameters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    scores = report.score(upsampled, parts.test)
    return report.Result(method, upsampled, history.losses, scores, parameters, history.seconds)


def finished(method: str, parts: scene.Parts, arguments: argparse.Namespace) -> report.Result:
    """run, or what it has left in --out."""
    settings = {name: getattr(arguments, name) for name in ("ratio", "steps", "seed")}
    path = arguments.out / "finished" / f"{method}.pt"
    return report.Result(**kept(path, settings, arguments.resume, lambda: vars(run(method, parts, arguments))))


def main() -> None:
    arguments = parse_arguments()
    parts = scene.load(arguments.ratio)
    tqdm.write(f"{parts}\n")
    arguments.out.mkdir(parents=True, exist_ok=True)
    scene.export(parts, arguments.out)
    results = [finished(method, parts, arguments) for method in arguments.methods]
    files = [
        *report.write(results, vars(arguments), arguments.out),
        picture.show_results(results, parts, arguments.out / "disparity.png"),
        picture.show_losses(results, arguments.out / "losses.png"),
    ]
    print(f"\n{report.table(results)}\n\n{report.winners(results)}\n")
    print("\n".join(f"{what}: {path.resolve()}" for what, path in filter(None, files)))


if __name__ == "__main__":
    main()
