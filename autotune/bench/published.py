"""The published CUDA extension of FNS, built from the user's own checkout of the authors' repository (zmhhmz/ReSFU)."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor
from torch.utils import cpp_extension

_SOURCES = ("cuda/fns_attn_cuda.cpp", "cuda/fns_attn_cuda_kernel.cu", "fns_attn_ext.cpp")
_NVCC = ["-D__CUDA_NO_HALF_OPERATORS__", "-D__CUDA_NO_HALF_CONVERSIONS__", "-D__CUDA_NO_HALF2_OPERATORS__"]


def published_fns(checkout: Path, build: Path) -> Callable[[Tensor, Tensor, int], Tensor]:
    """fns(value, logits, kernel) through the extension, with its autograd function and the published module's mask.

    Its gradient of the value is not the true one in the last row and column. Raises OSError, RuntimeError or
    ImportError where it cannot be built.
    """
    package = checkout / "FNS_Attn"
    sources = [package / "FNS_Attn" / "src" / source for source in _SOURCES]
    missing = [str(source) for source in sources if not source.exists()]
    if missing:
        raise FileNotFoundError(f"published: no {', '.join(missing)}")
    build.mkdir(parents=True, exist_ok=True)
    _build(sources, build)
    sys.path.insert(0, str(package))
    reassemble = importlib.import_module("FNS_Attn").fns_attn
    masks: dict[tuple, Tensor] = {}

    def fns(value: Tensor, logits: Tensor, kernel: int) -> Tensor:
        key = (tuple(value.shape), tuple(logits.shape), logits.dtype, logits.device)
        if key not in masks:
            masks[key] = _mask(value, logits, kernel)
        return reassemble((logits + masks[key]).softmax(1), value, kernel)

    return fns


def _build(sources: list[Path], build: Path) -> None:
    """Compiles and registers the module that the published package imports."""
    shim = build / "include" / "THC"  # a header that torch has renamed since
    shim.mkdir(parents=True, exist_ok=True)
    (shim / "THCAtomics.cuh").write_text("#include <ATen/cuda/Atomic.cuh>\n")
    sys.modules["fns_attn_ext"] = cpp_extension.load(
        "fns_attn_ext",
        [str(source) for source in sources],
        extra_cflags=["-DWITH_CUDA"],
        extra_cuda_cflags=["-DWITH_CUDA", *_NVCC],
        extra_include_paths=[str(shim.parent)],
        build_directory=str(build),
    )


def _mask(value: Tensor, logits: Tensor, kernel: int) -> Tensor:
    """[1, K*K, H, W]: 0 where a tap lies in the image, -1e7 elsewhere."""
    inside = [_inside(high, high // low, kernel, logits.device) for low, high in zip(value.shape[2:], logits.shape[2:])]
    both = (inside[0][:, None, :, None] & inside[1][None, :, None, :]).flatten(0, 1)
    return torch.where(both, 0.0, -1e7).to(logits.dtype)[None]


def _inside(size: int, ratio: int, kernel: int, device: torch.device) -> Tensor:
    """[K, size]: whether the tap of a row or column lies in the image."""
    tap = torch.arange(size, device=device) + ratio * (torch.arange(kernel, device=device)[:, None] - kernel // 2)
    return (tap >= 0) & (tap < size)
