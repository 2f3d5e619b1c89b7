"""A wrong call is an exception that names operator, argument, expected and actual; never a crash."""

import inspect
import math
import random as python_random
import re
import time
from collections.abc import Sequence
from types import UnionType
from typing import get_args

import numpy
import pytest
import torch
import upwell

from problems import EVERY_OPERATOR, OPERATORS, WEIGHTS, Problem

REFUSALS = (RuntimeError, ValueError, TypeError, NotImplementedError)


def refused(*words: str):
    """Expects an exception whose text has all the words, in this order."""
    return pytest.raises(REFUSALS, match="(?is)" + ".*".join(re.escape(word) for word in words))


def zeros(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.zeros(shape, dtype=dtype)


@pytest.mark.parametrize("operator", list(WEIGHTS))
@pytest.mark.parametrize("place", (0, 1))
def test_none_where_a_tensor_belongs_is_refused(operator, place):
    problem = Problem(operator, (4, 4), (8, 8))
    tensors = problem.tensors(torch.float32)
    tensors[place] = None
    with refused(f"{operator}: {('value', WEIGHTS[operator])[place]} should be a tensor but is None"):
        problem.run(upwell.ops, tensors)


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("shape", [(4, 4), (3, 4, 4), (1, 3, 4, 4, 4), ()], ids=str)
def test_a_value_of_the_wrong_rank_is_refused(operator, shape):
    problem = Problem(operator, (4, 4), (8, 8))
    tensors = problem.tensors(torch.float32)
    tensors[0] = zeros(*shape)
    with refused(f"{operator}: value", str(list(shape))):
        problem.run(upwell.ops, tensors)


@pytest.mark.parametrize("operator", list(WEIGHTS))
@pytest.mark.parametrize("shape", [(9, 8, 8), (2, 9, 8, 8, 1), (2, 9)], ids=str)
def test_a_weight_of_the_wrong_rank_is_refused(operator, shape):
    problem = Problem(operator, (4, 4), (8, 8), n=2)
    with refused(f"{operator}: {WEIGHTS[operator]}", str(list(shape))):
        problem.run(upwell.ops, [zeros(2, 3, 4, 4), zeros(*shape)])


@pytest.mark.parametrize("operator", list(WEIGHTS))
@pytest.mark.parametrize(
    "shape", [(2, 8, 8, 8), (2, 25, 8, 8), (1, 9, 8, 8), (3, 9, 8, 8), (2, 0, 8, 8)], ids=str
)
def test_a_weight_with_the_wrong_channels_or_batch_is_refused_with_what_it_should_be(operator, shape):
    problem = Problem(operator, (4, 4), (8, 8), n=2)
    with refused(f"{operator}: {WEIGHTS[operator]} should be", "[2, 9, 8, 8]", "but is", str(list(shape))):
        problem.run(upwell.ops, [zeros(2, 3, 4, 4), zeros(*shape)])


@pytest.mark.parametrize("operator", ["carafe", "carafe_reassembly"])
def test_groups_that_do_not_divide_the_channels_are_refused(operator):
    problem = Problem(operator, (4, 4), (8, 8), channels=6, groups=4)
    with refused(f"{operator}: groups", "6", "4"):
        problem.run(upwell.ops, problem.tensors(torch.float32))


@pytest.mark.parametrize("operator", ["carafe", "carafe_reassembly"])
@pytest.mark.parametrize("groups", [0, -1])
def test_groups_below_one_are_refused(operator, groups):
    with refused(f"{operator}: groups", str(groups)):
        getattr(upwell.ops, operator)(zeros(1, 3, 4, 4), zeros(1, 9, 8, 8), 3, groups)


@pytest.mark.parametrize("operator", list(WEIGHTS))
@pytest.mark.parametrize("kernel", [2, 4, 0, -3, 31])
def test_a_kernel_that_is_even_or_not_built_is_refused_with_those_that_are(operator, kernel):
    with refused(f"{operator}: kernel", "[3, 5, 7", str(kernel)):
        getattr(upwell.ops, operator)(zeros(1, 3, 4, 4), zeros(1, kernel * kernel, 8, 8), kernel)


@pytest.mark.parametrize("mask_ratio", [0, -2])
def test_a_mask_ratio_below_one_is_refused(mask_ratio):
    with refused("fns: mask_ratio", str(mask_ratio)):
        upwell.ops.fns(zeros(1, 3, 4, 4), zeros(1, 9, 8, 8), 3, mask_ratio=mask_ratio)


def test_an_unknown_border_is_refused():
    with refused("carafe: border", "mirror"):
        upwell.ops.carafe(zeros(1, 3, 4, 4), zeros(1, 9, 8, 8), 3, border="mirror")


@pytest.mark.parametrize("operator", list(WEIGHTS))
def test_a_mix_of_dtypes_is_refused(operator):
    problem = Problem(operator, (4, 4), (8, 8))
    with refused(f"{operator}: {WEIGHTS[operator]}", "float", "double"):
        problem.run(upwell.ops, [zeros(1, 3, 4, 4), zeros(1, 9, 8, 8, dtype=torch.float64)])


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize(
    "dtype, name",
    [(torch.int64, "long"), (torch.int16, "short"), (torch.bool, "bool"), (torch.complex64, "complex")],
)
def test_a_dtype_that_is_not_built_is_refused_with_those_that_are(operator, dtype, name):
    problem = Problem(operator, (4, 4), (8, 8))
    with refused(f"{operator}: value", "float", name):
        problem.run(upwell.ops, [tensor.to(dtype) for tensor in problem.tensors(torch.float32)])


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.parametrize("low", [(0, 4), (4, 0)], ids=str)
def test_a_map_without_pixels_is_refused(operator, low):
    problem = Problem(operator, low, (8, 8))
    with refused(f"{operator}: value", str([1, 3, *low])):
        problem.run(upwell.ops, problem.tensors(torch.float32))


@pytest.mark.parametrize("operator", ["bilinear", "nearest"])
@pytest.mark.parametrize("size", [(0, 8), (8, -1)], ids=str)
def test_a_size_below_one_pixel_is_refused(operator, size):
    with refused(f"{operator}: size", str(list(size))):
        getattr(upwell.ops, operator)(zeros(1, 3, 4, 4), size)


@pytest.mark.parametrize("operator", list(WEIGHTS))
def test_logits_without_pixels_are_refused(operator):
    with refused(f"{operator}: {WEIGHTS[operator]}", "[1, 9, 0, 8]"):
        getattr(upwell.ops, operator)(zeros(1, 3, 4, 4), zeros(1, 9, 0, 8), 3)


@pytest.mark.parametrize("operator", ["bilinear", "nearest"])
@pytest.mark.parametrize("size", [(2**16, 2**16), (2**31, 1), (2**40, 2**40), (2**62, 4)], ids=str)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_an_output_of_more_than_2_to_the_31_elements_is_refused(operator, size, device):
    with refused(operator, str(size[0])):
        getattr(upwell.ops, operator)(zeros(1, 1, 4, 4).to(device), size)


@pytest.mark.parametrize("operator", OPERATORS)
def test_an_input_of_more_than_2_to_the_31_elements_is_refused_before_it_is_copied(operator):
    problem = Problem(operator, (4, 4), (8, 8))
    huge = torch.zeros(1).expand(1, 2**12, 2**10, 2**10)
    with refused(f"{operator}: value", "[1, 4096, 1024, 1024]"):
        problem.run(upwell.ops, [huge, *problem.tensors(torch.float32)[1:]])


@pytest.mark.parametrize("operator", list(WEIGHTS))
def test_a_weight_of_more_than_2_to_the_31_elements_is_refused_before_it_is_copied(operator):
    huge = torch.zeros(1).expand(1, 9, 2**14, 2**14)
    with refused(f"{operator}: {WEIGHTS[operator]}", "[1, 9, 16384, 16384]"):
        getattr(upwell.ops, operator)(zeros(1, 1, 4, 4), huge, 3)


@pytest.mark.parametrize("operator", list(WEIGHTS))
def test_a_kernel_whose_square_overflows_is_refused(operator):
    with refused(operator, "kernel"):
        getattr(upwell.ops, operator)(zeros(1, 3, 4, 4), zeros(1, 0, 8, 8), 2**32 + 1)


@pytest.mark.parametrize("problem", EVERY_OPERATOR, ids=str)
def test_meta_tensors_are_checked_like_real_ones(problem):
    tensors = [tensor.to("meta") for tensor in problem.tensors(torch.float32)]
    with refused(f"{problem.operator}: value"):
        problem.run(upwell.ops, [tensors[0][0], *tensors[1:]])


@pytest.mark.parametrize("operator", [f"{o}_d_value" for o in OPERATORS])
def test_a_backward_operator_called_by_hand_checks_its_gradient_too(operator):
    schema = getattr(torch.ops.upwell, operator).default._schema
    known = {
        "d_output": zeros(1, 3, 8, 8),
        "h": 4,
        "w": 4,
        "size": [4, 4],
        "kernel": 3,
        "groups": 1,
        "border": "zero",
        "mask_ratio": None,
        "scale_h": None,
        "scale_w": None,
        "logits": zeros(1, 9, 8, 8),
        "weight": zeros(1, 9, 8, 8),
    }
    arguments = {argument.name: known[argument.name] for argument in schema.arguments}
    getattr(torch.ops.upwell, operator)(**arguments)
    arguments["d_output"] = zeros(1, 3, 8)
    with refused(operator.split("_d_")[0], "d_output", "[1, 3, 8]"):
        getattr(torch.ops.upwell, operator)(**arguments)


# Python's types.


def of_type(annotation: object):
    """What a call accepts as one, whatever its size."""
    kind = (get_args(annotation) or (annotation,))[0] if isinstance(annotation, UnionType) else annotation
    values = {torch.Tensor: zeros(1, 9, 4, 4), int: 1, float: 1.0, bool: False, str: "zero", Sequence[int]: (1, 1)}
    return values.get(kind, (1.0, 1.0))


def words_of(annotation: object) -> str:
    words = {torch.Tensor: "a tensor", int: "an integer", float: "a number", bool: "True or False", str: "a string"}
    return words.get((get_args(annotation) or (annotation,))[0] if isinstance(annotation, UnionType) else annotation, "a list")


WRONG_TYPES = [  # and what a message calls it, where a tensor belongs and elsewhere
    ([[1.0, 2.0]], "a list", "a list"),
    (numpy.zeros((1, 9, 4, 4), numpy.float32), "an ndarray", "an ndarray"),
    ("three", "a str", "'three'"),
    (1j, "a complex", "a complex"),
    ({"of": 1}, "a dict", "a dict"),
]


@pytest.mark.parametrize("wrong, instead_of_a_tensor, elsewhere", WRONG_TYPES, ids=[words for _, words, _ in WRONG_TYPES])
@pytest.mark.parametrize("name", upwell.ops.__all__)
def test_an_argument_of_the_wrong_type_is_one_line_that_names_it(name, wrong, instead_of_a_tensor, elsewhere):
    function = getattr(upwell.ops, name)
    parameters = inspect.signature(function).parameters
    for argument, parameter in parameters.items():
        if argument == "return_weights" or (parameter.annotation is str and isinstance(wrong, str)):
            continue
        given = {each: of_type(parameters[each].annotation) for each in parameters if each != "return_weights"}
        said = instead_of_a_tensor if words_of(parameter.annotation) == "a tensor" else elsewhere
        with pytest.raises(TypeError) as caught:
            function(**given | {argument: wrong})
        assert re.fullmatch(f"{name}: {argument} should be {words_of(parameter.annotation)}.* but is {said}", str(caught.value))
        assert caught.value.__cause__ is None and caught.value.__context__ is None  # no other message before it


@pytest.mark.parametrize("call, message", [
    (lambda v, l: upwell.ops.fns(v, l, "3"), "fns: kernel should be an integer but is '3'"),
    (lambda v, l: upwell.ops.fns(v, l, 3.0), "fns: kernel should be an integer but is 3.0"),
    (lambda v, l: upwell.ops.fns(v, l, None), "fns: kernel should be an integer but is None"),
    (lambda v, l: upwell.ops.fns(v, l, v), "fns: kernel should be an integer but is a tensor of [1, 3, 4, 4]"),
    (lambda v, l: upwell.ops.bilinear(v, (8.0, 8.0)), "bilinear: size should be a list or tuple of integers or None but is (8.0, 8.0)"),
    (lambda v, l: upwell.ops.bilinear(v, 8), "bilinear: size should be a list or tuple of integers or None but is 8"),
    (lambda v, l: upwell.ops.bilinear(v, scale_factor="2"),
     "bilinear: scale_factor should be a number, a list or tuple of numbers or None but is '2'"),
    (lambda v, l: upwell.ops.fns(v, l), "fns: missing a required argument: 'kernel'; the arguments are value, logits, kernel, "
     "mask_ratio=None, return_weights=False"),
    (lambda v, l: upwell.ops.fns(v, l, 3, ratio=2), "fns: got an unexpected keyword argument 'ratio'; the arguments are value, "
     "logits, kernel, mask_ratio=None, return_weights=False"),
    (lambda v, l: upwell.ops.fns(v, l, 3, 2, 5), "fns: too many positional arguments; the arguments are value, logits, kernel, "
     "mask_ratio=None, return_weights=False"),
    (lambda v, l: upwell.ops.wrc_spectral(v, v, v, v, kernel=[1], scale=1), "wrc_spectral: weight should be a tensor but is a list"),
])  # fmt: skip
@pytest.mark.filterwarnings("ignore:wrc_spectral. kernel is called weight")
def test_a_call_that_cannot_be_is_one_line(call, message):
    with pytest.raises(TypeError) as caught:
        call(zeros(1, 3, 4, 4), zeros(1, 9, 8, 8))
    assert str(caught.value) == message


def test_numbers_of_numpy_and_tensors_of_one_element_are_numbers():
    value, logits = zeros(1, 3, 4, 4), zeros(1, 9, 8, 8)
    assert upwell.ops.fns(value, logits, numpy.int64(3)).shape == (1, 3, 8, 8)
    assert upwell.ops.bilinear(value, scale_factor=numpy.float32(2)).shape == (1, 3, 8, 8)
    with refused("fns: logits should be [1, 9, 8, 8] but is [1, 8, 8, 8]"):
        upwell.ops.fns(value, zeros(1, 8, 8, 8), numpy.int64(3))


# The modules.


@pytest.mark.parametrize("kernel", [31, 4, 0, -3, 5.0, "5", None])
@pytest.mark.parametrize(
    "make, argument",
    [
        (upwell.nn.ReSFU, "kernel_size"),
        (upwell.nn.CARAFE, "up_kernel"),
        (upwell.nn.SAPA, "up_kernel_size"),
        (upwell.nn.SAPAExp, "up_kernel_size"),
        (upwell.nn.FADE, "up_kernel_size"),
    ],
)
def test_a_module_refuses_a_kernel_that_was_not_compiled_when_it_is_made(make, argument, kernel):
    compiled = torch.ops.upwell.kernels("carafe")
    words = f"{make.__name__}: {argument} should be one of {compiled} (those that were compiled; upwell.build compiles others"
    with pytest.raises(ValueError, match=f"^{re.escape(words)}.* but is {kernel!r}$"):
        make(8, 2, **{argument: kernel})


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: upwell.nn.ReSFU("32"), "ReSFU: dim_y should be an integer >= 1 but is '32'"),
        (lambda: upwell.nn.ReSFU(8, -1), "ReSFU: dim_x should be an integer >= 1 but is -1"),
        (lambda: upwell.nn.ReSFU(8, groups=None), "ReSFU: groups should divide embedding_dim 32 but is None"),
        (lambda: upwell.nn.ReSFU(8, groups=5), "ReSFU: groups should divide embedding_dim 32 but is 5"),
        (lambda: upwell.nn.ReSFU(8, radius=2.5), "ReSFU: radius should be an integer but is 2.5"),
        (lambda: upwell.nn.ReSFU(8, scale_factor="2"), "ReSFU: scale_factor should be a number or None but is '2'"),
        (lambda: upwell.nn.CARAFE([8], 2), "CARAFE: channels should be an integer >= 1 but is [8]"),
        (lambda: upwell.nn.CARAFE(8, 2, compressed_channels=-1), "CARAFE: compressed_channels should be an integer >= 1 but is -1"),
        (lambda: upwell.nn.CARAFE(8, 2, kernel=5), "CARAFE: got an unexpected keyword argument 'kernel'; the arguments are channels, "
         "scale_factor, up_kernel=5, up_group=1, encoder_kernel=3, encoder_dilation=1, compressed_channels=64, border='zero'"),
        (lambda: upwell.nn.Bilinear(kernel=1), "Bilinear: got an unexpected keyword argument 'kernel'; the arguments are scale_factor=2, recompute_"),
        (lambda: upwell.nn.GuidedFilter(2, 1e-3, "8"), "GuidedFilter: channels should be an integer >= 1 but is '8'"),
        (lambda: upwell.nn.WRC(8, 8, 3, eps="x"), "WRC: eps should be a number but is 'x'"),
    ],
)  # fmt: skip
def test_a_module_that_cannot_be_made_says_why_in_one_line_that_names_it(make, message):
    with pytest.raises((TypeError, ValueError)) as caught:
        make()
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


