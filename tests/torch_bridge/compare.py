"""Compares two tensors by their worst element, and says where it is: sums and norms hide a wrong border."""

import torch


def largest(tensor: torch.Tensor) -> float:
    """The largest absolute value, 0 of an empty tensor."""
    return tensor.abs().max().item() if tensor.numel() else 0.0


def assert_close(
    actual: torch.Tensor,
    expected: torch.Tensor,
    tolerance: float,
    what: str = "result",
    scale: float | None = None,
) -> None:
    """No element may be off by more than tolerance * scale; scale: the largest expected value by default."""
    assert actual is not None, f"{what}: there is none"
    assert actual.shape == expected.shape, (
        f"{what}: is {list(actual.shape)}, should be {list(expected.shape)}"
    )
    if expected.numel() == 0:
        return
    scale = largest(expected) if scale is None else scale
    actual, expected = actual.detach().double(), expected.detach().double()
    # NaN is larger than any tolerance.
    error = (actual - expected).abs().nan_to_num(nan=float("inf"))
    worst = tuple(int(i) for i in torch.unravel_index(error.argmax(), error.shape))
    assert error[worst].item() <= tolerance * scale, (
        f"{what}: off by {error[worst].item():.3g} at {list(worst)} of {list(expected.shape)}: "
        f"{actual[worst].item():.9g}, should be {expected[worst].item():.9g}; "
        f"allowed {tolerance:g} of {scale:.3g}"
    )
