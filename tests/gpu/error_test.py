"""Wrong calls raise an error that says what is wrong, and the process goes on working."""

import torch
import upwell
from calls import OPERATORS, operators
from support import DEVICE, REFUSALS, DeviceTest, each, forget, needs_cuda, perturbed, random, same_bits


class Errors(DeviceTest):
    def refused(self, call, given, *words):
        with self.assertRaises(REFUSALS) as caught:
            call(*given)
        for word in words:
            self.assertIn(word, str(caught.exception).lower())

    @needs_cuda
    @each(OPERATORS)
    def test_tensors_on_two_devices(self, name):
        call, given = operators(torch.float32)[name]
        for i in range(len(given) if len(given) > 1 else 0):
            mixed = [tensor.cpu() if i == j else tensor for j, tensor in enumerate(given)]
            self.refused(call, mixed, "cpu", "cuda")
        call(*given)

    @each(OPERATORS, [torch.int32, torch.int64, torch.bool, torch.complex64])
    def test_dtypes_that_are_not_taken(self, name, dtype):
        call, given = operators(torch.float32)[name]
        self.refused(call, [tensor.to(dtype) for tensor in given])

    @each(OPERATORS)
    def test_two_dtypes(self, name):
        call, given = operators(torch.float32)[name]
        if len(given) > 1:
            self.refused(call, [given[0].double(), *given[1:]])

    def test_wrong_shapes_name_operator_and_argument(self):
        def zeros(*shape):
            return torch.zeros(shape, device=DEVICE)

        self.refused(upwell.ops.fns, [zeros(2, 3, 4, 4), zeros(2, 8, 8, 8), 3], "fns: logits", "[2, 9, 8, 8]")
        self.refused(upwell.ops.bilinear, [zeros(3, 4, 4), (8, 8)], "bilinear: value", "[3, 4, 4]")
        self.refused(upwell.ops.guided_filter, [zeros(2, 8, 6, 5), zeros(2, 7, 3, 4), 2], "guided_filter: input")

    @each(OPERATORS)
    def test_after_a_refusal_the_operator_still_works(self, name):
        call, given = operators(torch.float32)[name]
        expected = call(*given)
        self.refused(call, [tensor.to(torch.int32) for tensor in given])
        as_list = lambda o: list(o) if isinstance(o, tuple) else [o]  # noqa: E731
        self.assertTrue(same_bits(as_list(call(*given)), as_list(expected)))

    @needs_cuda
    @each(["bilinear", "nearest"])
    def test_an_output_of_10_TiB(self, name):
        value = torch.ones(1, 1, 1, 1, device=DEVICE).expand(1, 1024, 1, 1)
        expected = getattr(upwell.ops, name)(value, (3, 3))
        self.refused(getattr(upwell.ops, name), [value, (52_000, 52_000)])
        self.assertTrue(torch.equal(getattr(upwell.ops, name)(value, (3, 3)), expected))

    @needs_cuda
    def test_running_out_of_memory(self):
        """Wherever in a training step memory ends, the error is torch's or names memory, and nothing is kept."""
        module = perturbed(upwell.nn.ReSFU(16, 64, scale_factor=4))
        y, x = random((1, 16, 256, 256)).requires_grad_(), random((1, 64, 64, 64)).requires_grad_()

        def step():
            return torch.autograd.grad(module(y, x).mean(), [y, x])

        expected = step()
        forget()
        total, before = torch.cuda.mem_get_info()[1], torch.cuda.memory_allocated()
        failed = 0
        try:
            for allowed in range(2 << 20, 64 << 20, 6 << 20):
                torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + allowed) / total)
                try:
                    step()
                except torch.OutOfMemoryError:
                    failed += 1
                except RuntimeError as error:
                    self.assertIn("memory", str(error).lower())
                    failed += 1
                forget()
                self.assertEqual(torch.cuda.memory_allocated(), before)
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        self.assertGreater(failed, 0)
        self.assertTrue(same_bits(list(step()), list(expected)))