@pytest.mark.parametrize("kernel", [4, 31])
def test_an_operator_made_of_others_is_named_where_a_kernel_was_not_compiled(kernel):
    with refused("sapa_attention: kernel should be one of [3, 5, 7", f"but is {kernel}"):
        upwell.ops.sapa_attention(zeros(1, 3, 4, 4), zeros(1, 3, 8, 8), zeros(1, 3, 4, 4), kernel)


@pytest.mark.parametrize(
    "y, x, words",
    [
        ((1, 12, 8, 8), (1, 7, 4, 4), ["x", "8", "[1, 7, 4, 4]"]),
        ((1, 11, 8, 8), (1, 8, 4, 4), ["y", "12", "[1, 11, 8, 8]"]),
        ((12, 8, 8), (1, 8, 4, 4), ["y", "[12, 8, 8]"]),
        ((1, 12, 8, 8), (8, 4, 4), ["x", "[8, 4, 4]"]),
        ((2, 12, 8, 8), (1, 8, 4, 4), ["batch", "[1, 8, 4, 4]", "[2, 12, 8, 8]"]),
        ((1, 12, 8, 0), (1, 8, 4, 4), ["y", "[1, 12, 8, 0]"]),
    ],
    ids=str,
)
def test_resfu_refuses_maps_that_do_not_fit(y, x, words):
    with refused("ReSFU: ", *words):
        upwell.nn.ReSFU(12, 8, scale_factor=2)(zeros(*y), zeros(*x))


