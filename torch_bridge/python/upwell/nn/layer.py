"""When a module may read the parameters of a layer of its own instead of calling it, and how it reads them."""

import torch.nn.modules.module as every_module
from torch import Tensor, nn

HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


def is_plain(layer: nn.Module, kind: type[nn.Module], **settings) -> bool:
    """Whether calling layer is what kind computes from its parameters with these settings, and nobody listens.

    If not, only a call does what a hook, a reparametrisation, a subclass or a wrapper is there for.
    """
    return (
        type(layer) is kind
        and "forward" not in vars(layer)
        and not has_hooks(layer)
        and all(getattr(layer, name) == value for name, value in settings.items())
    )


def has_hooks(layer: nn.Module) -> bool:
    """Hooks of its own, or of every module."""
    return any(getattr(layer, hooks) or getattr(every_module, f"_global{hooks}") for hooks in HOOKS)


def is_projection(layer: nn.Module, groups: int = 1) -> bool:
    """Whether layer is plainly a 1x1 convolution."""
    return is_plain(layer, nn.Conv2d, kernel_size=(1, 1), stride=(1, 1), padding=(0, 0), groups=groups)


def laid_out(parameter: Tensor) -> Tensor:
    """parameter; its gradient will have its strides, in dimensions of one element too, where autograd takes any.

    DistributedDataParallel compares them all: with a warning, it copies a gradient that differs.
    """
    if parameter.dim() == 4 and parameter.stride(1) == 1 and parameter.stride(3) == parameter.shape[1]:
        return _whole_slice(parameter.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)  # channels_last
    return _whole_slice(parameter)


def _whole_slice(x: Tensor) -> Tensor:
    """x; the gradient of a slice is written into a new, contiguous tensor."""
    return x.narrow(0, 0, x.shape[0])
