"""`upwell inspect --table`: what upsamplers add to the network of the ReSFU paper's Table IX, beside what it says they add.

The setting is Segmenter ViT-S at 512 x 512: x [1, 384, 32, 32] becomes [1, 384, 128, 128], and y [1, 32, 128, 128] comes from a
ConvBlock. The paper's other methods upsample by 2 twice (Fig. 10).
"""

import argparse
import json
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

import torch
from tabulate import tabulate
from torch import nn

from upwell.inspect.count import count, every_rule, of_operator
from upwell.inspect.resfu import PAPER_BILINEAR, STEM_CHANNELS, extras
from upwell.inspect.setting import Setting
from upwell.nn.make import UPSAMPLERS, make
from upwell.nn.upsampler import Guide

SETTING = Setting(gf_scale=1)  # of the paper's ReSFU
TWICE, ONCE = (2, 2), (4,)


@dataclass(frozen=True)
class Row:
    """What is counted for an upsampler, and what the paper has.

    paper: the network's GFLOPs and millions of parameters; None: the method is not in the table.
    steps: ratios, one after the other.
    options: of each step's module.
    note: what the difference is, or what the row is of.
    """

    paper: tuple[float, float] | None = None
    steps: tuple[int, ...] = TWICE
    options: Mapping[str, object] = field(default_factory=dict)
    note: str = ""


ABSENT = "not in the paper"
# By name. An upsampler of make() that is not here is counted as Row() says.
PAPER = {
    "bilinear": Row(PAPER_BILINEAR, ONCE, note="what the others take the place of"),
    "deconv": Row((35.16, 24.40), ONCE, note="fits one step by 4 with a 4 x 4 kernel, not two by 2 with 3 x 3 (+6.77 G, +2.65 M)"),
    "pixelshuffle": Row((35.16, 24.41), ONCE, {"kernel_size": 1}, "fits one step by 4 with a 1 x 1 convolution"),
    "carafe": Row(
        (32.96, 22.21),
        note="two packs have the paper's parameters; its FLOPs are 0.21 G less than those of their convolutions: not explained",
    ),
    "fade": Row(
        (33.92, 22.14),
        options={"variant": "ungated"},
        note="without a gate, as y has not x's channels; with the decoder's map convolved anew for each pixel of a cell it is "
        "0.22 G more, 0.02 G more than the paper has",
    ),
    "sapa": Row((33.28, 22.09), note="fits; attention counts 0, its norms 5 an element"),
    "dysample": Row((32.90, 22.09), options={"dyscope": True}, note="fits with learned scopes; a sample counts 4"),
    "resfu": Row((33.88, 22.11), ONCE, {"gf_scale": 1}, "fits with gf_scale 1; counted from the published operations, FNS as 0"),
    "anyup": Row(steps=ONCE, note=f"{ABSENT}; its guide is the image, no ConvBlock"),
    "naf": Row(steps=ONCE, note=f"{ABSENT}; its guide is the image, no ConvBlock"),
    "jafar": Row(steps=ONCE, note=f"{ABSENT}; its guide is the image, no ConvBlock"),
    "jbu": Row(steps=ONCE, note=f"{ABSENT}, which has a stack of two with a 1x1 convolution behind them"),
    "local_attender": Row(steps=ONCE, note=ABSENT),
    "lctc": Row(note=ABSENT),
    "wrc": Row(note=f"{ABSENT}; transforms count 0 there"),
    "sapa_exp": Row(note=f"{ABSENT}; layer norms count 5 an element"),
    "indexnet": Row(note=ABSENT),
    "nearest": Row(steps=ONCE, note=ABSENT),
}


def papers_rules() -> dict:
    """As the counter behind Table IX (see cost.py): a sample of a map and a bilinear upsampling count 4 an element, norms 5, and
    operators in CUDA nothing. FlopCounterMode has convolutions and matrix products already."""
    aten = torch.ops.aten

    def per_element(flops: int) -> Callable[..., int]:
        return lambda *_, out_shape, **__: 2 * flops * torch.Size(out_shape).numel()

    def of_norm(x, *_, **__) -> int:
        return 2 * 5 * torch.Size(x).numel()

    own = {name: of_operator(name, lambda *_: 0) for name in _operators()}
    own["bilinear"] = own["sample_at_offsets"] = per_element(4)
    own["transposed_conv"] = every_rule()[torch.ops.upwell.transposed_conv]
    rules = {getattr(torch.ops.upwell, name): rule for name, rule in own.items()}
    norms = {aten.native_group_norm: of_norm, aten.native_layer_norm: of_norm}
    return rules | norms | {aten.upsample_bilinear2d: per_element(4)}