@pytest.mark.parametrize(
    "argument, value",
    [
        ("kernel_size", 4),
        ("kernel_size", 0),
        ("groups", 5),
        ("groups", 0),
        ("gn_dim", 5),
        ("scale_factor", 0),
        ("scale_factor", -2),
        ("radius", -1),
        ("gf_scale", 0),
        ("layout", "other"),
    ],
)
def test_resfu_refuses_an_option_that_makes_no_sense(argument, value):
    with refused(f"{argument} should", str(value)):
        upwell.nn.ReSFU(12, 8, **{argument: value})


@pytest.mark.parametrize(
    "argument, value",
    [
        ("up_kernel", 4),
        ("up_group", 3),
        ("up_group", 0),
        ("encoder_kernel", 2),
        ("scale_factor", 0),
        ("scale_factor", 1.5),
        ("border", "mirror"),
    ],
)
def test_carafe_refuses_an_option_that_makes_no_sense(argument, value):
    with refused(f"CARAFE: {argument} should", str(value)):
        upwell.nn.CARAFE(**{"channels": 8, "scale_factor": 2, argument: value})


@pytest.mark.parametrize("shape", [(1, 7, 4, 4), (8, 4, 4), (1, 8, 0, 4)], ids=str)
def test_carafe_refuses_features_that_do_not_fit(shape):
    with refused("CARAFE: x should", str(list(shape))):
        upwell.nn.CARAFE(8, 2)(zeros(*shape))


