"""What torch's FLOP counter should count for the window operators, and for a product of torch's that it does not know."""

from collections.abc import Callable, Sequence

import torch


def flop_formulas() -> dict[torch._ops.OpOverloadPacket, Callable[..., int]]:
    """For FlopCounterMode(custom_mapping=upwell.flop_formulas()): of every window operator, those that were loaded too,
    and of its gradients, 2 FLOPs for each multiply-add of the window. Softmaxes are not counted, nor what turns taps'
    weights into the window's, once a pixel for all channels. And of torch's baddbmm where it writes in place."""
    names = torch.ops.upwell.window_operators()
    windows = {getattr(torch.ops.upwell, name): _formula(name) for name in names}
    return windows | {torch.ops.aten.baddbmm_: _added_product}


def _added_product(*shapes: Sequence[int], out_shape: Sequence[int], **_) -> int:
    from torch.utils.flop_counter import baddbmm_flop  # here: it imports triton, which import upwell should not wait for

    return baddbmm_flop(*shapes[:3])


def _formula(name: str) -> Callable[..., int]:
    arguments = [argument.name for argument in getattr(torch.ops.upwell, name).default._schema.arguments]

    def count(*given, out_shape: Sequence[int], **options) -> int:
        kernel = (dict(zip(arguments, given)) | options).get("kernel", 1)
        return torch.ops.upwell.window_flops(name, list(given[0]), list(out_shape), kernel)

    return count
