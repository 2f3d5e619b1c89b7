"""What Python's upwell.nn.make builds, as files that LibTorch reads: <case>.state.pt, a dict of parameters and buffers, and
<case>.maps.pt, a dict of guide, x, output and gradients of both by the output's cotangent; and made.txt, all names.
Usage: export_made.py FOLDER"""

import pathlib
import sys

import torch
import upwell
from upwell.nn.make import NAMES, UPSAMPLERS

CHANNELS, GUIDE, RATIO = 8, 5, 2
OPTIONS = {
    "lctc": {"small_kernel": None, "bias": False},
    "sapa": {"norm": False, "border": "mask", "embedding_dim": 6},
    "naf": {"rope_base": 30, "kernel_size": 3, "dim": 32},
}
CASES = {
    **{f"made_{name}": (name, {}) for name in NAMES},
    **{f"made_{name}_with_options": (name, options) for name, options in OPTIONS.items()},
}


def main(folder: pathlib.Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "made.txt").write_text("".join(f"{name}\n" for name in NAMES))
    for case, (name, options) in CASES.items():
        torch.manual_seed(0)
        module = upwell.nn.make(name, CHANNELS, GUIDE, RATIO, **options).double().eval()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(0.2 * torch.randn_like(parameter))  # none may stay 0, as biases start
        guide = torch.randn(2, GUIDE, 8, 10, dtype=torch.float64, requires_grad=True)
        x = torch.randn(2, CHANNELS, 4, 5, dtype=torch.float64, requires_grad=True)
        output = module(guide, x)
        cotangent = torch.randn_like(output)
        of_guide, of_x = torch.autograd.grad(output, [guide, x], cotangent, allow_unused=True)
        maps = {"guide": guide, "x": x, "out": output, "cotangent": cotangent, "d_x": of_x}
        if UPSAMPLERS[name].is_guided:
            maps["d_guide"] = of_guide
        torch.save(dict(module.state_dict()), folder / f"{case}.state.pt")
        torch.save({key: value.detach() for key, value in maps.items()}, folder / f"{case}.maps.pt")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