def _operators() -> list[str]:
    prefix = "upwell."
    return [str(packet).removeprefix(prefix) for packet in every_rule() if str(packet).startswith(prefix)]


@dataclass(frozen=True)
class Found:
    """A row of the table. Figures are what is added to the network with bilinear upsampling: by the paper's counter, in all
    that Upwell computes, and in parameters."""

    name: str
    title: str
    steps: tuple[int, ...]
    flops: int
    multiply_adds: int
    parameters: int
    paper_flops: float | None
    paper_parameters: float | None
    note: str


def table() -> list[Found]:
    return [found(name) for name in UPSAMPLERS]


def found(name: str) -> Found:
    row, upsampler = PAPER.get(name, Row(note=ABSENT)), UPSAMPLERS[name]
    paper = (None, None) if row.paper is None else (ours - other for ours, other in zip(row.paper, PAPER_BILINEAR))
    flops, parameters = _added(name, row, {"rules": papers_rules(), "each_layer": True})
    work, _ = _added(name, row, {"rules": every_rule()})
    if name == "resfu":  # the rules cannot see what its operators are published as
        flops = next(each.cost.paper for each in extras(SETTING) if each.paper and each.parameters)
    return Found(name, upsampler.title, row.steps, flops, work, parameters, *paper, row.note)


def _added(name: str, row: Row, how: Mapping) -> tuple[int, int]:
    """Work and parameters beyond those of the network that upsamples bilinearly. how: options of count()."""
    parts = [_counted(name, row, how)]
    if UPSAMPLERS[name].guide is Guide.FEATURES:
        parts.append(count(conv_block, (1, 3, SETTING.image_size, SETTING.image_size), **how))
    work, parameters = (sum(of_all) for of_all in zip(*parts))
    return work - _counted("bilinear", PAPER["bilinear"], how)[0], parameters


def conv_block() -> nn.Module:
    """What makes y of the image: the paper's layers; strides 2 and 2 fit its figures."""
    first, last = nn.Conv2d(3, STEM_CHANNELS, 3, 2, 1), nn.Conv2d(STEM_CHANNELS, SETTING.dim_y, 3, 2, 1)
    return nn.Sequential(first, nn.GroupNorm(8, STEM_CHANNELS), nn.ReLU(), last)


def _counted(name: str, row: Row, how: Mapping) -> tuple[int, int]:
    """Of all steps, work and parameters. A step's guide is there at its size; an image is the whole image."""
    low, work, parameters = SETTING.low, 0, 0
    is_image = UPSAMPLERS[name].guide is Guide.IMAGE
    for ratio in row.steps:
        high, guide = ratio * low, 3 if is_image else SETTING.dim_y
        size = SETTING.image_size if is_image else high
        maps = (1, guide, size, size), (1, SETTING.dim_x, low, low)
        sized = ((high, high),) if is_image else ()
        step = count(lambda: make(name, SETTING.dim_x, guide, ratio, **row.options), *maps, more=sized, **how)
        work, parameters, low = work + step[0], parameters + step[1], high
    return work, parameters


LEGEND = """\
Over the network with bilinear upsampling: what takes its place, and, of those that look at features, the ConvBlock that makes
them of the image. "Paper's count": 1 FLOP (not 2) a multiply-add of a convolution or matrix product, 5 an element of a norm, 4 an
element of a bilinear upsampling or of a sample of a map, nothing for operators in CUDA. Mul-adds: all that Upwell computes but
norms, softmaxes and what is done once an element (`upwell list`)."""


def as_text(rows: list[Found]) -> str:
    lines = []
    for row in rows:
        of_paper = ("", "") if row.paper_flops is None else (f"{row.paper_flops:+.2f} G", f"{row.paper_parameters:+.2f} M")
        lines.append([
            row.title,
            " x ".join(map(str, row.steps)),
            of_paper[0],
            f"{row.flops / 1e9:+.3f} G",
            f"{row.multiply_adds / 1e9:+.3f} G",
            of_paper[1],
            f"{row.parameters / 1e6:+.3f} M",
            textwrap.fill(row.note, 48),
        ])
    headers = ["", "ratio", "FLOPs,\npaper", "FLOPs,\npaper's count", "mul-adds", "parameters,\npaper", "parameters", ""]
    alignment = ["left", "left", *5 * ["right"], "left"]
    return f"{tabulate(lines, headers, disable_numparse=True, colalign=alignment)}\n\n{LEGEND}"


def report(chosen: argparse.Namespace) -> str:
    rows = table()
    return json.dumps([asdict(row) for row in rows], indent=2) if chosen.json else as_text(rows)
