"""What a wheel says of itself that depends on the torch that it is built for (pyproject.toml)."""

import importlib.metadata
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_PROJECT = Path(__file__).parents[1] / "CMakeLists.txt"


def dynamic_metadata(field: str, settings: Mapping[str, Any]) -> str | list[str]:
    torch = ".".join(importlib.metadata.version("torch").split(".")[:2])
    if field == "version":
        return f"{re.search('project.upwell VERSION ([0-9.]+)', _PROJECT.read_text())[1]}+torch{torch}"
    if field == "dependencies":
        return [f"torch=={torch}.*", "tabulate", "tqdm"]
    raise ValueError(f"{field} is not found here")
