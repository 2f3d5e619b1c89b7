"""A wrong call of ReSFU's operators is an exception that names operator, argument and shape, not a crash."""

import math

import pytest
import torch
import upwell

from bad_input_test import refused, zeros

MAP = (2, 8, 6, 5)
LOW = (2, 8, 3, 4)
INT32 = 2**31


def right(operator: str) -> dict:
    """Arguments that are accepted."""
    if operator == "group_stats":
        return {"x": zeros(*MAP), "groups": 4}
    if operator == "guided_filter":
        return {"guide": zeros(*MAP), "input": zeros(*LOW), "radius": 2}
    if operator == "pcdc":
        maps = {"key": zeros(*MAP), "query": zeros(*MAP)}
        return {**maps, "weight": zeros(6, 4, 3, 3), "bias": zeros(6), "groups": 2}
    block = {
        "norm_weight": zeros(8),
        "weight": zeros(6, 4, 3, 3),
        "bias": zeros(6),
        "compress_weight": zeros(16, 3),
        "compress_bias": zeros(16),
        "hidden_weight": zeros(16),
        "hidden_bias": zeros(16),
        "score_weight": zeros(9, 16),
        "score_bias": zeros(9),
    }
    return {"key": zeros(*LOW), "query": zeros(*MAP), **block, "groups": 2, "norm_groups": 4}


OPERATORS = ["group_stats", "guided_filter", "pcdc", "pcdc_scores"]
EVERY_TENSOR = [(o, n) for o in OPERATORS for n, value in right(o).items() if isinstance(value, torch.Tensor)]
every_tensor = pytest.mark.parametrize("operator, name", EVERY_TENSOR)


def call(operator: str, **changed):
    return getattr(upwell.ops, operator)(**{**right(operator), **changed})


def first(operator: str) -> str:
    """The argument that the others are compared with."""
    return {"group_stats": "x", "guided_filter": "guide"}.get(operator, "query")


@pytest.mark.parametrize("operator", OPERATORS)
def test_right_arguments_are_accepted(operator):
    call(operator)


@every_tensor
def test_a_tensor_of_the_wrong_rank_is_refused(operator, name):
    flattened = operator == "pcdc_scores" and name in ("bias", "compress_weight", "score_weight")
    for wrong in (zeros(3, 3, 3, 3, 3), zeros()):
        with refused(*[f"{operator}: "] if flattened else [f"{operator}: {name}", str(list(wrong.shape))]):
            call(operator, **{name: wrong})


@every_tensor
@pytest.mark.parametrize(
    "dtype, text", [(torch.float64, "double"), (torch.int64, "long"), (torch.bfloat16, "bfloat16")]
)
def test_a_tensor_of_another_dtype_is_refused(operator, name, dtype, text):
    if operator == "group_stats" and dtype != torch.int64:
        return  # its only tensor
    named = name if name != first(operator) or dtype == torch.int64 else ""
    with refused(f"{operator}: {named}", text):
        call(operator, **{name: right(operator)[name].to(dtype)})


@every_tensor
def test_a_tensor_on_another_device_is_refused(operator, name):
    if operator == "group_stats":
        return
    with refused(f"{operator}: {'' if name == first(operator) else name}", "meta"):
        call(operator, **{name: right(operator)[name].to("meta")})


@every_tensor
def test_a_tensor_with_one_channel_or_output_too_many_is_refused(operator, name):
    if operator == "group_stats":
        return
    tensor = right(operator)[name]
    shape = list(tensor.shape)
    shape[1 if tensor.dim() > 1 else 0] += 1
    with refused(f"{operator}: ", *([str(shape)] if name != first(operator) else [])):
        call(operator, **{name: zeros(*shape)})


@pytest.mark.parametrize(
    "operator, name", [(o, n) for o, n in EVERY_TENSOR if right(o)[n].dim() == 4 and n != "weight"]
)
def test_another_batch_or_a_map_without_pixels_is_refused(operator, name):
    for dimension, extent in ((0, 3), (2, 0), (3, 0)):
        shape = list(right(operator)[name].shape)
        shape[dimension] = extent
        if operator == "group_stats" and dimension == 0:
            continue
        with refused(f"{operator}: "):
            call(operator, **{name: zeros(*shape)})


