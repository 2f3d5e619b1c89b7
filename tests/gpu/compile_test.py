"""torch.compile traces every operator and module in one graph, forward and backward."""

import functools

import torch
from calls import MODULES, OPERATORS, modules, operators
from compare import assert_close, largest
from support import DeviceTest, cotangents_of, each, needs_cuda, random, with_gradients


@functools.cache
def inductor_works() -> bool:
    """It needs Triton and a C compiler."""
    try:
        torch.compile(lambda x: x.sin() + 1)(random((3, 5)))
    except Exception:
        return False
    return True


class Compile(DeviceTest):
    def setUp(self):
        super().setUp()
        torch._dynamo.reset()

    def check(self, call, given, parameters=(), dynamic=False, **options):
        if not inductor_works() and options.get("backend", "inductor") == "inductor":
            options = {"backend": "aot_eager"}
            print("    without Triton and a compiler: backend aot_eager")
        compiled = torch.compile(call, fullgraph=True, dynamic=dynamic, **options)
        cotangents = cotangents_of(call(*given))
        expected = with_gradients(call, given, parameters, cotangents)
        for _ in range(2):
            actual = with_gradients(compiled, given, parameters, cotangents)
            floor = 1e-3 * max(map(largest, expected))
            for i, (a, b) in enumerate(zip(actual, expected, strict=True)):
                assert_close(a, b, 1e-4, f"result {i}", max(largest(b), floor))

    @each(OPERATORS)
    def test_an_operator_is_traced(self, name):
        self.check(*operators(torch.float32)[name], backend="aot_eager")

    @each(MODULES)
    def test_a_module_is_compiled(self, name):
        module, given = modules()[name]
        self.check(module, given, list(module.parameters()))

    def test_sizes_may_change(self):
        module, _ = modules()["resfu real ratio"]
        compiled = torch.compile(module, fullgraph=True, dynamic=True, backend="aot_eager")
        for low, high in (((3, 4), (7, 9)), ((5, 6), (11, 20)), ((4, 7), (16, 28))):
            given = [random((2, 12, *high), seed=1), random((2, 8, *low), seed=2)]
            assert_close(compiled(*given), module(*given), 1e-5)

    @needs_cuda
    def test_compiled_into_cuda_graphs(self):
        if not inductor_works():
            self.skipTest("needs Triton and a C compiler")
        module, given = modules()["resfu"]
        compiled = torch.compile(module, fullgraph=True, dynamic=False, mode="reduce-overhead")
        for seed in range(4):  # captured in the second or third call
            fresh = [random(tuple(t.shape), t.dtype, 60 + seed) for t in given]
            with torch.no_grad():
                torch.compiler.cudagraph_mark_step_begin()
                assert_close(compiled(*fresh).clone(), module(*fresh), 1e-4)
