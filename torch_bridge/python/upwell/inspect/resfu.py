"""The cost model of ReSFU, stage by stage, and its comparison with the paper's Table IX."""

from dataclasses import dataclass, replace

from upwell.inspect import published, rewritten
from upwell.inspect.cost import Cost, Stage, bilinear, convolution, elementwise, group_norm, total
from upwell.inspect.setting import Setting

# Tables VIII and IX: GFLOPs and millions of parameters of Segmenter ViT-S at 512 x 512, with bilinear
# upsampling and with ReSFU of this kernel, embedding_dim and groups.
PAPER_BILINEAR = (32.77, 22.04)
PAPER = {
    (3, 32, 4): (33.88, 22.11),
    (5, 32, 4): (34.49, 22.14),
    (7, 32, 4): (35.39, 22.20),
    (3, 16, 4): (33.63, 22.09),
    (3, 64, 4): (34.39, 22.14),
    (3, 32, 1): (35.29, 22.19),
    (3, 32, 2): (34.35, 22.13),
    (3, 32, 8): (33.65, 22.09),
}
STEM_CHANNELS = 64


def stages(s: Setting) -> list[Stage]:
    before, after = published.shared_stages(s), rewritten.shared_stages(s)
    shared = [Stage(name, before[name], after[name]) for name in before]
    semantic = pcdc_stages("semantic", s, rewritten.semantic(s))
    detail = pcdc_stages("detail", s, rewritten.detail(s))
    return [*shared, *semantic, *detail, Stage("FNS", published.fns(s), rewritten.fns(s))]


def pcdc_stages(branch: str, s: Setting, after: dict[str, Cost]) -> list[Stage]:
    before = published.pcdc(s)
    return [Stage(f"{branch}: {name}", before[name], after[name]) for name in before]


def totals(rows: list[Stage]) -> Stage:
    return Stage("total", total(*(row.published for row in rows)), total(*(row.rewritten for row in rows)))


@dataclass(frozen=True)
class Extra:
    """A row of Table IX: what a method adds to the network that upsamples bilinearly."""

    name: str
    cost: Cost = Cost()
    parameters: int = 0
    comparable: bool = True  # with the paper's FLOPs, as the published operations are
    paper: tuple[float, float] | None = None  # the network's GFLOPs and millions of parameters


def extras(s: Setting) -> list[Extra]:
    """ReSFU, and the ConvBlock that makes y from the image, in place of a bilinear upsampling of x."""
    stem, stem_parameters = conv_block(s)
    others = stem + -1 * bilinear(s.dim_x * s.low_pixels, s.output_elements)
    parameters = s.parameters + stem_parameters
    full = replace(s, gf_scale=1)
    rows = [Extra("bilinear", paper=PAPER_BILINEAR)]
    for setting in dict.fromkeys([full, s]):
        cost = totals(stages(setting)).published + others
        paper = paper_figures(s) if setting == full else None
        rows.append(Extra(f"ReSFU published, gf_scale {setting.gf_scale}", cost, parameters, paper=paper))
    after = totals(stages(s)).rewritten + others
    name = f"ReSFU after rewrites, gf_scale {s.gf_scale}"
    return [*rows, Extra(name, after, parameters, comparable=False)]


def paper_figures(s: Setting) -> tuple[float, float] | None:
    """Those of the paper for this setting, if it has them; its guided filter is not subsampled."""
    usual = Setting()
    varied = {name: getattr(usual, name) for name in ("kernel", "embedding_dim", "groups", "gf_scale")}
    return PAPER.get((s.kernel, s.embedding_dim, s.groups)) if replace(s, **varied) == usual else None


def conv_block(s: Setting) -> tuple[Cost, int]:
    """Conv 3x3, GroupNorm, ReLU, Conv 3x3 from the image to y at a quarter of its size: cost and parameters.

    The paper does not say the strides; 2 and 2 fit its figures. A y of another size comes from the network.
    """
    if 4 * s.high != s.image_size:
        return Cost(), 0
    image, y = 3 * s.image_size**2, s.dim_y * s.pixels
    middle = STEM_CHANNELS * (2 * s.high) ** 2
    cost = total(
        convolution(image, middle, 9 * 3),
        group_norm(middle),
        elementwise(middle, work=0),
        convolution(middle, y, 9 * STEM_CHANNELS),
    )
    return cost, (9 * 3 + 1 + 2) * STEM_CHANNELS + (9 * STEM_CHANNELS + 1) * s.dim_y