@pytest.mark.parametrize(
    "query, key, words",
    [
        ((2, 8, 8, 8), (2, 7, 4, 4), ["key should be [2, 8, 4, 4]", "[2, 7, 4, 4]"]),
        ((2, 8, 8, 8), (2, 8, 4, 5), ["key should be [2, 8, 4, 4]", "[2, 8, 4, 5]"]),
        ((1, 8, 8, 8), (1, 8, 4, 4), ["query should be [2, 8, 8, 8]", "[1, 8, 8, 8]"]),
        ((8, 8, 8), (2, 8, 4, 4), ["query should be", "[8, 8, 8]"]),
        ((2, 8, 8, 0), (2, 8, 4, 4), ["query should be", "[2, 8, 8, 0]"]),
        ((2, 8, 8, 8), (2, 8, 4), ["key should be", "[2, 8, 4]"]),
    ],
    ids=str,
)
def test_sapa_attention_refuses_maps_that_do_not_fit(query, key, words):
    with refused("sapa_attention: ", *words):
        upwell.ops.sapa_attention(zeros(2, 3, 4, 4), zeros(*query), zeros(*key), 3)


def test_sapa_attention_refuses_other_dtypes_borders_and_kernels():
    value, query, key = zeros(2, 3, 4, 4), zeros(2, 8, 8, 8), zeros(2, 8, 4, 4)
    with refused("sapa_attention: key should be", "float32", "float64"):
        upwell.ops.sapa_attention(value, query, key.double(), 3)
    with refused("sapa_attention: value should be", "float64", "float32"):
        upwell.ops.sapa_attention(value, query.double(), key.double(), 3)
    with refused("sapa_attention: key should be floating-point", "int64"):
        upwell.ops.sapa_attention(value, query, key.long(), 3)
    with refused("sapa_attention: border should be one of zero, mask", "mirror"):
        upwell.ops.sapa_attention(value, query, key, 3, "mirror")
    for kernel in (4, 0, 31):
        with refused("kernel should be", "[3, 5, 7", str(kernel)):
            upwell.ops.sapa_attention(value, query, key, kernel)


