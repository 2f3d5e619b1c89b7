"""Golden cases of the modules as files that LibTorch reads: <case>.state.pt, a dict of parameters and buffers, and
<case>.maps.pt, a dict of inputs, outputs, cotangents and input gradients. Usage: export_golden.py FOLDER"""

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
    "sapa_attention": "sapa_attention__r2_5x7_k5",
    "sapa": "sapa__r2_6x7_k5_norm",
    "sapa_nonorm": "sapa__r4_5x3_k5_nonorm",
    "sapa_neurips": "sapa_neurips__encoder_only_r2_6x5_k5",
    "sapa_gate": "sapa_neurips__gate_r2_6x5_k5",
    "fade_l2h": "fade__l2h_5x7_k5",
    "fade_h2l": "fade__h2l_6x6_k5",
    "fade_lite": "fade__lite_5x7_k5",
    "fade_ungated": "fade__ungated_4x5_k5",
    "index_holistic": "indexnet__holistic_6x5",
    "index_o2o": "indexnet__o2o_nl_ctx_5x7",
    "index_m2o": "indexnet__m2o_nl_4x5",
    "anyup": "anyup__r4_5x6",
    "anyup_sized": "anyup__6x5_to_13x16_window_ratio0.3_kernel_size3_lfu_dim24",
    "jafar": "jafar__r4_4x5",
    "naf": "naf__5x4_to_10x12_k3_image46x50",
    "naf_real": "naf__6x5_to_14x13_k3",
    "naf_published": "naf_published__6x5_to_14x13_k3",
    "pixelshuffle": "pixelshuffle__r4_5x7_k3",
    "deconv": "deconv__k4_s4_5x7_g1",
    "dysample_lp": "dysample__lp_s2_6x6_g4",
    "dysample_lp_scope": "dysample__lp_scope_s2_5x7_g4",
    "dysample_pl": "dysample__pl_s2_5x7_g4",
    "dysample_pl_scope": "dysample__pl_scope_s4_6x5_g2",
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
        counts = {key: torch.tensor(arrays[key].item()) for key in arrays.files if arrays[key].dtype.kind == "i"}
        state = {
            key.split(".", 1)[1]: value
            for key, value in (tensors | counts).items()
            if key.startswith(("param.", "buf."))
        }
        torch.save(state, folder / f"{case}.state.pt")
        torch.save({k: v for k, v in tensors.items() if not k.startswith("grad.param.")}, folder / f"{case}.maps.pt")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
