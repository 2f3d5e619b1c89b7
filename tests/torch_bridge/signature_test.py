"""What follows from the signature of an operator: for every one, gradients too."""

import inspect
import math

import pytest
import torch
import upwell
from torch.library import opcheck
from upwell.inspect.signature import signatures

from bad_input_test import refused

SIGNATURES = signatures()
every_operator = pytest.mark.parametrize("name", SIGNATURES)
differentiable = pytest.mark.parametrize("name", [name for name, s in SIGNATURES.items() if s["gradients"]])

# What sizes and integer options are, where a signature leaves them free.
FREE = dict(
    N=2, C=4, D=4, E=2, L=4, M=6, O=5, S=3, K=3, A=2, B=3, h=3, w=4, H=6, W=5, KH=5, KW=3, kh=3, kw=1, scale=2, groups=2,
    norm_groups=2, radius=1, height=5, width=7, kernel_height=3, kernel_width=4, max_iterations=60, kernel=3,
    heads=2, keep_mib=1, T=9, p=3, q=4,
)  # fmt: skip
PARTS = dict(kernel=[3, 2], dilation=[2, 1], stride=[2, 3], padding=[1, 0], output_padding=[1, 2], size=[5, 7], ratio=None)
OTHERS = dict(tolerance=1e-13)


def evaluate(formula: str, values: dict[str, int]) -> int:
    return eval(formula.replace("/", "//"), {"max": max}, values)


def values_of(signature: dict, **given: int) -> dict[str, int]:
    """Of every name in its formulas; what a condition sets equal to something is that."""
    values = FREE | given
    for option in signature["options"]:
        parts = PARTS.get(option["name"]) or [0] * len(option["parts"])
        values |= dict(zip(option["parts"], parts))
        if option["kind"] in ("flag", "sizes"):
            values[option["name"]] = 0
    for condition in signature["conditions"]:
        name, _, formula = condition["formula"].partition(" == ")
        if name in "DHW" and formula:
            values[name] = evaluate(formula, values)
    return values


def sizes_of(argument: dict, values: dict[str, int]) -> list[int]:
    formulas, depth = [""], 0
    for letter in argument["sizes"]:  # commas within brackets are max's
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "," and depth == 0:
            formulas.append("")
        else:
            formulas[-1] += letter
    return [evaluate(formula, values) for formula in formulas]