@pytest.mark.parametrize("module", [upwell.nn.SAPA, upwell.nn.SAPAExp])
@pytest.mark.parametrize(
    "y, x, words",
    [
        ((1, 12, 8, 8), (1, 7, 4, 4), ["x should", "8", "[1, 7, 4, 4]"]),
        ((1, 11, 8, 8), (1, 8, 4, 4), ["y should", "12", "[1, 11, 8, 8]"]),
        ((12, 8, 8), (1, 8, 4, 4), ["y should", "[12, 8, 8]"]),
        ((2, 12, 8, 8), (1, 8, 4, 4), ["batch", "[1, 8, 4, 4]", "[2, 12, 8, 8]"]),
        ((1, 12, 8, 9), (1, 8, 4, 4), ["y should be [N, C, 8, 8]", "[1, 12, 8, 9]"]),
    ],
    ids=str,
)
def test_sapa_refuses_maps_that_do_not_fit(module, y, x, words):
    with refused(f"{module.__name__}: ", *words):
        module(12, 8)(zeros(*y), zeros(*x))


@pytest.mark.parametrize(
    "en, de, words",
    [
        ((1, 12, 8, 8), (1, 7, 4, 4), ["de should", "8", "[1, 7, 4, 4]"]),
        ((1, 11, 8, 8), (1, 8, 4, 4), ["en should", "12", "[1, 11, 8, 8]"]),
        ((2, 12, 8, 8), (1, 8, 4, 4), ["batch", "[2, 12, 8, 8]", "[1, 8, 4, 4]"]),
        ((1, 12, 7, 8), (1, 8, 4, 4), ["en should be [N, C, 8, 8]", "[1, 12, 7, 8]"]),
    ],
    ids=str,
)
def test_fade_refuses_maps_that_do_not_fit(en, de, words):
    with refused("FADE: ", *words):
        upwell.nn.FADE(12, 8)(zeros(*en), zeros(*de))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: upwell.nn.IndexNet(8, 12)(zeros(1, 12, 8, 9), zeros(1, 8, 4, 4)), ["guide", "8, 8", "[1, 12, 8, 9]"]),
        (lambda: upwell.nn.IndexNet(8, 12)(zeros(1, 11, 8, 8), zeros(1, 8, 4, 4)), ["guide", "12", "[1, 11, 8, 8]"]),
        (lambda: upwell.nn.IndexNet(8, 12)(zeros(2, 12, 8, 8), zeros(1, 8, 4, 4)), ["batch", "[1, 8, 4, 4]"]),
        (lambda: upwell.nn.IndexNet(8, 12, block="o2o"), ["guide_channels", "8", "12"]),
        (lambda: upwell.nn.IndexNet(8, 12, block="m2o"), ["guide_channels", "8", "12"]),
        (lambda: upwell.nn.IndexNet(8, 12, block="other"), ["block", "holistic, o2o, m2o", "other"]),
        (lambda: upwell.nn.IndexNet(8, 12, 1.5), ["scale_factor", "1.5"]),
        (lambda: upwell.nn.IndexNet(8, 12)(zeros(1, 12, 8, 8), zeros(8, 4, 4)), ["x", "[8, 4, 4]"]),
    ],
)
def test_index_net_refuses_what_does_not_fit(call, words):
    with refused("IndexNet: ", *words):
        call()


