"""`upwell list`: every upsampler of nn.make, what it takes, and what it costs in one setting."""

import argparse
import json
from dataclasses import asdict, dataclass

from tabulate import tabulate

from upwell.inspect.count import count
from upwell.nn.check import check, check_whole
from upwell.nn.make import UPSAMPLERS, make
from upwell.nn.upsampler import Guide, Upsampler

IMAGE_CHANNELS = 3


@dataclass(frozen=True)
class Setting:
    """x [1, in_channels, size, size]; a guide [1, guide_channels, ratio size, ratio size], of 3 channels where it is an
    image."""

    in_channels: int = 128
    guide_channels: int = 32
    ratio: float = 4
    size: int = 32

    def __post_init__(self):
        for name in ("in_channels", "guide_channels", "size"):
            check_whole("list", name, getattr(self, name), 1)
        check(self.ratio > 0 and self.high >= 1, f"list: ratio should be positive but is {self.ratio}")

    @property
    def high(self) -> int:
        return int(self.ratio * self.size)

    def guide_of(self, upsampler: Upsampler) -> int:
        """Its channels."""
        return IMAGE_CHANNELS if upsampler.guide is Guide.IMAGE else self.guide_channels


def rows(setting: Setting) -> list[dict]:
    """One for each upsampler; parameters and multiply_adds are None where it does not take the setting."""
    return [
        {
            "name": name,
            "title": upsampler.title,
            "paper": upsampler.paper and asdict(upsampler.paper),
            "guide": upsampler.guide.value,
            "ratios": upsampler.ratios.value,
            **_cost(upsampler, setting),
        }
        for name, upsampler in UPSAMPLERS.items()
    ]


def _cost(upsampler: Upsampler, s: Setting) -> dict[str, int | None]:
    guide = s.guide_of(upsampler)
    maps = (1, guide, s.high, s.high), (1, s.in_channels, s.size, s.size)
    try:
        multiply_adds, parameters = count(lambda: make(upsampler.name, s.in_channels, guide, s.ratio), *maps)
    except ValueError:
        return {"parameters": None, "multiply_adds": None}
    return {"parameters": parameters, "multiply_adds": multiply_adds}


LEGEND = """\
x [1, {in_channels}, {size}, {size}] to {high} x {high}; guide features have {guide_channels} channels, images 3; options are those that
make() takes if none are given. Multiply-adds: of convolutions, matrix products, and sums over taps, cells and frequencies, as
Upwell computes them; norms, softmaxes and what is done once an element do not count. No figure: not for this setting."""


def as_text(setting: Setting) -> str:
    lines = []
    for row in rows(setting):
        paper = row["paper"]
        cost = [] if row["parameters"] is None else [f"{row['parameters']:,}", f"{row['multiply_adds'] / 1e9:.3f} G"]
        source = [paper["year"], paper["arxiv"], paper["title"]] if paper else ["", "", ""]
        lines.append([row["name"], row["guide"], row["ratios"], *(cost or ["", ""]), *source])
    headers = ["name", "guide", "ratios", "parameters", "multiply-adds", "year", "arXiv", "paper"]
    alignment = ["left", "left", "left", "right", "right", "left", "left", "left"]
    table = tabulate(lines, headers, disable_numparse=True, colalign=alignment)
    return f"{table}\n\n{LEGEND.format(**asdict(setting), high=setting.high)}"


def add_list(parser: argparse.ArgumentParser) -> None:
    usual = Setting()
    for name, value in asdict(usual).items():
        kind = float if name == "ratio" else int
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=value, help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(report=report)


def report(chosen: argparse.Namespace) -> str:
    setting = Setting(chosen.in_channels, chosen.guide_channels, chosen.ratio, chosen.size)
    if chosen.json:
        return json.dumps({"setting": asdict(setting), "upsamplers": rows(setting)}, indent=2)
    return as_text(setting)
