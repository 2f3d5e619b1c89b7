"""CUDA graphs: forward and backward are captured once and replayed with other inputs."""

import torch
from calls import MODULES, OPERATORS, modules, operators
from compare import assert_close, largest
from support import DeviceTest, each, needs_cuda, random

WARM_UPS = 3


def step(call, leaves, parameters):
    """The first output of call(*leaves), and every gradient."""
    outputs = call(*leaves)
    output = outputs if isinstance(outputs, torch.Tensor) else outputs[0]
    g = torch.ones_like(output) * 0.5
    return [output, *torch.autograd.grad(output, [*leaves, *parameters], g, materialize_grads=True)]


@needs_cuda
class Graphs(DeviceTest):
    def check(self, call, given, parameters=()):
        parameters = list(parameters)
        leaves = [tensor.clone().requires_grad_() for tensor in given]
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                step(call, leaves, parameters)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            results = step(call, leaves, parameters)
        for seed in range(3):
            fresh = [random(tuple(t.shape), t.dtype, 40 + 10 * seed + i) for i, t in enumerate(given)]
            with torch.no_grad():
                for leaf, new in zip(leaves, fresh):
                    leaf.copy_(new)
            graph.replay()
            replayed = [result.detach().clone() for result in results]
            expected = step(call, [new.requires_grad_() for new in fresh], parameters)
            floor = 1e-3 * max(largest(e.detach()) for e in expected[1:])
            for i, (actual, exact) in enumerate(zip(replayed, expected)):
                scale = max(largest(exact.detach()), floor if i else 0)
                assert_close(actual, exact, 1e-5, f"replay {seed}, result {i}", scale)

    @each(OPERATORS)
    def test_an_operator(self, name):
        self.check(*operators(torch.float32)[name])

    @each(MODULES)
    def test_a_module(self, name):
        module, given = modules()[name]
        self.check(module, given, module.parameters())

    @each(["resfu", "resfu real ratio"])
    def test_graphed_callables(self, name):
        module, given = modules()[name]
        sample = tuple(tensor.clone().requires_grad_() for tensor in given)
        expected = module(*given).detach()
        graphed = torch.cuda.make_graphed_callables(module, sample)
        leaves = [tensor.clone().requires_grad_() for tensor in given]
        output = graphed(*leaves)
        output.square().mean().backward()
        assert_close(output, expected, 1e-5)
        self.assertTrue(all(leaf.grad.isfinite().all() and leaf.grad.any() for leaf in leaves))
