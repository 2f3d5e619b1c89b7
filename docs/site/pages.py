"""The pages of the site that are read from the package: operators, upsamplers, the API, the commands.

What cannot be read from it stands in docs/: formula, source and an example of each operator in reference.md, the
formula of each module in the table of operators.md, and published-defects.md. Links here are relative to docs/.
"""

import contextlib
import inspect
import io
import math
import os
import re
import textwrap
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import api
import pictures
import torch
import upwell
import upwell.train
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from upwell.__main__ import main
from upwell.catalogue import LEGEND, Setting, rows
from upwell.inspect.command import matrix_text
from upwell.inspect.count import Counter, count
from upwell.inspect.reassembly import describe, operators
from upwell.inspect.signature import as_text, signatures
from upwell.nn.make import UPSAMPLERS
from upwell.nn.upsampler import Guide, Upsampler

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
RATIO = 4
HEADERS = ("torch_bridge/modules/make.h", "torch_bridge/operators.h", "runtime/upwell.h")
COMMANDS = ("list", "inspect", "doctor", "train", "tune")
Page = tuple[str, str | bytes]  # path below docs/, content


def every_page() -> Iterator[Page]:
    """All of them, with their pictures."""
    yield "operators/index.md", operator_index()
    for name in operator_names():
        yield f"operators/{name}.md", operator_page(name)
        if picture := pictures.of_operator(name):
            yield f"operators/{name}.svg", picture
    yield "upsamplers/index.md", upsampler_index()
    for name in UPSAMPLERS:
        yield f"upsamplers/{name}.md", upsampler_page(name)
        yield f"upsamplers/{name}.svg", pictures.of_upsampler(name)
    yield "api/upwell.md", package_page()
    yield "api/nn.md", modules_page()
    yield "api/train.md", training_page()
    yield "api/commands.md", commands_page()
    yield "api/cpp.md", headers_page()


def operator_names() -> list[str]:
    return sorted(upwell.ops.__all__)


# What stands in docs/.


def sections(document: str) -> dict[str, str]:
    """Of a document, the text below each heading of the second level, by heading."""
    pieces = re.split(r"^## (.+)\n", (DOCS / document).read_text(), flags=re.MULTILINE)
    return {title: text.strip("\n") for title, text in zip(pieces[1::2], pieces[2::2])}


def table(document: str, first: str) -> dict[str, list[str]]:
    """Of the table whose header begins with `| first |`, the cells of each row, by names in backticks in its first."""
    text = (DOCS / document).read_text()
    lines = text[text.index(f"| {first} |") :].split("\n\n")[0].splitlines()[2:]
    found = {}
    for line in lines:
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        found |= {name: cells for name in re.findall(r"`(\w+)`", cells[0])}
    return found


def block(text: str, language: str) -> str:
    return re.search(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)[1]


def defects(*names: str) -> str:
    """What the published code of these has wrong."""
    known = sections("published-defects.md")
    found = [known[name] for name in names if name in known]
    return "\n".join(found) or "None that this project knows of."


# Operators.


def operator_index() -> str:
    lines = ["# Operators", api.docstring(upwell.ops), "", "| | what it is | used by |", "|---|---|---|"]
    for name in operator_names():
        made = ", ".join(f"[{UPSAMPLERS[each].title}](upsamplers/{each}.md)" for each in users()[name])
        lines.append(f"| [`{name}`](operators/{name}.md) | {api.summary(getattr(upwell.ops, name))} | {made} |")
    return "\n".join(lines) + "\n"


