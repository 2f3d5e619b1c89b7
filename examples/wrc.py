"""Weighted reverse convolution on an inverse problem: photographs are blurred by a small kernel, every scale-th sample is
kept, and each method learns to bring back the rest. `python examples/wrc.py --help` lists the options."""

import argparse
from pathlib import Path

import torch
from tqdm import tqdm

import photographs
from wrc_demo import picture, report
from wrc_demo.degrade import Example, degrade, kernel_size
from wrc_demo.model import NAMES, make
from wrc_demo.training import train


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--scale", type=int, default=2, help="every scale-th sample of a row and column is kept, 2 to 4")
    parser.add_argument("--blur", type=float, default=1.0, help="standard deviation of the blur, px")
    parser.add_argument("--steps", type=int, default=2000, help="training steps of every method that has parameters")
    parser.add_argument("--seed", type=int, default=0, help="of initial values and crops, the same for every method")
    parser.add_argument("--out", type=Path, default=Path("build/demo-wrc"), help="folder for pictures and tables")
    parser.add_argument("--methods", nargs="+", choices=NAMES, default=list(NAMES), help="what to compare")
    arguments = parser.parse_args()
    if not 2 <= arguments.scale <= 4:
        parser.error(f"--scale should be 2 to 4 but is {arguments.scale}")
    if not 0.3 <= arguments.blur <= 3:
        parser.error(f"--blur should be 0.3 to 3 but is {arguments.blur}")
    if arguments.steps < 1:
        parser.error(f"--steps should be at least 1 but is {arguments.steps}")
    return arguments


def run(method: str, training: list[Example], held_out: list[Example], arguments: argparse.Namespace) -> report.Result:
    """Train one method (if it has anything to train) and restore the held-out photographs with it."""
    torch.manual_seed(arguments.seed)
    model = make(method, arguments.scale, kernel_size(arguments.blur))
    history = train(method, model, training, arguments.steps, arguments.seed)
    with torch.no_grad():
        restored = [model(example.low) for example in held_out]
    return report.Result(method, restored, history, report.score(restored, held_out))


def main() -> None:
    arguments = parse_arguments()
    training, held_out = (
        [degrade(photograph, arguments.blur, arguments.scale) for photograph in photographs.load_all(names, 8)]
        for names in (photographs.TRAIN, photographs.TEST)
    )
    tqdm.write(
        f"Blur of {arguments.blur:g} px, every {arguments.scale}. sample; training on {', '.join(photographs.TRAIN)}, "
        f"held out: {', '.join(photographs.TEST)}\n"
    )
    arguments.out.mkdir(parents=True, exist_ok=True)
    results = [run(method, training, held_out, arguments) for method in arguments.methods]
    files = [
        *report.write(results, vars(arguments), arguments.out),
        picture.show_results(results, held_out[0], arguments.out / "wrc.png"),
        picture.show_losses(results, arguments.out / "losses.png"),
    ]
    print(f"\n{report.table(results)}\n")
    print("\n".join(f"{what}: {path.resolve()}" for what, path in filter(None, files)))


if __name__ == "__main__":
    main()
