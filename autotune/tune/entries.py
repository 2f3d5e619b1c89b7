"""What a build reads of tuned tables: python -m autotune.tune.entries TABLE...

A line for each table: "table", its file, class and target; then one for each of its entries: "entry" and its number,
kernel, direction (- where it has none), taps per side, ratio, dtype, least and most channels, least and most pixels,
samples, threads, knob=value... Fields are divided by |, knobs by commas. Whatever is wrong with a table is said on stderr,
with its file and entry, and ends it with 1. Needs Python alone.
"""

import sys
from pathlib import Path

from autotune.tune.table import TARGETS, Entry, Table, TableError, read


def lines(files: list[Path]) -> list[str]:
    """TableError where a table is broken or two are for one class."""
    found, file_of = [], {}
    for file in files:
        table = read(file)
        if table.machine_class in file_of:
            raise TableError(f"{file}: class {table.machine_class} has a table in {file_of[table.machine_class]}")
        file_of[table.machine_class] = file
        found += _lines(file, table)
    return found


def _lines(file: Path, table: Table) -> list[str]:
    entries = [_joined(f"entry {number}", *_fields(entry)) for number, entry in enumerate(table.entries, 1)]
    return [_joined("table", file, table.machine_class, TARGETS[table.machine_class]), *entries]


def _fields(entry: Entry) -> tuple:
    bucket = entry.bucket
    knobs = ",".join(f"{name}={value}" for name, value in entry.parameters.items())
    kernel, direction, *sizes = entry.key
    return kernel, direction or "-", *sizes, *bucket.channels, *bucket.pixels, bucket.samples, bucket.threads, knobs


def _joined(*fields: object) -> str:
    return "|".join(map(str, fields))


def main() -> None:
    try:
        print(*lines([Path(file) for file in sys.argv[1:]]), sep="\n")
    except TableError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
