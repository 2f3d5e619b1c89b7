"""The command line of `upwell inspect`: one subcommand per operator."""

import argparse
import json
from dataclasses import asdict, fields

from tabulate import tabulate
from torch import ops

from upwell.build import DTYPES, TARGETS, BuildError, write_code
from upwell.inspect.cost import Cost, Stage
from upwell.inspect.reassembly import check_runs, describe, matrix, operators
from upwell.inspect import segmenter
from upwell.inspect.resfu import Extra, extras, stages, totals
from upwell.inspect.setting import Setting
from upwell.inspect.signature import as_text as signature_text
from upwell.inspect.signature import signatures
from upwell.inspect.table import as_text
from upwell.nn.pcdc import LAYOUTS


def add_operators(parser: argparse.ArgumentParser) -> None:
    """The subcommand chosen sets report: options -> text, or ValueError for sizes that cannot be."""
    parser.add_argument("--table", action="store_true", help="what every upsampler adds to a network, beside the ReSFU paper")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(report=report_table)
    commands = parser.add_subparsers(metavar="OPERATOR")
    about = "multiply-adds and bytes, as published and after the rewrites"
    add_resfu(commands.add_parser("resfu", help=about))
    for name, operator in operators().items():
        add_reassembly(name, operator["kernel"], commands.add_parser(name, help="taps and window"))
    for name, signature in signatures().items():
        if name in operators():
            continue
        parser = commands.add_parser(name, help="arguments, sizes, gradients")
        parser.add_argument("--json", action="store_true", help="print JSON")
        parser.set_defaults(
            report=lambda chosen, of=signature: json.dumps(of, indent=2) if chosen.json else signature_text(of)
        )


def report_table(chosen: argparse.Namespace) -> str:
    if not chosen.table:
        raise ValueError("inspect: an OPERATOR or --table is required")
    return segmenter.report(chosen)


def add_resfu(parser: argparse.ArgumentParser) -> None:
    for field in fields(Setting):
        parser.add_argument(
            f"--{field.name.replace('_', '-')}",
            type=type(field.default),
            default=field.default,
            choices=tuple(LAYOUTS) if field.name == "layout" else None,
            help="default: %(default)s",
        )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(report=report_resfu)


def report_resfu(chosen: argparse.Namespace) -> str:
    setting = Setting(**{field.name: getattr(chosen, field.name) for field in fields(Setting)})
    rows, added = stages(setting), extras(setting)
    return as_json(setting, rows, added) if chosen.json else as_text(setting, rows, added)


def as_json(s: Setting, rows: list[Stage], added: list[Extra]) -> str:
    found = {
        "setting": asdict(s),
        "output_elements": s.output_elements,
        "stages": [stage_json(row) for row in rows],
        "total": stage_json(totals(rows)),
        "extra": [extra_json(row) for row in added],
    }
    return json.dumps(found, indent=2)


def stage_json(row: Stage) -> dict:
    return {"name": row.name, "published": cost_json(row.published), "rewritten": cost_json(row.rewritten)}


def cost_json(cost: Cost) -> dict:
    return {"multiply_adds": cost.multiply_adds, "bytes": cost.bytes}


def extra_json(row: Extra) -> dict:
    flops = row.cost.paper if row.comparable else None
    return {"name": row.name, **cost_json(row.cost), "paper_flops": flops, "parameters": row.parameters}


def add_reassembly(name: str, kernel: int | None, parser: argparse.ArgumentParser) -> None:
    usual = kernel or 1
    parser.add_argument("--kernel", type=int, default=usual, help="taps per side; default: %(default)s")
    parser.add_argument("--ratio", type=int, default=4, help="high-res pixels per cell; default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--matrix", action="store_true", help="the matrix of an axis that makes taps' weights the window's")
    parser.add_argument(
        "--code",
        metavar="FILE",
        help="what becomes of the kernel: FILE.html Halide's page of its loops, FILE.stmt the loops, FILE.s the assembly",
    )
    directions = ("forward", "d_value", "d_weight")
    parser.add_argument("--direction", choices=directions, default="forward", help="of the code; default: %(default)s")
    parser.add_argument("--dtype", choices=DTYPES, default="float32", help="of the code; default: %(default)s")
    parser.add_argument("--target", choices=tuple(TARGETS), help="of the code; default: this processor's instruction set")
    parser.add_argument("--any-size", action="store_true", help="code of the kernel for any size, not for the ratio")
    parser.set_defaults(report=lambda chosen: report_reassembly(name, chosen))


def report_code(name: str, chosen: argparse.Namespace) -> str:
    name += "" if chosen.direction == "forward" else f"_{chosen.direction}"
    ratio = 0 if chosen.any_size else chosen.ratio
    target = chosen.target or ops.upwell.instruction_set()
    try:
        write_code(name, chosen.code, chosen.kernel, ratio, chosen.dtype, target)
    except BuildError as error:
        raise ValueError(str(error)) from None
    size = f"ratio {ratio}" if ratio else "any size"
    return f"{name}, K = {chosen.kernel}, {size}, {chosen.dtype}, {target}: {chosen.code}"


def report_reassembly(name: str, chosen: argparse.Namespace) -> str:
    found = describe(name, chosen.kernel, chosen.ratio)
    if chosen.code:
        return report_code(name, chosen)  # which compiles the kernel
    check_runs(name, chosen.kernel)
    if chosen.matrix:
        return json.dumps(matrix(name, chosen.kernel), indent=2) if chosen.json else matrix_text(name, chosen.kernel)
    return json.dumps(found, indent=2) if chosen.json else tabulate(found.items(), tablefmt="plain")


def matrix_text(name: str, kernel: int) -> str:
    found = matrix(name, kernel)
    header = ["tap", *(f"cell {cell:+d}" for cell in found["cells"])]
    rows = [[tap, *map(polynomial, row)] for tap, row in zip(found["taps"], found["weights"])]
    about = "Weights of taps (rows) in low-res cells (columns) along an axis. Cells are counted from the one whose centre is\n"
    about += "at or before the pixel, f is how far the pixel lies past it: 0 at its centre, 1 at the next.\n\n"
    return about + tabulate(rows, headers=header, tablefmt="plain", disable_numparse=True)


def polynomial(coefficients: list[float]) -> str:
    """Of f."""
    text = ""
    for power, coefficient in enumerate(coefficients):
        if coefficient == 0:
            continue
        size = f"{abs(coefficient):g}" if abs(coefficient) != 1 or power == 0 else ""
        factor = " ".join(filter(None, [size, ["", "f", f"f^{power}"][min(power, 2)]]))
        sign = " - " if coefficient < 0 else " + "
        text += sign + factor if text else ("-" if coefficient < 0 else "") + factor
    return text or "."
