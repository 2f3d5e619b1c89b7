"""The report of a tuning run for people: one HTML file that needs no network, and its pictures beside it."""

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import optuna
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from autotune.tune.report_pictures import (
    comparison_picture, heat_map_picture, history_picture, importance_picture, milliseconds, title
)
from autotune.tune.study_results import FAILURES, RIVALS, StudyResult, standing

_NAMES = (*RIVALS, "hand", "tuned")  # in the order of the table

_PICTURES = {"history": history_picture, "importance": importance_picture, "heat_map": heat_map_picture}  # of a study


@dataclass(frozen=True)
class Picture:
    file: Path
    what: str  # for those who do not see it

    @property
    def source(self) -> str:
        return "data:image/png;base64," + base64.b64encode(self.file.read_bytes()).decode()

    @property
    def least_width(self) -> int:
        """In CSS pixels: what its text can still be read at; a narrower screen scrolls."""
        return round(0.38 * int.from_bytes(self.file.read_bytes()[16:20], "big"))


def write_report(studies: Sequence[optuna.Study], comparisons: Sequence[dict], folder: Path) -> Path:
    """Writes folder/tuning.html and the PNG files that are in it; returns the HTML file."""
    folder.mkdir(parents=True, exist_ok=True)
    comparisons = sorted(comparisons, key=_order)
    classes = [_class(name, comparisons, folder) for name in sorted({one["class"] for one in comparisons})]
    studies = sorted(studies, key=lambda study: _order(study.user_attrs))
    sections = [_section(study, comparisons, folder) for study in studies]
    file = folder / "tuning.html"
    file.write_text(_template().render(classes=classes, sections=sections, ms=milliseconds), encoding="utf-8")
    return file


def _template():
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )
    return environment.get_template("tuning.html")


def _order(about: dict) -> tuple:
    kernel = about["kernel"]
    sizes = kernel.get("kernel_size") or 0, kernel.get("ratio") or 0
    return kernel["kernel"], kernel["direction"], *sizes, kernel["dtype"], about["class"], _natural(about["shape"])


def _natural(text: str) -> list[tuple[bool, int, str]]:
    """Numbers in a text in their order: 8 before 64."""
    parts = re.findall(r"\d+|\D+", text)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]


def _slug(*texts: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", " ".join(texts)).strip("_").lower()


def _class(name: str, comparisons: list[dict], folder: Path) -> dict:
    """A machine class: its picture and the rows of its table."""
    own = [one | {"candidates": _sorted(one["candidates"])} for one in comparisons if one["class"] == name]
    compared, picture = [one for one in own if one["candidates"]], None
    if compared:
        picture = Picture(folder / f"{_slug('comparison', name)}.png", f"Times of all candidates on {name}")
        comparison_picture(compared, picture.file)
    present = {candidate["name"] for comparison in own for candidate in comparison["candidates"]}
    names = [*(known for known in _NAMES if known in present), *sorted(present - set(_NAMES))]
    return {"name": name, "picture": picture, "names": names, "rows": [_row(one, names) for one in own]}


def _sorted(candidates: list[dict]) -> list[dict]:
    return sorted(candidates, key=lambda one: (_NAMES.index(one["name"]) if one["name"] in _NAMES else len(_NAMES)))


def _row(comparison: dict, names: list[str]) -> dict:
    by_name = {candidate["name"]: candidate for candidate in comparison["candidates"]}
    stands = standing(comparison)
    return comparison | {
        "title": title(comparison["kernel"]),
        "cells": [by_name.get(name) for name in names],
        "times_faster_than_hand": stands.hand,
        "times_faster_than_autoscheduler": stands.autoscheduler,
        "times_limit": stands.limit,
        "failed": [one for one in comparison["candidates"] if one["outcome"] != "ok" and one.get("detail")],
    }


def _section(study: optuna.Study, comparisons: list[dict], folder: Path) -> dict:
    """A study: its pictures and what stands beside them."""
    about = study.user_attrs
    same = [one for one in comparisons if all(one[part] == about[part] for part in ("kernel", "class", "shape"))]
    result = StudyResult(study, dict(same[-1].get("parameters") or {}) if same else {})
    what = f"{title(about['kernel'])}, {about['shape']}"
    slug = _slug(about["class"], title(about["kernel"]), about["shape"])
    pictures = {}
    for kind, draw in _PICTURES.items():
        pictures[kind] = Picture(folder / f"{slug}_{kind}.png", f"{kind.replace('_', ' ')}: {what}")
        draw(result, pictures[kind].file)
    return {
        "title": title(about["kernel"]),
        "about": about,
        "pictures": pictures,
        "confirmed": same[-1].get("outcome") if same else None,
        "heat_names": result.most_important(2),
        "best": result.best,
        "counts": result.counts(),
        "parameters": [
            knob | {"chosen": result.chosen.get(knob["name"]), "tried": json.dumps(knob["values"])[1:-1]}
            for knob in result.space["knobs"]
        ],
        "rules": result.space["rules"],
        "legal": len(result.space["legal"]),
        "failures": [trial for trial in result.trials if trial.outcome in FAILURES],
    }
