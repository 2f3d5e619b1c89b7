"""Golden cases of the modules as files that LibTorch reads: <case>.state.pt, a dict of parameters and buffers, and
<case>.maps.pt, a dict of inputs, output, cotangent and input gradients. Usage: export_golden.py FOLDER"""

import pathlib
import sys

import numpy
import torch

GOLDEN = pathlib.Path(__file__).parent.parent / "golden"
CASES = {
    "resfu": "resfu_full__r4_5x7_y16_x32",
    "resfu_paper": "resfu_full_paper__r4_6x5_y16_x32_gf_scale1",
    "carafe": "carafe__r2_5x7_k5_g2_e3_d1",
    "lctc": "lctc__k7_3_s2_6x6_g1",
    "wrc": "wrc__s2_7x9_k3_p2_circular",
    "bilinear": "bilinear__5x7_to_20x28",
    "nearest": "nearest__5x7_to_20x28",
}


def main(folder: pathlib.Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for case, file in CASES.items():
        arrays = numpy.load(GOLDEN / f"{file}.npz")
        tensors = {
            key: torch.from_numpy(arrays[key]).double() for key in arrays.files if arrays[key].dtype.kind == "f"
        }
        state = {
            key.split(".", 1)[1]: value for key, value in tensors.items() if key.startswith(("param.", "buf."))
        }
        torch.save(state, folder / f"{case}.state.pt")
        torch.save({k: v for k, v in tensors.items() if not k.startswith("grad.param.")}, folder / f"{case}.maps.pt")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
