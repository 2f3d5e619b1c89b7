"""What torch differentiates twice: operators whose gradients are kernels of their own, as compositions of operators that
have gradients of every order.

torch.ops.upwell.NAME_composed makes what the operator NAME makes, the gradients of an operator. It runs only where these
are differentiated themselves, or in forward mode.
"""

import inspect
from collections.abc import Callable

import torch
from torch import Tensor

from upwell.composed.attention import cross_attention, range_weights, sample_at_offsets
from upwell.composed.filters import colour_guided_filter, guided_filter
from upwell.composed.norms import fold_group_norm, group_stats, upsampled_group_stats
from upwell.composed.pcdc import pcdc, pcdc_scores
from upwell.composed.wrc import wrc_data, wrc_exact_backward, wrc_prior, wrc_spectral_backward

# The operator composed, and the inputs whose gradients are made.
GRADIENTS: dict[str, tuple[Callable, tuple[str, ...]]] = {
    "colour_guided_filter_d_guide": (colour_guided_filter, ("guide",)),
    "cross_attention_backward": (cross_attention, ("query", "key", "value")),
    "fold_group_norm_backward": (fold_group_norm, ("weight", "bias", "norm_weight", "norm_bias", "mean", "rstd")),
    "group_stats_backward": (group_stats, ("x",)),
    "guided_filter_backward": (guided_filter, ("guide", "input")),
    "pcdc_scores_backward": (
        pcdc_scores,
        (
            *("key", "query", "norm_weight", "weight", "bias", "compress_weight", "compress_bias", "hidden_weight"),
            *("hidden_bias", "score_weight", "score_bias"),
        ),
    ),
    "range_weights_backward": (range_weights, ("query", "key", "spatial")),
    "sample_at_offsets_backward": (sample_at_offsets, ("value", "offsets")),
    "upsampled_group_stats_backward": (upsampled_group_stats, ("x",)),
    "wrc_data_backward": (wrc_data, ("x", "response")),
    "wrc_prior_backward": (wrc_prior, ("x", "mixed", "lam")),
}


def _gradients(composition: Callable, by: tuple[str, ...]) -> Callable:
    taken = inspect.signature(composition).parameters

    def gradients(**given):
        d_outputs = [tensor for each, tensor in given.items() if each.startswith("d_")]
        with torch.enable_grad():
            outputs = composition(**{each: given[each] for each in taken})
        outputs = (outputs,) if isinstance(outputs, Tensor) else outputs
        found = torch.autograd.grad(
            outputs, [given[each] for each in by], d_outputs, create_graph=True, materialize_grads=True
        )
        return found if len(found) > 1 else found[0]

    return gradients


def _pcdc_gradients(d_output, key, query, weight, groups, dilation):
    with torch.enable_grad():
        output = pcdc(key, query, weight, groups, dilation)
    found = torch.autograd.grad(output, (key, query, weight), d_output, create_graph=True)
    return *found, d_output.sum((0, 2, 3))


def _by_name(function: Callable, schema: torch.FunctionSchema) -> Callable:
    """torch leaves out what is usual."""

    def call(*arguments):
        given = {argument.name: argument.default_value for argument in schema.arguments}
        return function(**given | dict(zip(given, arguments)))

    return call


def _register(library: torch.library.Library) -> None:
    def define(name: str, suffix: str, function: Callable) -> None:
        """As the operator of this name, with its arguments and as many results."""
        schema = getattr(torch.ops.upwell, name).default._schema
        library.define(str(schema).replace(f"upwell::{name}(", f"{name}{suffix}("))
        for key in ("CompositeImplicitAutograd", "FuncTorchBatched"):
            library.impl(name + suffix, _by_name(function, schema), key)

    for name, of in GRADIENTS.items():
        define(name, "_composed", _gradients(*of))
    define("pcdc_backward", "_composed", _pcdc_gradients)
    define("wrc_exact_backward", "_composed", wrc_exact_backward)
    define("wrc_spectral_backward", "_composed", wrc_spectral_backward)


library = torch.library.Library("upwell", "FRAGMENT")
_register(library)
