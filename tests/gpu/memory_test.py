"""Memory comes from torch's allocator, all of it goes back, and a training step of ReSFU takes little."""

import torch
import upwell
from calls import MODULES, OPERATORS, modules, operators
from reference import composition
from support import DeviceTest, cotangents_of, each, forget, needs_cuda, perturbed, random, with_gradients


def peak(step) -> int:
    """Bytes that a warm step adds at most."""
    step()
    forget()
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    step()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


@needs_cuda
class Memory(DeviceTest):
    def check_nothing_new(self, call, given, parameters=()):
        """Once warm, nothing is asked of the device, and what is asked of torch is given back."""
        cotangents = cotangents_of(call(*given))
        for _ in range(3):
            with_gradients(call, given, parameters, cotangents)
        torch.cuda.synchronize()
        free, stats = torch.cuda.mem_get_info()[0], torch.cuda.memory_stats()
        for _ in range(10):
            with_gradients(call, given, parameters, cotangents)
        torch.cuda.synchronize()
        after = torch.cuda.memory_stats()
        self.assertEqual(torch.cuda.mem_get_info()[0], free, "memory of the device was taken or leaked")
        for key in ("num_device_alloc", "num_device_free", "allocated_bytes.all.current"):
            self.assertEqual(after.get(key), stats.get(key), key)

    @each(OPERATORS)
    def test_an_operator_asks_the_device_for_nothing_once_warm(self, name):
        self.check_nothing_new(*operators(torch.float32)[name])

    @each(MODULES)
    def test_a_module_asks_the_device_for_nothing_once_warm(self, name):
        module, given = modules()[name]
        self.check_nothing_new(module, given, list(module.parameters()))

    def test_a_training_step_of_resfu_takes_a_third_of_the_composition_at_most(self):
        module = perturbed(upwell.nn.ReSFU(32, 128, scale_factor=4))
        y, x = (random(s).requires_grad_() for s in ((1, 32, 384, 384), (1, 128, 96, 96)))

        def step(call):
            return torch.autograd.grad(call(y, x).mean(), [y, x, *module.parameters()], allow_unused=True)

        own = peak(lambda: step(module))
        composed = peak(lambda: step(lambda y, x: composition.resfu(module, y, x)))
        print(f"    peak: {own / 2**20:.0f} MiB, composition {composed / 2**20:.0f} MiB")
        self.assertLessEqual(3 * own, composed)

    def test_saved_memory_of_resfu_is_a_tenth_of_the_composition_at_most(self):
        module = perturbed(upwell.nn.ReSFU(32, 128, scale_factor=4))
        y, x = (random(s).requires_grad_() for s in ((1, 32, 256, 256), (1, 128, 64, 64)))

        def saved(call):
            forget()
            before = torch.cuda.memory_allocated()
            output = call(y, x)
            held = torch.cuda.memory_allocated() - before - output.untyped_storage().nbytes()
            del output
            return held

        own, composed = saved(module), saved(lambda y, x: composition.resfu(module, y, x))
        print(f"    held: {own / 2**20:.1f} MiB, composition {composed / 2**20:.1f} MiB")
        self.assertLessEqual(10 * own, composed)