@pytest.mark.parametrize("operator, name", [("pcdc", "key"), ("pcdc", "weight"), ("pcdc_scores", "weight")])
def test_maps_of_two_sizes_and_even_or_oblong_kernels_are_refused(operator, name):
    shapes = [(2, 8, 6, 4)] if name == "key" else [(6, 4, 2, 2), (6, 4, 3, 5), (6, 4, 0, 0)]
    for shape in shapes:
        with refused(f"{operator}: {name} should", str(list(shape))):
            call(operator, **{name: zeros(*shape)})


@pytest.mark.parametrize(
    "operator, changed",
    [
        *[("group_stats", {"groups": groups}) for groups in (0, -1, 3, 16)],
        *[("group_stats", {"eps": eps}) for eps in (math.nan, math.inf, -1e-5)],
        *[("group_stats", {"eps": eps, "size": (9, 9)}) for eps in (math.nan, -1.0)],
        *[("group_stats", {"size": size}) for size in ((0, 0), (4, 0), (-1, 4), (4,), (4, 4, 4))],
        ("group_stats", {"size": (INT32, INT32)}),
        ("group_stats", {"size": (2**40, 2)}),
        *[("guided_filter", {"radius": radius}) for radius in (-1, INT32)],
        *[("guided_filter", {"eps": eps}) for eps in (math.nan, math.inf, -1e-3)],
        *[("guided_filter", {"scale": scale}) for scale in (0, -2, INT32)],
        *[("guided_filter", {"border": border}) for border in ("zero", "Reflect", "")],
        *[("pcdc", {"groups": groups}) for groups in (0, -1, 3, 16)],
        *[("pcdc", {"dilation": dilation}) for dilation in ((0, 1), (1, -1), (1, 2, 3), (), (2**62, 1))],
        *[("pcdc_scores", {"groups": groups}) for groups in (0, -1, 3, 16)],
        *[("pcdc_scores", {"norm_groups": groups}) for groups in (0, -1, 3)],
        *[("pcdc_scores", {"keep_mib": keep_mib}) for keep_mib in (-2, 1024)],
    ],
    ids=str,
)
def test_an_option_that_makes_no_sense_is_refused(operator, changed):
    name = list(changed)[-1] if "size" not in changed or "eps" not in changed else "eps"
    with refused(f"{operator}: {name} should", "but is"):
        call(operator, **changed)


@pytest.mark.parametrize(
    "ratio",
    [(), (2,), (2, 1, 2), (2, 1, 2, 1, 1), (0, 1, 2, 1), (2, 0, 2, 1), (2, 1, -2, 1), (2**62, 1, 2, 1)],
    ids=str,
)
def test_a_ratio_that_makes_no_sense_is_refused(ratio):
    with refused("pcdc_scores: ratio should", "but is"):
        call("pcdc_scores", key=zeros(*MAP), ratio=ratio)


def test_a_blurred_low_res_key_and_a_blurred_upsampling_are_refused():
    with refused("pcdc_scores: blur"):
        call("pcdc_scores", blur=True)
    with refused("group_stats: blur", "size"):
        call("group_stats", blur=True, size=(9, 9))


def test_a_key_of_another_size_than_the_query_is_refused_where_taps_have_a_ratio():
    with refused("pcdc_scores: key should be", str(list(MAP)), "but is", str(list(LOW))):
        call("pcdc_scores", ratio=(2, 1, 2, 1))


@pytest.mark.parametrize("operator", ["pcdc", "pcdc_scores"])
def test_maps_without_channels_are_refused(operator):
    none = {"key": zeros(2, 0, 6, 5), "query": zeros(2, 0, 6, 5), "weight": zeros(6, 0, 3, 3)}
    if operator == "pcdc_scores":
        none["norm_weight"] = zeros(0)
    with refused(f"{operator}: query should", "channel", "[2, 0, 6, 5]"):
        call(operator, **none)


def test_a_result_of_more_than_2_to_the_31_elements_is_refused():
    huge = zeros(1, 1, 1).to("meta").expand(1, 1, 2**13, 2**13)
    with refused("pcdc: output", "[1, 64, 8192, 8192]"):
        upwell.ops.pcdc(huge, huge, zeros(64, 1, 1, 1).to("meta"))


# The operators inside, called by hand: an exception, in a process that lives on.

RATIO = [2, 1, 3, 2]


