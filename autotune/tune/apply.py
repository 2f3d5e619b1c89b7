"""Rebuilds with the tuned table, and measures afresh, in the rebuilt library, whether it is faster."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tabulate import tabulate

from autotune.origin import ROOT
from autotune.tune.kernels import TuneError
from autotune.tune.session import cache_value, source_of
from autotune.tune.table import read

_CMAKE = Path(sys.executable).with_name("cmake")


def apply(build: Path, table: Path | None, threads: int) -> int:
    """0 where no tuned kernel is slower than the hand-scheduled one it stands in for, else 1.

    table: None for all of schedules/tuned/. The build folder keeps it; one that cannot be built leaves it as it was.
    """
    build = build.resolve()
    before = cache_value(build, "UPWELL_TUNED")
    if table:
        read(table)  # says what is wrong with it in a line
    try:
        _configure(build, str(table.resolve()) if table else "auto")
        _run([_CMAKE, "--build", build, "--target", "upwell_torch", "upwell_package"], "building")
    except TuneError:
        _configure(build, before)
        raise
    rows = prove(build, threads)
    if not rows:
        print("No kernel of this build is tuned for this processor.")
        return 0
    headers = ["operator and shape", "pass", "tuned kernel", "its ratio when tuned", "ratio of the pass", ""]
    print(tabulate([_line(row) for row in rows], disable_numparse=True, headers=headers))
    slower = [row for row in rows if row["verdict"] == "slower"]
    faster = [row for row in rows if row["verdict"] == "faster"]
    print(f"\n{len(faster)} of {len(rows)} passes are faster with the table, {len(slower)} slower, the others as fast.")
    return 1 if slower else 0


def _configure(build: Path, tuned: str) -> None:
    _run([_CMAKE, "-S", source_of(build), "-B", build, f"-DUPWELL_TUNED={tuned}"], "configuring")


def prove(build: Path, threads: int) -> list[dict[str, object]]:
    """Times each tuned kernel's pass, with the table and without, in turns; a process of its own with torch in it."""
    path = [str(ROOT), str(build / "python")]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(path), OMP_NUM_THREADS=str(threads))
    environment.pop("UPWELL_TUNED", None)
    tables, taken = source_of(build) / "schedules" / "tuned", cache_value(build, "UPWELL_TUNED")  # a file, or auto
    command = [sys.executable, "-m", "autotune.tune.prove", str(tables), taken]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, env=environment)
    if result.returncode != 0:
        raise TuneError("the measurement with the rebuilt library failed")
    return json.loads(result.stdout.splitlines()[-1])


def _line(row: dict[str, object]) -> list[str]:
    return [row["shape"], row["pass"], row["symbol"], f"{row['tuned_ratio']:.3f}",
            f"{row['ratio']:.3f} ({row['low']:.3f} - {row['high']:.3f})", row["verdict"]]


def _run(command: list[object], what: str) -> None:
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        text = (result.stdout + result.stderr).strip()
        raise TuneError(f"{what} with the tuned table failed:\n{text[-3000:]}")
