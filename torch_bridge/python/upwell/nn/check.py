"""What the modules check before they compute; every message names module, argument, expected and actual."""

from collections.abc import Collection, Sequence
from numbers import Real

import torch
from torch import Tensor, nn

from upwell.explained import called, type_of


def check(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def check_whole(module: str, argument: str, value: float, least: int) -> None:
    check(_is_whole(value) and value >= least, f"{module}: {argument} should be an integer >= {least} but is {called(value)}")


def _is_whole(value: object) -> bool:
    return isinstance(value, Real) and value % 1 == 0


def check_channels(module: str, **channels: int) -> None:
    """Each should be an integer of at least 1."""
    for argument, value in channels.items():
        check_whole(module, argument, value, 1)


def check_odd(module: str, argument: str, value: int) -> None:
    check_whole(module, argument, value, 1)
    check(value % 2 == 1, f"{module}: {argument} should be odd and positive but is {value}")


def check_divides(module: str, argument: str, value: int, dividend_name: str, dividend: int) -> None:
    check(
        _is_whole(value) and value > 0 and dividend % value == 0,
        f"{module}: {argument} should divide {dividend_name} {dividend} but is {called(value)}",
    )


def check_choice(module: str, argument: str, value: object, known: Collection[str]) -> None:
    check(value in known, f"{module}: {argument} should be one of {', '.join(known)} but is {value!r}")


def _check_numbers(module: nn.Module | str, argument: str, x: object) -> str:
    """x should be a tensor of floating-point numbers, on the device of one of module's parameters where it has any, and of the
    dtype of one where autocast does not choose. Returns module's name."""
    name = module if isinstance(module, str) else type(module).__name__
    _check_tensor(name, argument, x)
    check(x.is_floating_point(), f"{name}: {argument} should have a floating-point dtype but has {x.dtype}")
    if isinstance(module, str):
        return name
    parameters = list(module.parameters())
    if not _is_autocast(x):
        dtypes = {parameter.dtype: None for parameter in parameters}
        check(
            not dtypes or x.dtype in dtypes,
            f"{name}: {argument} should be {' or '.join(map(str, dtypes))} like the parameters but is {x.dtype}",
        )
    # Of parameters on meta, as those of modules whose hooks bring them, nothing follows.
    if parameters and not any(each.device == x.device or each.device.type == "meta" for each in parameters):
        raise ValueError(
            f"{name}: {argument} should be on {parameters[0].device} like the parameters but is on {x.device}"
        )
    return name


def _check_tensor(name: str, argument: str, x: object) -> None:
    if not isinstance(x, Tensor):
        raise ValueError(f"{name}: {argument} should be a tensor but is {type_of(x)}")


def _is_autocast(x: Tensor) -> bool:
    return x.device.type != "meta" and torch.is_autocast_enabled(x.device.type)


def check_rank(module: nn.Module | str, argument: str, x: Tensor) -> None:
    name = _check_numbers(module, argument, x)
    check(x.dim() == 4, f"{name}: {argument} should be [N, C, h, w] but is {list(x.shape)}")


def check_gives_size(module: str, argument: str, x: Tensor) -> None:
    """x, of which nothing but its height and width is taken, should be [N, C, H, W], of any dtype."""
    _check_tensor(module, argument, x)
    check(x.dim() == 4, f"{module}: {argument} should be [N, C, H, W] but is {list(x.shape)}")


def check_map(module: nn.Module | str, argument: str, x: Tensor, channels: int) -> None:
    """x should be [N, channels, H, W] with H and W at least 1."""
    name = _check_numbers(module, argument, x)
    shape = list(x.shape)
    good = len(shape) == 4 and shape[1] == channels and min(shape[2:]) > 0
    check(good, f"{name}: {argument} should be [N, {channels}, H >= 1, W >= 1] but is {shape}")


def check_any_map(module: nn.Module | str, argument: str, x: Tensor) -> None:
    """x should be [N, C, H, W] with C, H and W at least 1."""
    name = _check_numbers(module, argument, x)
    shape = list(x.shape)
    good = len(shape) == 4 and min(shape[1:]) > 0
    check(good, f"{name}: {argument} should be [N, C >= 1, H >= 1, W >= 1] but is {shape}")


def check_reflects(module: str, argument: str, x: Tensor, kernel: int) -> None:
    """x [N, C, H, W] should be large enough for the reflected border of a kernel."""
    around = kernel // 2
    check(
        min(x.shape[2:]) > around,
        f"{module}: {argument} should be [N, C, H >= {around + 1}, W >= {around + 1}], for its reflected border, but is "
        f"{list(x.shape)}",
    )


def check_size(module: str, argument: str, size: Sequence[int]) -> None:
    good = isinstance(size, Sequence) and len(size) == 2 and all(not isinstance(n, float) and n >= 1 for n in size)
    check(good, f"{module}: {argument} should be (H >= 1, W >= 1) but is {size}")


def check_same_batch(module: str, first_name: str, first: Tensor, second_name: str, second: Tensor) -> None:
    check(
        first.shape[0] == second.shape[0],  # len() would fix the size of an exported program
        f"{module}: {first_name} and {second_name} should have the same batch size but are {list(first.shape)} and "
        f"{list(second.shape)}",
    )


def check_multiple(module: str, argument: str, high: Tensor, low: Tensor, ratio: int) -> None:
    """high, the argument, should have ratio times the rows and columns of low."""
    _check_tensor(module, argument, high)
    H, W = (ratio * length for length in low.shape[2:])
    check(
        list(high.shape[2:]) == [H, W],
        f"{module}: {argument} should be [N, C, {H}, {W}] but is {list(high.shape)}",
    )
