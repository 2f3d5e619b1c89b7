"""The site of `make docs`: its pages say what they should, their links lead somewhere, and what stands in them runs."""

import importlib.util
import pathlib
import posixpath
import re
import subprocess
import sys

import pytest
import torch
import upwell.nn
import upwell.ops

ROOT = pathlib.Path(__file__).resolve().parents[2]
SITE = ROOT / "docs" / "site"
import api
import pages
import pictures

from docs_test import anchors, prose

pytestmark = pytest.mark.xdist_group("docs")


@pytest.fixture(scope="module")
def made() -> dict[str, str | bytes]:
    return dict(pages.every_page())


def shape_said(code: str) -> list[int]:
    """In the comment of the last line."""
    return [int(size) for size in code.strip().rpartition("#")[2].split(",")]


def test_every_operator_has_a_section_with_formula_source_and_calls():
    said = pages.sections("reference.md")
    assert set(said) == set(upwell.ops.__all__)
    for name, text in said.items():
        assert re.search(r"^    \S", text, re.MULTILINE), f"{name}: no formula"
        assert re.search(r"^Source: ", text, re.MULTILINE), f"{name}: no source"
        assert f"upwell.ops.{name}(" in pages.block(text, "python")
        assert f"upwell::ops::{name}(" in pages.block(text, "cpp")


@pytest.mark.parametrize("name", sorted(upwell.ops.__all__))
def test_the_call_of_an_operator_makes_what_its_comment_says(name):
    code = pages.block(pages.sections("reference.md")[name], "python")
    names = {"torch": torch, "upwell": upwell}
    exec(code, names)
    assert list(names["out"].shape) == shape_said(code)


@pytest.mark.parametrize("name", pages.UPSAMPLERS)
def test_the_call_of_an_upsampler_makes_what_its_comment_says(name):
    code, names = pages.python_call(name), {}
    exec(code, names)
    assert list(names["out"].shape) == shape_said(code)


def test_every_operator_and_upsampler_has_a_page_with_all_its_parts(made):
    parts = ("## Call it", "From Python:", "From C++, ", "## Cost", "## What the published code has wrong")
    names = {"operators": upwell.ops.__all__, "upsamplers": pages.UPSAMPLERS}
    for path in (f"{folder}/{name}.md" for folder in names for name in names[folder]):
        assert all(part in made[path] for part in parts), path
    for name in pages.UPSAMPLERS:
        assert "output(p) = " in made[f"upsamplers/{name}.md"]
        assert made[f"upsamplers/{name}.svg"].startswith(b"<?xml")


def test_links_between_pages_lead_somewhere(made):
    for path, text in made.items():
        if not path.endswith(".md"):
            continue
        without_code = re.sub(r"^```.*?^```$|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", without_code):
            if target.startswith("http"):
                continue
            file, _, anchor = target.partition("#")
            if not file:
                assert re.search(rf"^#+ {anchor}$", text, re.MULTILINE | re.IGNORECASE), f"{path}: {target}"
                continue
            document = ROOT / "docs" / file
            assert file in made or document.exists(), f"{path}: {target}"
            assert not anchor or anchor in anchors(document), f"{path}: {target}"


def test_every_document_has_a_place_in_the_navigation_and_every_place_a_document(made):
    named = set(re.findall(r"^ +- [^\n]*: (\S+\.md)$", (SITE / "mkdocs.yml").read_text(), re.MULTILINE))
    documents = {file.name for file in (ROOT / "docs").glob("*.md")}
    assert documents <= named <= documents | set(made) | {"index.md", "findings.md"}


def test_every_defect_names_a_test_and_what_it_belongs_to():
    tests = "".join(file.read_text() for file in pathlib.Path(__file__).parent.glob("*_test.py"))
    text = (ROOT / "docs" / "published-defects.md").read_text()
    for title, found in pages.sections("published-defects.md").items():
        assert hasattr(upwell.ops, title) or hasattr(upwell.nn, title), title
        for line in re.split(r"\n(?=- )", found):
            named = re.findall(r"`(test_\w+)`", line)
            assert named, line
            assert all(f"def {name}(" in tests for name in named), line
    assert text.count("\n- ") == sum(found.count("- **") for found in pages.sections("published-defects.md").values())


def test_a_picture_shows_what_a_pixel_reads():
    """FNS in the middle of the map: nine taps of a ninth each, over 4 x 4 cells; nothing is lost at the corner."""
    (case,) = pictures.cases("fns")
    inside, corner = (pictures.reads(case, pixel) for pixel in pictures.PIXELS.values())
    assert int((inside > 0).sum()) == 16
    assert torch.allclose(torch.stack([inside.sum(), corner.sum()]), torch.ones(2, dtype=torch.float64))
    zero, mask = (pictures.reads(case, (1, 1)).sum() for case in pictures.cases("carafe"))
    assert zero < 0.5 and abs(mask - 1) < 1e-9  # weight is lost, or shared


def test_docstrings_become_markdown():
    def function(value, size=None):
        """Makes 2*3 of [N, C].

        Args:
            value, other: [N, C], of `a*b`,
                and more.

        Raises:
            ValueError: if not.
        """

    text = api.of_object("upwell.function", function)
    assert text.splitlines()[0] == "## function"
    assert r"Makes 2\*3 of \[N, C\]." in text
    assert r"- `value, other`: \[N, C\], of `a*b`, and more." in text
    assert "**Raises**\n\n- `ValueError`: if not." in text


@pytest.mark.skipif(importlib.util.find_spec("mkdocs") is None, reason="make docs installs MkDocs")
def test_the_site_is_built_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "-f", str(SITE / "mkdocs.yml"), "-d", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    assert "which cells of x" not in (tmp_path / "index.html").read_text()
    assert (tmp_path / posixpath.join("operators", "fns.html")).exists()
