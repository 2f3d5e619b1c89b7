"""The operators as citizens of torch: gradients, registration, determinism, checkpointing, compilation."""

import functools

import pytest
import torch
import upwell
from torch.utils.checkpoint import checkpoint

from problems import EVERY_OPERATOR, LARGE, OPERATORS, WEIGHTS, Problem

# What is registered beside operators.
NO_OPERATORS = {
    *("backend", "compile_cost", "described", "instruction_set", "kernels", "refusals", "runtime_path", "signatures"),
    *("tuned_kernels", "use_tuned", "window", "window_flops", "window_matrix", "window_operators"),
    # Made of operators and of torch's; return_weights_test.py tries them.
    *("carafe_and_weights", "carafe_reassembly_and_weights", "fns_and_weights"),
}

every_operator = pytest.mark.parametrize("problem", EVERY_OPERATOR, ids=str)
weighted = pytest.mark.parametrize("problem", [p for p in EVERY_OPERATOR if p.operator in WEIGHTS], ids=str)


@functools.cache
def registered_operators() -> list[str]:
    """Every operator registered under upwell:: as this file is read, forward and backward ones."""
    names = {
        name.split("::")[1].split(".")[0]
        for name in torch._C._dispatch_get_all_op_names()
        if name.startswith("upwell::") and not name.endswith("_composed")
    }
    return sorted(names)


def sample_arguments(schema, problem: Problem) -> tuple:
    """The arguments of a forward or backward operator, found by their names in its schema."""
    tensors = dict(zip(("value", WEIGHTS.get(problem.operator)), problem.tensors()))
    h, w = problem.low
    known = {**problem.arguments, **tensors, "d_output": problem.cotangent(), "h": h, "w": w}
    known |= {"scale_h": None, "scale_w": None}
    if "d_output" in [argument.name for argument in schema.arguments]:
        known["size"] = [h, w]
    missing = [argument.name for argument in schema.arguments if argument.name not in known]
    assert not missing, f"{schema.name}: no sample for {missing}"
    return tuple(known[argument.name] for argument in schema.arguments)


def forward_of(name: str) -> str:
    """fns_d_value -> fns"""
    return name.split("_d_")[0]


@pytest.mark.parametrize(
    "operator",
    [
        "fns",
        "fns_d_value",
        "fns_d_logits",
        "carafe",
        "carafe_d_value",
        "carafe_d_logits",
        "carafe_reassembly",
        "carafe_reassembly_d_value",
        "carafe_reassembly_d_weight",
        "bilinear",
        "bilinear_d_value",
        "nearest",
        "nearest_d_value",
    ],
)
def test_the_operator_is_registered(operator):
    assert operator in registered_operators()


# ReSFU's own are in resfu_autograd_test.py, which sees that none is left out.
@pytest.mark.parametrize("name", [name for name in registered_operators() if forward_of(name) in OPERATORS])
def test_opcheck_passes_on_every_registered_operator(name):
    operator = getattr(torch.ops.upwell, name).default
    samples = [problem for problem in EVERY_OPERATOR if problem.operator == forward_of(name)]
    assert samples, f"no sample problem for upwell::{name}"
    for problem in samples:
        arguments = sample_arguments(operator._schema, problem)
        if name == forward_of(name):
            arguments = tuple(a.requires_grad_() if isinstance(a, torch.Tensor) else a for a in arguments)
        torch.library.opcheck(operator, arguments)


@every_operator
def test_the_schema_takes_meta_tensors_and_gives_the_shape_without_computing(problem):
    tensors = [tensor.to("meta") for tensor in problem.tensors(torch.float32)]
    output = problem.run(upwell.ops, tensors)
    assert (
        output.device.type == "meta"
        and output.shape == problem.output_shape
        and output.dtype == torch.float32
    )
    assert output.is_contiguous()


@every_operator
def test_gradients_pass_gradcheck_in_float64(problem):
    leaves = [tensor.requires_grad_() for tensor in problem.tensors()]
    assert torch.autograd.gradcheck(lambda *tensors: problem.run(upwell.ops, tensors), leaves)


@every_operator
def test_an_operator_can_be_differentiated_twice(problem):
    leaves = [tensor.requires_grad_() for tensor in problem.tensors()]
    assert torch.autograd.gradgradcheck(lambda *tensors: problem.run(upwell.ops, tensors), leaves)


@pytest.mark.parametrize("border", ["zero", "mask"])
@pytest.mark.parametrize("high", [(6, 8), (7, 5), (2, 3)], ids=str)
def test_sapa_attention_passes_gradcheck_and_gradgradcheck(border, high):
    shapes = (2, 3, 3, 4), (2, 2, *high), (2, 2, 3, 4)
    value, query, key = (torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes)
    assert torch.autograd.gradcheck(lambda *given: upwell.ops.sapa_attention(*given, 3, border), (value, query, key))
    assert torch.autograd.gradgradcheck(lambda *given: upwell.ops.sapa_attention(*given, 3, border), (value, query, key))


