"""What is timed: the rows of workloads/*.csv, on a processor and on a GPU."""

import dataclasses
import fnmatch
from dataclasses import dataclass

from autotune.bench.candidates import AnyWorkload
from autotune.bench.filters import read_filters
from autotune.bench.layers import read_layers
from autotune.bench.workloads import read_workloads
from autotune.origin import ROOT

AUTOCAST = "bfloat16 autocast"
_FOLDER = ROOT / "autotune" / "workloads"


@dataclass(frozen=True)
class Row:
    """A workload in a dtype, or under autocast."""

    workload: AnyWorkload
    precision: str = "float32"

    @property
    def name(self) -> str:
        """resfu, or resfu_bfloat16."""
        return self.workload.name + ("_bfloat16" if self.precision == AUTOCAST else "")


def processor_rows(quick: bool, patterns: list[str] | None, dtype: str = "float32") -> list[Row]:
    """Those of speed.csv and, unless quick, of the other files; narrow.csv takes part where patterns ask for it.

    SystemExit with the list of names if a pattern matches none.
    """
    found = read_workloads([_FOLDER / "speed.csv"])
    if patterns or not quick:
        found += read_workloads([_FOLDER / "resfu.csv"])
        found += read_filters(_FOLDER / "filters.csv") + read_layers(_FOLDER / "layers.csv")
    if patterns:
        found += read_workloads([_FOLDER / "narrow.csv"])
    return _chosen([Row(workload, dtype) for workload in found], patterns)


def gpu_rows(tiny: bool, patterns: list[str] | None) -> list[Row]:
    """Those of gpu*.csv, or what is left of them on tiny maps; ReSFU also under autocast. SystemExit as above."""
    found = read_workloads([_FOLDER / "gpu.csv"])
    found += read_filters(_FOLDER / "gpu_filters.csv") + read_layers(_FOLDER / "gpu_layers.csv")
    if tiny:
        found = [dataclasses.replace(workload, N=1, h=8, w=8) for workload in found]
    known = [Row(workload) for workload in found]
    known += [Row(row.workload, AUTOCAST) for row in known if row.workload.operator == "resfu"]
    return _chosen(known, patterns)


def _chosen(known: list[Row], patterns: list[str] | None) -> list[Row]:
    for pattern in patterns or []:
        if not any(fnmatch.fnmatch(row.name, pattern) for row in known):
            raise SystemExit(f"bench: --shapes {pattern} is none of {', '.join(row.name for row in known)}")
    return [row for row in known if not patterns or any(fnmatch.fnmatch(row.name, pattern) for pattern in patterns)]
