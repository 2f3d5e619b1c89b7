"""Every kernel once on tiny maps, forward and backward: what --sanitize runs under compute-sanitizer."""

import torch
import upwell
from calls import MODULES, OPERATORS, modules, operators
from problems import OPERATORS as REASSEMBLY
from problems import WEIGHTS, Problem
from support import FLOATS, DeviceTest, each, tensors, with_gradients


class Sanitize(DeviceTest):
    def finite(self, call, given, parameters=()):
        for result in with_gradients(call, given, parameters):
            self.assertTrue(result.isfinite().all())

    @each(OPERATORS, FLOATS)
    def test_an_operator(self, name, dtype):
        self.finite(*operators(dtype)[name])

    @each(MODULES)
    def test_a_module(self, name):
        module, given = modules()[name]
        self.finite(module, given, list(module.parameters()))

    @each(REASSEMBLY, (1, 2, 4, 8))
    def test_kernels_of_a_ratio(self, operator, ratio):
        for kernel in (3, 5) if operator in WEIGHTS else (3,):
            for low in ((1, 1), (3, 5)):
                high = (low[0] * ratio, low[1] * ratio)
                problem = Problem(operator, low, high, kernel=kernel, channels=5)
                self.finite(lambda *given, p=problem: p.run(upwell.ops, list(given)), tensors(problem, torch.float32))
