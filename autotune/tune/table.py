"""The tuned table of a machine class: the parameters that each kernel takes for calls of a size, and what showed it."""

import json
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

FORMAT = 1
TARGETS = {"x86-64-avx512": "avx512", "x86-64-avx2": "avx2", "cuda": "cuda", "opencl": "opencl"}  # of each class
DIRECTIONS = ("forward", "d_value", "d_weight")
DTYPES = ("float64", "float32", "float16", "bfloat16")
_MOST = 10**12  # channels or pixels of a bucket
_NAME = re.compile(r"[a-z][a-z0-9_]*")  # what a generator and its parameters may be called


class TableError(ValueError):
    """Names the file and the entry."""


@dataclass(frozen=True)
class Bucket:
    """The calls that an entry is for: how many channels and pixels they have, ends included, and samples for each
    thread: no fewer than `samples` for `threads`, since tasks that are few and large may leave threads idle."""

    channels: tuple[int, int]
    pixels: tuple[int, int]
    samples: int
    threads: int

    def __str__(self) -> str:
        return f"channels {self.channels[0]}-{self.channels[1]}, pixels {self.pixels[0]}-{self.pixels[1]}"

    @property
    def ranges(self) -> tuple:
        """What tells it from other buckets of the same kernel."""
        return self.channels, self.pixels

    def overlaps(self, other: Self) -> bool:
        pairs = ((self.channels, other.channels), (self.pixels, other.pixels))
        return all(a[0] <= b[1] and b[0] <= a[1] for a, b in pairs)


def bucket_of(channels: int, pixels: int, samples: int, threads: int) -> Bucket:
    """The bucket of a call that was measured on so many threads: from one power of 4 to the next."""
    return Bucket(_between_powers("channels", channels), _between_powers("pixels", pixels), samples, threads)


def _between_powers(what: str, count: int) -> tuple[int, int]:
    if count < 1:
        raise ValueError(f"{what} should be at least 1 but is {count}")
    power = (count.bit_length() - 1) // 2
    return 4**power, 4 ** (power + 1) - 1


@dataclass(frozen=True)
class Measured:
    """Times are ratios to the hand schedule's: the median and the quartiles of so many rounds."""

    shape: str
    ratio: float
    low: float
    high: float
    rounds: int
    seed: int
    trials: int
    commit: str
    date: str
    processor: str
    threads: int
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Entry:
    """direction is "", kernel_size and ratio are None outside the window family."""

    kernel: str
    direction: str
    kernel_size: int | None
    ratio: int | None
    dtype: str
    bucket: Bucket
    parameters: Mapping[str, int]
    measured: Measured

    @property
    def key(self) -> tuple:
        """The kernel that the parameters are for, in the order of the table."""
        return self.kernel, self.direction, self.kernel_size or 0, self.ratio or 0, self.dtype

    def __str__(self) -> str:
        sizes = f" K={self.kernel_size} ratio {self.ratio}" if self.direction else ""
        return f"{self.kernel} {self.direction}".rstrip() + f"{sizes} {self.dtype}, {self.bucket}"


@dataclass
class Table:
    machine_class: str
    entries: list[Entry] = field(default_factory=list)

    def put(self, entry: Entry) -> None:
        """In the place of the entry for the same kernel and bucket, if there is one."""
        others = self._others(entry)
        for other in others:
            if other.key == entry.key and other.bucket.overlaps(entry.bucket):
                raise TableError(f"{entry}: its bucket overlaps that of another entry ({other.bucket})")
        self.entries = sorted([*others, entry], key=_order)

    def remove(self, entry: Entry) -> None:
        """What it has for this entry's kernel and bucket."""
        self.entries = self._others(entry)

    def _others(self, entry: Entry) -> list[Entry]:
        same = (entry.key, entry.bucket.ranges)
        return [other for other in self.entries if (other.key, other.bucket.ranges) != same]

    def write(self, path: Path) -> None:
        """The same table gives the same bytes; a changed entry changes its own lines; a reader sees all or nothing."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            unfinished.write_text(self._text(), encoding="utf-8")
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)

    def _text(self) -> str:
        head = {"format": FORMAT, "class": self.machine_class, "target": TARGETS[self.machine_class]}
        lines = [f" {json.dumps(name)}: {json.dumps(value)}," for name, value in head.items()]
        entries = ",\n".join(_entry_text(entry) for entry in sorted(self.entries, key=_order))
        entries = f"[\n{entries}\n ]" if entries else "[]"
        return "\n".join(["{", *lines, f' "entries": {entries}', "}"]) + "\n"


def _order(entry: Entry) -> tuple:
    return *entry.key, entry.bucket.channels, entry.bucket.pixels


def _entry_text(entry: Entry) -> str:
    """Three lines: what it is for, what it takes, what was measured."""
    sizes = {"kernel_size": entry.kernel_size, "ratio": entry.ratio} if entry.direction else {}
    bucket = vars(entry.bucket)
    what = {"kernel": entry.kernel, "direction": entry.direction} | sizes | {"dtype": entry.dtype, "bucket": bucket}
    measured = vars(entry.measured) | {"versions": dict(sorted(entry.measured.versions.items()))}
    return (
        f"  {{{_members(what)},\n"
        f'   "parameters": {{{_members(dict(sorted(entry.parameters.items())))}}},\n'
        f'   "measured": {{{_members(measured)}}}}}'
    )


def _members(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, ensure_ascii=False, allow_nan=False)[1:-1]


def read(path: Path, machine_class: str | None = None) -> Table:
    """TableError says what in the file is wrong, or that the table is for another class than the one asked for."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TableError(f"{path}: cannot be read: {error}") from None
    try:
        content = json.loads(text, object_pairs_hook=_without_repeats, parse_constant=_no_number)
    except ValueError as error:
        raise TableError(f"{path}: not JSON: {error}") from None
    try:
        return _table(content, machine_class)
    except TableError as error:
        raise TableError(f"{path}: {error}") from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f'"{name}" is there twice')
    return dict(pairs)


