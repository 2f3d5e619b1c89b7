"""A second GPU: kernels run on the device of their tensors, whichever is current."""

import unittest

import torch
from calls import MODULES, OPERATORS, modules, operators
from compare import assert_close
from support import DeviceTest, cotangents_of, each, needs_cuda, with_gradients

needs_two = unittest.skipUnless(torch.cuda.device_count() > 1, "needs a second GPU")


@needs_cuda
@needs_two
class Devices(DeviceTest):
    def check(self, call, given, parameters=(), there=None):
        cotangents = cotangents_of(call(*given))
        expected = with_gradients(call, given, parameters, cotangents)
        with torch.cuda.device(0):
            far = [[tensor.to("cuda:1") for tensor in group] for group in (given, cotangents)]
            module, moved = there() if there else (call, ())
            results = with_gradients(module, far[0], moved, far[1])
        for actual, exact in zip(results, expected, strict=True):
            self.assertEqual(actual.device.index, 1)
            assert_close(actual.to(exact.device), exact, 1e-5)

    @each(OPERATORS)
    def test_an_operator_on_the_second_device(self, name):
        self.check(*operators(torch.float32)[name])

    @each(MODULES)
    def test_a_module_on_the_second_device(self, name):
        module, given = modules()[name]

        def there():
            module.to("cuda:1")
            return module, list(module.parameters())

        self.check(module, given, list(module.parameters()), there)

    @each(OPERATORS)
    def test_tensors_on_two_gpus_are_refused(self, name):
        call, given = operators(torch.float32)[name]
        if len(given) > 1:
            with self.assertRaisesRegex((RuntimeError, ValueError), "cuda:"):
                call(given[0].to("cuda:1"), *given[1:])
