"""A made-up operator that is described elsewhere, and its formula."""

import itertools
import pathlib

import torch
from reference import formula
from torch import Tensor

HEAD = "#include <upwell/operator.h>\n\nusing namespace upwell;\n\n"
# Nobody published these.
KINDRED = HEAD + """
UPWELL_OPERATOR(kindred, "Each pixel takes from the bilinear samples that are like it, in each group of channels.") {
    const Map value = low_res("value", "C", "what is upsampled"), key = low_res("key", "D");
    const Map query = high_res("query", "D");
    const Taps taps{taps_per_side(3), Grid::HighRes, Sampling::Bilinear, Border::Masked};
    return reassemble(value, softmax(dot(query, key, taps, Groups::Any)), taps);
}
"""


def write(folder: pathlib.Path, name: str, text: str) -> pathlib.Path:
    file = folder / name
    file.write_text(text)
    return file


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def scores_by_formula(query: Tensor, key: Tensor, kernel: int) -> Tensor:
    """[N, K*K, H, W] of one group."""
    radius, (H, W) = kernel // 2, query.shape[2:]
    taps = [
        formula._read_bilinear(formula._read_bilinear(key, 2, H, row), 3, W, column)
        for row, column in itertools.product(range(-radius, radius + 1), repeat=2)
    ]
    return torch.stack([(query * tap).sum(1) for tap in taps], 1)


def kindred_by_formula(value: Tensor, key: Tensor, query: Tensor, kernel: int, groups: int = 1) -> Tensor:
    split = [x.reshape(x.shape[0] * groups, x.shape[1] // groups, *x.shape[2:]) for x in (value, key, query)]
    output = formula.fns(split[0], scores_by_formula(split[2], split[1], kernel), kernel)
    return output.reshape(*value.shape[:2], *query.shape[2:])


def sample(low=(3, 4), high=(6, 8), n=2, channels=4, keys=6, dtype=torch.float64) -> list[Tensor]:
    return [
        random(n, channels, *low, seed=1, dtype=dtype),
        random(n, keys, *low, seed=2, dtype=dtype),
        random(n, keys, *high, seed=3, dtype=dtype),
    ]
