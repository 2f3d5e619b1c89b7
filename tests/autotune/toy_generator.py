#!/usr/bin/env python3
"""Stands in for a generator program: the same command line, and kernels that are compiled from toy_kernel.cpp.

Knobs: rows and columns decide how long the kernel takes, and behaviour what it does (toy_kernel.cpp; 7: it is refused).
"""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROWS, COLUMNS, BEHAVIOURS = [1, 2, 4, 8], [1, 2, 4, 8], [1, 2, 3, 4, 5, 6, 7]
HAND = {"rows": 2, "columns": 2, "behaviour": 1}
REFUSED = 7
SLOW_ELSEWHERE = 8  # right; not among the values of a search that does not ask for it


def microseconds(rows: int, columns: int) -> int:
    """Least at rows = 4, columns = 8: 1000, where the hand schedule takes 2500."""
    return 1000 + 500 * abs(ROWS.index(rows) - 2) + 500 * abs(COLUMNS.index(columns) - 3)


def write_space(file: str) -> None:
    knobs = [{"name": "rows", "values": ROWS}, {"name": "columns", "values": COLUMNS},
             {"name": "behaviour", "values": BEHAVIOURS}]
    legal = [[r, c, b] for r in range(4) for c in range(4) for b in range(7) if ROWS[r] * COLUMNS[c] <= 32]
    space = {"knobs": [k | {"meaning": f"the {k['name']}", "hand": HAND[k["name"]]} for k in knobs],
             "rules": ["rows * columns is at most 32"], "legal": legal}
    Path(file).write_text(json.dumps(space))


def main() -> None:
    words, options, parameters = iter(sys.argv[1:]), {}, dict(HAND, type="float32")
    for word in words:
        if word.startswith("-"):
            options[word] = next(words)
        else:
            name, value = word.split("=", 1)
            parameters[name] = value
    if "space" in parameters:
        write_space(parameters["space"])
    if options["-e"] != "object":
        return
    rows, columns, behaviour = (int(parameters[name]) for name in ("rows", "columns", "behaviour"))
    if behaviour == REFUSED:
        sys.exit("broken rule: such a behaviour is not compiled")
    halide = Path(find_spec("halide").submodule_search_locations[0])
    number = "double" if parameters["type"] == "float64" else "float"
    work = microseconds(rows, columns)
    symbol = options["-f"]
    subprocess.run(
        ["g++", "-std=c++20", "-O1", "-fPIC", "-c", "-I", str(halide / "include"), f"-DSYMBOL={symbol}",
         f"-DNUMBER={number}", f"-DWORK={work}", f"-DBEHAVIOUR={behaviour}", "-o", f"{options['-o']}/{symbol}.o",
         str(Path(__file__).with_name("toy_kernel.cpp"))],
        check=True,
    )


if __name__ == "__main__":
    main()
