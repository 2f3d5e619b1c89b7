"""The golden data of the published operators, on the device: forward and every gradient."""

import unittest

import upwell
from support import DEVICE, FLOATS, DeviceTest, each, moved
from upwell.nn.gaussian import gaussian3
from upwell.nn.guided_filter import GuidedFilter
from upwell.nn.pcdc import PCDCBlock, Ratio

try:
    import golden
except ImportError:  # it reads the files with numpy
    golden = None


def cases(operator: str) -> list[str]:
    return golden.names(operator) if golden else ["none"]


@unittest.skipIf(golden is None, "needs numpy, to read the files")
class Golden(DeviceTest):
    def check(self, case, call):
        leaves = case.leaves()
        outputs = call(*leaves)
        outputs = outputs if isinstance(outputs, dict) else {"out": outputs}
        for output in outputs.values():
            self.assertEqual(output.device.type, leaves[0].device.type)
        case.backward(outputs)
        case.check_output({name: output.cpu() for name, output in outputs.items()})
        case.check_gradients("in", {name: leaf.grad.cpu() for name, leaf in zip(case.inputs, leaves)})

    def check_module(self, case, module, call=None):
        module.load_state_dict(case.state_dict, strict=True)
        module = module.to(DEVICE, case.dtype).eval()
        self.check(case, call or module)
        gradients = {name: p.grad if p.grad is None else p.grad.cpu() for name, p in module.named_parameters()}
        case.check_gradients("param", gradients)

    @each(cases("resfu_fns"), FLOATS)
    def test_fns(self, name, dtype):
        case = moved(golden.load(name, dtype))
        kernel, ratio = case.hyper["kernel_size"], case.hyper["scale_factor"]
        self.check(case, lambda scores, x: upwell.ops.fns(x, scores, kernel))
        self.check(case, lambda scores, x: upwell.ops.fns(x, scores, kernel, mask_ratio=ratio))

    @each(cases("carafe_reassembly"), FLOATS)
    def test_carafe_reassembly(self, name, dtype):
        case = moved(golden.load(name, dtype))
        kernel, groups = case.hyper["kernel_size"], case.hyper["group_size"]
        self.check(case, lambda x, masks: upwell.ops.carafe_reassembly(x, masks, kernel, groups))

    @each([name for operator in ("bilinear", "nearest") for name in cases(operator)], FLOATS)
    def test_interpolation(self, name, dtype):
        case = moved(golden.load(name, dtype))
        operator = getattr(upwell.ops, name.split("__")[0])
        self.check(case, lambda x: operator(x, case.hyper["size"]))

    @each(cases("carafe"), FLOATS)
    def test_carafe_module(self, name, dtype):
        case = moved(golden.load(name, dtype))
        self.check_module(case, upwell.nn.CARAFE(**case.hyper))

    @each([name for operator in ("sapa", "sapa_neurips", "fade") for name in cases(operator)], FLOATS)
    def test_modules_that_compare_encoder_and_decoder(self, name, dtype):
        case = moved(golden.load(name, dtype))
        kind = {"sapa": "SAPA", "sapa_neurips": "SAPAExp", "fade": "FADE"}[name.split("__")[0]]
        self.check_module(case, getattr(upwell.nn, kind)(**case.hyper))

    @each(cases("cross_attention"), FLOATS)
    def test_cross_attention(self, name, dtype):
        case = moved(golden.load(name, dtype))
        self.check(case, lambda *maps: upwell.ops.cross_attention(*maps, **case.hyper))

    @each([name for operator in ("anyup", "jafar", "naf") for name in cases(operator)], FLOATS)
    def test_modules_guided_by_an_image(self, name, dtype):
        case = moved(golden.load(name, dtype))
        kind = {"anyup": "AnyUp", "jafar": "JAFAR", "naf": "NAF"}[name.split("__")[0]]
        hyper = {key: value for key, value in case.hyper.items() if key not in ("mode", "output_size")}
        module, size = getattr(upwell.nn, kind)(**hyper), case.hyper.get("output_size")
        self.check_module(case, module, lambda image, features: module(image, features, size))

    @each([name for operator in ("jbu", "jbu_stack") for name in cases(operator)], FLOATS)
    def test_joint_bilateral_upsamplers(self, name, dtype):
        case = moved(golden.load(name, dtype))
        case.hyper.pop("mode")
        kind = {"jbu": "JBULearnedRange", "jbu_stack": "JBUStack"}[name.split("__")[0]]
        self.check_module(case, getattr(upwell.nn, kind)(**case.hyper))

    @each(cases("indexnet"), FLOATS)
    def test_index_blocks(self, name, dtype):
        case = moved(golden.load(name, dtype))
        hyper = case.hyper
        block = getattr(upwell.nn, hyper["block"])(hyper["inp"], hyper["use_nonlinear"], hyper["use_context"])

        def call(en, de):
            idx_en, idx_de = block(en)
            down, up = upwell.nn.index_pool(en, idx_en), upwell.nn.index_unpool(de, idx_de)
            return {"idx_en": idx_en, "idx_de": idx_de, "down": down, "up": up}

        self.check_module(case, block, call)

    @each(cases("wrc"), FLOATS)
    def test_wrc_module(self, name, dtype):
        case = moved(golden.load(name, dtype))
        self.check_module(case, upwell.nn.WRC(out_channels=case.hyper["in_channels"], **case.hyper))

    @each(cases("lctc"), FLOATS)
    def test_lctc_module(self, name, dtype):
        case = moved(golden.load(name, dtype))
        hyper = case.hyper
        sizes = (hyper["in_channels"], hyper["out_channels"], hyper["kernel_size"], hyper["small_kernel_size"])
        self.check_module(case, upwell.nn.LCTC(*sizes, hyper["stride"], hyper["groups"]))

    @each([("published", "resfu_full"), ("paper", "resfu_full_paper")], FLOATS)
    def test_resfu(self, layout, dtype):
        for name in golden.names(layout[1]):
            case = moved(golden.load(name, dtype))
            self.check_module(case, upwell.nn.ReSFU(**case.hyper, layout=layout[0]))

    @each(cases("resfu_gaussian"), FLOATS)
    def test_gaussian(self, name, dtype):
        self.check(moved(golden.load(name, dtype)), gaussian3)

    @each(cases("resfu_guided_filter"), FLOATS)
    def test_guided_filter(self, name, dtype):
        case = moved(golden.load(name, dtype))
        hyper = case.hyper
        module = GuidedFilter(hyper["radius"], hyper["epsilon"], hyper["channels"], hyper["scale"])
        self.check(case, module.to(DEVICE, dtype))

    @each([("published", "resfu_pcdc_block"), ("paper", "resfu_pcdc_block_paper")], FLOATS)
    def test_pcdc_block(self, layout, dtype):
        for name in golden.names(layout[1]):
            case = moved(golden.load(name, dtype))
            hyper = case.hyper
            sizes = (hyper["in_channels"], hyper["kernel_size"], hyper["groups"], hyper["gn_dim"])
            block, spread = PCDCBlock(*sizes, layout=layout[0]), Ratio(hyper["scale_factor"])
            self.check_module(case, block, lambda k, q, block=block, spread=spread: block(k, q, spread, spread))
