"""AnyUp, NAF and JAFAR: published numbers and names, any size, and what they refuse."""

import pytest
import torch
import torch.nn.functional as F
import upwell
from upwell.nn import JAFAR, NAF, AnyUp, attention, dilated, filter_bank, naf, rope, rows

import golden
from bad_input_test import refused, zeros
from compare import assert_close
from golden_test import both_dtypes, check_module, every_case
from problems import channels_last, random
from reference import cross_attention as reference


@pytest.fixture(autouse=True)
def given(monkeypatch):
    """What upwell.ops.cross_attention was given."""
    calls, operator = [], upwell.ops.cross_attention

    def call(query, key, value, heads=1, window="shifted", kernel=(0, 0), ratio=0.0, mean_heads=False):
        calls.append({"query": query, "key": key, "value": value, "window": window, "kernel": kernel, "ratio": ratio})
        return operator(query, key, value, heads, window, kernel, ratio, mean_heads)

    monkeypatch.setattr(upwell.ops, "cross_attention", call)
    return calls


def built(kind: str, case: golden.Case, **options) -> torch.nn.Module:
    hyper = {name: value for name, value in case.hyper.items() if name not in ("mode", "output_size")}
    return getattr(upwell.nn, kind)(**hyper, **options)


def check_case(kind: str, case: golden.Case, **options) -> None:
    module = built(kind, case, **options)
    size = case.hyper.get("output_size")
    check_module(case, module, lambda image, features: module(image, features, size))


@every_case("anyup")
@both_dtypes
def test_anyup_agrees_with_the_golden_data(name, dtype):
    check_case("AnyUp", golden.load(name, dtype))


@every_case("jafar")
@both_dtypes
def test_jafar_agrees_with_the_golden_data(name, dtype):
    check_case("JAFAR", golden.load(name, dtype))


@every_case("naf")
@both_dtypes
def test_naf_agrees_with_the_golden_data(name, dtype):
    check_case("NAF", golden.load(name, dtype))


@every_case("naf_published")
@both_dtypes
@pytest.mark.parametrize("most", [1, 2**24], ids=["row by row", "at once"])
def test_naf_with_the_published_window_agrees_with_the_golden_data(name, dtype, most, monkeypatch):
    monkeypatch.setattr(rows, "MOST", most)
    check_case("NAF", golden.load(name, dtype), window_published=True)


@every_case("naf_published")
def test_the_reference_of_the_dilated_window_agrees_with_the_golden_data(name, monkeypatch):
    def call(query, key, value, heads, kernel):
        return reference.dilated_attention(query, key, value, heads, (kernel, kernel))

    monkeypatch.setattr(naf, "dilated_attention", call)
    check_case("NAF", golden.load(name, torch.float64), window_published=True)


@both_dtypes
def test_at_an_integer_ratio_both_windows_of_naf_are_one(dtype):
    for name in golden.names("naf"):
        case = golden.load(name, dtype)
        if all(m % n == 0 for m, n in zip(case.hyper["output_size"], case.inputs["features"].shape[2:])):
            check_case("NAF", case, window_published=True)
    query, value = random((1, 8, 12, 21), torch.float64, 1), random((1, 4, 4, 7), torch.float64, 2)
    key = random((1, 8, 4, 7), torch.float64, 3)
    expected = reference.cross_attention(query, key, value, 2, "shifted", (3, 3))
    assert_close(dilated.dilated_attention(query, key, value, 2, 3), expected, 1e-12)


