"""`upwell doctor`: what is installed, what it runs on, and what is wrong."""

import argparse
import importlib.metadata
import os
import platform
import sys

import torch

from upwell import built

_BEST_FIRST = ("avx512", "avx2", "baseline")


def facts() -> dict[str, str]:
    """What there is, by name, a line each."""
    from upwell import LIBRARY, tuned_kernels

    return {
        "upwell": f"{version()}, {LIBRARY}",
        "torch": f"{torch.__version__}, built for {built.TORCH}",
        "python": f"{platform.python_version()}, {sys.executable}",
        "processor": torch.ops.upwell.instruction_set(),
        "kernels": f"for {_processors()}" + (f" and {built.GPU}" if built.GPU else ", none for GPUs"),
        "tuned": f"{len(tuned_kernels())} kernels for this machine",
        "threads": f"{torch.get_num_threads()} of {os.cpu_count()} processors",
        "gpu": _gpu(),
        "compiler": _compiler(),
    }


def problems() -> list[str]:
    """What keeps this build from running as it could here."""
    found = []
    has = torch.ops.upwell.instruction_set()
    if built.INSTRUCTION_SETS != "all":
        distance = _BEST_FIRST.index(has) - _BEST_FIRST.index(built.INSTRUCTION_SETS)
        if distance > 0:
            found.append(f"kernels are for {built.INSTRUCTION_SETS}, but this processor has {has}: build on this machine")
        elif distance < 0:
            found.append(f"kernels are for {built.INSTRUCTION_SETS}, but this processor has {has}, which is faster: build here")
    if torch.cuda.is_available() and not built.GPU:
        found.append("there is a GPU, but this build has no kernels for it: build with UPWELL_GPU=cuda")
    return found


def version() -> str:
    """Of the wheel; a build folder has none."""
    try:
        return importlib.metadata.version("upwell")
    except importlib.metadata.PackageNotFoundError:
        return "of a build folder"


def add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(report=_report)


def _report(arguments: argparse.Namespace) -> str:
    found = problems()
    lines = [f"{name:10} {text}" for name, text in facts().items()]
    lines += [f"problem    {problem}" for problem in found] or ["nothing is wrong"]
    if found:
        print("\n".join(lines))
        raise SystemExit(1)
    return "\n".join(lines)


def _processors() -> str:
    return "every x86-64 processor" if built.INSTRUCTION_SETS == "all" else built.INSTRUCTION_SETS


def _gpu() -> str:
    if not torch.cuda.is_available():
        return "torch sees none"
    major, minor = torch.cuda.get_device_capability()
    return f"{torch.cuda.get_device_name()}, compute capability {major}.{minor}"


def _compiler() -> str:
    from upwell.build import missing_tools

    missing = missing_tools()
    return f"upwell.build() needs {' and '.join(missing)}" if missing else "there is one, and halide, for upwell.build()"
