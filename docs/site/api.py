"""Docstrings and signatures of the package as Markdown."""

import inspect
import re
import textwrap
from types import ModuleType

SECTIONS = {"Args": "Arguments", "Returns": "Returns", "Raises": "Raises"}  # of docstrings -> of pages
_WIDTH = 90  # of a signature in one line
_CODE = re.compile(r"(`[^`]*`)")


def of_object(name: str, found: object, level: int = 2) -> str:
    """A heading, the signature and the docstring of what people call name; of a class, of its call too."""
    heading, short = "#" * level, name.removeprefix("upwell.").removeprefix("nn.").removeprefix("train.")
    is_error = inspect.isclass(found) and issubclass(found, Exception)
    call = "" if is_error else f"```python\n{signature(name, found)}\n```"
    parts = [f"{heading} {short}", call, docstring(found)]
    if inspect.isclass(found) and not is_error:
        parts += methods(found, level + 1)
    return "\n\n".join(filter(None, parts)) + "\n"


def methods(found: type, level: int) -> list[str]:
    """Those that the class has of its own, or of a class of the package, and that say something of themselves."""
    own = {
        name: method
        for base in reversed(found.__mro__)
        if base.__module__.startswith("upwell")
        for name, method in vars(base).items()
        if inspect.isfunction(method) and not name.startswith("_") and method.__doc__
    }
    return [of_object(f"{found.__name__}.{name}", method, level) for name, method in own.items()]


def signature(name: str, found: object) -> str:
    """A call with types and defaults, a parameter in a line where one line is too long."""
    try:
        parameters = list(inspect.signature(found).parameters.values())
    except ValueError:
        return f"{name}(...)"
    marked, is_keyword = [], False
    for parameter in parameters:
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not is_keyword:
            marked.append("*")
            is_keyword = True
        is_keyword = is_keyword or parameter.kind is parameter.VAR_POSITIONAL
        marked.append(_plain(str(parameter)))
    line = f"{name}({', '.join(marked)})"
    return line if len(line) <= _WIDTH else f"{name}(\n" + "".join(f"    {each},\n" for each in marked) + ")"


def _plain(annotated: str) -> str:
    """Types by the names that they are known by."""
    return re.sub(r"\b(?:torch|collections\.abc|pathlib|os|nn)\.(?=[A-Z_])", "", annotated)


def docstring(found: object) -> str:
    """Prose, and its sections as lists. What is in backticks or indented stays code."""
    text = inspect.getdoc(found)
    if not text:
        return ""
    pieces = re.split(rf"^({'|'.join(SECTIONS)}):\n", text, flags=re.MULTILINE)
    parts = [prose(pieces[0])]
    for title, body in zip(pieces[1::2], pieces[2::2]):
        indented = re.match(r"(?:(?: {4}.*)?\n)*(?: {4}.*)?", body)[0]
        parts += [section(title, textwrap.dedent(indented).strip()), prose(body[len(indented) :])]
    return "\n\n".join(filter(None, parts))


def section(title: str, text: str) -> str:
    """One of SECTIONS, each of its entries `name: text` an item."""
    items = re.split(r"\n(?=\S)", text)
    if title == "Returns":
        return f"**{SECTIONS[title]}** {prose(' '.join(text.split()))}"
    lines = []
    for item in items:
        name, _, said = " ".join(item.split()).partition(": ")
        lines.append(f"- `{name}`: {prose(said)}" if said else f"- {prose(name)}")
    return f"**{SECTIONS[title]}**\n\n" + "\n".join(lines)


def prose(text: str) -> str:
    """Plain text as Markdown: only backticks mean something there."""
    lines = [line if line.startswith("    ") else _escaped(line) for line in text.strip("\n").split("\n")]
    return "\n".join(lines)


def _escaped(line: str) -> str:
    parts = _CODE.split(line)
    return "".join(part if part.startswith("`") else re.sub(r"([*_<\[\]])", r"\\\1", part) for part in parts)


def of_value(module: ModuleType, name: str, level: int = 2) -> str:
    """A heading, the type and the comment of a public value."""
    said = re.search(rf"^{name} = .*  # (.*)$", inspect.getsource(module), re.MULTILINE)[1]
    return f"{'#' * level} {name}\n\n`{type(getattr(module, name)).__name__}`: {prose(said)}.\n"


def summary(found: object) -> str:
    """The first sentence of the docstring, in one line."""
    text = " ".join((inspect.getdoc(found) or "").split("\n\n")[0].split())
    return prose(re.split(r"(?<=[^.\s][^.\s])\. (?=[A-Z])", text)[0].rstrip(".:") + ".") if text else ""


def public(module: ModuleType) -> dict[str, object]:
    """What the module says is public, by name."""
    return {name: getattr(module, name) for name in module.__all__}
