"""The reassembly operators beside the compositions of torch operations, both on the device, at any shape and layout."""

import random as python_random

import torch
import upwell
from compare import assert_close
from problems import EVERY_OPERATOR, LARGE, LAYOUTS, OPERATORS, WEIGHTS, Problem
from reference import formula
from support import DEVICE, FLOATS, ON_CUDA, REFUSALS, DeviceTest, cotangent, each, forget, needs_cuda, tensors

TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12}  # of the largest element


def draw(seed: int) -> Problem:
    """A problem at random: integer and other ratios, odd sides, single pixels, batches of none to three."""
    choose = python_random.Random(f"formula {seed}")
    operator = choose.choice(OPERATORS)
    low = choose.randint(1, 9), choose.randint(1, 40)
    factor = choose.choice((1, 2, 2, 3, 4, 4, 8, 16))
    high = (low[0] * factor, low[1] * factor)
    if choose.random() < 0.5:
        high = choose.randint(1, 70), choose.randint(1, 140)
    groups = choose.choice((1, 2, 3)) if operator.startswith("carafe") else 1
    return Problem(
        operator,
        low,
        high,
        n=choose.choice((0, 1, 1, 2, 3)),
        channels=groups * choose.choice((1, 2, 7, 16, 33)),
        kernel=choose.choice((3, 5, 7)),
        groups=groups,
        border=choose.choice(("zero", "mask")) if operator == "carafe" else "zero",
        mask_ratio=choose.choice((None, factor)) if operator == "fns" else None,
    )


class Formula(DeviceTest):
    def compare(self, problem, dtype, layouts=("contiguous",) * 3):
        given, g = tensors(problem, dtype), cotangent(problem, dtype)
        expected, gradients = problem.gradients(formula, [t.double() for t in given], g.double())
        laid_out = [LAYOUTS[layout](tensor) for layout, tensor in zip(layouts, given)]
        output, actual = problem.gradients(upwell.ops, laid_out, LAYOUTS[layouts[-1]](g))
        self.assertEqual((output.dtype, output.device.type), (dtype, DEVICE.type))
        self.assertTrue(output.is_contiguous())
        assert_close(output, expected, TOLERANCE[dtype], f"{problem}: output")
        for name, a, b in zip(("d_value", "d_weight"), actual, gradients):
            assert_close(a, b, TOLERANCE[dtype], f"{problem}: {name}")

    @each(FLOATS, range(10))
    def test_problems_at_random(self, dtype, seed):
        names = sorted(LAYOUTS)
        choose = python_random.Random(f"layouts {seed}")
        for i in range(16):
            self.compare(draw(16 * seed + i), dtype, [choose.choice(names) for _ in range(3)])

    @each(FLOATS, LAYOUTS)
    def test_memory_layouts(self, dtype, layout):
        for problem in EVERY_OPERATOR:
            self.compare(problem, dtype, (layout,) * 3)

    @each(FLOATS)
    def test_maps_of_one_pixel_or_one_row(self, dtype):
        sides = [((1, 1), (1, 1)), ((1, 1), (9, 7)), ((1, 6), (1, 1)), ((6, 1), (24, 1)), ((1, 9), (4, 36))]
        for operator in OPERATORS:
            for low, high in sides:
                self.compare(Problem(operator, low, high, n=2), dtype)

    @each(FLOATS)
    def test_many_blocks(self, dtype):
        for problem in LARGE:
            self.compare(problem, dtype)

    @each(FLOATS, (3, 5, 7))
    def test_every_kernel_at_every_ratio(self, dtype, kernel):
        for operator in WEIGHTS:
            for ratio in (2, 3, 4, 8, 16):
                self.compare(Problem(operator, (5, 9), (5 * ratio, 9 * ratio), channels=13, kernel=kernel), dtype)

    @each(OPERATORS)
    def test_a_batch_of_none(self, operator):
        problem = Problem(operator, n=0)
        output, gradients = problem.gradients(
            upwell.ops, tensors(problem, torch.float32), cotangent(problem, torch.float32)
        )
        self.assertEqual(output.shape, problem.output_shape)
        self.assertTrue(all(not gradient.any() for gradient in gradients))

    def test_expanded_inputs(self):
        for problem in EVERY_OPERATOR:
            given = [t[:, :1, :, :1].expand(t.shape) for t in tensors(problem, torch.float32)]
            copies = [tensor.contiguous() for tensor in given]
            self.assertTrue(torch.equal(problem.run(upwell.ops, given), problem.run(upwell.ops, copies)))

    @needs_cuda
    @each([("nearest", 64, 256, 4096), ("bilinear", 64, 256, 4096), ("nearest", 8, 512, 16640)])
    def test_maps_of_more_than_2_GiB(self, case):
        """More than 2**31 bytes, then elements: right, or refused by an error that names the operator."""
        operator, channels, low, high = case
        forget()
        if torch.cuda.mem_get_info()[0] < 3 * 4 * channels * high**2:
            self.skipTest("too little memory is free")
        value = torch.randn(1, channels, low, low, device=DEVICE)
        try:
            output = getattr(upwell.ops, operator)(value, (high, high))
        except REFUSALS as error:
            self.assertIn(operator, str(error))
            return
        for channel in (0, channels - 1):
            expected = getattr(formula, operator)(value[:, channel : channel + 1].double(), (high, high))
            assert_close(output[:, channel : channel + 1], expected, 2e-6, f"channel {channel}")

    def test_the_device_is_the_one_asked_for(self):
        self.assertEqual(upwell.ops.nearest(torch.zeros(1, 1, 2, 2, device=DEVICE), (4, 4)).is_cuda, ON_CUDA)
