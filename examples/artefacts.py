"""What an upsampler leaves in the spectrum: one small restoration model, trained alike with every upsampler, and the spectra
of what it makes of held-out photographs (after Agnihotri et al., arXiv 2311.17524).
`python examples/artefacts.py --help` lists the options."""

import argparse
from pathlib import Path
from statistics import fmean

import torch
from tqdm import tqdm

import photographs
from artefact_study import picture, report, spectrum
from artefact_study.model import NAMES, STRIDE, Restorer
from artefact_study.training import noisy, train


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--steps", type=int, default=800, help="training steps of every model")
    parser.add_argument("--noise", type=float, default=0.1, help="standard deviation of the noise to remove")
    parser.add_argument("--seed", type=int, default=0, help="of initial values, crops and noise, the same for every model")
    parser.add_argument("--out", type=Path, default=Path("build/artefacts"), help="folder for pictures and tables")
    parser.add_argument("--methods", nargs="+", choices=NAMES, default=list(NAMES), help="what to compare")
    arguments = parser.parse_args()
    if arguments.steps < 1:
        parser.error(f"--steps should be at least 1 but is {arguments.steps}")
    if not 0 < arguments.noise <= 0.5:
        parser.error(f"--noise should be above 0 and at most 0.5 but is {arguments.noise}")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    training, held_out = (
        [photograph.pixels for photograph in photographs.load_all(names, spectrum.SIDE)]
        for names in (photographs.TRAIN, photographs.TEST)
    )
    tqdm.write(f"Noise of {arguments.noise:g}; resolution down by {STRIDE} and up again inside the model\n")
    arguments.out.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(arguments.seed)
    inputs = [noisy(truth, arguments.noise, generator) for truth in held_out]
    truth_spectrum = spectrum.mean_log_magnitude(held_out)
    results = []
    for method in arguments.methods:
        torch.manual_seed(arguments.seed)
        model = Restorer(method)
        train(method, model, training, arguments.noise, arguments.steps, arguments.seed)
        with torch.no_grad():
            restored = [model(input) for input in inputs]
        excess = spectrum.mean_log_magnitude(restored) - truth_spectrum
        psnr = fmean(map(photographs.psnr, restored, held_out))
        parameters = sum(parameter.numel() for parameter in model.parameters())
        results.append(report.Result(method, restored, parameters, psnr, excess))
    files = [
        *report.write(results, vars(arguments), arguments.out),
        picture.show(results, held_out[0], inputs[0], arguments.out / "artefacts.png"),
    ]
    print(f"\n{report.table(results)}\n")
    print("\n".join(f"{what}: {path.resolve()}" for what, path in files))


if __name__ == "__main__":
    main()