def score_inputs() -> list[torch.Tensor]:
    weights = [zeros(16, 3), *[zeros(16)] * 3, zeros(9, 16), zeros(9)]
    return [zeros(*MAP), zeros(*MAP), zeros(8), zeros(6, 4, 3, 3), zeros(6), *weights]


def difference_inputs() -> list[torch.Tensor]:
    return [zeros(2, 6, 6, 5), zeros(*MAP), zeros(*MAP), zeros(6, 4, 3, 3)]


INNER = {
    "pcdc_scores": lambda given, groups=2, ratio=RATIO: torch.ops.upwell.pcdc_scores_forward(
        *given, groups, 4, ratio
    ),
    "pcdc_scores_backward": lambda given, groups=2, ratio=RATIO: torch.ops.upwell.pcdc_scores_backward(
        zeros(2, 9, 6, 5), zeros(6, 2, 4), zeros(0, 2, 8, 7, 32), zeros(2, 2, 30, 32), *given, groups, 4, ratio
    ),
}
BACKWARD = lambda given, groups=2, dilation=(1, 1): torch.ops.upwell.pcdc_backward(*given, groups, dilation)  # noqa: E731
EVERY_INNER = {name: (call, score_inputs) for name, call in INNER.items()} | {
    "pcdc_backward": (BACKWARD, difference_inputs)
}


@pytest.mark.parametrize("operator", EVERY_INNER)
def test_an_inner_operator_refuses_tensors_that_do_not_fit(operator):
    call, inputs = EVERY_INNER[operator]
    given = inputs()
    call(given)
    for i, tensor in enumerate(given):
        larger = [extent + 1 for extent in tensor.shape]
        for wrong in (zeros(*larger), zeros(3), tensor.double(), tensor.to("meta")):
            with refused(f"{operator}: "):
                call([*given[:i], wrong, *given[i + 1 :]])


@pytest.mark.parametrize("operator", EVERY_INNER)
def test_an_inner_operator_refuses_groups_and_taps_that_make_no_sense(operator):
    call, inputs = EVERY_INNER[operator]
    for groups in (0, -1, 5):
        with refused(f"{operator}: groups should", str(groups)):
            call(inputs(), groups)
    ratios = ([], [1, 1, 1], [1, 1, 1, 0], [1, -1, 1, 1], [2**40, 1, 1, 1])
    for taps in ratios if operator in INNER else ([0, 1], [1, -1], [2**40, 1]):
        with refused(f"{operator}: ", "should", "but"):
            call(inputs(), 2, taps)


def test_the_gradient_of_scores_refuses_what_no_forward_pass_returned():
    backward = torch.ops.upwell.pcdc_scores_backward
    scores, statistics, coarse, hidden = zeros(2, 9, 6, 5), zeros(6, 2, 4), zeros(0, 2, 8, 7, 32), zeros(2, 2, 30, 32)
    for wrong in ((zeros(2, 9, 6, 4), statistics, coarse, hidden), (scores, zeros(6, 2, 3), coarse, hidden),
                  (scores, statistics, zeros(1, 2, 8, 7, 32), hidden), (scores, statistics, coarse, zeros(0, 2, 30, 32))):
        with refused("pcdc_scores_backward: ", "should be", "but is"):
            backward(*wrong, *score_inputs(), 2, 4, RATIO)
    with refused("pcdc_scores: blur needs a key of the query's size"):
        torch.ops.upwell.pcdc_scores_forward(*score_inputs(), 2, 4, None, True, True)


@pytest.mark.parametrize("groups", [0, 3, 16])
def test_the_backward_operators_of_statistics_refuse_statistics_of_other_groups(groups):
    statistics = [zeros(2, groups)] * 4
    for name, rest in (("group_stats_backward", [4]), ("upsampled_group_stats_backward", [[9, 9], 4])):
        with refused(f"{name}: ", "mean should be [2, 4]", str([2, groups])):
            getattr(torch.ops.upwell, name)(*statistics[:2], zeros(*MAP), *statistics[2:], *rest)


@pytest.mark.parametrize("size", [[8], [0, 0], [-3, 5]], ids=str)
def test_the_backward_operator_of_upsampled_statistics_refuses_a_size_below_one_pixel(size):
    statistics = [zeros(2, 4)] * 4
    with refused("upsampled_group_stats_backward: size should", str(size)):
        torch.ops.upwell.upsampled_group_stats_backward(*statistics[:2], zeros(*MAP), *statistics[2:], size, 4)
