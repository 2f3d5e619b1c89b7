"""The operators of ReSFU as citizens of torch: gradients, registration, compilation, determinism, memory."""

import pytest
import torch
import upwell
from torch.library import opcheck

import lctc_test
from autograd_test import NO_OPERATORS, forward_of, registered_operators
from problems import OPERATORS, random
from reference import composition
from resfu_draws import with_gradients



def tensors(*shapes: tuple[int, ...]) -> list[torch.Tensor]:
    return [random(shape, torch.float64, i).requires_grad_() for i, shape in enumerate(shapes)]


def maps(n: int = 2, d: int = 4) -> list[torch.Tensor]:
    """A high-res map, and a low-res one."""
    return tensors((n, d, 5, 6), (n, d, 2, 3))


def block(d: int = 4, l: int = 4, m: int = 4, scores: int = 3) -> list[torch.Tensor]:
    """The parameters of pcdc_scores with 2 groups and 3 x 3 taps."""
    difference = ((d,), (l, d // 2, 3, 3), (l,))
    return tensors(*difference, (m, l // 2), (m,), (m,), (m,), (scores, m), (scores,))


def score_inputs(upsampled: bool, d: int = 4, l: int = 6, m: int = 8, groups: int = 2) -> list[torch.Tensor]:
    key = (2, d, 2, 3) if upsampled else (2, d, 4, 5)
    weights = ((d,), (l, d // groups, 3, 3), (l,), (m, l // groups), (m,), (m,), (m,), (3, m), (3,))
    return tensors(key, (2, d, 4, 5), *weights)


def score_options(ratio: list[int] | None) -> tuple:
    return 2, 4, ratio, True, ratio is not None


def detached(argument):
    """The argument, its tensors without a history."""
    if isinstance(argument, list):
        return [detached(element) for element in argument]
    return argument.detach() if isinstance(argument, torch.Tensor) else argument


def backward_arguments(forward: str, arguments: tuple) -> tuple:
    """What autograd gives the backward operator of forward(*arguments)."""
    outputs = getattr(torch.ops.upwell, forward)(*arguments)
    outputs = [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)
    cotangents = [torch.randn_like(output) for output in outputs]
    if forward.endswith("group_stats"):
        return *cotangents, arguments[0], *outputs, *arguments[1:]
    if forward == "pcdc":  # without the bias
        return cotangents[0], *arguments[:3], *arguments[4:]
    return cotangents[0], *outputs[1:], *arguments


high, low = maps()
FORWARD = {
    "group_stats": ("group_stats", (high, 2, 1e-5, False)),
    "group_stats of a blurred map": ("group_stats", (high, 2, 1e-5, True)),
    "upsampled_group_stats": ("upsampled_group_stats", (low, [5, 7], 2, 1e-5)),
    "guided_filter": ("guided_filter", (high, low, 2, 1e-2, 1, False)),
    "guided_filter subsampled": ("guided_filter", (high, low, 3, 1e-2, 2, True)),
    "guided_filter in mirrors": ("guided_filter", (high, low, 2, 1e-2, 1, False, "reflect")),
    "guided_filter in mirrors, subsampled": ("guided_filter", (high, low, 3, 1e-2, 2, True, "symmetric")),
    "pcdc": ("pcdc", (high, high, *tensors((6, 2, 3, 3), (6,)), 2, [2, 1])),
    "pcdc_scores of a low-res key": ("pcdc_scores", (low, high, *block(), 2, 2)),
    "pcdc_scores of a map": ("pcdc_scores", (high.flip(3), high, *block(), 2, 2, [2, 1, 1, 1], False, True)),
    "pcdc_scores at a real ratio": ("pcdc_scores", (high.flip(3), high, *block(), 2, 2, [5, 2, 7, 3])),
}
# Of a block whose normalisation has other groups than its convolutions: tensors and options.
SCORES = {
    "pcdc_scores of groups apart": (score_inputs(False), score_options([1, 1, 2, 1])),
    "pcdc_scores of groups apart at a real ratio": (score_inputs(False), score_options([5, 2, 7, 3])),
    "pcdc_scores of groups apart, upsampled": (score_inputs(True), score_options(None)),
}


FORWARD |= {name: ("pcdc_scores", (*inputs, *options)) for name, (inputs, options) in SCORES.items()}
every_operator = pytest.mark.parametrize("name", FORWARD)


@every_operator
def test_opcheck_passes(name):
    operator, arguments = FORWARD[name]
    opcheck(getattr(torch.ops.upwell, operator).default, arguments)


def test_every_registered_operator_has_samples_here_or_among_the_operators_of_another_family():
    here = {name for operator, _ in FORWARD.values() for name in (operator, f"{operator}_backward")}
    here.add("pcdc_scores_forward")
    elsewhere = {*NO_OPERATORS, *lctc_test.OPERATORS}
    own = ("adaptive_conv", "adaptive_conv_d_value", "adaptive_conv_d_weight", "colour_guided_filter", "cross_attention")
    own += ("index_unpool", "index_unpool_d_index", "index_unpool_d_value")
    own += ("fold_group_norm", "local_attention", "range_weights", "sample_at_offsets")
    for name in (*own, "wrc_data", "wrc_exact", "wrc_prior", "wrc_spectral"):  # in tests of their own
        elsewhere |= {name, f"{name}_forward", f"{name}_backward"}
    elsewhere |= {f"colour_guided_filter_d_{of}" for of in ("guide", "input")}
    assert {name for name in registered_operators() if forward_of(name) not in OPERATORS} <= here | elsewhere


@pytest.mark.parametrize("name", [n for n, (op, _) in FORWARD.items() if op != "pcdc_scores"])
def test_opcheck_passes_on_the_backward_operator(name):
    operator, arguments = FORWARD[name]
    arguments = [detached(argument) for argument in arguments]
    backward = getattr(torch.ops.upwell, f"{operator}_backward").default
    opcheck(backward, backward_arguments(operator, tuple(arguments)))


@pytest.mark.parametrize("name", SCORES)
def test_opcheck_passes_on_what_autograd_calls_for_scores(name):
    inputs, options = SCORES[name]
    inputs = detached(inputs)
    forward = torch.ops.upwell.pcdc_scores_forward
    opcheck(forward.default, (*inputs, *options))
    for keep_mib in (0, 256):
        kept = (*options, keep_mib)
        scores, statistics, coarse, hidden = forward(*inputs, *kept)
        assert (hidden.numel() > 0) == (keep_mib > 0)
        backward = torch.ops.upwell.pcdc_scores_backward.default
        opcheck(backward, (torch.randn_like(scores), statistics, coarse, hidden, *inputs, *kept))


@every_operator
def test_gradients_pass_gradcheck_in_float64(name):
    operator, arguments = FORWARD[name]
    flat = [a for a in arguments if isinstance(a, torch.Tensor)]

    def call(*given):
        rest = iter(given)
        new = [next(rest) if isinstance(a, torch.Tensor) else a for a in arguments]
        return getattr(torch.ops.upwell, operator)(*new)

    leaves = [tensor.detach().clone().requires_grad_(tensor.requires_grad) for tensor in flat]
    assert torch.autograd.gradcheck(call, leaves, fast_mode=sum(map(torch.numel, leaves)) > 400)


@pytest.mark.parametrize("y", [(8, 8), (9, 10)], ids=["ratio 4", "real ratios"])
def test_torch_compile_traces_resfu_in_one_graph_forward_and_backward(y):
    torch._dynamo.reset()
    module = upwell.nn.ReSFU(12, 8, embedding_dim=16, scale_factor=None).double()
    compiled = torch.compile(module, fullgraph=True, dynamic=False, backend="aot_eager")
    inputs = tensors((1, 12, *y), (1, 8, 2, 2))
    results = [with_gradients(lambda given: call(*given), inputs) for call in (module, compiled)]
    for expected, actual in zip(*results):
        torch.testing.assert_close(actual, expected, rtol=1e-11, atol=1e-11)


LARGE = {
    "group_stats": lambda x, y: upwell.ops.group_stats(x, 4, blur=True),
    "group_stats of one group": lambda x, y: upwell.ops.group_stats(x, 1),
    "upsampled_group_stats": lambda x, y: upwell.ops.group_stats(x, 4, size=(99, 101)),
    "upsampled_group_stats of one group": lambda x, y: upwell.ops.group_stats(x, 1, size=(99, 101)),
    "guided_filter": lambda x, y: upwell.ops.guided_filter(x, y, 8, 1e-3, 2),
    "guided_filter in mirrors": lambda x, y: upwell.ops.guided_filter(x, y, 8, 1e-3, 2, border="reflect"),
    "pcdc": lambda x, y: upwell.ops.pcdc(x, x, y[:1, :, :3, :3].contiguous(), None, 1, (4, 4)),
    "pcdc_scores of a low-res key": lambda x, y: upwell.ops.pcdc_scores(y, x, *large_block(x.dtype), 2, 4),
    "pcdc_scores of a map": lambda x, y: upwell.ops.pcdc_scores(
        x.flip(2), x, *large_block(x.dtype), 2, 4, (4, 1, 4, 1), blur=True
    ),
}


def large_block(dtype: torch.dtype) -> list[torch.Tensor]:
    return [parameter.to(dtype) for parameter in block(16, 128, 128, 9)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", LARGE)
def test_results_are_bit_identical_from_run_to_run_and_for_any_number_of_threads(name, dtype):
    first = large_results(LARGE[name], dtype, 1)
    for threads in (1, 2):
        again = large_results(LARGE[name], dtype, threads)
        assert all(torch.equal(a, b) for a, b in zip(first, again)), f"{threads} threads differ from 1"


@pytest.mark.parametrize("threads", [1, 2])
def test_resfu_gives_the_same_bits_from_run_to_run(threads):
    """For the same number of threads: the gradients of torch's matrix products depend on it."""
    module = upwell.nn.ReSFU(16, 16, scale_factor=4)
    first, again = (large_results(module, torch.float32, threads, *module.parameters()) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, again))


def large_results(call, dtype: torch.dtype, threads: int, *parameters: torch.Tensor) -> list[torch.Tensor]:
    """Outputs of call(high-res map, low-res map), and the gradients of these and of the parameters."""
    torch.set_num_threads(threads)
    leaves = [random(shape, dtype, 0).requires_grad_() for shape in ((1, 16, 96, 100), (1, 16, 24, 25))]
    outputs = call(*leaves)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    cotangents = [random(tuple(output.shape), dtype, 2) for output in outputs]
    wanted = [*leaves, *parameters]
    return [*outputs, *torch.autograd.grad(outputs, wanted, cotangents, materialize_grads=True)]


def saved_bytes(call) -> int:
    """Of the storages that autograd keeps, each once."""
    storages = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        result = call()  # kept: a freed storage could lend its address to the next one
    del result
    return sum(storages.values())


@pytest.mark.parametrize(("keep_mib", "part"), [(0, 10), (-1, 6)])
def test_resfu_saves_a_tenth_of_what_the_composition_saves_or_a_sixth_with_hidden_channels(keep_mib, part):
    module = upwell.nn.ReSFU(16, 32, keep_mib=keep_mib)
    y, x = (random(shape, torch.float32, 0).requires_grad_() for shape in ((2, 16, 32, 32), (2, 32, 8, 8)))
    own, composed = saved_bytes(lambda: module(y, x)), saved_bytes(lambda: composition.resfu(module, y, x))
    assert part * own <= composed, f"{own} bytes, the composition {composed}"