def test_an_index_block_refuses_what_does_not_fit():
    with refused("HolisticIndexBlock: en should", "3", "[1, 4, 6, 8]"):
        upwell.nn.HolisticIndexBlock(4, scale_factor=3)(zeros(1, 4, 6, 8))
    with refused("DepthwiseO2OIndexBlock: en should", "4", "[1, 5, 6, 8]"):
        upwell.nn.DepthwiseO2OIndexBlock(4)(zeros(1, 5, 6, 8))
    with refused("DepthwiseM2OIndexBlock: inp should", "0"):
        upwell.nn.DepthwiseM2OIndexBlock(0)


@pytest.mark.parametrize(
    "x, index, words",
    [
        ((2, 4, 6, 8), (2, 3, 6, 8), ["idx_en should be [2, 1 or 4, H, W]", "[2, 3, 6, 8]"]),
        ((2, 4, 6, 8), (1, 1, 6, 8), ["idx_en should be", "[1, 1, 6, 8]"]),
        ((2, 4, 6, 9), (2, 1, 6, 8), ["x should", "[2, 4, 6, 9]"]),
        ((2, 4, 5, 8), (2, 1, 5, 8), ["x should", "2", "[2, 4, 5, 8]"]),
        ((4, 6, 8), (2, 1, 6, 8), ["x should", "[4, 6, 8]"]),
    ],
    ids=str,
)
def test_index_pool_refuses_what_does_not_fit(x, index, words):
    with refused("index_pool: ", *words):
        upwell.nn.index_pool(zeros(*x), zeros(*index))


def test_index_unpool_refuses_what_does_not_fit():
    with refused("index_unpool: idx_de should be [2, 1 or 4, H, W]", "[2, 3, 6, 8]"):
        upwell.nn.index_unpool(zeros(2, 4, 3, 4), zeros(2, 3, 6, 8))


