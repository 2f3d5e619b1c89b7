"""float16 and bfloat16: computed in float32 and rounded once; and torch.autocast."""

import torch
import upwell
from calls import MODULES, OPERATORS, modules, operators
from support import (
    DEVICE, HALVES, DeviceTest, cotangents_of, distance, each, needs_halves, random, with_gradients,
)  # fmt: skip

ULPS = 2  # of the rounded float32 result
CANCELLED = 2e-5  # of the largest: what float32 leaves where a sum cancels
SAVED = 8  # eps, of the norm: gradients found from statistics that were saved rounded
INTERMEDIATE = 3e-2  # of the norm: where a module rounds what lies between its operators


def ulp(x: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The distance of neighbouring numbers of dtype at x."""
    limits = torch.finfo(dtype)
    _, exponent = torch.frexp(x.double().abs().clamp_min(limits.tiny))
    return limits.eps * torch.ldexp(torch.ones_like(x, dtype=torch.float64), exponent - 1)


@needs_halves
class Halves(DeviceTest):
    def assert_rounded(self, actual, exact, what):
        """actual is exact, rounded to its dtype, within some units in the last place."""
        dtype = actual.dtype
        allowed = ULPS * ulp(exact, dtype) + CANCELLED * exact.abs().max().double()
        error = (actual.double() - exact.to(dtype).double()).abs()
        over = (error > allowed).sum().item()
        self.assertTrue(actual.isfinite().all(), f"{what}: not finite")
        self.assertEqual(over, 0, f"{what}: {over} of {error.numel()} are off by more than {ULPS} ulp")

    @each(OPERATORS, HALVES)
    def test_an_operator_rounds_once(self, name, dtype):
        call, given = operators(torch.float32)[name]
        given = [tensor.to(dtype) for tensor in given]
        cotangents = [g.to(dtype) for g in cotangents_of(call(*(t.float() for t in given)))]
        exact = with_gradients(call, [t.float() for t in given], (), [g.float() for g in cotangents])
        outputs = call(*given)
        dtypes = [o.dtype for o in (outputs if isinstance(outputs, tuple) else (outputs,))]
        if not name.startswith("group_stats"):  # statistics may stay in float32
            self.assertEqual(set(dtypes), {dtype})
        actual = with_gradients(call, given, (), [g.to(d) for g, d in zip(cotangents, dtypes)])
        for i, (a, b) in enumerate(zip(actual, exact, strict=True)):
            what = f"output {i}" if i < len(dtypes) else f"gradient {i - len(dtypes)}"
            if i < len(dtypes) or not name.startswith("group_stats"):
                self.assert_rounded(a, b, what)
            else:
                self.assertLess(distance(a, b), SAVED * torch.finfo(dtype).eps, what)
            if i >= len(dtypes):
                self.assertEqual(a.dtype, dtype)

    @each(MODULES, HALVES)
    def test_a_module_in_halves(self, name, dtype):
        module, given = modules()[name]
        given = [tensor.to(dtype) for tensor in given]
        module.to(dtype)
        output = module(*given)
        expected = module.float()(*(tensor.float() for tensor in given))
        self.assertEqual(output.dtype, dtype)
        self.assertLess(distance(output, expected), INTERMEDIATE)

    @each(HALVES)
    def test_large_values_do_not_overflow_inside(self, dtype):
        """The variance of values in the hundreds is beyond float16."""
        guide, x = (300 + 20 * random(s, seed=i) for i, s in enumerate(((1, 4, 12, 12), (1, 4, 3, 3))))
        exact = upwell.ops.guided_filter(guide.to(dtype).float(), x.to(dtype).float(), 2)
        self.assert_rounded(upwell.ops.guided_filter(guide.to(dtype), x.to(dtype), 2), exact, "guided_filter")
        mean, rstd = upwell.ops.group_stats(guide.to(dtype), 2)
        self.assertTrue(mean.isfinite().all() and rstd.isfinite().all() and (rstd > 0).all())


@needs_halves
class Autocast(DeviceTest):
    @each(MODULES, HALVES)
    def test_the_result_is_that_of_float32_but_for_rounding(self, name, dtype):
        module, given = modules()[name]
        with torch.autocast(DEVICE.type, dtype=dtype):
            output = module(*given)
        self.assertIn(output.dtype, (dtype, torch.float32))
        self.assertLess(distance(output, module(*given)), INTERMEDIATE)

    @each(MODULES, HALVES)
    def test_a_training_step(self, name, dtype):
        module, (*guide, x) = modules()[name]
        N, channels, *size = module(*guide, x).shape
        head = torch.nn.Conv2d(channels, 3, 3, padding=1).to(DEVICE)  # its output is of the autocast dtype
        features = x.clone().requires_grad_()
        optimiser = torch.optim.SGD([features, *module.parameters(), *head.parameters()], lr=0.02)
        scaler = torch.amp.GradScaler(DEVICE.type, init_scale=256.0, enabled=dtype == torch.float16)
        target = random((N, 3, *size), seed=9)
        errors = []
        for _ in range(6):
            optimiser.zero_grad()
            with torch.autocast(DEVICE.type, dtype=dtype):
                error = torch.nn.functional.mse_loss(head(module(*guide, features)).float(), target)
            scaler.scale(error).backward()
            scaler.step(optimiser)
            scaler.update()
            errors.append(error.item())
        self.assertTrue(all(p.grad is None or p.grad.isfinite().all() for p in module.parameters()))
        self.assertEqual(features.grad.dtype, torch.float32)
        self.assertLess(errors[-1], errors[0])

    @each(OPERATORS, HALVES)
    def test_an_operator_takes_a_mixture(self, name, dtype):
        """In autocast a tensor of float32 may meet one that an earlier layer made in dtype."""
        call, given = operators(torch.float32)[name]
        mixed = [tensor.to(dtype) if i % 2 else tensor for i, tensor in enumerate(given)]
        exact = call(*(tensor.float() for tensor in mixed))
        with torch.autocast(DEVICE.type, dtype=dtype):
            outputs = call(*mixed)
        for a, b in zip(*(o if isinstance(o, tuple) else (o,) for o in (outputs, exact))):
            self.assertLess(distance(a, b), INTERMEDIATE)
