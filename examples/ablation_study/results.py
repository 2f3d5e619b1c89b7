"""results.json: what is known of the runs; written after every run, so that a study can be continued."""

import json
import os
from dataclasses import asdict
from pathlib import Path

import numpy as np
from ablation_study.runs import Run

FORMAT = "upwell ablation 1"


class Results:
    """Outcomes by run. In the folder: results.json, and maps/ with the upsampled disparities."""

    def __init__(self, folder: Path, fresh: bool = False):
        """Reads what the folder has (nothing if fresh). ValueError if results.json is not one of ours."""
        self.path, self.maps = folder / "results.json", folder / "maps"
        self.maps.mkdir(parents=True, exist_ok=True)
        self.outcomes: dict[Run, dict] = {} if fresh or not self.path.exists() else self._read()

    def has(self, run: Run) -> bool:
        return run in self.outcomes and (self.maps / run.map_name).exists()

    def map(self, run: Run) -> np.ndarray:
        """The upsampled disparity of the held-out part, [H, W], px."""
        return np.load(self.maps / run.map_name)

    def add(self, run: Run, outcome: dict) -> None:
        """Keeps the outcome, on disk too; an older run whose map this one's replaced is forgotten."""
        self.outcomes = {old: kept for old, kept in self.outcomes.items() if old.map_name != run.map_name}
        self.outcomes[run] = outcome
        runs = [asdict(each) | kept for each, kept in self.outcomes.items()]
        content = {"format": FORMAT, "runs": runs}
        temporary = self.path.with_suffix(".json.part")
        temporary.write_text(json.dumps(content, indent=1) + "\n")
        os.replace(temporary, self.path)  # whole at every moment

    def _read(self) -> dict[Run, dict]:
        fields = Run.__dataclass_fields__
        try:
            content = json.loads(self.path.read_text())
            if content["format"] != FORMAT:
                raise ValueError(f"format is {content['format']!r}, not {FORMAT!r}")
            runs = [({key: each.pop(key) for key in fields}, each) for each in content["runs"]]
            return {Run(**key): outcome for key, outcome in runs}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{self.path} cannot be continued ({error!r}); --fresh starts anew") from error