@pytest.mark.parametrize(
    "high, low, kernel", [((14, 13), (6, 5), 3), ((9, 30), (9, 4), 4), ((7, 11), (1, 2), 1), ((23, 9), (4, 2), 2)]
)
@pytest.mark.parametrize("most", [700, 2**24])
def test_the_dilated_window_is_the_published_one(high, low, kernel, most, monkeypatch):
    monkeypatch.setattr(rows, "MOST", most)
    shapes = (2, 8, *high), (2, 8, *low), (2, 6, *low)
    leaves = [random(shape, torch.float64, i).requires_grad_() for i, shape in enumerate(shapes)]
    results = []
    for call in (
        lambda: dilated.dilated_attention(*leaves, 2, kernel),
        lambda: reference.dilated_attention(*leaves, 2, (kernel, kernel)),
    ):
        output = call()
        results.append([output, *torch.autograd.grad(output.square().sum(), leaves)])
    for actual, expected in zip(*results):
        assert_close(actual, expected, 1e-12)
    with torch.no_grad():
        assert_close(dilated.dilated_attention(*leaves, 2, kernel), results[1][0], 1e-12)


@pytest.mark.parametrize("most", [1, 2**24], ids=["row by row", "at once"])
@pytest.mark.parametrize("filters, channels, kernel", [(8, 5, 3), (4, 12, 5), (6, 6, 1), (3, 1, 3)])
def test_the_filter_bank_compares_what_the_published_one_compares(filters, channels, kernel, most, monkeypatch):
    """The softmax is over responses at a stride of C, in which channels and filters are mixed: with 8 filters and 5
    channels, one of them is over channel 0's filters 0 and 5, channel 1's filter 2, and so on."""
    monkeypatch.setattr(rows, "MOST", most)
    bank = filter_bank.FilterBank(filters, kernel).double()
    x = random((2, channels, 4, 3), torch.float64, 1).requires_grad_()
    responses = F.conv2d(x.reshape(-1, 1, 4, 3), bank.basis, padding=kernel // 2)
    responses = responses / F.conv2d(torch.ones_like(x[:1, :1]), torch.ones_like(bank.basis[:1]), padding=kernel // 2)
    responses = responses.view(2, channels * filters, 4, 3)
    expected = sum(responses[:, b::channels].softmax(1) for b in range(channels)) / channels
    actual = bank(x)
    assert_close(actual, expected, 1e-12)
    cotangent = random(tuple(expected.shape), torch.float64, 2)
    gradients = [torch.autograd.grad(each, [x, bank.basis], cotangent) for each in (actual, expected)]
    for of_actual, of_expected in zip(*gradients):
        assert_close(of_actual, of_expected, 1e-11)


def block(prefix: str, D: int, between: int, names: tuple[str, str, str, str]) -> dict[str, list[int]]:
    """Two group norms with affine parameters and two 1x1 convolutions."""
    first, conv1, second, conv2 = (f"{prefix}.{name}" for name in names)
    return {
        **{f"{norm}.{kind}": [n] for norm, n in ((first, between), (second, D)) for kind in ("weight", "bias")},
        f"{conv1}.weight": [D, between, 1, 1],
        f"{conv2}.weight": [D, D, 1, 1],
    }


NAMED = ("norm1", "conv1", "norm2", "conv2")
NUMBERED = ("block.0", "block.2", "block.3", "block.5")


def encoder(prefix: str, first: dict[str, list[int]], names, D: int = 128) -> dict[str, list[int]]:
    start = {f"{prefix}.0.{name}": shape for name, shape in first.items()}
    return start | block(f"{prefix}.1", D, D, names) | block(f"{prefix}.2", D, D, names)


ATTENTION = {
    "cross_decode.conv2d.weight": [128, 128, 3, 3],
    "cross_decode.cross_attn.norm_q.weight": [128],
    "cross_decode.cross_attn.norm_k.weight": [128],
    "cross_decode.cross_attn.attention.in_proj_bias": [384],
    "cross_decode.cross_attn.attention.out_proj.weight": [128, 128],
    "cross_decode.cross_attn.attention.out_proj.bias": [128],
    "rope.freqs": [2, 128],
}
ANYUP = {
    **encoder("image_encoder", {"weight": [128, 3, 1, 1]}, NUMBERED),
    **encoder("key_encoder", {"weight": [128, 128, 1, 1]}, NUMBERED),
    **encoder("query_encoder", {"weight": [128, 128, 1, 1]}, NUMBERED),
    **encoder("key_features_encoder", {"basis": [128, 1, 5, 5]}, NUMBERED),
    **encoder("aggregation", {"weight": [128, 256, 3, 3]}, NUMBERED),
    "cross_decode.cross_attn.attention.in_proj_weight": [384, 128],
    **ATTENTION,
}
JAFAR_STATE = {
    **encoder("image_encoder", {"weight": [128, 3, 1, 1]}, NAMED),
    **encoder("key_encoder", {"weight": [128, 128, 1, 1]}, NAMED),
    **encoder("query_encoder", {"weight": [128, 128, 1, 1]}, NAMED),
    **encoder("key_features_encoder", {"weight": [128, 384, 1, 1]}, NAMED),
    "cross_decode.cross_attn.attention.q_proj_weight": [128, 128],
    "cross_decode.cross_attn.attention.k_proj_weight": [128, 128],
    "cross_decode.cross_attn.attention.v_proj_weight": [128, 384],
    "cross_decode.cross_attn.norm_v.weight": [384],
    "sft_key.gamma.weight": [128, 128, 1, 1],
    "sft_key.beta.weight": [128, 128, 1, 1],
    **ATTENTION,
}
NAF_STATE = {"image_encoder.rope.periods": [16]}
for _name, _kernel in (("encoder", 1), ("sem_encoder", 3)):
    _prefix = f"image_encoder.{_name}"
    NAF_STATE |= {f"{_prefix}.0.weight": [128, 3, _kernel, _kernel], f"{_prefix}.0.bias": [128]}
    for _layer in (f"{_prefix}.1", f"{_prefix}.2"):
        NAF_STATE |= {f"{_layer}.{norm}.{kind}": [128] for norm in ("norm1", "norm2") for kind in ("weight", "bias")}
        NAF_STATE |= {f"{_layer}.{conv}.weight": [128, 128, _kernel, _kernel] for conv in ("conv1", "conv2")}
        NAF_STATE |= {f"{_layer}.{conv}.bias": [128] for conv in ("conv1", "conv2")}


@pytest.mark.parametrize(
    "module, expected", [(AnyUp, ANYUP), (JAFAR, JAFAR_STATE), (NAF, NAF_STATE)], ids=["AnyUp", "JAFAR", "NAF"]
)
def test_the_published_defaults_have_the_published_state_dict(module, expected):
    assert {key: list(value.shape) for key, value in module().state_dict().items()} == expected


def test_jafar_of_features_with_as_many_channels_as_queries_keeps_its_projections_in_one():
    state = JAFAR(v_dim=128).state_dict()
    assert list(state["cross_decode.cross_attn.attention.in_proj_weight"].shape) == [384, 128]
    assert not any("q_proj" in key for key in state)
    module = JAFAR(qk_dim=16, v_dim=16)
    assert module(*maps(channels=16)).shape == (2, 16, 8, 12)


@pytest.mark.parametrize("value_dim", [16, 24])
def test_the_projections_start_as_those_of_torch(value_dim):
    made = []
    for make in (
        lambda: attention.HeadProjections(16, value_dim),
        lambda: torch.nn.MultiheadAttention(16, 4, vdim=value_dim, batch_first=True),
    ):
        torch.manual_seed(5)
        made.append(make().state_dict())
    actual, expected = made
    assert list(actual) == list(expected)
    for key, value in expected.items():
        assert torch.equal(actual[key], value), key


def test_position_embeddings_start_as_published():
    freqs = rope.LearnedRoPE(16).freqs.detach() / (2 * torch.pi)
    falling = torch.tensor([100.0**-power for power in (0, 1 / 3, 2 / 3, 1)])
    expected = torch.zeros(2, 16)
    expected[0, :8] = expected[1, 8:] = torch.cat([falling, falling])
    assert_close(freqs, expected, 1e-6)
    assert_close(rope.AxialRoPE(32, 2).periods, torch.tensor([100.0 ** (i / 4) for i in range(4)]), 1e-6)


def test_filters_that_start_as_derivatives_of_a_gaussian():
    bank = filter_bank.FilterBank(6, 5, gaussian=True).basis.detach()[:, 0].double()
    x = torch.arange(-2, 3, dtype=torch.float64) * 1.645 / 2
    sigma = 2 / 1.645
    g = torch.exp(-x.square() / 2) / (sigma * (2 * torch.pi) ** 0.5)
    along = [g, -x * g, (x.square() - 1) * g]
    pairs = [(0, 0), (1, 0), (0, 1), (2, 0), (1, 1), (0, 2)]  # order in rows and columns
    for filter, (of_rows, of_columns) in zip(bank, pairs):
        assert_close(filter, torch.outer(along[of_rows], along[of_columns]), 1e-6)
    assert AnyUp(qk_dim=16, lfu_dim=24, init_gaussian_derivatives=True).key_features_encoder[0].basis.shape == (24, 1, 5, 5)


def maps(n=2, image=(8, 12), low=(2, 3), channels=8, dtype=torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    return random((n, 3, *image), dtype, 1), random((n, channels, *low), dtype, 2)


def small(kind: str, channels: int = 8, **options) -> torch.nn.Module:
    sizes = {
        "AnyUp": {"qk_dim": 16, "window_ratio": 0.3},
        "NAF": {"dim": 32, "kernel_size": 3},
        "JAFAR": {"qk_dim": 16, "v_dim": channels},
    }[kind]
    return getattr(upwell.nn, kind)(**sizes, **options).eval()


every_kind = pytest.mark.parametrize("kind", ["AnyUp", "NAF", "JAFAR"])


@every_kind
@pytest.mark.parametrize("image", [(2, 2), (5, 2), (9, 14)], ids=str)
@pytest.mark.parametrize("low", [(2, 2), (3, 5)], ids=str)
@pytest.mark.parametrize("size", [None, (1, 1), (2, 9), (13, 4)], ids=str)
def test_every_module_takes_any_size(kind, image, low, size):
    image, features = (each.requires_grad_() for each in maps(1, image, low))
    output = small(kind)(image, features, size)
    assert output.shape == (1, 8, *(size or image.shape[2:])) and output.isfinite().all()
    output.square().sum().backward()
    assert image.grad.isfinite().all() and features.grad.isfinite().all()


@pytest.mark.parametrize(
    "kind, image, low", [("JAFAR", (1, 1), (1, 1)), ("JAFAR", (1, 7), (3, 1)), ("NAF", (2, 2), (1, 1))]
)
def test_maps_of_one_pixel_go_where_no_border_is_reflected(kind, image, low):
    image, features = maps(1, image, low)
    output = small(kind)(image, features, (3, 2))
    assert output.shape == (1, 8, 3, 2) and output.isfinite().all()


@every_kind
def test_features_that_are_the_same_everywhere_stay_so(kind):
    image, features = maps()
    expected = features[:, :, :1, :1]
    output = small(kind)(image, expected.expand_as(features).contiguous(), (7, 11))
    assert_close(output, expected.expand_as(output), 1e-5)


@every_kind
def test_layouts_and_an_empty_batch(kind):
    module = small(kind).double()
    image, features = maps(dtype=torch.float64)
    expected = module(image, features)
    assert_close(module(channels_last(image), channels_last(features)), expected.detach(), 1e-12)
    module.to(memory_format=torch.channels_last)
    assert_close(module(image, features), expected.detach(), 1e-12)
    none = [each[:0].clone().requires_grad_() for each in (image, features)]
    output = module(*none)
    assert output.shape == (0, 8, 8, 12)
    output.sum().backward()
    assert all(each.grad.shape == each.shape for each in none)


def test_the_dilated_window_takes_an_empty_batch():
    image, features = maps(0, low=(4, 5))
    assert small("NAF", window_published=True)(image, features, (13, 16)).shape == (0, 8, 13, 16)


@every_kind
def test_what_the_operator_is_given_is_as_small_as_the_features(kind, given):
    image, features = maps()
    module = small(kind)
    module(image, features, (16, 24))
    (call,) = given
    assert call["value"] is features
    assert call["query"].shape[2:] == (16, 24) and call["key"].shape[2:] == features.shape[2:]
    assert call["window"] == {"AnyUp": "ratio", "NAF": "shifted", "JAFAR": "whole"}[kind]


@pytest.mark.parametrize("window_ratio", [0, -1.0, 1.0, 2.5])
def test_anyup_sees_the_whole_map_at_a_window_ratio_of_none_or_of_one_and_more(window_ratio):
    image, features = maps()
    module = AnyUp(qk_dim=16, window_ratio=window_ratio)
    whole = AnyUp(qk_dim=16, window_ratio=1.5)
    whole.load_state_dict(module.state_dict())
    assert torch.equal(module(image, features), whole(image, features))


def test_naf_scales_positions_in_training_only_and_anew_every_call():
    image, features = maps()
    scaled, fixed = small("NAF"), small("NAF", rope_rescale=None)
    fixed.load_state_dict(scaled.state_dict())
    assert torch.equal(scaled(image, features), fixed(image, features))
    assert torch.equal(fixed.train()(image, features), fixed.eval()(image, features))
    scaled.train()
    assert not torch.equal(scaled(image, features), scaled(image, features))
    assert torch.equal(scaled.eval()(image, features), fixed(image, features))


def test_naf_without_its_encoder_pools_a_map_of_as_many_channels():
    _, features = maps()
    module = small("NAF", use_encoder=False)
    assert set(module.state_dict()) == set(small("NAF").state_dict())
    assert module(random((2, 32, 8, 12), torch.float32, 1), features).shape == (2, 8, 8, 12)


def test_the_image_of_naf_is_made_smaller_before_it_is_encoded():
    """By both limits along both axes: 46 x 50 for an output of 2 x 9 becomes 8 x 8."""
    module, seen = small("NAF"), []
    module.image_encoder.encoder.register_forward_pre_hook(lambda _, given: seen.append(given[0].shape[2:]))
    for image, size in (((46, 50), (2, 9)), ((46, 50), (9, 2)), ((8, 36), (2, 9)), ((8, 37), (2, 9))):
        module(*maps(1, image), size)
    assert seen == [(8, 8), (8, 8), (8, 36), (8, 8)]


def test_features_of_any_number_of_channels_pass_one_anyup():
    module = small("AnyUp")
    for channels in (1, 7, 40):
        assert module(*maps(1, channels=channels)).shape == (1, channels, 8, 12)


@pytest.mark.parametrize(
    "kind, image, features, size, words",
    [
        ("AnyUp", (1, 4, 8, 8), (1, 5, 4, 4), None, ["image should be [N, 3, H >= 1, W >= 1]", "[1, 4, 8, 8]"]),
        ("AnyUp", (1, 3, 8, 8), (5, 4, 4), None, ["features should", "[5, 4, 4]"]),
        ("AnyUp", (1, 3, 8, 8), (1, 0, 4, 4), None, ["features should", "[1, 0, 4, 4]"]),
        ("AnyUp", (2, 3, 8, 8), (1, 5, 4, 4), None, ["image and features", "batch", "[2, 3, 8, 8]", "[1, 5, 4, 4]"]),
        ("AnyUp", (1, 3, 8, 8), (1, 5, 1, 4), None, ["features should be [N, C, H >= 2, W >= 2]", "[1, 5, 1, 4]"]),
        ("AnyUp", (1, 3, 8, 8), (1, 5, 4, 4), (8,), ["output_size should be (H >= 1, W >= 1)", "(8,)"]),
        ("AnyUp", (1, 3, 8, 8), (1, 5, 4, 4), (8, 0), ["output_size", "(8, 0)"]),
        ("AnyUp", (1, 3, 8, 8), (1, 5, 4, 4), 8, ["output_size", "8"]),
        ("AnyUp", (1, 3, 8, 8), (1, 5, 4, 4), (8, 2.5), ["output_size", "2.5"]),
        ("NAF", (1, 3, 1, 8), (1, 8, 4, 4), None, ["image should be [N, C, H >= 2, W >= 2]", "[1, 3, 1, 8]"]),
        ("NAF", (1, 3, 8, 8), (1, 6, 4, 4), None, ["features should", "heads_attn 4", "[1, 6, 4, 4]"]),
        ("NAF", (1, 32, 8, 8), (1, 8, 4, 4), None, ["image should", "3", "[1, 32, 8, 8]"]),
        ("NAF", (3, 3, 8, 8), (1, 8, 4, 4), None, ["image and features", "batch"]),
        ("NAF", (1, 3, 8, 8), (1, 8, 4, 4), (-1, 8), ["output_size", "(-1, 8)"]),
        ("JAFAR", (1, 3, 8, 8), (1, 7, 4, 4), None, ["features should be [N, 8", "[1, 7, 4, 4]"]),
        ("JAFAR", (1, 3, 0, 8), (1, 8, 4, 4), None, ["image should", "[1, 3, 0, 8]"]),
        ("JAFAR", (2, 3, 8, 8), (1, 8, 4, 4), None, ["image and features", "batch"]),
        ("JAFAR", (1, 3, 8, 8), (1, 8, 4, 4), (), ["output_size", "()"]),
    ],
    ids=str,
)
def test_maps_that_do_not_fit_are_refused(kind, image, features, size, words):
    with refused(f"{kind}: ", *words):
        small(kind)(zeros(*image), zeros(*features), size)


@pytest.mark.parametrize("kind", ["AnyUp", "JAFAR"])
def test_an_image_too_small_for_a_larger_kernel_is_refused(kind):
    with refused(f"{kind}: image should be [N, C, H >= 3, W >= 3]", "[1, 3, 8, 2]"):
        small(kind, kernel_size=5)(zeros(1, 3, 8, 2), zeros(1, 8, 4, 4))


@pytest.mark.parametrize("size", [(5, 30), (30, 5)])
def test_naf_refuses_sizes_that_the_published_window_does_not_take(size):
    with refused("NAF: output_size should be", str(list(size)), "[1, 8, 7, 7]"):
        small("NAF", window_published=True)(zeros(1, 3, 8, 8), zeros(1, 8, 7, 7), size)
    with refused("NAF: output_size should be", "9 times", "[14, 14]"):
        NAF(dim=32, window_published=True)(zeros(1, 3, 8, 8), zeros(1, 8, 7, 7), (14, 14))


@pytest.mark.parametrize(
    "module, argument, value",
    [
        (AnyUp, "input_dim", 0),
        (AnyUp, "qk_dim", 12),
        (AnyUp, "lfu_dim", 4),
        (AnyUp, "num_heads", 3),
        (AnyUp, "kernel_size", 2),
        (AnyUp, "kernel_size_lfu", 4),
        (AnyUp, "window_ratio", float("nan")),
        (AnyUp, "use_natten", True),
        (NAF, "dim", 24),
        (NAF, "heads_attn", 3),
        (NAF, "heads_rope", 128),
        (NAF, "kernel_size", 0),
        (NAF, "rope_base", -1.0),
        (NAF, "rope_rescale", 0.5),
        (NAF, "img_layers", -1),
        (JAFAR, "input_dim", 0),
        (JAFAR, "qk_dim", 20),
        (JAFAR, "v_dim", 0),
        (JAFAR, "kernel_size", 4),
        (JAFAR, "num_heads", 5),
    ],
)
def test_an_option_that_makes_no_sense_is_refused(module, argument, value):
    with refused(f"{module.__name__}: {argument} should", str(value)):
        module(**{argument: value})


def test_derivatives_of_a_gaussian_need_filters_of_more_than_one_tap():
    with refused("AnyUp: kernel_size_lfu should be at least 3", "1"):
        AnyUp(kernel_size_lfu=1, init_gaussian_derivatives=True)
