"""The command line of `upwell inspect`: one subcommand per operator."""

import argparse
import json
from dataclasses import asdict, fields

from tabulate import tabulate

from upwell.inspect.cost import Cost, Stage
from upwell.inspect.reassembly import describe, operators
from upwell.inspect.resfu import Extra, extras, stages, totals
from upwell.inspect.setting import Setting
from upwell.inspect.table import as_text
from upwell.nn.pcdc import LAYOUTS


def add_operators(parser: argparse.ArgumentParser) -> None:
    """The subcommand chosen sets report: options -> text, or ValueError for sizes that cannot be."""
    commands = parser.add_subparsers(metavar="OPERATOR", required=True)
    about = "multiply-adds and bytes, as published and after the rewrites"
    add_resfu(commands.add_parser("resfu", help=about))
    for name, operator in operators().items():
        add_reassembly(name, operator["kernel"], commands.add_parser(name, help="taps and window"))


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
    parser.set_defaults(report=lambda chosen: report_reassembly(name, chosen))


def report_reassembly(name: str, chosen: argparse.Namespace) -> str:
    found = describe(name, chosen.kernel, chosen.ratio)
    return json.dumps(found, indent=2) if chosen.json else tabulate(found.items(), tablefmt="plain")