@pytest.mark.parametrize(
    "module, sizes, argument, value",
    [
        (upwell.nn.SAPA, (12, 8), "up_factor", 0),
        (upwell.nn.SAPA, (12, 8), "up_factor", 1.5),
        (upwell.nn.SAPA, (12, 8), "up_kernel_size", 4),
        (upwell.nn.SAPA, (12, 8), "border", "mirror"),
        (upwell.nn.SAPAExp, (12, 8), "q_mode", "sum"),
        (upwell.nn.SAPAExp, (12, 8), "up_kernel_size", 0),
        (upwell.nn.FADE, (12, 8), "scale", 0),
        (upwell.nn.FADE, (12, 8), "up_kernel_size", 2),
        (upwell.nn.FADE, (12, 8), "variant", "dense"),
        (upwell.nn.FADE, (12, 8), "border", "mirror"),
        (upwell.nn.DySample, (8,), "scale", 0),
        (upwell.nn.DySample, (8,), "scale", 1.5),
        (upwell.nn.DySample, (8,), "groups", 3),
        (upwell.nn.DySample, (8,), "groups", 0),
        (upwell.nn.DySample, (8,), "style", "lr"),
        (upwell.nn.PixelShuffle, (8, 2), "kernel_size", 2),
        (upwell.nn.PixelShuffle, (8, 2), "out_channels", 0),
        (upwell.nn.Deconv, (8,), "stride", 0),
        (upwell.nn.Deconv, (8,), "stride", 1.5),
        (upwell.nn.Deconv, (8,), "groups", 3),
        (upwell.nn.Deconv, (8,), "kernel_size", 0),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(module, sizes, argument, value):
    with refused(f"{module.__name__}: {argument} should", str(value)):
        module(*sizes, **{argument: value})


@pytest.mark.parametrize("shape", [(1, 7, 4, 4), (8, 4, 4), (1, 8, 0, 4)], ids=str)
def test_unguided_modules_refuse_features_that_do_not_fit(shape):
    for module in (upwell.nn.PixelShuffle(8, 2), upwell.nn.Deconv(8), upwell.nn.DySample(8)):
        with refused(f"{type(module).__name__}: x should", str(list(shape))):
            module(zeros(*shape))
    with refused("Deconv: kernel_size should be odd where stride is 1 but is 2"):
        upwell.nn.Deconv(8, kernel_size=2, stride=1)
    with refused("DySample: in_channels should be a multiple of 9 for style 'pl' but is 8"):
        upwell.nn.DySample(8, 3, "pl")


@pytest.mark.parametrize(
    "shape, options, words",
    [
        ((2, 16, 4, 5), (3, 2), ["offsets should be [2, 36, 4, 5]", "[2, 16, 4, 5]"]),
        ((2, 16, 4, 6), (2, 2), ["offsets should be [2, 16, 4, 5]", "[2, 16, 4, 6]"]),
        ((1, 16, 4, 5), (2, 2), ["offsets should be [2, 16, 4, 5]", "[1, 16, 4, 5]"]),
        ((2, 16, 4, 5), (2, 2, True), ["offsets should be [2, 4, 8, 10]", "[2, 16, 4, 5]"]),
        ((16, 4, 5), (2, 2), ["offsets should", "[16, 4, 5]"]),
        ((2, 24, 4, 5), (2, 3), ["groups should divide the 4 channels of value but is 3"]),
        ((2, 16, 4, 5), (0, 2), ["scale should", "0"]),
        ((2, 16, 4, 5), (2, 0), ["groups should", "0"]),
    ],
    ids=str,
)
def test_sample_at_offsets_refuses_what_does_not_fit(shape, options, words):
    with refused("sample_at_offsets: ", *words):
        upwell.ops.sample_at_offsets(zeros(2, 4, 4, 5), zeros(*shape), *options)


def test_sample_at_offsets_refuses_other_dtypes():
    value, offsets = zeros(2, 4, 4, 5), zeros(2, 16, 4, 5)
    for right, wrong in ((value, offsets.double()), (value, offsets.half()), (value.half(), offsets.double())):
        with refused("sample_at_offsets: offsets should be", "but is"):
            upwell.ops.sample_at_offsets(right, wrong, 2, 2)


@pytest.mark.parametrize(
    "name, shapes, options, words",
    [
        ("adaptive_conv", ((2, 4, 4, 5), (2, 9, 4, 6)), (3,), ("weight should be [2, 9, 4, 5] but is [2, 9, 4, 6]",)),
        ("adaptive_conv", ((2, 4, 4, 5), (2, 16, 4, 5)), (4,), ("kernel should be odd but is 4",)),
        ("adaptive_conv", ((2, 4, 4, 5), (2, 0, 4, 5)), (0,), ("kernel", "0")),
        ("range_weights", ((2, 4, 4, 5), (2, 3, 4, 5), (9,)), (3,), ("key should be [2, 4, 4, 5]", "[2, 3, 4, 5]")),
        ("range_weights", ((2, 4, 4, 5), (2, 4, 4, 5), (8,)), (3,), ("spatial should be [9] but is [8]",)),
        ("range_weights", ((2, 0, 4, 5), (2, 0, 4, 5), (9,)), (3,), ("query should have channels but is [2, 0, 4, 5]",)),
        ("local_attention", ((2, 4, 4, 5), (2, 6, 8, 10)), (), ("logits should have 5, 9, 13, 17 or 25", "[2, 6, 8, 10]")),
        ("local_attention", ((2, 4, 4, 5), (2, 9, 9, 10)), (), ("logits should have a multiple of 4 rows", "[2, 9, 9, 10]")),
        ("local_attention", ((2, 4, 4, 5), (2, 9, 8, 8)), (), ("logits should have a multiple of 5 columns",)),
        ("local_attention", ((2, 4, 4, 5), (1, 9, 8, 10)), (), ("logits should be [2, 9, 8, 10]", "[1, 9, 8, 10]")),
    ],
)
def test_sums_over_listed_taps_refuse_what_does_not_fit(name, shapes, options, words):
    with refused(f"{name}: ", *words):
        getattr(upwell.ops, name)(*(zeros(*shape) for shape in shapes), *options)


def test_joint_bilateral_upsamplers_and_local_attenders_refuse_what_does_not_fit():
    jbu, stack, attender = upwell.nn.JBULearnedRange(3, 4, 8), upwell.nn.JBUStack(4), upwell.nn.LocalAttender(3)
    with refused("JBULearnedRange: source", "[N, 4, ", "[1, 5, 3, 4]"):
        jbu(zeros(1, 5, 3, 4), zeros(1, 3, 6, 8))
    with refused("JBULearnedRange: guidance", "[N, 3, ", "[1, 4, 6, 8]"):
        jbu(zeros(1, 4, 3, 4), zeros(1, 4, 6, 8))
    with refused("JBULearnedRange: source and guidance", "batch", "[2, 3, 6, 8]"):
        jbu(zeros(1, 4, 3, 4), zeros(2, 3, 6, 8))
    with refused("JBULearnedRange: radius should be an integer >= 0 but is -1"):
        upwell.nn.JBULearnedRange(3, 4, 8, radius=-1)
    with refused("JBUStack: guidance", "[N, 3, ", "[1, 4, 6, 8]"):
        stack(zeros(1, 4, 3, 4), zeros(1, 4, 6, 8))
    with refused("LocalAttender: guide should have multiples of 3 rows and 4 columns", "[1, 3, 7, 8]"):
        attender(zeros(1, 3, 7, 8), zeros(1, 4, 3, 4))
    with refused("LocalAttender: num_connected should be one of 5, 9, 13, 17, 25 but is 7"):
        upwell.nn.LocalAttender(3, 7)


def test_make_refuses_an_unknown_name_and_says_which_there_are():
    with refused("make: name", "resfu", "carafe", "bilinear", "nearest", "magic"):
        upwell.nn.make("magic", 8, 12, 2)


def test_make_refuses_a_guide_whose_ratio_does_not_fit_carafe():
    with refused("CARAFE: guide", "8, 8", "[1, 12, 9, 8]"):
        upwell.nn.make("carafe", 8, 12, 2)(zeros(1, 12, 9, 8), zeros(1, 8, 4, 4))


@pytest.mark.parametrize("module", [upwell.nn.Bilinear, upwell.nn.Nearest])
def test_interpolations_refuse_a_factor_or_a_map_that_makes_no_sense(module):
    for factor in (0, -1, math.nan):
        with refused(f"{module.__name__}: scale_factor", str(factor)):
            module(factor)
    with refused(f"{module.__name__}: x", "[3, 4, 4]"):
        module(2)(zeros(3, 4, 4))


# What the fuzz test may put in place of a right argument of a type.
# Nothing between 2^20 and 2^32: such a size would be right, and take gigabytes.
ODD_INTEGERS = [-(2**63), -(2**31), -3, -1, 0, 1, 2, 3, 5, 7, 9, 2**32 + 1, 2**33, 2**62, 2**63 - 1]
ODD_VALUES = [0.0, 1.0, -1.0, math.nan, math.inf, -math.inf, 1e38, -1e38, 1e-45]
ODD_DTYPES = [
    torch.float32,
    torch.float64,
    torch.float16,
    torch.bfloat16,
    torch.int32,
    torch.bool,
    torch.complex64,
]


def fuzzed_tensor(rng: python_random.Random, right: torch.Tensor) -> torch.Tensor:
    """The right tensor, or one with another shape, dtype, layout or content."""
    shape = list(right.shape)
    for _ in range(rng.choice([0, 0, 0, 1, 2])):
        change = rng.randrange(4)
        if change == 0 and shape:
            shape[rng.randrange(len(shape))] = rng.choice([0, 1, 2, 3, 5, 9, 17, 33])
        elif change == 1 and shape:
            shape.pop(rng.randrange(len(shape)))
        elif change == 2 and len(shape) < 6:
            shape.insert(rng.randrange(len(shape) + 1), rng.choice([0, 1, 2]))
    dtype = rng.choice(ODD_DTYPES) if rng.random() < 0.1 else right.dtype
    tensor = torch.full(shape, rng.choice(ODD_VALUES) if rng.random() < 0.3 else rng.random()).to(dtype)
    if tensor.numel() and dtype.is_floating_point and rng.random() < 0.3:
        tensor.view(-1)[rng.randrange(tensor.numel())] = rng.choice(ODD_VALUES)
    layout = rng.randrange(8)
    if layout == 0 and tensor.dim() >= 2:
        tensor = tensor.transpose(*rng.sample(range(tensor.dim()), 2))
    elif layout == 1 and tensor.dim() == 4:
        tensor = tensor.contiguous(memory_format=torch.channels_last)
    elif layout == 2 and tensor.dim() >= 1:
        tensor = tensor[..., ::2]
    elif layout == 3 and tensor.dim() >= 1 and tensor.numel():
        tensor = tensor[..., :1].expand(tensor.shape)
    elif layout == 4 and rng.random() < 0.2:
        tensor = tensor.to("meta")
    return tensor.requires_grad_() if tensor.is_floating_point() and rng.random() < 0.3 else tensor


def fuzzed(rng: python_random.Random, name: str, right):
    """A right argument most of the time, else something its schema lets through or python can pass."""
    if isinstance(right, torch.Tensor):
        return fuzzed_tensor(rng, right) if rng.random() < 0.6 else right
    if rng.random() < 0.8:
        return right
    if name == "size":
        return rng.choice(
            [[], [3], [3, 3, 3], [rng.choice(ODD_INTEGERS), 2], [rng.choice(ODD_INTEGERS)] * 2, 3, None]
        )
    if name == "border":
        return rng.choice(["zero", "mask", "", "mirror", "\0", None, 3])
    return rng.choice([*ODD_INTEGERS, *ODD_INTEGERS, None, 1.5, "3"])


def fuzzed_call(rng: python_random.Random, names: list[str]):
    """One call of a random operator, forward or backward, its arguments right, nearly right, or wrong."""
    name = rng.choice(names)
    operator = name.split("_d_")[0]
    groups = rng.choice([1, 1, 2, 3]) if operator.startswith("carafe") else 1
    problem = Problem(
        operator,
        (rng.randint(1, 5), rng.randint(1, 5)),
        (rng.randint(1, 12), rng.randint(1, 12)),
        rng.randint(0, 2),
        groups * rng.randint(1, 3),
        rng.choice([3, 5, 7]),
        groups,
        rng.choice(["zero", "mask"]) if operator == "carafe" else "zero",
        rng.choice([None, 1, 2, 4]) if operator == "fns" else None,
    )
    dtype = rng.choice([torch.float32, torch.float64])
    known = {
        **problem.arguments,
        **dict(zip(("value", WEIGHTS.get(operator)), problem.tensors(dtype))),
        "d_output": problem.cotangent(dtype),
        "h": problem.low[0],
        "w": problem.low[1],
        "scale_h": None,
        "scale_w": None,
    }
    call = getattr(torch.ops.upwell, name).default
    if name != operator:
        known["size"] = problem.low
    return call, {a.name: fuzzed(rng, a.name, known[a.name]) for a in call._schema.arguments}


def test_10000_random_calls_return_or_raise_and_never_crash():
    rng = python_random.Random(3)
    names = [f"{operator}{direction}" for operator in OPERATORS for direction in ("", "_d_value")]
    names += [f"{operator}_d_{weight}" for operator, weight in WEIGHTS.items()]
    returned = raised = 0
    start = time.perf_counter()
    for _ in range(10_000):
        call, arguments = fuzzed_call(rng, names)
        try:
            output = call(**arguments)
        except REFUSALS:
            raised += 1
            continue
        returned += 1
        assert 0 <= output.numel() <= 2**31 and output.dim() == 4
        if output.requires_grad and output.device.type == "cpu":
            output.sum().backward()  # what was accepted forward is accepted backward
    assert returned > 2_000 and raised > 2_000, f"{returned} calls returned, {raised} raised"
    assert time.perf_counter() - start < 60
