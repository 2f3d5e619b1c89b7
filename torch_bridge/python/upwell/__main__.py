"""The command line: python -m upwell COMMAND."""

import argparse
import importlib
import os
import sys
from collections.abc import Callable

from upwell.build import BuildError, load
from upwell.catalogue import add_list
from upwell.doctor import add_doctor
from upwell.inspect.command import add_operators


def main(argv: list[str] | None = None) -> None:
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] in (["train"], ["densify"]):  # each has a command line of its own
        _with_extra(argv[0])(argv[1:])
        return
    if argv[:1] == ["tune"]:
        from upwell.tune import main as tune

        tune(argv[1:])
        return
    if argv[:2] == ["inspect", "--load"] and len(argv) > 2:  # its operators are commands from here on
        try:
            load(argv[2])
        except BuildError as error:
            command_line().error(str(error))
        argv = [argv[0], *argv[3:]]
    parser = command_line()
    if argv == ["inspect", "--load"]:
        parser.error("inspect: --load should be followed by a LIBRARY")
    chosen = parser.parse_args(argv)
    try:
        print(chosen.report(chosen), flush=True)
    except ValueError as error:
        parser.error(str(error))
    except BrokenPipeError:  # its reader has seen enough, as head; what is left goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="upwell", description="Feature upsampling operators.")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    inspect = commands.add_parser(
        "inspect",
        help="what an operator costs, by a model",
        epilog="inspect --load LIBRARY OPERATOR: an operator of a library that upwell.build() made.",
    )
    add_operators(inspect)
    add_list(commands.add_parser("list", help="every upsampler: paper, guide, ratios, parameters and multiply-adds"))
    add_doctor(commands.add_parser("doctor", help="versions, processor, kernels, GPU, and what is wrong"))
    commands.add_parser("train", help="train a model with an upsampler; train --help tells more")
    commands.add_parser("densify", help="make a frozen backbone's features dense; densify --help tells more")
    commands.add_parser("tune", help="search faster schedules for this machine; tune --help tells more")
    return parser


def _with_extra(command: str) -> Callable[[list[str]], None]:
    """A command that takes more packages than torch; without one, the extra of the wheel that brings them."""
    try:
        return importlib.import_module(f"upwell.{command}.__main__").main
    except ModuleNotFoundError as error:
        sys.exit(f'upwell {command}: needs {error.name}, which is not installed; pip install "upwell[{command}]" brings it')


if __name__ == "__main__":
    main()
