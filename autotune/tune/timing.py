"""Times a pack of candidates where it was brought: python -m autotune.tune.timing, in the pack's folder. Needs Python and
numpy.

The field is halved as in a knockout: all are timed for a few rounds beside the hand schedule, the better part of them
for more, and the last few for many. Writes timings.json; what was timed before an interruption is not timed again.
"""

import argparse
import datetime
import json
import os
from pathlib import Path

from autotune import origin
from autotune.tune.compiling import Compiled
from autotune.tune.measuring import HAND, Subject, measure, with_tolerance

_FIRST, _SECOND, LAST = 3, 10, 40  # rounds; of the finalists LAST
_KEEP_SECOND, _KEEP_LAST = 12, 4  # candidates
_FIRST_LIMIT = 120.0  # seconds: the driver compiles a kernel at its first call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pack", type=Path, default=Path.cwd())
    parser.add_argument("--out", type=Path, help="timings.json in the pack's folder")
    parser.add_argument("--device", help="what the device is called, where nvidia-smi does not tell")
    chosen = parser.parse_args()
    manifest = json.loads((chosen.pack / "manifest.json").read_text())
    out = chosen.out or chosen.pack / "timings.json"
    done = json.loads(out.read_text()) if out.exists() else {"kernels": {}}
    done |= {"manifest": manifest, "device": chosen.device or device_name(), "date": datetime.date.today().isoformat()}
    for k, kernel in enumerate(manifest["kernels"]):
        if str(k) not in done["kernels"]:
            print(f"{kernel['kernel']['generator']}, {kernel['shape']}", flush=True)
            try:
                done["kernels"][str(k)] = Knockout(chosen.pack, manifest, kernel).run()
            except RuntimeError as error:
                print(f"  left out: {error}", flush=True)
                continue
            part = out.with_suffix(f".{os.getpid()}.part")
            part.write_text(json.dumps(done) + "\n")
            part.replace(out)
    print(f"Timings: {out}")


def device_name() -> str:
    """As nvidia-smi tells it; "" where there is none."""
    return origin.first_line(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]) or ""


class Knockout:
    """The candidates of one kernel."""

    def __init__(self, pack: Path, manifest: dict, kernel: dict):
        library = pack / manifest["library"]
        subject = Subject(pack / kernel["problem"], pack / kernel["reference"], library, 1, first_limit=_FIRST_LIMIT)
        self._compiled = {
            c["name"]: Compiled(c["symbol"], library, None, "", 0.0) for c in kernel["candidates"] if c["symbol"]
        }
        self._records = {
            c["name"]: {"outcome": "refused", "detail": c["detail"]} for c in kernel["candidates"] if not c["symbol"]
        }
        self._subject = with_tolerance(subject, self._compiled[HAND])

    def run(self) -> dict[str, dict]:
        """A record of each candidate by name: outcome, detail, ratio, low, high, ms, base_ms, rounds."""
        field = [name for name in self._compiled if name != HAND]
        for rounds, keep in ((_FIRST, _KEEP_SECOND), (_SECOND, _KEEP_LAST), (LAST, 0)):
            for k, name in enumerate(field):
                self._time(name, rounds)
                print(f"\r  {rounds} rounds: {k + 1} of {len(field)}", end="", flush=True)
            print(flush=True)
            right = [name for name in field if self._records[name]["outcome"] == "ok"]
            named = [name for name in right if not name.startswith("point")]
            points = sorted((n for n in right if n not in named), key=lambda n: self._records[n]["ratio"])
            field = points[:keep] + named
        self._time_hand()
        return self._records

    def _time(self, name: str, rounds: int) -> None:
        pair = {HAND: self._compiled[HAND], name: self._compiled[name]}
        self._records[name] = measure(self._subject, pair, rounds).record(name, HAND)

    def _time_hand(self) -> None:
        """Beside itself: what the clock makes of no difference at all."""
        pair = {HAND: self._compiled[HAND], "again": self._compiled[HAND]}
        self._records[HAND] = measure(self._subject, pair, LAST).record("again", HAND)


if __name__ == "__main__":
    main()
