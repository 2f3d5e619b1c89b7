"""MkDocs' hooks: the README as home page, the pages that are read from the package, and Markdown as GitHub reads it."""

import os
import posixpath
import re
from pathlib import Path

import pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

DOCS = pages.DOCS
ROOT = pages.ROOT
# Documents outside docs/ -> their place in the site.
OUTSIDE = {"README.md": "index.md", "findings/README.md": "findings.md"}

_CODE = re.compile(r"(^```.*?^```$|`[^`\n]*`)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_ITEM = re.compile(r"([-*] |1\. )")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Names the pages that are read from the package."""
    lists = {
        "Operators": ["operators/index.md", *(f"operators/{name}.md" for name in pages.operator_names())],
        "Upsamplers": ["upsamplers/index.md", *(f"upsamplers/{name}.md" for name in pages.UPSAMPLERS)],
    }
    for section in config.nav:
        ((title, entries),) = section.items()
        section[title] = lists.get(title, entries)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for outside, inside in OUTSIDE.items():
        files.append(File.generated(config, inside, content=(ROOT / outside).read_text()))
    files.append(File.generated(config, "site.css", abs_src_path=str(Path(__file__).with_name("site.css"))))
    for path, content in pages.every_page():
        files.append(File.generated(config, path, content=content))
    for document in [*DOCS.glob("*.md"), *(ROOT / path for path in OUTSIDE)]:
        for target in targets(document.read_text()):
            path = os.path.relpath((document.parent / target).resolve(), ROOT)
            if place(path) == path and not files.get_file_from_path(path) and (ROOT / path).is_file():
                files.append(File.generated(config, path, abs_src_path=str(ROOT / path)))
    return files


def targets(markdown: str) -> list[str]:
    """Of links to files."""
    prose = "".join(_CODE.split(markdown)[::2])
    return [target.partition("#")[0] for target in _LINK.findall(prose) if not re.match(r"https?:|#", target)]


def place(path: str) -> str:
    """Where a file of the project is in the site."""
    return OUTSIDE.get(path) or (path.removeprefix("docs/") if path.startswith("docs/") else path)


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    source = next((outside for outside, inside in OUTSIDE.items() if inside == page.file.src_uri), "docs/x")
    here = posixpath.dirname(page.file.src_uri)

    def link(match: re.Match) -> str:
        target, _, anchor = match[1].partition("#")
        if not target or re.match(r"https?:", match[1]):
            return match[0]
        path = place(posixpath.normpath(posixpath.join(posixpath.dirname(source), target)))
        return f"]({posixpath.relpath(path, here or '.')}{'#' + anchor if anchor else ''})"

    parts = _CODE.split(re.sub(r"<!--.*?-->\n*", "", markdown, flags=re.DOTALL))
    parts[::2] = [_LINK.sub(link, part) for part in parts[::2]]
    return lists_for_markdown("".join(parts))


def lists_for_markdown(text: str) -> str:
    """GitHub takes a list right behind a paragraph, and two spaces as its items' indentation; Python-Markdown wants an
    empty line and four. An item with paragraphs of its own wants an empty line behind it too."""
    lines, before, is_item, is_loose, is_code = [], "", False, False, False
    for line in text.split("\n"):
        if line.startswith("```"):
            is_code, is_item = not is_code, False
        elif not is_code:
            starts = bool(_ITEM.match(line))
            if starts and before and (not is_item or is_loose):
                lines.append("")
            is_item = starts or (is_item and (not line or line.startswith(" ") or bool(before)))
            is_loose = is_item and (is_loose or (not before and line.startswith(" ")))
            if is_item and line.startswith("  "):
                line = "  " + line
        lines.append(line)
        before = line
    return "\n".join(lines)
