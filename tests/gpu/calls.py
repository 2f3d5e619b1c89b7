"""One small call of every operator and module, by name: what the tests of streams, graphs and the like run."""

from collections.abc import Callable

import torch
import upwell
from problems import EVERY_OPERATOR
from support import DEVICE, perturbed, random, tensors
from torch import Tensor

HIDDEN = 16


def block(kernel: int = 3, D: int = 8, L: int = 8, groups: int = 2) -> list[Tensor]:
    """The parameters of pcdc_scores, as it takes them."""
    shapes = [(D,), (L, D // groups, kernel, kernel), (L,), (HIDDEN, L // groups), (HIDDEN,), (HIDDEN,), (HIDDEN,)]
    shapes += [(kernel**2, HIDDEN), (kernel**2,)]
    return [0.5 * random(shape, torch.float64, 20 + i) for i, shape in enumerate(shapes)]


def operators(dtype: torch.dtype) -> dict[str, tuple[Callable, list[Tensor]]]:
    """name -> (call, tensors): every operator and option of upwell.ops."""
    ops = upwell.ops
    found = {}
    for problem in EVERY_OPERATOR:
        call = lambda *given, problem=problem: problem.run(ops, list(given))  # noqa: E731
        found[str(problem)] = (call, tensors(problem, dtype))
    high, low = random((2, 8, 12, 15), dtype, 1), random((2, 8, 4, 5), dtype, 2)
    weights = [tensor.to(dtype) for tensor in block()]
    precision, kernel = 0.3 + high.abs(), 0.3 * random((8, 4, 4), dtype, 3)
    options = (3, 0, 4)  # scale; a fixed number of iterations, which asks nothing of the host
    found |= {
        "sapa_attention": (
            lambda v, q, k: ops.sapa_attention(v, q, k, 5, "mask"),
            [low, high, low.flip(3)],
        ),
        "wrc_data": (lambda x, r: ops.wrc_data(x, r), [low, low.flip(2)]),
        "wrc_prior": (
            lambda x, m, lam: ops.wrc_prior(x, m, lam, 3),
            [low, random((2, 72, 4, 5), dtype, 4), 0.1 + random((8,), dtype, 5).abs()],
        ),
        "wrc_spectral": (
            lambda p, q, *given: ops.wrc_spectral(p, q, *given, 3, "kernel"),
            [precision, high, low.abs(), low, kernel],
        ),
        "wrc_exact": (
            lambda p, q, *given: ops.wrc_exact(p, q, *given, *options),
            [precision, high, low.abs(), low, kernel],
        ),
        "sample_at_offsets": (
            lambda v, o: ops.sample_at_offsets(v, o, 3, 4),
            [low, random((2, 72, 4, 5), dtype, 10)],
        ),
        "sample_at_offsets high-res": (
            lambda v, o: ops.sample_at_offsets(v, o, 3, 2, True),
            [low, random((2, 4, 12, 15), dtype, 11)],
        ),
        "index_unpool": (lambda v, i: ops.index_unpool(v, i, 1, 4), [low, random((2, 4, 11, 13), dtype, 13)]),
        "index_unpool by a scale": (
            lambda v, i: ops.index_unpool(v, i, 3),
            [low, random((2, 9, 4, 5), dtype, 14)],
        ),
        "cross_attention": (
            lambda q, k, v: ops.cross_attention(q, k, v, 2, "shifted", 3),
            [high, low, low.flip(3)],
        ),
        "cross_attention of a mean": (
            lambda q, k, v: ops.cross_attention(q, k, v, 4, "ratio", ratio=0.3, mean_heads=True),
            [high, low, low[:, :5].flip(2)],
        ),
        "adaptive_conv": (
            lambda v, w: ops.adaptive_conv(v, w, 5),
            [high, random((2, 25, 12, 15), dtype, 13)],
        ),
        "range_weights": (
            lambda q, k, s: ops.range_weights(q, k, s, 3),
            [high, high.flip(3), 0.1 + random((9,), dtype, 14).abs()],
        ),
        "local_attention": (ops.local_attention, [low, random((2, 13, 12, 15), dtype, 15)]),
        "transposed_conv": (
            lambda x, w, b: ops.transposed_conv(x, w, b, 2, 3, 1, groups=8),
            [low, random((8, 1, 7, 7), dtype, 6), random((8,), dtype, 7)],
        ),
        "merge_kernels": (ops.merge_kernels, [random((8, 2, 7, 7), dtype, 8), random((8, 2, 3, 3), dtype, 9)]),
        "fold_group_norm": (ops.fold_group_norm, [(6, 8), (6,), (8,), (8,), (2, 4), (2, 4)]),
        "group_stats": (lambda x: ops.group_stats(x, 4), [high]),
        "group_stats blurred": (lambda x: ops.group_stats(x, 4, blur=True), [high]),
        "group_stats upsampled": (lambda x: ops.group_stats(x, 4, size=(12, 15)), [low]),
        "guided_filter": (lambda g, x: ops.guided_filter(g, x, 2, 1e-2), [high, low]),
        "guided_filter subsampled": (lambda g, x: ops.guided_filter(g, x, 4, 1e-2, 2, True), [high, low]),
        "guided_filter in mirrors": (
            lambda g, x: ops.guided_filter(g, x, 4, 1e-2, 2, border="reflect"),
            [high, low],
        ),
        "colour_guided_filter": (
            lambda g, x: ops.colour_guided_filter(g, x, 4, 1e-2, 2, True),
            [random((2, 3, 12, 15), dtype, 12), low],
        ),
        "pcdc": (lambda k, q, w, b: ops.pcdc(k, q, w, b, 2, (3, 2)), [high, high.flip(2), *weights[1:3]]),
        "pcdc_scores low-res": (lambda k, q, *p: ops.pcdc_scores(k, q, *p, 2, 4), [low, high, *weights]),
        "pcdc_scores": (
            lambda k, q, *p: ops.pcdc_scores(k, q, *p, 2, 4, (3, 1, 3, 1), True, True),
            [high.flip(3), high, *weights],
        ),
        "pcdc_scores real ratio": (
            lambda k, q, *p: ops.pcdc_scores(k, q, *p, 2, 4, (5, 2, 7, 3), False),
            [high.flip(3), high, *weights],
        ),
    }
    return found


OPERATORS = sorted(operators(torch.float32))


def modules(dtype: torch.dtype = torch.float32) -> dict[str, tuple[torch.nn.Module, list[Tensor]]]:
    """name -> (module, its inputs): every module, at integer and other ratios."""
    guide, x = random((2, 12, 16, 20), dtype, 1), random((2, 8, 4, 5), dtype, 2)
    odd, image = random((2, 12, 13, 18), dtype, 3), random((2, 3, 14, 18), dtype, 4)
    made = {
        "resfu": (upwell.nn.ReSFU(12, 8, scale_factor=4), [guide, x]),
        "resfu real ratio": (upwell.nn.ReSFU(12, 8, scale_factor=None), [odd, x]),
        "resfu paper": (upwell.nn.ReSFU(12, 8, scale_factor=4, layout="paper"), [guide, x]),
        "carafe": (upwell.nn.make("carafe", 8, 12, 4), [guide, x]),
        "sapa": (upwell.nn.make("sapa", 8, 12, 4), [guide, x]),
        "sapa real ratio": (upwell.nn.SAPA(12, 8, None, border="mask"), [odd, x]),
        "sapa paper": (upwell.nn.SAPAExp(12, 8, q_mode="gate", up_factor=4), [guide, x]),
        "fade": (upwell.nn.make("fade", 8, 12, 4), [guide, x]),
        "fade lite": (upwell.nn.FADE(12, 8, None, variant="lite"), [odd, x]),
        "indexnet": (upwell.nn.make("indexnet", 8, 12, 4), [guide, x]),
        "dysample": (upwell.nn.make("dysample", 8, 12, 4), [guide, x]),
        "dysample pl": (upwell.nn.DySample(8, 2, "pl", 2, True), [x]),
        "pixelshuffle": (upwell.nn.make("pixelshuffle", 8, 12, 4), [guide, x]),
        "deconv": (upwell.nn.make("deconv", 8, 12, 4), [guide, x]),
        "anyup": (upwell.nn.AnyUp(3, 16, num_heads=2), [image, x]),
        "jafar": (upwell.nn.JAFAR(3, 16, 8, num_heads=2), [image, x]),
        "naf": (upwell.nn.NAF(16, 2, 2, 3, rope_rescale=None), [image, x]),
        "jbu": (upwell.nn.make("jbu", 8, 12, 4).eval(), [guide, x]),  # in training it drops channels
        "local attender": (upwell.nn.make("local_attender", 8, 12, 4, num_connected=13), [guide, x]),
        "lctc": (upwell.nn.LCTC(8, 8, groups=8, stride=4), [x]),
        "lctc dense": (upwell.nn.LCTC(8, 6, 11), [x]),
        "wrc": (upwell.nn.WRC(8, 8, 3, 4), [x]),
        "wrc exact": (upwell.nn.WRC(8, 8, 5, 2, solver="exact", tolerance=0, max_iterations=8), [x]),
        "bilinear": (upwell.nn.make("bilinear", 8, 12, 4), [guide, x]),
        "nearest": (upwell.nn.make("nearest", 8, 12, 4), [odd, x]),
    }
    return {name: (perturbed(module.to(DEVICE, dtype)), given) for name, (module, given) in made.items()}


MODULES = [
    "resfu",
    "resfu real ratio",
    "resfu paper",
    "carafe",
    "sapa",
    "sapa real ratio",
    "sapa paper",
    "fade",
    "fade lite",
    "indexnet",
    "dysample",
    "dysample pl",
    "pixelshuffle",
    "deconv",
    "anyup",
    "jafar",
    "naf",
    "jbu",
    "local attender",
    "lctc",
    "lctc dense",
    "wrc",
    "wrc exact",
    "bilinear",
    "nearest",
]
