"""Work goes to the caller's stream: results are right with nothing waiting in between, and the host never waits."""

import threading

import torch
import upwell
from calls import MODULES, OPERATORS, modules, operators
from support import DeviceTest, cotangents_of, delay, each, needs_cuda, perturbed, random, same_bits, with_gradients

BUSY = 60  # milliseconds that a producer is late


@needs_cuda
class Streams(DeviceTest):
    def check(self, call, given, parameters=()):
        """On a stream of its own, with inputs that are written late: garbage until then."""
        parameters = list(parameters)
        cotangents = cotangents_of(call(*given))  # made ahead: a copy from the host would wait
        expected = with_gradients(call, given, parameters, cotangents)
        torch.cuda.synchronize()
        stream = torch.cuda.Stream()  # it does not wait for the default stream, nor that for it
        late = [torch.full_like(tensor, 7e3) for tensor in given]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            delay(BUSY)
            for target, source in zip(late, given):
                target.copy_(source)
            results = with_gradients(call, late, parameters, cotangents)
            copies = [result.clone() for result in results]
        stream.synchronize()
        self.assertTrue(same_bits(copies, expected))

    @each(OPERATORS)
    def test_an_operator_waits_for_its_stream_alone(self, name):
        self.check(*operators(torch.float32)[name])

    @each(MODULES)
    def test_a_module_waits_for_its_stream_alone(self, name):
        module, given = modules()[name]
        self.check(module, given, module.parameters())

    def returns_while_busy(self, call):
        """Whether call() comes back before the device has done what was queued ahead of it."""
        call()
        torch.cuda.synchronize()
        delay(5 * BUSY)
        done = torch.cuda.Event()
        done.record()
        torch.cuda.set_sync_debug_mode("error")
        call()
        torch.cuda.set_sync_debug_mode("default")
        busy = not done.query()
        torch.cuda.synchronize()
        return busy

    @each(OPERATORS)
    def test_the_host_does_not_wait_for_an_operator(self, name):
        call, given = operators(torch.float32)[name]
        leaves = [tensor.detach().requires_grad_() for tensor in given]
        output = call(*leaves)
        first = output if isinstance(output, torch.Tensor) else output[0]
        g = torch.randn_like(first)

        def step():
            result = call(*leaves)
            torch.autograd.grad(result if isinstance(result, torch.Tensor) else result[0], leaves, g)

        self.assertTrue(self.returns_while_busy(step))

    @each(MODULES)
    def test_the_host_does_not_wait_for_a_module(self, name):
        module, given = modules()[name]
        leaves = [tensor.detach().requires_grad_() for tensor in given]
        g = torch.randn_like(module(*leaves))
        wanted = [*leaves, *module.parameters()]
        self.assertTrue(
            self.returns_while_busy(lambda: torch.autograd.grad(module(*leaves), wanted, g, allow_unused=True))
        )

    def test_two_streams_side_by_side_share_no_scratch_memory(self):
        module = perturbed(upwell.nn.ReSFU(16, 16, scale_factor=4))
        given = [[random((1, 16, 64, 72), seed=i), random((1, 16, 16, 18), seed=9 + i)] for i in range(2)]
        cotangents = cotangents_of(module(*given[0]))
        expected = [with_gradients(module, tensors, (), cotangents) for tensors in given]
        torch.cuda.synchronize()
        streams = [torch.cuda.Stream() for _ in given]
        results = []
        for _ in range(8):
            for stream, tensors in zip(streams, given):
                with torch.cuda.stream(stream):
                    results.append(with_gradients(module, tensors, (), cotangents))
        torch.cuda.synchronize()
        for i, result in enumerate(results):
            self.assertTrue(same_bits(result, expected[i % 2]))

    def test_threads_with_streams_of_their_own(self):
        call, given = operators(torch.float32)["pcdc_scores low-res"]
        cotangents = cotangents_of(call(*given))
        expected = with_gradients(call, given, (), cotangents)
        torch.cuda.synchronize()
        wrong = []

        def work():
            with torch.cuda.stream(torch.cuda.Stream()):
                for _ in range(10):
                    results = with_gradients(call, given, (), cotangents)
                torch.cuda.current_stream().synchronize()
            if not same_bits(results, expected):
                wrong.append(threading.current_thread().name)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])
