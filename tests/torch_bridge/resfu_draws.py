"""Problems for the operators of ReSFU and the colour guided filter, drawn at random from the settings that have to work, on tiny maps."""

import dataclasses
import random as python_random
from collections.abc import Callable

import torch
from torch import Tensor

from compare import assert_close, largest
from problems import random

HIDDEN = 128
SIDES = (1, 1, 2, 3, 5, 8, 11, 16, 17, 33)
RATIOS = (1, 2, 3, 4, 8, 16, 32)


@dataclasses.dataclass(frozen=True)
class Call:
    """operator(*tensors, **options), in `upwell.ops` and in the composition of torch operators."""

    operator: str
    shapes: tuple[tuple[int, ...], ...]
    options: dict
    spread: tuple[float, ...]  # standard deviation of each tensor

    def __str__(self) -> str:
        return f"{self.operator} {list(map(list, self.shapes[:2]))} {self.options}"

    @property
    def has_variance(self) -> bool:
        """No statistic is of a constant by construction: float32 would compare rounding over eps."""
        wide = all(min(shape[2:]) > 1 for shape in self.shapes[:2] if len(shape) == 4)
        return wide and self.options.get("radius", 1) >= self.options.get("scale", 1)

    def tensors(self, dtype: torch.dtype, seed: int = 0) -> list[Tensor]:
        return [
            spread * random(shape, dtype, seed + i)
            for i, (shape, spread) in enumerate(zip(self.shapes, self.spread))
        ]

    def run(self, where, tensors: list[Tensor]) -> tuple[Tensor, ...]:
        return as_tuple(getattr(where, self.operator)(*tensors, **self.options))