def operator_page(name: str) -> str:
    found, said = getattr(upwell.ops, name), sections("reference.md")[name]
    about = re.split(r"^(?:<!--|```)", said, maxsplit=1, flags=re.MULTILINE)[0].strip("\n")
    made = ", ".join(f"[{UPSAMPLERS[each].title}](upsamplers/{each}.md)" for each in users()[name])
    parts = [
        f"# {name}",
        about,
        *picture(name),
        "## Call it",
        f"From Python:\n\n```python\nimport torch, upwell.ops\n\n{block(said, 'python')}```",
        f'From C++, target `upwell::torch`:\n\n```cpp\n#include "operators.h"\n\n{block(said, "cpp")}```',
        f"```python\n{api.signature(f'upwell.ops.{name}', found)}\n```",
        api.docstring(found),
        f"Used by {made}." if made else "",
        "## Cost",
        cost(name, block(said, "python")),
        "## What the published code has wrong",
        defects(name),
        "## Checks, gradients, schema",
        f"What `upwell inspect {name}` prints:" if name not in operators() else "",
        f"```text\n{as_text(signatures()[name])}\n```" if name in signatures() else "It is made of other operators.",
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def picture(name: str) -> list[str]:
    if not pictures.cases(name):
        return []
    about = "How much of each cell is in the pixel: the operator's own gradient. Weights, if any, are all the same."
    return [f"![What a pixel of {name} reads](operators/{name}.svg)", about]


def cost(name: str, example: str) -> str:
    """Of the call in the example; of an operator of taps, for each element of any call."""
    names = {"torch": torch, "upwell": upwell}
    try:
        with Counter() as counter, torch.no_grad():
            exec(example, names)
        known = f"{counter.multiply_adds:,} multiply-adds as [inspect.md](inspect.md#every-upsampler) counts them"
    except NotImplementedError:
        exec(example, names)
        known = "multiply-adds that no rule counts"
    tensors = {id(each): each for each in names.values() if isinstance(each, Tensor)}.values()
    lines = [f"The call above takes {known}; its tensors have {sum(each.nbytes for each in tensors):,} bytes together."]
    if name in operators():
        kernel = operators()[name]["kernel"] or 1
        found = describe(name, kernel, RATIO)
        lines += ["", f"`upwell inspect {name}`:", "", "| | |", "|---|---|"]
        lines += [f"| {label} | {api.prose(str(value))} |" for label, value in found.items()]
        if operators()[name]["windows"][0]["between_cells"]:
            lines += ["", f"`upwell inspect {name} --matrix`:", "", f"```text\n{matrix_text(name, kernel)}\n```"]
    return "\n".join(lines)


# Upsamplers.


class Listening(TorchDispatchMode):
    """Which of Upwell's operators are called."""

    def __init__(self):
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        if function.namespace == "upwell":
            self.names.append(function._schema.name.partition("::")[2])
        return function(*arguments, **(options or {}))


def channels_of(upsampler: Upsampler) -> int:
    """Of the guide in examples."""
    return 3 if upsampler.guide is Guide.IMAGE else 16


@cache
def module_of(name: str) -> type[nn.Module]:
    """The public class that the upsampler is."""
    upsampler = UPSAMPLERS[name]
    made = upsampler.build(32, channels_of(upsampler), RATIO)
    return next(type(each) for each in made.modules() if type(each).__name__ in upwell.nn.__all__)


@cache
def operators_of(name: str) -> list[str]:
    """Those beneath an upsampler, in the order of their first call."""
    upsampler = UPSAMPLERS[name]
    guide, x = torch.randn(1, channels_of(upsampler), 16, 16), torch.randn(1, 32, 4, 4)
    with torch.no_grad(), Listening() as heard:
        upsampler.build(32, channels_of(upsampler), RATIO).eval()(guide, x)
    known = {"upsampled_group_stats": "group_stats", "carafe_reassembly_d_weight": "sapa_attention"}
    called = dict.fromkeys(known.get(each, each) for each in heard.names)
    return [each for each in called if each in upwell.ops.__all__]


@cache
def users() -> dict[str, list[str]]:
    """Of each operator, the upsamplers that call it."""
    return {name: [each for each in UPSAMPLERS if name in operators_of(each)] for name in upwell.ops.__all__}


def upsampler_index() -> str:
    setting = Setting()
    lines = ["# Upsamplers", api.docstring(upwell.nn.make), ""]
    lines.append("| name | module | paper | guide | ratios | parameters | multiply-adds |")
    lines.append("|---|---|---|---|---|---:|---:|")
    for row in rows(setting):
        paper = paper_link(UPSAMPLERS[row["name"]])
        figures = ["", ""]
        if row["parameters"] is not None:
            figures = [f"{row['parameters']:,}", f"{row['multiply_adds'] / 1e9:.3f} G"]
        cells = [f"[`{row['name']}`](upsamplers/{row['name']}.md)", f"`{module_of(row['name']).__name__}`", paper]
        lines.append(f"| {' | '.join([*cells, row['guide'], row['ratios'], *figures])} |")
    legend = LEGEND.format(**vars(setting), high=setting.high)
    return "\n".join(lines) + f"\n\n{api.prose(legend)}\n"


def paper_link(upsampler: Upsampler) -> str:
    paper = upsampler.paper
    return f"[{paper.title}](https://arxiv.org/abs/{paper.arxiv}), {paper.year}" if paper else ""


def upsampler_page(name: str) -> str:
    upsampler, module = UPSAMPLERS[name], module_of(name)
    _, source, published, formula = table("operators.md", "module")[module.__name__]
    beneath, own = operators_of(name), f"{name}.md" if (DOCS / f"{name}.md").exists() else "operators.md"
    facts = [
        ["paper", paper_link(upsampler)],
        ["equations", source.rpartition("), ")[2] if "Eq." in source else ""],
        ["published as", published],
        ["looks at its guide", {Guide.NONE: "no"}.get(upsampler.guide, f"yes: {upsampler.guide.value}")],
        ["ratios", upsampler.ratios.value],
        ["module", f"`upwell.nn.{module.__name__}`"],
        ["operators beneath", ", ".join(f"[`{each}`](operators/{each}.md)" for each in beneath) or "torch's alone"],
        ["how it is computed", f"[{own}]({own})"],
    ]
    parts = [
        f"# {upsampler.title}",
        f"```text\noutput(p) = {formula_text(formula)}\n```",
        "\n".join(["| | |", "|---|---|", *(f"| {label} | {value} |" for label, value in facts if value)]),
        f"![Which cells of x a pixel of {upsampler.title} depends on](upsamplers/{name}.svg)",
        "Found by gradients of the module as it is made, from random maps: what its weights take from x counts too.",
        "## Call it",
        f"From Python:\n\n```python\n{python_call(name)}```",
        f"From C++, target `upwell::nn`:\n\n```cpp\n{cpp_call(name)}```",
        "## Cost",
        upsampler_cost(name),
        "## The module",
        api.of_object(f"upwell.nn.{module.__name__}", module, 3),
        "## What the published code has wrong",
        defects(module.__name__, *beneath),
    ]
    return "\n\n".join(parts) + "\n"


def formula_text(cell: str) -> str:
    """A cell of the table of modules without links, wrapped."""
    without = re.sub(r" \(\[[^]]*\]\([^)]*\)\)", "", cell)
    return textwrap.fill(without, 100, subsequent_indent=" " * 12, break_on_hyphens=False)


def python_call(name: str) -> str:
    guide = channels_of(UPSAMPLERS[name])
    return f"""\
import torch, upwell.nn

up = upwell.nn.make("{name}", in_channels=32, guide_channels={guide}, scale_factor=4)
guide, x = torch.randn(1, {guide}, 64, 64), torch.randn(1, 32, 16, 16)
out = up(guide, x)  # 1, 32, 64, 64
"""


def cpp_call(name: str) -> str:
    guide = channels_of(UPSAMPLERS[name])
    return f"""\
#include "modules/make.h"

upwell::nn::Upsampler up = upwell::nn::make("{name}", 32, {guide}, 4);
at::Tensor guide = at::rand({{1, {guide}, 64, 64}}), x = at::rand({{1, 32, 16, 16}});
at::Tensor out = up(guide, x);
"""


def upsampler_cost(name: str) -> str:
    """At some ratios, as `upwell list` counts."""
    upsampler, usual = UPSAMPLERS[name], Setting()
    channels = usual.guide_of(upsampler)
    lines = ["| x | output | parameters | multiply-adds | for each element of the output |", "|---|---|---:|---:|---:|"]
    for ratio in (2, 4, 8):
        low, high = (1, usual.in_channels, usual.size, usual.size), (1, usual.in_channels, *[ratio * usual.size] * 2)
        work, parameters = count(
            lambda: upsampler.build(usual.in_channels, channels, ratio), (1, channels, *high[2:]), low
        )
        sizes = [str(list(size)).replace(" ", "&nbsp;") for size in (low, high)]
        lines.append(f"| {' | '.join(sizes)} | {parameters:,} | {work / 1e9:.3f} G | {work / math.prod(high):.1f} |")
    counted = f"A guide of {channels} channels. Counted as [inspect.md](inspect.md#every-upsampler) says."
    return "\n".join([*lines, "", counted])


# The API.


def package_page() -> str:
    parts = ["# upwell", api.docstring(upwell)]
    for name, found in api.public(upwell).items():
        if callable(found):
            parts.append(api.of_object(f"upwell.{name}", found))
        elif not inspect.ismodule(found):
            parts.append(api.of_value(upwell, name))
    return "\n\n".join(parts) + "\n"


def modules_page() -> str:
    pages = {module_of(name).__name__: name for name in reversed(UPSAMPLERS)}
    lines, rest = [], []
    for name, found in api.public(upwell.nn).items():
        lines.append(f"| {where(name, pages)} | {api.summary(found)} |")
        if name not in pages:
            rest.append(api.of_object(f"upwell.nn.{name}", found))
    head = ["# upwell.nn", api.docstring(upwell.nn), "\n".join(["| | |", "|---|---|", *lines])]
    return "\n\n".join([*head, *rest]) + "\n"


def where(name: str, pages: dict[str, str]) -> str:
    return f"[`{name}`](upsamplers/{pages[name]}.md)" if name in pages else f"[`{name}`](#{name.lower()})"


def training_page() -> str:
    found = [api.of_object(f"upwell.train.{name}", each) for name, each in api.public(upwell.train).items()]
    return "\n\n".join(["# upwell.train", api.docstring(upwell.train), *found])


def commands_page() -> str:
    parts = ["# The command upwell", "`.venv/bin/upwell` of a checkout, `upwell` of the wheel, or `python -m upwell`."]
    for command in COMMANDS:
        parts.append(f"## upwell {command}\n\n```text\n{help_of(command)}```")
    return "\n\n".join(parts) + "\n"


def help_of(command: str) -> str:
    """What it prints, or why it does not: upwell tune is there beside the sources alone."""
    os.environ["COLUMNS"] = "100"
    written = io.StringIO()
    with contextlib.redirect_stdout(written):
        try:
            main([command, "--help"])
        except SystemExit as end:
            print(end.code or "")
    return written.getvalue().strip().replace(f"{ROOT}/", "") + "\n"


def headers_page() -> str:
    parts = ["# C++", "Three headers say all; [From C++](cpp.md) says how they are found and linked."]
    for header in HEADERS:
        parts.append(f"## {Path(header).name}\n\n```cpp\n{(ROOT / header).read_text()}```")
    return "\n\n".join(parts) + "\n"
