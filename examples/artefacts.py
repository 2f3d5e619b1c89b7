"""What an upsampler leaves in the spectrum, and what an attack on the input makes of it: one small restoration model,
trained alike with every upsampler, on held-out photographs (after Agnihotri et al., arXiv 2311.17524).
`python examples/artefacts.py --help` lists the options."""

import argparse
from pathlib import Path
from statistics import fmean

import torch
from tqdm import tqdm

import photographs
from artefact_study import picture, report, spectrum
from artefact_study.attack import attack
from artefact_study.model import NAMES, STRIDE, Restorer
from artefact_study.training import noisy, train
from kept import kept


def parse_arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    option = parser.add_argument
    option("--steps", type=int, default=600, help="training steps of every model")
    option("--learning-rate", type=float, default=2e-3, help="the highest one of every model's schedule")
    option("--noise", type=float, default=0.1, help="standard deviation of the noise to remove")
    option("--skips", action=argparse.BooleanOptionalAction, default=True, help="add what the encoder had at a resolution")
    option("--attack", type=int, nargs="*", default=[5, 10], help="steps of the attacks on the input, by PGD; none: no attack")
    option("--seeds", type=int, nargs="+", default=[0], help="of initial values, crops and noise, the same for every model")
    option("--out", type=Path, default=Path("build/artefacts"), help="folder for pictures and tables")
    option("--methods", nargs="+", choices=NAMES, default=list(NAMES), help="what to compare")
    option("--resume", action="store_true", help="take what runs of the same settings have finished in --out")
    arguments = parser.parse_args(given)
    if arguments.steps < 1:
        parser.error(f"--steps should be at least 1 but is {arguments.steps}")
    if not 0 < arguments.noise <= 0.5:
        parser.error(f"--noise should be above 0 and at most 0.5 but is {arguments.noise}")
    if min(arguments.attack, default=1) < 1:
        parser.error(f"--attack should be at least 1 step but is {min(arguments.attack)}")
    for name in ("attack", "seeds", "methods"):  # each once
        setattr(arguments, name, list(dict.fromkeys(getattr(arguments, name))))
    arguments.attack.sort()
    return arguments


def with_noise(held_out: list[torch.Tensor], noise: float, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [noisy(truth, noise, generator) for truth in held_out]


def run(method: str, seed: int, arguments: argparse.Namespace) -> list[report.Result]:
    """Train one model and measure what it makes of the held-out photographs: as they are, and after each attack."""
    training, held_out = (
        [photograph.pixels for photograph in photographs.load_all(names, spectrum.SIDE)]
        for names in (photographs.TRAIN, photographs.TEST)
    )
    torch.manual_seed(seed)
    model = Restorer(method, arguments.skips)
    train(method, model, training, arguments.noise, arguments.steps, seed, arguments.learning_rate)
    given = with_noise(held_out, arguments.noise, seed)
    start = torch.Generator().manual_seed(seed)
    attacked = [attack(model, *pair, arguments.attack, start) for pair in zip(given, held_out, strict=True)]
    inputs = {0: given} | {steps: [each[steps] for each in attacked] for steps in arguments.attack}
    truth_spectrum = spectrum.mean_log_magnitude(held_out)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    results = []
    for steps, pictures in inputs.items():
        with torch.no_grad():
            restored = [model(each) for each in pictures]
        excess = spectrum.mean_log_magnitude(restored) - truth_spectrum
        psnr = fmean(map(photographs.psnr, restored, held_out))
        results.append(report.Result(method, seed, steps, restored, parameters, psnr, excess))
    return results


def finished(method: str, seed: int, arguments: argparse.Namespace) -> list[report.Result]:
    """run, or what it has left in --out."""
    settings = {name: getattr(arguments, name) for name in ("steps", "learning_rate", "noise", "skips", "attack")}
    path = arguments.out / "finished" / f"{method}_{seed}.pt"
    made = kept(path, settings, arguments.resume, lambda: [vars(each) for each in run(method, seed, arguments)])
    return [report.Result(**each) for each in made]


def main(given: list[str] | None = None) -> None:
    arguments = parse_arguments(given)
    tqdm.write(f"Noise of {arguments.noise:g}; resolution down by {STRIDE} and up again inside the model\n")
    arguments.out.mkdir(parents=True, exist_ok=True)
    runs = [(method, seed) for seed in arguments.seeds for method in arguments.methods]
    results = [result for each in runs for result in finished(*each, arguments)]
    held_out = [photograph.pixels for photograph in photographs.load_all(photographs.TEST, spectrum.SIDE)]
    first = with_noise(held_out, arguments.noise, arguments.seeds[0])[0]
    files = [
        *report.write(results, vars(arguments), arguments.out),
        picture.show(results, held_out[0], first, arguments.out / "artefacts.png"),
    ]
    print(f"\n{report.table(results)}\n")
    print("\n".join(f"{what}: {path.resolve()}" for what, path in files))


if __name__ == "__main__":
    main()
