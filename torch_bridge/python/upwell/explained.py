"""Calls that cannot be: functions whose wrong arguments are told in one line, which costs nothing where they are right."""

import functools
import inspect
import operator
import types
import typing
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

LONGEST = 60  # letters of a value that a message repeats


def explained(function: Callable, name: str = "", clear: type | tuple = ()) -> Callable:
    """function; a call of it that fails, and has an argument of another type than the signature says, or of a name that it
    does not know, raises TypeError, which names function (as name, if that is given) and argument. Others fail as before, and
    so do those whose error is of a type in clear and names function already."""
    name = name or function.__name__

    @functools.wraps(function)
    def call(*arguments, **options):
        try:
            return function(*arguments, **options)
        except Exception as error:
            is_clear = isinstance(error, clear) and str(error).startswith(f"{name}: ")
            refusal = None if is_clear else refusal_of(function, arguments, options, name)
            if refusal is None:
                raise
        raise TypeError(refusal)  # not while the other is handled: a traceback would show both

    return call


def refusal_of(function: Callable, arguments: tuple, options: dict, name: str) -> str | None:
    """What is wrong with the names and types of a call of function; None: nothing."""
    signature = inspect.signature(function)
    new_names = getattr(function, "renamed", {})
    try:
        bound = signature.bind(*arguments, **{new_names.get(option, option): value for option, value in options.items()})
    except TypeError as wrong:
        written = ", ".join(_as_written(each) for each in signature.parameters.values() if each.name != "self")
        return f"{name}: {wrong}; the arguments are {written}"
    for argument, value in bound.arguments.items():
        annotation = signature.parameters[argument].annotation
        if not any(_is_a(value, each) for each in _alternatives(annotation)):
            said = type_of(value) if Tensor in _alternatives(annotation) else called(value)
            return f"{name}: {argument} should be {_text_of(annotation)} but is {said}"
    return None


def type_of(value: object) -> str:
    """What a message calls a value of the wrong type."""
    if value is None:
        return "None"
    name = "tensor" if isinstance(value, Tensor) else type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' or name == 'ndarray' else 'a'} {name}"


def called(value: object) -> str:
    """What a message calls a value: itself if it is short, else its type."""
    if isinstance(value, Tensor):
        return f"a tensor of {list(value.shape)}"
    short = isinstance(value, (bool, int, float, str)) or (
        isinstance(value, (list, tuple)) and all(isinstance(each, (bool, int, float, str)) for each in value)
    )
    if short and value != [] and value != () and len(text := repr(value)) <= LONGEST:
        return text
    return type_of(value)


def _as_written(parameter: inspect.Parameter) -> str:
    """Of an argument in a signature."""
    return parameter.name if parameter.default is inspect.Parameter.empty else f"{parameter.name}={parameter.default!r}"


def _alternatives(annotation: object) -> tuple:
    is_union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if is_union else (annotation,)


_WORDS = {
    Tensor: "a tensor",
    int: "an integer",
    float: "a number",
    bool: "True or False",
    str: "a string",
    Sequence[int]: "a list or tuple of integers",
    Sequence[float]: "a list or tuple of numbers",
    types.NoneType: "None",
}


def _text_of(annotation: object) -> str:
    words = [_WORDS[each] for each in _alternatives(annotation)]
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _is_a(value: object, kind: object) -> bool:
    """Whether value could be meant as one; whatever torch's schemas take is."""
    if kind in (Sequence[int], Sequence[float]):
        return isinstance(value, Sequence) and not isinstance(value, str) and all(
            _is_a(each, *typing.get_args(kind)) for each in value
        )
    if kind is int:
        return isinstance(value, torch.SymInt) or _converts(value, operator.index)
    if kind is float:
        return isinstance(value, torch.SymFloat) or (not isinstance(value, str) and _converts(value, float))
    if kind is bool:
        return isinstance(value, (int, torch.SymBool))
    return kind not in _WORDS or isinstance(value, kind)


def _converts(value: object, to: Callable) -> bool:
    try:
        to(value)
    except Exception:
        return False
    return True
