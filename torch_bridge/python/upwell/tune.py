"""upwell tune: the tuner of the source tree that this package was built from (autotune/tune/)."""

import re
import sys
from pathlib import Path


def main(argv: list[str]) -> None:
    """Tuning needs the generators, and so a build folder with its sources."""
    build = Path(__file__).resolve().parents[2]
    cache = build / "CMakeCache.txt"
    text = cache.read_text() if cache.exists() else ""
    match = re.search(r"^CMAKE_HOME_DIRECTORY:INTERNAL=(.*)$", text, re.MULTILINE)
    sources = Path(match.group(1)) if match else None
    if not sources or not (sources / "autotune").exists():
        sys.exit("upwell tune: needs the package in the build folder where it was made, beside its sources")
    sys.path.insert(0, str(sources))
    from autotune.tune.__main__ import main as tune

    tune(argv, build)
