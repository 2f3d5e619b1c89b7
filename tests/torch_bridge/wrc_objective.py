"""What WRC's solvers make of the golden inputs: the objective that WRC states, and how far its normal equations are from
solved. `PYTHONPATH=. python tests/torch_bridge/wrc_objective.py` prints the table of docs/wrc.md."""

import torch
import torch.nn.functional as F
import upwell
from tabulate import tabulate

import golden
from reference import wrc

TOLERANCE = 1e-4


def measures(case: golden.Case) -> dict[str, tuple[float, float]]:
    """Per solution: objective, and residual of the normal equations relative to their right side."""
    parameters, scale = case.parameters, case.hyper["scale"]
    x = F.pad(case.inputs["x"], [case.hyper["padding"]] * 4, mode=case.hyper["padding_mode"])
    lam = F.softplus(parameters["bias"]).flatten() + case.hyper["eps"]
    precision, weighted = wrc.prior(x, wrc.mix(x, parameters["w_conv_high.weight"]), lam, scale)
    data_weight, weighted_data = wrc.data(x, F.conv2d(x, parameters["w_conv_low.weight"], padding=1))
    weight = parameters["weight"][0]
    problem = (precision, weighted, data_weight, x, weight, scale)
    spectral = (precision, weighted, data_weight, weighted_data, weight, scale)
    solutions = {
        "bilinear": weighted / precision,
        "spectral": upwell.ops.wrc_spectral(*spectral),
        "spectral, centred": upwell.ops.wrc_spectral(*spectral, "kernel"),
        "exact": upwell.ops.wrc_exact(*problem, TOLERANCE),
    }
    return {
        name: (wrc.objective(X, *problem).item(), wrc.residual(X, *problem).item()) for name, X in solutions.items()
    }


def main() -> None:
    rows = [
        [name.removeprefix("wrc__"), solution, *values]
        for name in golden.names("wrc")
        for solution, values in measures(golden.load(name, torch.float64)).items()
    ]
    headers = ["golden case", "solution", "objective", "residual"]
    print(tabulate(rows, headers, tablefmt="github", floatfmt=("", "", ".1f", ".2g")))


if __name__ == "__main__":
    main()
