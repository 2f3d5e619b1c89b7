"""README.md and docs/: links lead somewhere, names exist, and what stands there as Python runs, as C++ compiles.

In front of a block, comments that readers do not see say what else holds:

    <!-- given: x = torch.ones(3) -->    what the block takes for granted, in its language
    <!-- from: runtime/upwell.h -->      it is a part of this file, word for word, and is not run
    <!-- not run: why -->
"""

import collections
import inspect
import pathlib
import re
import subprocess
import sys
from dataclasses import dataclass

import pytest
import torch.utils.cpp_extension
import upwell.densify
import upwell.nn
import upwell.ops
import upwell.train

ROOT = pathlib.Path(__file__).resolve().parents[2]
import pages  # what the site has beside the documents

DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
LINKED = (*DOCUMENTS, ROOT / "findings" / "README.md")
pytestmark = pytest.mark.xdist_group("docs")  # whose cache has an operator that two of them build

_COMMENT = r"<!--(?:(?!-->).)*-->\n+"
_BLOCK = re.compile(rf"^((?:{_COMMENT})*)```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SAID = re.compile(r"<!-- ([a-z ]+):(.*?)-->", re.DOTALL)
_DESCRIBED = re.compile(r"^UPWELL_OPERATOR\((\w+)", re.MULTILINE)


@dataclass
class Piece:
    """Some lines of a document, and the number of the first one."""

    document: pathlib.Path
    line: int
    text: str


@dataclass
class Block(Piece):
    language: str
    given: list[Piece]
    said: dict[str, str]

    @property
    def is_run(self) -> bool:
        return not {"from", "not run"} & self.said.keys()

    @property
    def operator(self) -> str | None:
        """The name of the first operator that it describes."""
        match = _DESCRIBED.search(self.text)
        return match[1] if match else None


def blocks_of(document: pathlib.Path) -> list[Block]:
    text = document.read_text()
    found = []
    for match in _BLOCK.finditer(text):
        said, given = {}, []
        for comment in _SAID.finditer(text, match.start(1), match.end(1)):
            if comment[1] == "given":
                given.append(Piece(document, text.count("\n", 0, comment.start(2)) + 1, comment[2].strip()))
            else:
                said[comment[1]] = comment[2].strip()
        line = text.count("\n", 0, match.start(3)) + 1
        found.append(Block(document, line, match[3], match[2], given, said))
    return found


def prose(document: pathlib.Path) -> str:
    """Without blocks and without what stands in backticks."""
    return re.sub(r"`[^`]*`", "", _BLOCK.sub("", document.read_text()))


def code(document: pathlib.Path) -> list[str]:
    """What stands in backticks, and the lines of blocks."""
    outside = re.findall(r"`([^`]+)`", _BLOCK.sub("", document.read_text()))
    return outside + [line for block in blocks_of(document) for line in block.text.splitlines()]


def anchors(document: pathlib.Path) -> set[str]:
    """Of headings, as GitHub makes them."""
    seen = collections.Counter()
    names = set()
    for heading in re.findall(r"^#+ (.*)$", _BLOCK.sub("", document.read_text()), re.MULTILINE):
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        names.add(f"{name}-{seen[name]}" if seen[name] else name)
        seen[name] += 1
    return names


every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda file: file.name)
every_page = pytest.mark.parametrize("document", LINKED, ids=lambda file: str(file.relative_to(ROOT)))


def test_the_front_door_is_short():
    assert len(DOCUMENTS[0].read_text().splitlines()) <= 110


@every_page
def test_links_and_pictures_lead_somewhere(document):
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        file = document.parent / path if path else document
        is_below = file.resolve().is_relative_to(ROOT)
        if not is_below or not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert not broken


def test_every_document_can_be_reached_from_the_front_door():
    reached, new = set(), [DOCUMENTS[0]]
    while new:
        document = new.pop()
        reached.add(document)
        for target in re.findall(r"\]\(([^)\s#]+\.md)[^)]*\)", prose(document)):
            file = (document.parent / target).resolve()
            new += [file] if file.exists() and file not in reached else []
    assert set(DOCUMENTS) <= reached


@every_document
def test_commands_and_names_exist(document):
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    rooms = {"nn": upwell.nn, "ops": upwell.ops, "train": upwell.train, "densify": upwell.densify}
    described = {block.operator for document in DOCUMENTS for block in blocks_of(document)}
    for text in code(document):
        for command in re.findall(r"^make ([a-z][a-z-]*)", text):
            assert command in targets, text
        for room, name in re.findall(r"\bupwell\.(nn|ops|train|densify)\.(\w{2,})", text):
            assert hasattr(rooms[room], name) or (room == "ops" and name in described), text


