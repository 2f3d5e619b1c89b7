"""ReSFU's operators, the colour guided filter, sums over listed taps and the modules beside compositions of torch operations, both
on the device."""

import functools
import random as python_random

import resfu_draws
import torch
import torch.nn.functional as F
import upwell
from compare import assert_close
from problems import LAYOUTS
from reference import composition, formula, upsamplers
from resfu_draws import assert_all_close
from support import FLOATS, DeviceTest, each, perturbed, random, same_bits, with_gradients

OPERATORS = ["colour_guided_filter", "group_stats", "guided_filter", "pcdc", "pcdc_scores"]
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}


def draws(operator: str, seed: int, count: int) -> list[resfu_draws.Call]:
    draw = python_random.Random(f"gpu {operator} {seed}")
    return [getattr(resfu_draws, operator)(draw) for _ in range(count)]


def inputs(call: resfu_draws.Call, dtype: torch.dtype) -> list[torch.Tensor]:
    return [s * random(shape, dtype, i) for i, (shape, s) in enumerate(zip(call.shapes, call.spread))]


class Composition(DeviceTest):
    def compare(self, call, given, dtype):
        actual = with_gradients(lambda *t: call.run(upwell.ops, list(t)), given)
        exact = [tensor.double().contiguous() for tensor in given]
        expected = with_gradients(lambda *t: call.run(composition, list(t)), exact)
        assert_all_close(actual, expected, TOLERANCE[dtype], str(call))

    @each(OPERATORS, FLOATS, range(4))
    def test_operators_at_random(self, operator, dtype, seed):
        for call in draws(operator, seed, 8):
            if dtype == torch.float64 or call.has_variance:
                self.compare(call, inputs(call, dtype), dtype)

    @each(OPERATORS, LAYOUTS)
    def test_memory_layouts(self, operator, layout):
        for call in draws(operator, 10, 2):
            given = [LAYOUTS[layout](t) if t.dim() == 4 else t for t in inputs(call, torch.float64)]
            self.compare(call, given, torch.float64)

    @each(OPERATORS)
    def test_a_batch_of_none(self, operator):
        for call in draws(operator, 20, 3):
            maps = 1 if operator == "group_stats" else 2
            given = [t[:0] if i < maps else t for i, t in enumerate(inputs(call, torch.float32))]
            results = with_gradients(lambda *t, call=call: call.run(upwell.ops, list(t)), given)
            self.assertTrue(all(not gradient.any() for gradient in results[-len(given) :]))

    @each(["adaptive_conv", "range_weights", "local_attention"], FLOATS)
    def test_sums_over_listed_taps(self, name, dtype):
        for N, C, h, w in ((2, 19, 30, 50), (1, 33, 1, 9), (3, 8, 70, 33)):
            value = (N, C, h, w)
            shapes, options = {
                "adaptive_conv": ([value, (N, 49, h, w)], (7,)),
                "range_weights": ([value, value, (25,)], (5,)),
                "local_attention": ([value, (N, 13, 2 * h, 3 * w)], ()),
            }[name]
            given = [random(shape, torch.float64, i) for i, shape in enumerate(shapes)]
            given = [0.1 + tensor.abs() if tensor.dim() == 1 else tensor for tensor in given]  # factors of taps
            expected = with_gradients(lambda *t: getattr(formula, name)(*t, *options), given)
            given = [tensor.to(dtype) for tensor in given]
            actual = with_gradients(lambda *t: getattr(upwell.ops, name)(*t, *options), given)
            assert_all_close(actual, expected, TOLERANCE[dtype], f"{name} {value}")

    @each([torch.float64], range(6))
    def test_resfu_at_random(self, dtype, seed):
        draw = python_random.Random(f"gpu resfu {seed}")
        for i in range(4):
            options, *shapes = resfu_draws.resfu(draw)
            module = perturbed(upwell.nn.ReSFU(**options).to(dtype))
            given = [random(shape, dtype, i) for shape in shapes]
            actual = with_gradients(module, given, module.parameters())
            composed = with_gradients(lambda y, x: composition.resfu(module, y, x), given, module.parameters())
            assert_all_close(actual, composed, TOLERANCE[dtype], f"{options} {shapes}")

    @each([(4, None), (None, (37, 51)), (8, None)])
    def test_resfu_in_float32(self, case):
        scale, size = case
        module = perturbed(upwell.nn.ReSFU(32, 48, scale_factor=scale).double())
        size = size or (12 * scale, 10 * scale)
        given = [random((2, 32, *size), torch.float64, 1), random((2, 48, 12, 10), torch.float64, 2)]
        expected = composition.resfu(module, *given)
        assert_close(module.float()(*(t.float() for t in given)), expected, 1e-4)

    @each(FLOATS, ["zero", "mask"])
    def test_the_carafe_module(self, dtype, border):
        module = perturbed(upwell.nn.CARAFE(12, 2, up_kernel=5, up_group=3, border=border).double())
        x = random((2, 12, 7, 9), torch.float64, 1)

        def composed(x):
            logits = F.pixel_shuffle(module.content_encoder(module.channel_compressor(x)), 2)
            return formula.carafe(x, logits, 5, 3, border)

        expected = with_gradients(composed, [x], module.parameters())
        module = module.to(dtype)
        actual = with_gradients(module, [x.to(dtype)], module.parameters())
        assert_all_close(actual, expected, TOLERANCE[dtype], border)

    @each(["bilinear", "nearest"])
    def test_the_interpolating_modules(self, name):
        x = random((2, 5, 7, 9), torch.float32, 1)
        for factor, size in ((2.5, (17, 22)), (4, (28, 36))):
            output = upwell.nn.make(name, 5, 3, factor)(random((2, 3, *size)), x)
            assert_close(output, getattr(formula, name)(x.double(), size), 2e-6)

    @each(FLOATS)
    def test_the_modules_that_compare_encoder_and_decoder(self, dtype):
        nn = upwell.nn
        high, thrice = (random((2, 6, *size), torch.float64, 1) for size in ((13, 16), (15, 21)))
        low = random((2, 4, 5, 7), torch.float64, 2)
        cases = [(nn.SAPA(6, 4, None), upsamplers.sapa)]
        # Where taps outside leave the softmax, what all keys have in common cancels: there is no bias here.
        cases += [(nn.SAPA(6, 4, None, qkv_bias=False, norm=False, border="mask"), upsamplers.sapa)]
        cases += [(nn.SAPAExp(6, 4, 3, mode, up_factor=None), upsamplers.sapa_exp) for mode in ("cat", "gate")]
        cases += [(nn.FADE(6, 4, None, 3, variant), upsamplers.fade) for variant in ("l2h", "h2l", "lite", "ungated")]
        cases += [(nn.IndexNet(4, 6, 3), upsamplers.index_net)]
        for module, composed in cases:
            module = perturbed(module.double())
            given = [thrice if composed is upsamplers.index_net else high, low]
            expected = with_gradients(functools.partial(composed, module), given, module.parameters())
            module = module.to(dtype)
            actual = with_gradients(module, [tensor.to(dtype) for tensor in given], module.parameters())
            assert_all_close(actual, expected, TOLERANCE[dtype], str(module))

    @each(["resfu", "carafe", "sapa", "fade", "indexnet", "bilinear", "nearest"])
    def test_modules_take_every_layout(self, name):
        module = perturbed(upwell.nn.make(name, 8, 12, 2))
        guide, x = random((2, 12, 8, 10), seed=1), random((2, 8, 4, 5), seed=2)
        expected = module(guide, x)
        for layout in LAYOUTS.values():
            assert_close(module(layout(guide), layout(x)), expected, 1e-5)

    def test_modules_take_odd_and_single_pixel_maps(self):
        for low, high in (((1, 1), (1, 1)), ((1, 5), (3, 15)), ((7, 1), (20, 5)), ((3, 3), (2, 2))):
            module = perturbed(upwell.nn.ReSFU(12, 8, scale_factor=None))
            given = [random((3, 12, *high), seed=1), random((3, 8, *low), seed=2)]
            results = with_gradients(module, given, module.parameters())
            self.assertTrue(all(result.isfinite().all() for result in results))

    def test_a_module_moves_between_devices_with_its_parameters(self):
        module = perturbed(upwell.nn.ReSFU(12, 8, scale_factor=2).double())
        given = [random((1, 12, 8, 10), torch.float64, 1), random((1, 8, 4, 5), torch.float64, 2)]
        here = module(*given)
        there = module.cpu()(*(tensor.cpu() for tensor in given))
        assert_close(here.cpu(), there, 1e-9)
        again = module.to(given[0].device)(*given)
        self.assertTrue(same_bits([here], [again]))