@weighted
@pytest.mark.parametrize(
    "wanted", [(True, False), (False, True), (False, False)], ids=["value", "weight", "neither"]
)
def test_only_the_wanted_gradients_are_computed_and_they_are_the_same(problem, wanted):
    tensors, cotangent = problem.tensors(), problem.cotangent()
    _, both = problem.gradients(upwell.ops, tensors, cotangent)
    leaves = [tensor.clone().requires_grad_(wants) for tensor, wants in zip(tensors, wanted)]
    output = problem.run(upwell.ops, leaves)
    assert output.requires_grad == any(wanted)
    if any(wanted):
        output.backward(cotangent)
    for leaf, wants, gradient in zip(leaves, wanted, both):
        assert torch.equal(leaf.grad, gradient) if wants else leaf.grad is None


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("problem", LARGE, ids=str)
def test_results_are_bit_identical_from_run_to_run_and_for_any_number_of_threads(problem, dtype):
    tensors, cotangent = problem.tensors(dtype), problem.cotangent(dtype)

    def once(threads: int) -> list[torch.Tensor]:
        torch.set_num_threads(threads)
        output, gradients = problem.gradients(upwell.ops, tensors, cotangent)
        return [output, *gradients]

    first = once(1)
    for threads in (1, 2, 3, 5):
        assert all(torch.equal(a, b) for a, b in zip(first, once(threads))), (
            f"{threads} threads differ from 1"
        )


@every_operator
def test_no_grad_and_inference_mode_compute_the_same_and_record_nothing(problem):
    leaves = [tensor.requires_grad_() for tensor in problem.tensors()]
    expected = problem.run(upwell.ops, leaves)
    assert expected.requires_grad
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            output = problem.run(upwell.ops, leaves)
        assert not output.requires_grad and torch.equal(output, expected)


@every_operator
def test_only_inputs_are_saved_for_the_backward_pass(problem):
    leaves = [tensor.requires_grad_() for tensor in problem.tensors()]
    saved = []

    def pack(tensor):
        saved.append(tensor.data_ptr())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        problem.run(upwell.ops, leaves)
    assert set(saved) <= {leaf.data_ptr() for leaf in leaves}
    assert len(saved) == len(set(saved))


@every_operator
def test_an_input_changed_before_the_backward_pass_is_noticed(problem):
    tensors = [tensor.requires_grad_() for tensor in problem.tensors()]
    changed = tensors[-1] * 1
    output = problem.run(upwell.ops, [*tensors[:-1], changed])
    with torch.no_grad():
        changed.add_(1)
    if problem.operator in WEIGHTS:
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            output.sum().backward()
    else:
        output.sum().backward()  # a linear operator needs none of its input's values


@pytest.mark.parametrize("reentrant", [False, True], ids=["not reentrant", "reentrant"])
@every_operator
def test_checkpointing_gives_the_same_gradients(problem, reentrant):
    tensors, cotangent = problem.tensors(), problem.cotangent()
    expected_output, expected = problem.gradients(upwell.ops, tensors, cotangent)
    leaves = [tensor.requires_grad_() for tensor in tensors]
    output = checkpoint(lambda *given: problem.run(upwell.ops, given), *leaves, use_reentrant=reentrant)
    assert torch.equal(output, expected_output)
    output.backward(cotangent)  # reentrant checkpointing supports nothing else
    assert all(torch.equal(leaf.grad, gradient) for leaf, gradient in zip(leaves, expected))


def all_operators(size, *leaves):
    """Every operator in one graph. Of arguments of their own: torch compiles no code to add gradients."""
    calls = (
        lambda value, logits: upwell.ops.fns(value, logits, 3),
        lambda value, logits: upwell.ops.fns(value, logits, 3, mask_ratio=2),
        lambda value, logits: upwell.ops.carafe(value, logits, 3, border="mask"),
        lambda value, logits: upwell.ops.carafe(value, logits, 5),
        lambda value, weight: upwell.ops.carafe_reassembly(value, weight, 3, 2),
    )
    of_two = [call(*leaves[2 * i : 2 * i + 2]) for i, call in enumerate(calls)]
    return *of_two, upwell.ops.bilinear(leaves[-2], size), upwell.ops.nearest(leaves[-1], size)


def compiled_arguments(low: tuple[int, int], high: tuple[int, int]) -> list[torch.Tensor]:
    shapes = [shape for taps in (9, 9, 9, 25, 18) for shape in ((2, 4, *low), (2, taps, *high))] + [(2, 4, *low)] * 2
    return [torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


def outputs_and_gradients(call, size: tuple[int, int], leaves: list[torch.Tensor]) -> tuple[list, list]:
    outputs = call(size, *leaves)
    return list(outputs), list(torch.autograd.grad(sum(output.square().sum() for output in outputs), leaves))


def test_torch_compile_takes_every_operator_in_one_graph_at_any_shape():
    torch._dynamo.reset()
    compiled = torch.compile(all_operators, fullgraph=True, dynamic=True)
    for low, high in (((3, 4), (6, 8)), ((5, 3), (7, 11)), ((4, 7), (16, 28))):
        leaves = compiled_arguments(low, high)
        actual, expected = (outputs_and_gradients(call, high, leaves) for call in (compiled, all_operators))
        torch.testing.assert_close(actual[0], expected[0], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(actual[1], expected[1], rtol=1e-11, atol=1e-11)


def test_torch_compile_traces_every_operator_at_a_static_shape():
    torch._dynamo.reset()
    compiled = torch.compile(all_operators, fullgraph=True, dynamic=False, backend="aot_eager")
    leaves = compiled_arguments((3, 4), (6, 8))
    actual, expected = (outputs_and_gradients(call, (6, 8), leaves) for call in (compiled, all_operators))
    assert all(map(torch.equal, actual[0], expected[0]))
    torch.testing.assert_close(actual[1], expected[1], rtol=1e-11, atol=1e-11)
