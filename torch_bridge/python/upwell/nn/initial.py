"""Initial values that several published modules share, for torch.nn.Module.apply."""

from torch import nn


def small_convolutions(module: nn.Module) -> None:
    """ReSFU's and SAPA's: weights normally distributed by 0.02, biases 0."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, std=0.02)
        _no_bias(module)


def small_projections(module: nn.Module) -> None:
    """SAPAExp's: as small_convolutions, of linear layers, and nothing beyond +-2."""
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        _no_bias(module)


def uniform_convolutions(module: nn.Module) -> None:
    """FADE's: Xavier's uniform distribution, biases 0."""
    if isinstance(module, nn.Conv2d):
        nn.init.xavier_uniform_(module.weight)
        _no_bias(module)


def _no_bias(layer: nn.Module) -> None:
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