def as_tuple(outputs) -> tuple[Tensor, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


def with_gradients(call: Callable, tensors: list[Tensor]) -> list[Tensor]:
    """The outputs of call(tensors), then the gradient of each tensor."""
    leaves = [tensor.detach().requires_grad_() for tensor in tensors]
    outputs = as_tuple(call(leaves))
    cotangents = [random(tuple(output.shape), output.dtype, 100 + i) for i, output in enumerate(outputs)]
    return [*(output.detach() for output in outputs), *torch.autograd.grad(outputs, leaves, cotangents)]


def assert_all_close(actual: list[Tensor], expected: list[Tensor], tolerance: float, what: str) -> None:
    """Each by its largest value, or by a thousandth of the largest of all where it is (nearly) 0."""
    floor = 1e-3 * max(map(largest, expected))
    for i, (a, b) in enumerate(zip(actual, expected, strict=True)):
        assert_close(a, b, tolerance, f"{what}, result {i}", max(largest(b), floor))


def side(draw: python_random.Random) -> int:
    return draw.choice(SIDES)


def divisor(draw: python_random.Random, number: int, most: int) -> int:
    return draw.choice([d for d in (1, 2, 4, 8, 16, 32) if d <= most and number % d == 0])


def group_stats(draw: python_random.Random) -> Call:
    channels = draw.choice((16, 32, 64))
    blur = draw.random() < 0.3
    size = None if blur or draw.random() < 0.4 else (side(draw), side(draw))
    options = {"groups": divisor(draw, channels, 32), "blur": blur, "size": size}
    return Call("group_stats", ((draw.choice((1, 2)), channels, side(draw), side(draw)),), options, (1,))


def guided_filter(draw: python_random.Random) -> Call:
    n, channels = draw.choice((1, 2)), draw.choice((16, 32))
    options = filter_options(draw)
    shapes = ((n, channels, side(draw), side(draw)), (n, channels, draw.randint(1, 6), draw.randint(1, 6)))
    return Call("guided_filter", shapes, options, (1, 1))


def filter_options(draw: python_random.Random) -> dict:
    return {
        "radius": draw.choice((0, 1, 2, 3, 8, 40)),
        "eps": 1e-2,
        "scale": draw.choice((1, 2, 4)),
        "centred": draw.random() < 0.5,
        "border": draw.choice(("inside", "reflect", "symmetric")),
    }


def colour_guided_filter(draw: python_random.Random) -> Call:
    n, size = draw.choice((1, 2)), (side(draw), side(draw))
    low = size if draw.random() < 0.3 else (draw.randint(1, 6), draw.randint(1, 6))
    shapes = ((n, 3, *size), (n, draw.choice((1, 3, 5, 33)), *low))
    return Call("colour_guided_filter", shapes, filter_options(draw), (1, 1))


def pcdc(draw: python_random.Random) -> Call:
    channels, groups, kernel = draw.choice((16, 32, 64)), draw.choice((1, 2, 4, 8)), draw.choice((3, 5, 7))
    outputs = draw.choice((32, 128))
    image = (draw.choice((1, 2)), channels, side(draw), side(draw))
    weight = (outputs, channels // groups, kernel, kernel)
    bias = [(outputs,)] * draw.randint(0, 1)
    options = {"groups": groups, "dilation": (draw.choice(RATIOS), draw.choice(RATIOS))}
    return Call("pcdc", (image, image, weight, *bias), options, (1, 1, fan_in(weight), 1))


def fan_in(weight: tuple[int, ...]) -> float:
    return (weight[1] * weight[2] * weight[3]) ** -0.5


def pcdc_scores(draw: python_random.Random) -> Call:
    """Low-res keys at whole and other ratios; keys of the query's size, taps a whole or real ratio apart."""
    n, channels, groups = draw.choice((1, 2)), draw.choice((16, 32, 64)), draw.choice((1, 2, 4, 8))
    kernel, outputs, ratio = draw.choice((3, 3, 5, 7)), draw.choice((32, 128)), draw.choice(RATIOS)
    low = (1, 2) if ratio > 8 else (draw.randint(1, 4), draw.randint(1, 4))
    high = (low[0] * ratio, low[1] * ratio) if draw.random() < 0.5 else (side(draw), side(draw))
    options = {"groups": groups, "norm_groups": divisor(draw, channels, 16), "relu": draw.random() < 0.6}
    if draw.random() < 0.5:
        low = high
        whole = (ratio, 1, draw.choice(RATIOS), 1)
        real = (draw.randint(1, 40), draw.randint(1, 9), draw.randint(1, 40), draw.randint(1, 9))
        options |= {"ratio": draw.choice((whole, real)), "blur": draw.random() < 0.5}
    weight = (outputs, channels // groups, kernel, kernel)
    block = ((channels,), weight, (outputs,), (HIDDEN, outputs // groups), (HIDDEN,), (HIDDEN,), (HIDDEN,))
    block += ((kernel**2, HIDDEN), (kernel**2,))
    spread = (1, 1, 1, fan_in(weight), 0.3, (outputs // groups) ** -0.5, 0.3, 1, 1, 0.1, 1)
    return Call("pcdc_scores", ((n, channels, *low), (n, channels, *high), *block), options, spread)


def resfu(draw: python_random.Random) -> tuple[dict, tuple[int, ...], tuple[int, ...]]:
    """Options of the module, shapes of y and x."""
    embedding = draw.choice((16, 32, 64))
    scale = draw.choice((1, 2, 3, 4, 8, 32, None, 2.5))
    longest = 3 if scale in (8, 32) else 6
    low = (draw.randint(1, longest), draw.randint(1, longest))
    factor = scale if isinstance(scale, int) and draw.random() < 0.7 else None
    high = (low[0] * factor, low[1] * factor) if factor else (side(draw), side(draw))
    n, dim_y, dim_x = draw.choice((1, 1, 2)), draw.choice((3, 12, 34)), draw.choice((1, 8, 48))
    options = {
        "dim_y": dim_y,
        "dim_x": dim_x,
        "scale_factor": scale,
        "kernel_size": draw.choice((3, 3, 5, 7)),
        "embedding_dim": embedding,
        "groups": draw.choice((1, 2, 4, 8)),
        "gn_dim": divisor(draw, embedding, 16),
        "radius": draw.choice((0, 1, 3, 8, 40)),
        "gf_scale": draw.choice((1, 2, 4)),
        "gf_centred": draw.random() < 0.3,
        "layout": draw.choice(("published", "paper")),
        "qkv_bias": draw.random() < 0.8,
        "normx": draw.random() < 0.8,
        "normy": draw.random() < 0.8,
    }
    return options, (n, dim_y, *high), (n, dim_x, *low)
