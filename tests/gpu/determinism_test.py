"""The same bits from run to run, also where torch is asked to refuse anything that could differ."""

import torch
import upwell
from calls import MODULES, OPERATORS, modules, operators
from problems import LARGE
from support import FLOATS, DeviceTest, each, perturbed, random, same_bits, tensors, with_gradients

REPEATS = 3


class Determinism(DeviceTest):
    def check(self, call, given, parameters=(), modes=(False, True)):
        """In each mode of torch, every run equals the first one. The strict one also fills new memory with nan."""
        parameters = list(parameters)
        for strict in modes:
            torch.use_deterministic_algorithms(strict)
            first = with_gradients(call, given, parameters)
            for _ in range(REPEATS):
                self.assertTrue(same_bits(first, with_gradients(call, given, parameters)), f"strict: {strict}")

    @each(OPERATORS)
    def test_operators(self, name):
        self.check(*operators(torch.float32)[name])

    @each(FLOATS)
    def test_operators_on_many_blocks(self, dtype):
        for problem in LARGE:
            self.check(lambda *given, problem=problem: problem.run(upwell.ops, list(given)), tensors(problem, dtype))

    def test_scores_on_many_blocks(self):
        module = perturbed(upwell.nn.ReSFU(16, 16, scale_factor=4))
        scores = module.detail_scores
        q = random((2, 32, 96, 100), seed=3)
        self.check(lambda q: scores(q[:, :, ::4, ::4].contiguous(), q), [q])
        self.check(lambda q: upwell.ops.guided_filter(q, q[:, :, ::4, ::4].contiguous(), 8, 1e-3, 2), [q])

    @each(MODULES)
    def test_modules_where_torch_is_strict(self, name):
        """A module's own convolutions are torch's: the same bits where torch is asked for them."""
        module, given = modules()[name]
        self.check(module, given, module.parameters(), (True,))

    def test_a_training_step_of_resfu(self):
        given = [random((2, 16, 96, 100), seed=1), random((2, 24, 24, 25), seed=2)]
        module = perturbed(upwell.nn.ReSFU(16, 24, scale_factor=4))
        self.check(module, given, module.parameters(), (True,))
