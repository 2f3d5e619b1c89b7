"""Gradients on the device against finite differences, and which of them are computed."""

import torch
import upwell
from calls import MODULES, OPERATORS, modules, operators
from problems import EVERY_OPERATOR, WEIGHTS
from support import DeviceTest, cotangent, each, random, tensors


class Autograd(DeviceTest):
    @each(OPERATORS)
    def test_gradcheck(self, name):
        call, given = operators(torch.float64)[name]
        leaves = [tensor.detach().requires_grad_() for tensor in given]
        self.assertTrue(torch.autograd.gradcheck(call, leaves, fast_mode=sum(map(torch.numel, leaves)) > 300))

    @each(MODULES)
    def test_gradcheck_of_a_module_to_its_maps(self, name):
        module, given = modules(torch.float64)[name]
        leaves = [tensor.detach().requires_grad_() for tensor in given]
        used = leaves if name.startswith(("resfu", "sapa", "fade", "indexnet")) else leaves[-1:]

        def call(*given):
            return module(*leaves[: len(leaves) - len(given)], *given)

        self.assertTrue(torch.autograd.gradcheck(call, used, fast_mode=True))

    def test_an_operator_that_is_linear_in_every_input_can_be_differentiated_twice(self):
        for problem in EVERY_OPERATOR:
            if problem.operator not in ("fns", "carafe"):
                leaves = [tensor.requires_grad_() for tensor in tensors(problem, torch.float64)]
                call = lambda *given, problem=problem: problem.run(upwell.ops, list(given))  # noqa: E731
                self.assertTrue(torch.autograd.gradgradcheck(call, leaves, fast_mode=True))

    def test_only_the_wanted_gradients_are_computed_and_they_are_the_same(self):
        for problem in EVERY_OPERATOR:
            if problem.operator in WEIGHTS:
                given, g = tensors(problem, torch.float32), cotangent(problem, torch.float32)
                _, both = problem.gradients(upwell.ops, given, g)
                for i in (0, 1):
                    leaves = [tensor.detach().requires_grad_(i == j) for j, tensor in enumerate(given)]
                    problem.run(upwell.ops, leaves).backward(g)
                    self.assertTrue(torch.equal(leaves[i].grad, both[i]))
                    self.assertIsNone(leaves[1 - i].grad)

    @each(MODULES)
    def test_a_module_trains(self, name):
        """Steps along the gradient of a module, or of its features, make the error smaller."""
        module, (*guide, x) = modules()[name]
        x = x.clone().requires_grad_()
        target = random(tuple(module(*guide, x).shape), seed=9)
        optimiser = torch.optim.SGD([x, *module.parameters()], lr=0.02)
        errors = []
        for _ in range(5):
            optimiser.zero_grad()
            error = (module(*guide, x) - target).square().mean()
            error.backward()
            optimiser.step()
            errors.append(error.item())
        self.assertEqual(errors, sorted(errors, reverse=True))
