"""What a wheel says of itself that depends on the torch that it is built for (pyproject.toml)."""

import importlib.metadata
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def dynamic_metadata(settings: Mapping[str, Any], project: Mapping[str, Any]) -> dict[str, str | list[str]]:
    torch = ".".join(importlib.metadata.version("torch").split(".")[:2])
    cmake = (Path(__file__).parents[1] / "CMakeLists.txt").read_text()
    version = re.search(r"project\(upwell VERSION ([0-9.]+)", cmake)[1]
    return {"version": f"{version}+torch{torch}", "dependencies": [f"torch=={torch}.*", "tabulate", "tqdm"]}
