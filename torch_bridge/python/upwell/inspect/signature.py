"""The operators with a host side of their own: what they take and make."""

import json
import textwrap

import torch
from tabulate import tabulate


def signatures() -> dict[str, dict]:
    """By name, gradients too."""
    return {signature["name"]: signature for signature in json.loads(torch.ops.upwell.signatures())}


def as_text(signature: dict) -> str:
    inputs = [[each["name"], f"[{each['sizes']}]", _remarks(each)] for each in signature["inputs"]]
    options = [[each["name"], each["kind"], _range(each)] for each in signature["options"]]
    outputs = [[each["name"], f"[{each['sizes']}]", ""] for each in signature["outputs"] if not each["kept"]]
    kept = [[each["name"], f"[{each['sizes']}]", "kept for gradients"] for each in signature["outputs"] if each["kept"]]
    parts = [
        textwrap.fill(signature["doc"], 100),
        *_table("takes", inputs),
        *_table("options", options),
        *_table("makes", outputs + kept),
        *_table("only if", [[each["formula"], f"of {each['argument']}"] for each in signature["conditions"]]),
        *_table("gradients", [[", ".join(each["of"]), _rule(each)] for each in signature["gradients"]]),
        *_table("in torch", [["schema", str(getattr(torch.ops.upwell, signature["name"]).default._schema)]]),
        *_table("", [["autocast", signature["autocast"]]]),
    ]
    return "\n".join(parts)


def _table(title: str, rows: list[list[str]]) -> list[str]:
    if not rows:
        return []
    lines = tabulate(rows, tablefmt="plain").splitlines()
    return [*(["", title] if title else []), *(f"    {line.rstrip()}" for line in lines)]


def _remarks(argument: dict) -> str:
    remarks = {"optional": "may be none", "flattened": "further dimensions become one with the last", "finite": "finite"}
    return ", ".join(text for name, text in remarks.items() if argument[name])


def _range(option: dict) -> str:
    least, most, usual = option["least"], option["most"], option["usual"]
    text = {
        "text": " or ".join(option["choices"]),
        "flag": "true or false",
        "real": "finite, at least 0",
        "fourier": "transforms, which torch has",
    }.get(option["kind"], f"{least} or more" if most >= 2**31 - 1 else f"{least} to {most}")
    if option["parts"]:
        text += f", each of {', '.join(option['parts'])}"
    if option["kind"] == "flag":
        usual = "true" if usual else "false"
    usual = "none" if option["optional"] else usual
    return text if usual is None else f"{text}; {usual} if not given"


def _rule(gradient: dict) -> str:
    return {
        "call": gradient["operator"],
        "same": "the output's",
        "centre": "the centre of the output's",
        "spread": "the output's, for every pixel",
    }[gradient["rule"]]