def _no_number(text: str) -> None:
    raise ValueError(f"{text} is no number")


def _table(content: Any, machine_class: str | None) -> Table:
    _fields(content, "the table", {"format", "class", "target", "entries"})
    _require(content["format"] == FORMAT, "format", FORMAT, content["format"])
    found = _one_of(content, "class", tuple(TARGETS))
    _require(content["target"] == TARGETS[found], f"target of class {found}", TARGETS[found], content["target"])
    _require(machine_class in (None, found), "class", machine_class, found)
    _require(isinstance(content["entries"], list), "entries", "a list", content["entries"])
    table = Table(found)
    for number, fields in enumerate(content["entries"], 1):
        try:
            entry = _entry(fields)
            if any((other.key, other.bucket.ranges) == (entry.key, entry.bucket.ranges) for other in table.entries):
                raise TableError("the same kernel and bucket as another entry")
            table.put(entry)
        except TableError as error:
            raise TableError(f"{_place(number, fields)}: {error}") from None
    return table


def _place(number: int, fields: Any) -> str:
    """As much as an entry tells of itself, however broken."""
    known = [fields.get(name) for name in ("kernel", "direction", "dtype")] if isinstance(fields, dict) else []
    name = " ".join(text for text in known if isinstance(text, str) and text)
    return f"entry {number} ({name})" if name else f"entry {number}"


def _entry(fields: Any) -> Entry:
    window = isinstance(fields, dict) and fields.get("direction") != ""
    sizes = {"kernel_size", "ratio"} if window else set()
    _fields(fields, "entry", {"kernel", "direction", "dtype", "bucket", "parameters", "measured"} | sizes)
    parameters, measured, bucket = fields["parameters"], fields["measured"], fields["bucket"]
    _fields(bucket, "bucket", set(Bucket.__dataclass_fields__))
    _require(isinstance(parameters, dict) and parameters, "parameters", "an object of numbers", parameters)
    for name in parameters:
        _require(_NAME.fullmatch(name), "the name of a parameter", "lower-case letters, digits and _", name)
        _whole(parameters, name, None)
    return Entry(
        kernel=_checked(fields, "kernel", "lower-case letters, digits and _", _is_name),
        direction=_one_of(fields, "direction", (*DIRECTIONS, "")),
        kernel_size=_whole(fields, "kernel_size", 0) if window else None,
        ratio=_whole(fields, "ratio", 0) if window else None,
        dtype=_one_of(fields, "dtype", DTYPES),
        bucket=Bucket(
            *(tuple(_checked(bucket, name, "[first, last]", _is_range)) for name in ("channels", "pixels")),
            *(_whole(bucket, name, 1) for name in ("samples", "threads")),
        ),
        parameters=parameters,
        measured=_measured(measured),
    )


def _measured(fields: Any) -> Measured:
    _fields(fields, "measured", set(Measured.__dataclass_fields__))
    for name in ("shape", "commit", "date", "processor"):
        _checked(fields, name, "a text", lambda value: isinstance(value, str))
    for name, least in (("rounds", 1), ("seed", None), ("trials", 0), ("threads", 1)):
        _whole(fields, name, least)
    for name in ("ratio", "low", "high"):
        _checked(fields, name, "a positive number", _is_positive)
    low, ratio, high = (fields[name] for name in ("low", "ratio", "high"))
    _require(low <= ratio <= high, "ratio", f"from low to high ({low} to {high})", ratio)
    _checked(fields, "versions", "an object of texts", _is_texts)
    return Measured(**fields)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_range(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_whole, value)) and 1 <= value[0] <= value[1] <= _MOST


def _is_positive(value: Any) -> bool:
    return (_is_whole(value) or isinstance(value, float)) and 0 < value < math.inf


def _is_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _fields(value: Any, what: str, names: set[str]) -> None:
    _require(isinstance(value, dict), what, "an object", value)
    if missing := names - set(value):
        raise TableError(f"{what} lacks {', '.join(sorted(missing))}")
    if unknown := set(value) - names:
        raise TableError(f"{what} has the unknown field {', '.join(sorted(unknown))}")


def _checked(fields: dict[str, Any], name: str, wanted: str, good: Callable[[Any], bool]) -> Any:
    _require(good(fields[name]), name, wanted, fields[name])
    return fields[name]


def _one_of(fields: dict[str, Any], name: str, choices: tuple[str, ...]) -> str:
    listed = ", ".join(choice or '""' for choice in choices)
    return _checked(fields, name, f"one of {listed}", lambda value: isinstance(value, str) and value in choices)


def _whole(fields: dict[str, Any], name: str, least: int | None) -> int:
    wanted = "a whole number" + ("" if least is None else f", at least {least}")
    return _checked(fields, name, wanted, lambda value: _is_whole(value) and (least is None or value >= least))


def _require(holds: object, what: str, wanted: object, found: object) -> None:
    if not holds:
        raise TableError(f"{what} should be {wanted} but is {json.dumps(found)}")