def tensors_of(signature: dict, dtype=torch.float64, **given: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    values = values_of(signature, **given)
    return {i["name"]: torch.rand(sizes_of(i, values), dtype=dtype) + 0.5 for i in signature["inputs"]}


def options_of(signature: dict, **given: int) -> dict:
    options, values = {}, values_of(signature, **given)
    for option in signature["options"]:
        name, kind = option["name"], option["kind"]
        if kind in ("integer", "real") and option["optional"]:
            options[name] = None
        elif kind in ("integer", "size"):
            options[name] = values[name]
        elif kind in ("integers", "sizes"):
            options[name] = PARTS[name]
        elif kind != "fourier":
            options[name] = OTHERS.get(name, bool(option["usual"]) if kind == "flag" else option["usual"])
    return options


def call(name: str, tensors: dict[str, torch.Tensor], options: dict):
    made = getattr(torch.ops.upwell, name)(**tensors, **options)
    return [made] if isinstance(made, torch.Tensor) else list(made)


def dtype_of(output: dict, signature: dict, dtype: torch.dtype) -> torch.dtype:
    """Of an output, where all inputs are of this dtype."""
    is_float = output["wide"] and not any(each["wide"] for each in signature["inputs"])
    return torch.float32 if is_float and dtype.itemsize == 2 else dtype


def made_by(signature: dict) -> list[dict]:
    return [output for output in signature["outputs"] if not output["kept"]]


@every_operator
def test_the_schema_takes_what_the_signature_says_and_makes_it(name):
    signature = SIGNATURES[name]
    schema = getattr(torch.ops.upwell, name).default._schema
    options = [option["name"] for option in signature["options"] if option["kind"] != "fourier"]
    assert [a.name for a in schema.arguments] == [i["name"] for i in signature["inputs"]] + options
    assert len(schema.returns) == len(made_by(signature))
    assert len(signature["doc"]) > 10


@every_operator
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("N", [0, 1, 3])
def test_sizes_and_dtypes_are_those_of_the_signature_with_data_and_without(name, dtype, N):
    signature = SIGNATURES[name]
    tensors, options = tensors_of(signature, dtype, N=N), options_of(signature)
    expected = [sizes_of(output, values_of(signature, N=N)) for output in made_by(signature)]
    for given in (tensors, {key: tensor.to("meta") for key, tensor in tensors.items()}):
        made = call(name, given, options)
        assert [list(output.shape) for output in made] == expected
        assert all(output.is_contiguous() for output in made)
        assert [output.dtype for output in made] == [dtype_of(each, signature, dtype) for each in made_by(signature)]
    if N == 0 and name.endswith("_backward"):
        assert all(not output.any() for output in call(name, tensors, options))


@every_operator
def test_a_tensor_that_does_not_fit_is_refused_by_name(name):
    signature = SIGNATURES[name]
    tensors, options = tensors_of(signature), options_of(signature)
    first = signature["first"]
    for argument in signature["inputs"]:
        own = argument["name"]
        wrong = {"": tensors[own][0], "Long": tensors[own].long(), "sparse": tensors[own].to_sparse()}
        if len(tensors) > 1:
            wrong |= {"Float": tensors[own].float(), "meta": tensors[own].to("meta")}
        if not argument["flattened"]:
            wrong["more"] = tensors[own][None]
        for said, tensor in wrong.items():
            with refused(name if said == "sparse" else f"{name}: "):
                call(name, tensors | {own: tensor}, options)
            if own != first and said not in ("Long", "sparse"):
                with refused(f"{name}: {own} should", said if said in ("Float", "meta") else str(list(tensor.shape))):
                    call(name, tensors | {own: tensor}, options)
    for own, tensor in tensors.items():  # one more of everything: refused, or another call that makes sense
        for d in range(tensor.dim()):
            more = torch.cat([tensor, tensor.narrow(d, 0, 1)], d)
            try:
                call(name, tensors | {own: more}, options)
            except RuntimeError as error:
                assert str(error).startswith(f"{name}: ") and " should " in str(error)


@every_operator
def test_an_option_out_of_its_range_is_refused_by_name(name):
    signature = SIGNATURES[name]
    tensors, options = tensors_of(signature), options_of(signature)
    for option in signature["options"]:
        own, kind = option["name"], option["kind"]
        out = [option["least"] - 1, option["most"] + 1 if option["most"] < 2**63 - 1 else option["least"] - 2]
        if option["built"]:
            out = [4, -3, max(option["built"]) + 2]
        wrong = []
        if kind in ("integer", "size"):
            wrong = out
        elif kind in ("integers", "sizes"):
            count = len(option["parts"])
            wrong = [[1] * i + [bad] + [1] * (count - 1 - i) for bad in out for i in range(count)] + [[1] * (count + 2)]
        elif kind == "real":
            wrong = [-1.0, math.nan, math.inf, *([0.0] if option["optional"] else [])]
        elif kind == "text":
            wrong = ["", "another"]
        for bad in wrong:
            with refused(f"{name}: {own} should", str(bad) if kind in ("integer", "size", "integers", "sizes") else ""):
                call(name, tensors, options | {own: bad})


@every_operator
def test_opcheck_passes(name):
    signature = SIGNATURES[name]
    tensors = tensors_of(signature)
    if signature["gradients"]:
        tensors = {own: tensor.requires_grad_() for own, tensor in tensors.items()}
    opcheck(getattr(torch.ops.upwell, name).default, tuple(tensors.values()), options_of(signature))


@differentiable
def test_gradients_pass_gradcheck(name):
    signature = SIGNATURES[name]
    few = {"C": 2} if name.startswith("wrc_") else {}  # what takes long
    tensors, options = tensors_of(signature, N=1, **few), options_of(signature)

    def run(*given):
        return tuple(call(name, dict(zip(tensors, given)), options))

    given = [tensor.requires_grad_() for tensor in tensors.values()]
    assert torch.autograd.gradcheck(run, given, eps=1e-6, atol=1e-5, rtol=1e-4)
    assert torch.autograd.gradgradcheck(run, given, atol=1e-5, rtol=1e-4)


@differentiable
def test_an_input_alone_gets_the_gradient_that_it_gets_with_all(name):
    signature = SIGNATURES[name]
    tensors, options = tensors_of(signature), options_of(signature)

    def gradients(names):
        given = {own: tensor.detach().requires_grad_(own in names) for own, tensor in tensors.items()}
        sum((output * output).sum() for output in call(name, given, options)).backward()
        return {own: given[own].grad for own in names}

    together = gradients(list(tensors))
    for own in tensors:
        torch.testing.assert_close(gradients([own])[own], together[own], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "name", sorted(set(upwell.ops.__all__) - {"bicubic", "bilinear", "nearest", "group_stats", "sapa_attention"})
)
def test_functions_of_python_take_what_operators_do(name):
    schema = getattr(torch.ops.upwell, name).default._schema
    parameters = inspect.signature(getattr(upwell.ops, name)).parameters
    assert [own for own in parameters if own != "return_weights"] == [argument.name for argument in schema.arguments]
    for argument in schema.arguments:
        usual = parameters[argument.name].default
        if usual is inspect.Parameter.empty:
            assert not argument.has_default_value()
        else:
            assert argument.default_value in (usual, list(usual) if isinstance(usual, tuple) else [usual] * 2)


@pytest.mark.parametrize("name", ["fns", "carafe", "carafe_reassembly"])
def test_a_described_operator_is_a_function_without_a_word_of_python(name, monkeypatch):
    own = getattr(upwell.ops, name)
    monkeypatch.delattr(upwell.ops, name)
    derived = getattr(upwell.ops, name)
    assert derived is not own and derived is getattr(upwell.ops, name)
    assert str(inspect.signature(derived)).replace("torch.", "") == str(inspect.signature(own)).replace("torch.", "")
    assert "value: [N, C, h, w]" in derived.__doc__
    tensors = [torch.randn(1, 2, 3, 4), torch.randn(1, 9, 6, 8)]
    assert torch.equal(derived(*tensors, 3), own(*tensors, kernel=3))


def test_an_operator_that_nobody_described_is_an_attribute_error():
    with pytest.raises(AttributeError, match="upwell.ops has no operator 'cafare'"):
        upwell.ops.cafare
    assert not hasattr(upwell.ops, "_private")
