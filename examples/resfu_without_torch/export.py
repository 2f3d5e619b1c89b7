"""A ReSFU module and maps for it, as the program beside this file reads them."""

from pathlib import Path

import torch
from torch import Tensor

from upwell import nn


def export_resfu(module: nn.ReSFU, y: Tensor, x: Tensor, folder: Path) -> None:
    """Write the parameters of a module with the true ratio of sizes (scale_factor=None) and the published layout, the
    guidance y [N, dim_y, H, W] and the features x [N, dim_x, h, w] to a folder."""
    tensors = {**module.state_dict(), "y": y, "x": x}
    tensors = {name: tensor.detach().float().cpu().contiguous() for name, tensor in tensors.items()}
    options = {
        "groups": module.semantic_scores.groups,
        "gn_dim": module.semantic_scores.norm.num_groups,
        "kernel_size": module.kernel_size,
        "norm_x_groups": module.norm_x.num_groups,
        "norm_y_groups": module.norm_y.num_groups,
        "radius": module.GF.radius,
        "eps": module.GF.eps,
        "gf_scale": module.GF.scale,
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, tensor in tensors.items():
        (folder / f"{name}.f32").write_bytes(tensor.numpy().tobytes())
    sizes = (f"{name} {' '.join(map(str, tensor.shape))}\n" for name, tensor in tensors.items())
    (folder / "tensors.txt").write_text("".join(sizes))
    (folder / "options.txt").write_text("".join(f"{name} {value}\n" for name, value in options.items()))


if __name__ == "__main__":
    import sys

    torch.manual_seed(0)
    export_resfu(
        nn.ReSFU(16, 32, scale_factor=None), torch.randn(1, 16, 96, 120), torch.randn(1, 32, 24, 30), Path(sys.argv[1])
    )
