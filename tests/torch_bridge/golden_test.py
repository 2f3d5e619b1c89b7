"""Forward and all gradients against the golden data of the published operators."""

import pytest
import torch
import upwell
from upwell.nn.gaussian import gaussian3
from upwell.nn.guided_filter import GuidedFilter
from upwell.nn.pcdc import PCDCBlock, Ratio

import golden

both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


def every_case(operator: str):
    return pytest.mark.parametrize("name", golden.names(operator))


def check_operator(case: golden.Case, call) -> None:
    leaves = case.leaves()
    output = call(*leaves)
    case.backward(output)
    case.check_output(output)
    case.check_gradients("in", {name: leaf.grad for name, leaf in zip(case.inputs, leaves)})


def check_module(case: golden.Case, module: torch.nn.Module, call=None) -> None:
    """The published state_dict has to load as it is, and every parameter of the module is in the file. call: of the inputs,
    if not module."""
    module.load_state_dict(case.state_dict, strict=True)
    module = module.to(case.dtype).eval()
    check_operator(case, call or module)
    case.check_gradients("param", {name: parameter.grad for name, parameter in module.named_parameters()})


@every_case("resfu_fns")
@both_dtypes
def test_fns_agrees_with_the_golden_data(name, dtype):
    case = golden.load(name, dtype)
    check_operator(case, lambda scores, x: upwell.ops.fns(x, scores, case.hyper["kernel_size"]))


@every_case("resfu_fns")
@both_dtypes
def test_fns_with_the_published_mask_rule_agrees_with_the_golden_data(name, dtype):
    case = golden.load(name, dtype)
    kernel, ratio = case.hyper["kernel_size"], case.hyper["scale_factor"]
    check_operator(case, lambda scores, x: upwell.ops.fns(x, scores, kernel, mask_ratio=ratio))


@every_case("carafe_reassembly")
@both_dtypes
def test_carafe_reassembly_agrees_with_the_golden_data(name, dtype):
    case = golden.load(name, dtype)
    kernel, groups = case.hyper["kernel_size"], case.hyper["group_size"]
    check_operator(
        case, lambda features, masks: upwell.ops.carafe_reassembly(features, masks, kernel, groups)
    )


@every_case("bilinear")
@both_dtypes
def test_bilinear_agrees_with_the_golden_data(name, dtype):
    case = golden.load(name, dtype)
    check_operator(case, lambda x: upwell.ops.bilinear(x, case.hyper["size"]))


@every_case("nearest")
@both_dtypes
def test_nearest_agrees_with_the_golden_data(name, dtype):
    case = golden.load(name, dtype)
    check_operator(case, lambda x: upwell.ops.nearest(x, case.hyper["size"]))


@every_case("carafe")
@both_dtypes
def test_the_carafe_module_agrees_with_the_golden_data(name, dtype):
    case = golden.load(name, dtype)
    check_module(case, upwell.nn.CARAFE(**case.hyper))


@every_case("pixelshuffle")
@both_dtypes
def test_pixel_shuffle_agrees_with_the_golden_data(name, dtype):
    case = golden.load(name, dtype)
    hyper = case.hyper
    check_module(case, upwell.nn.PixelShuffle(hyper["channels"], hyper["scale_factor"], hyper["kernel_size"]))


@every_case("deconv")
@both_dtypes
def test_deconv_agrees_with_the_golden_data(name, dtype):
    case = golden.load(name, dtype)
    padding, output_padding = (case.hyper.pop(key) for key in ("padding", "output_padding"))
    module = upwell.nn.Deconv(**case.hyper)
    assert module.padding == (padding, padding) and module.output_padding == (output_padding, output_padding)
    check_module(case, module)


@every_case("dysample")
@both_dtypes
def test_dysample_agrees_with_the_golden_data(name, dtype):
    case = golden.load(name, dtype)
    check_module(case, upwell.nn.DySample(**case.hyper))


@every_case("sapa_attention")
@both_dtypes
def test_sapa_attention_agrees_with_the_golden_data(name, dtype):
    case = golden.load(name, dtype)
    kernel = case.hyper["kernel_size"]

    def call(q, k, v):
        scores = torch.ops.upwell.carafe_reassembly_d_weight(q, k, kernel, 1)
        return {"scores": scores, "y": upwell.ops.sapa_attention(v, q, k, kernel)}

    check_operator(case, call)


@every_case("sapa")
@both_dtypes
def test_sapa_agrees_with_the_golden_data(name, dtype):
    case = golden.load(name, dtype)
    check_module(case, upwell.nn.SAPA(**case.hyper))


@every_case("sapa_neurips")
@both_dtypes
def test_the_sapa_of_the_paper_agrees_with_the_golden_data(name, dtype):
    case = golden.load(name, dtype)
    check_module(case, upwell.nn.SAPAExp(**case.hyper))


@every_case("fade")
@both_dtypes
def test_fade_agrees_with_the_golden_data(name, dtype):
    case = golden.load(name, dtype)
    check_module(case, upwell.nn.FADE(**case.hyper))


@every_case("indexnet")
@both_dtypes
def test_index_blocks_agree_with_the_golden_data(name, dtype):
    case = golden.load(name, dtype)
    hyper = case.hyper
    block = getattr(upwell.nn, hyper["block"])(hyper["inp"], hyper["use_nonlinear"], hyper["use_context"])

    def call(en, de):
        idx_en, idx_de = block(en)
        down, up = upwell.nn.index_pool(en, idx_en), upwell.nn.index_unpool(de, idx_de)
        return {"idx_en": idx_en, "idx_de": idx_de, "down": down, "up": up}

    check_module(case, block, call)


@every_case("resfu_full")
@both_dtypes
def test_resfu_agrees_with_the_golden_data(name, dtype):
    case = golden.load(name, dtype)
    check_module(case, upwell.nn.ReSFU(**case.hyper))


@every_case("resfu_full_paper")
@both_dtypes
def test_resfu_in_the_layout_of_the_paper_agrees_with_the_golden_data(name, dtype):
    case = golden.load(name, dtype)
    check_module(case, upwell.nn.ReSFU(**case.hyper, layout="paper"))


@every_case("resfu_gaussian")
@both_dtypes
def test_the_gaussian_agrees_with_the_golden_data(name, dtype):
    check_operator(golden.load(name, dtype), gaussian3)


@every_case("resfu_guided_filter")
@both_dtypes
def test_the_guided_filter_agrees_with_the_golden_data(name, dtype):
    case = golden.load(name, dtype)
    hyper = case.hyper
    module = GuidedFilter(hyper["radius"], hyper["epsilon"], hyper["channels"], hyper["scale"])
    module.load_state_dict(case.state_dict, strict=True)
    check_operator(case, module.to(dtype))


@pytest.mark.parametrize(
    "layout, operator", [("published", "resfu_pcdc_block"), ("paper", "resfu_pcdc_block_paper")]
)
@both_dtypes
def test_the_pcdc_block_agrees_with_the_golden_data(layout, operator, dtype):
    for name in golden.names(operator):
        case = golden.load(name, dtype)
        hyper = case.hyper
        block = PCDCBlock(
            hyper["in_channels"], hyper["kernel_size"], hyper["groups"], hyper["gn_dim"], layout=layout
        )
        block.load_state_dict(case.state_dict, strict=True)
        block = block.to(dtype)
        spread = Ratio(hyper["scale_factor"])
        check_operator(case, lambda k, q, block=block, spread=spread: block(k, q, spread, spread))
        case.check_gradients("param", {key: parameter.grad for key, parameter in block.named_parameters()})
