"""The cost model of ReSFU as text, for a terminal of 120 columns."""

from tabulate import tabulate

from upwell.inspect.cost import Cost, Stage
from upwell.inspect.resfu import PAPER_BILINEAR, Extra, totals
from upwell.inspect.setting import Setting

LEGEND = """\
Per element: of the {elements} of the output, [1, {dim_x}, {high}, {high}]. float32; G = 1e9, MB = 1e6 bytes.
A multiply-add is 1, as is an addition, multiplication, division or exponential alone; a comparison is 0.
Published: each torch operation reads its inputs and writes its output once. After: so does each operator of
Upwell, but PCDC scores take two evaluations, one for the statistics of the hidden norm, one for the result.
This is a model; nothing was timed."""

EXTRA_LEGEND = """\
The paper's Table IX: what takes the place of bilinear upsampling in Segmenter ViT-S, with the ConvBlock that
makes y where y is a quarter of the image. "Paper's count": 1 FLOP (not 2) a multiply-add of a convolution,
5 an element of a GroupNorm, 4 an element of a bilinear upsampling, and nothing else: no FNS."""


def as_text(s: Setting, rows: list[Stage], added: list[Extra]) -> str:
    legend = LEGEND.format(elements=f"{s.output_elements:,}", dim_x=s.dim_x, high=s.high)
    return "\n\n".join([stage_table(s, rows), legend, extra_table(added), EXTRA_LEGEND])


def stage_table(s: Setting, rows: list[Stage]) -> str:
    whole = totals(rows)
    lines = [[row.name, *columns(s, row.published), *columns(s, row.rewritten)] for row in [*rows, whole]]
    work, moved = f"{ratio(whole, 'multiply_adds'):.2f}", f"{ratio(whole, 'bytes'):.2f}"
    lines.append(["published / after", *4 * [""], "", work, "", moved])
    each = ["mul-adds\n/ element", "\nG", "bytes\n/ element", "\nMB"]
    headers = ["", *(f"{when}{column}" for when in ("published\n", "after\n") for column in each)]
    return right_aligned(lines, headers)


def columns(s: Setting, cost: Cost) -> list[str]:
    per_element = 1 / s.output_elements
    return [
        f"{cost.multiply_adds * per_element:.2f}",
        f"{cost.multiply_adds / 1e9:.4f}",
        f"{cost.bytes * per_element:.2f}",
        f"{cost.bytes / 1e6:.2f}",
    ]


def ratio(stage: Stage, what: str) -> float:
    return getattr(stage.published, what) / getattr(stage.rewritten, what)


def extra_table(added: list[Extra]) -> str:
    headers = [
        "",
        "paper\nFLOPs",
        "extra FLOPs,\npaper's count",
        "extra\nmul-adds",
        "extra\nbytes",
        "paper\nparameters",
        "extra\nparameters",
    ]
    return right_aligned([extra_columns(row) for row in added], headers)


def extra_columns(row: Extra) -> list[str]:
    flops, parameters = ("", "") if row.paper is None else map(paper_column, row.paper, PAPER_BILINEAR, "GM")
    return [
        row.name,
        flops,
        f"{row.cost.paper / 1e9:+.2f} G" if row.comparable else "",
        f"{row.cost.multiply_adds / 1e9:+.2f} G",
        f"{row.cost.bytes / 1e6:+.0f} MB",
        parameters,
        f"{row.parameters / 1e6:+.3f} M",
    ]


def paper_column(value: float, bilinear: float, unit: str) -> str:
    return f"{value:.2f}{unit} ({value - bilinear:+.2f})"


def right_aligned(lines: list[list[str]], headers: list[str]) -> str:
    alignment = ["left", *(len(headers) - 1) * ["right"]]
    return tabulate(lines, headers, disable_numparse=True, colalign=alignment)