def test_the_front_door_names_every_module_that_upsamples():
    named = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| `.*$", DOCUMENTS[0].read_text(), re.MULTILINE))))
    assert all(hasattr(upwell.nn, name) or hasattr(upwell.ops, name) for name in named)
    modules = {name for name in upwell.nn.__all__ if inspect.isclass(getattr(upwell.nn, name))}
    assert {name for name in modules if not name.endswith("Block") and name != "JBULearnedRange"} <= named


@every_document
def test_a_block_that_is_not_run_says_why_or_where_it_is_from(document):
    for block in blocks_of(document):
        assert block.said.keys() <= {"from", "not run"}, f"line {block.line}"
        if "not run" in block.said:
            assert len(block.said["not run"].split()) > 2, f"line {block.line}: which reason?"
        if "from" in block.said:
            assert block.text in (ROOT / block.said["from"]).read_text(), f"line {block.line}"


def python_of(document: pathlib.Path) -> str:
    """Its blocks as one program, in which each line has the number that it has in the document."""
    blocks = [block for block in blocks_of(document) if block.language == "python" and block.is_run]
    lines = []
    for piece in (piece for block in blocks for piece in (*block.given, block)):
        lines += [""] * (piece.line - 1 - len(lines)) + piece.text.splitlines()
    return "\n".join(lines)


@pytest.mark.parametrize("document", [file for file in DOCUMENTS if python_of(file)], ids=lambda file: file.name)
def test_python_runs(document, cache, tmp_path):
    for block in blocks_of(document):
        if block.operator:
            (tmp_path / f"{block.operator}.cpp").write_text(block.text)
    program = tmp_path / f"{document.stem}.py"
    program.write_text(python_of(document))
    ran = subprocess.run([sys.executable, program.name], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, f"{document.name}:\n{ran.stderr}"


def compile_cpp(program: str, folder: pathlib.Path, *include: object) -> None:
    (folder / "program.cpp").write_text(program)
    options = [f"-I{path}" for path in include]
    ran = subprocess.run(
        ["g++", "-std=c++20", "-fsyntax-only", *options, "program.cpp"], cwd=folder, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr


def headings_before(piece: Piece) -> int:
    """Of the second level."""
    lines = piece.document.read_text().splitlines()[: piece.line]
    return sum(line.startswith("## ") for line in lines)


def at_line(piece: Piece) -> str:
    return f'#line {piece.line} "{piece.document.name}"\n{piece.text}\n'


def cpp_blocks(described: bool) -> list[Block]:
    blocks = [block for document in DOCUMENTS for block in blocks_of(document)]
    return [block for block in blocks if block.language == "cpp" and block.is_run and bool(block.operator) == described]


def test_described_operators_compile(tmp_path):
    assert cpp_blocks(described=True)
    for block in cpp_blocks(described=True):
        program = "".join(at_line(piece) for piece in (*block.given, block))
        compile_cpp(program, tmp_path, pathlib.Path(upwell.__file__).parent / "include")


def test_cpp_compiles(tmp_path):
    """The blocks of a section are one function, in turn; all of them are one program, as torch's headers take long."""
    functions = collections.defaultdict(str)
    for block in cpp_blocks(described=False):
        for piece in (*block.given, block):
            functions[f"{block.document.stem} {headings_before(block)}"] += at_line(piece)
    assert len(functions) > 1
    functions |= {f"page of {name}": pages.cpp_call(name) for name in pages.UPSAMPLERS}
    includes = {line for body in functions.values() for line in re.findall(r"^#include .*$", body, re.MULTILINE)}
    text = "\n".join(sorted({*includes, '#include "operators.h"'})) + "\n"
    for name, body in functions.items():
        body = re.sub(r"^#include .*$", "", body, flags=re.MULTILINE)
        text += f"void blocks_of_{re.sub(r'[^a-z0-9]', '_', name.lower())}() {{\n{body}}}\n"
    torch_headers = torch.utils.cpp_extension.include_paths()
    compile_cpp(text, tmp_path, ROOT / "torch_bridge", ROOT / "runtime", ROOT, *torch_headers)  # as upwell::nn has them
