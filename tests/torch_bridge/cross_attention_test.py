"""Cross-scale attention against its definition, in every window."""

import dataclasses
import os
import subprocess
import sys

import pytest
import torch
import upwell

import golden
from bad_input_test import refused
from compare import assert_close
from golden_test import both_dtypes, check_operator, every_case
from problems import LAYOUTS, random
from reference.cross_attention import cross_attention as reference
from reference.cross_attention import seen

ON_OPENCL = "opencl" in os.environ.get("UPWELL_LIBRARY", "")  # the GPU's kernels


@dataclasses.dataclass(frozen=True)
class Problem:
    low: tuple[int, int]
    high: tuple[int, int]
    window: str
    kernel: tuple[int, int] = (0, 0)
    ratio: float = 0.0
    heads: int = 2
    depth: int = 3
    channels: int = 4
    n: int = 2
    mean_heads: bool = False

    def tensors(self, dtype: torch.dtype) -> list[torch.Tensor]:
        D = self.heads * self.depth
        shapes = [(self.n, D, *self.high), (self.n, D, *self.low), (self.n, self.channels, *self.low)]
        return [random(shape, dtype, seed) for seed, shape in enumerate(shapes)]

    def run(self, function, tensors):
        return function(*tensors, self.heads, self.window, self.kernel, self.ratio, self.mean_heads)

    def gradients(self, function, tensors):
        """The output, and what the sum of its products with random numbers has for gradients."""
        leaves = [tensor.detach().requires_grad_() for tensor in tensors]
        output = self.run(function, leaves)
        cotangent = random(tuple(output.shape), output.dtype, 9)
        return [output.detach(), *torch.autograd.grad(output, leaves, cotangent)]


# One pixel, one line, odd, more than a tile of 32 pixels, downwards, fewer cells than the kernel has, more than a block of 4.
PROBLEMS = [
    Problem((1, 1), (1, 1), "shifted", (3, 3)),
    Problem((1, 6), (1, 40), "masked", (1, 5), heads=1, channels=1),
    Problem((5, 1), (11, 1), "whole"),
    Problem((5, 7), (10, 14), "shifted", (3, 5)),
    Problem((6, 5), (13, 71), "shifted", (4, 9), heads=3, channels=9, n=1),
    Problem((7, 9), (3, 4), "shifted", (3, 3)),
    Problem((3, 2), (6, 33), "shifted", (9, 9), depth=17, channels=22),
    Problem((5, 6), (15, 18), "masked", (5, 3)),
    Problem((7, 9), (3, 4), "masked", (3, 3)),
    Problem((6, 7), (12, 14), "ratio", ratio=0.21),
    Problem((7, 9), (33, 50), "ratio", ratio=0.11, heads=1, depth=8, channels=5),
    Problem((4, 5), (9, 65), "whole", heads=4, channels=8, n=1),
]
PROBLEMS += [dataclasses.replace(p, mean_heads=True, channels=3) for p in PROBLEMS]
every_problem = pytest.mark.parametrize("problem", PROBLEMS, ids=str)
every_window = pytest.mark.parametrize("problem", [PROBLEMS[i] for i in (2, 3, 7, 9, 15)], ids=str)


@every_case("cross_attention")
@both_dtypes
def test_it_agrees_with_the_golden_data(name, dtype):
    case = golden.load(name, dtype)
    check_operator(case, lambda query, key, value: upwell.ops.cross_attention(query, key, value, **case.hyper))


@every_problem
@both_dtypes
def test_it_is_its_definition_and_so_are_its_gradients(problem, dtype):
    tensors = problem.tensors(dtype)
    expected = problem.gradients(reference, [tensor.double() for tensor in tensors])
    for actual, wanted in zip(problem.gradients(upwell.ops.cross_attention, tensors), expected, strict=True):
        assert_close(actual, wanted, 1e-4 if dtype == torch.float32 else 1e-11, str(problem))


@pytest.mark.parametrize("low, high, mean_heads", [((32, 32), (70, 33), False), ((1, 40), (230, 230), True)], ids=str)
def test_maps_that_a_gpu_takes_in_parts(low, high, mean_heads):
    """More than 2**23 products of pixels and cells: some rows of the map at a time, then some columns of a row of cells."""
    problem = Problem(low, high, "whole", heads=4, depth=1, n=1, mean_heads=mean_heads)
    tensors = problem.tensors(torch.float32)
    expected = problem.gradients(reference, [tensor.double() for tensor in tensors])
    for actual, wanted in zip(problem.gradients(upwell.ops.cross_attention, tensors), expected, strict=True):
        assert_close(actual, wanted, 1e-4, str(problem))


@pytest.mark.parametrize("problem", [PROBLEMS[3], PROBLEMS[9], PROBLEMS[15]], ids=str)
def test_gradients_pass_gradcheck_and_gradgradcheck(problem):
    problem = dataclasses.replace(problem, low=(2, 3), high=(4, 5), n=1)
    leaves = [tensor.requires_grad_() for tensor in problem.tensors(torch.float64)]
    assert torch.autograd.gradcheck(lambda *given: problem.run(upwell.ops.cross_attention, given), leaves)
    assert torch.autograd.gradgradcheck(lambda *given: problem.run(upwell.ops.cross_attention, given), leaves, fast_mode=True)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_gives_the_same_bits(layout):
    problem = PROBLEMS[4]
    plain = problem.tensors(torch.float32)
    laid = [LAYOUTS[layout](tensor) for tensor in plain]
    for a, b in zip(*(problem.gradients(upwell.ops.cross_attention, given) for given in (plain, laid))):
        assert torch.equal(a, b)


@pytest.mark.parametrize("mean_heads", [False, True])
def test_the_same_bits_on_one_thread_and_on_two(mean_heads):
    problem = Problem((16, 12), (64, 70), "shifted", (7, 7), heads=4, depth=8, channels=16, mean_heads=mean_heads)
    tensors, threads = problem.tensors(torch.float32), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = problem.gradients(upwell.ops.cross_attention, tensors)
        torch.set_num_threads(2)
        two = problem.gradients(upwell.ops.cross_attention, tensors)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(one, two))


def test_a_pixel_sees_nothing_outside_its_window():
    problem = Problem((8, 8), (32, 32), "shifted", (3, 3))
    query, key, value = problem.tensors(torch.float32)
    expected = problem.run(upwell.ops.cross_attention, (query, key, value))
    key[:, :, 7, 7], value[:, :, 7, 7] = float("nan"), float("inf")
    actual = problem.run(upwell.ops.cross_attention, (query, key, value))
    assert torch.equal(actual[:, :, :20, :20], expected[:, :, :20, :20]) and actual[:, :, -1, -1].isnan().all()


@pytest.mark.skipif(not ON_OPENCL, reason="on a CPU it reaches all pixels of a tile")
@pytest.mark.parametrize("mean_heads", [False, True])
def test_what_is_no_number_reaches_those_that_see_it_alone(mean_heads):
    """Of a cell the pixels, those beside them in the same tile not; of a pixel the cells."""
    problem = Problem((8, 8), (32, 32), "shifted", (3, 3), mean_heads=mean_heads)
    tensors, cotangent = problem.tensors(torch.float32), random((2, 4, 32, 32), torch.float32, 9)
    side = seen("shifted", 32, 8, 3, 0)

    def results(query, key, value, d_output):
        leaves = [tensor.clone().requires_grad_() for tensor in (query, key, value)]
        output = problem.run(upwell.ops.cross_attention, leaves)
        return [output.detach(), *torch.autograd.grad(output, leaves, d_output)]

    def check(actual, expected, there):
        assert actual[..., there].isnan().all() and torch.equal(actual[..., ~there], expected[..., ~there])

    expected = results(*tensors, cotangent)
    key, value = (tensor.clone() for tensor in tensors[1:])
    key[:, :, 5, 2] = value[:, :, 5, 2] = float("nan")
    output, d_query, *_ = results(tensors[0], key, value, cotangent)
    pixels = side[:, 5, None] & side[None, :, 2]
    check(output, expected[0], pixels)
    check(d_query, expected[1], pixels)
    query = tensors[0].clone()
    query[:, :, 9, 20] = float("nan")
    _, _, d_key, d_value = results(query, *tensors[1:], cotangent)
    cells = side[9, :, None] & side[20, None, :]
    check(d_key, expected[2], cells)
    check(d_value, expected[3], cells)


@every_window
def test_an_empty_batch_and_no_channels_give_empty_maps_and_gradients_of_zeros(problem):
    for change in ({"n": 0}, {"channels": 0}):
        empty = dataclasses.replace(problem, **change)
        output, *gradients = empty.gradients(upwell.ops.cross_attention, empty.tensors(torch.float32))
        assert output.shape == (empty.n, empty.channels, *empty.high)
        assert all(not gradient.any() for gradient in gradients)


def test_large_scores_do_not_overflow():
    problem = PROBLEMS[3]
    query, key, value = problem.tensors(torch.float32)
    large = [1e3 * query, 1e3 * key, value]
    assert_close(problem.run(upwell.ops.cross_attention, large), problem.run(reference, large), 1e-4, "large")


@pytest.mark.parametrize(
    "change, words",
    [
        ({"heads": 4}, ["heads should divide the 6 channels of query", "4"]),
        ({"value": torch.zeros(2, 3, 5, 7)}, ["heads should divide the 3 channels of value", "2"]),
        ({"key": torch.zeros(2, 6, 5, 8)}, ["value should be [2, 4, 5, 8]", "[2, 4, 5, 7]"]),
        ({"query": torch.zeros(1, 6, 10, 14)}, ["key should be [1, 6, 5, 7]", "[2, 6, 5, 7]"]),
        ({"query": torch.zeros(2, 0, 10, 14), "key": torch.zeros(2, 0, 5, 7)}, ["query should have channels", "[2, 0, 10, 14]"]),
        ({"kernel": 0}, ["kernel should be at least 1 with window 'shifted'", "0"]),
        ({"window": "masked", "kernel": 4}, ["kernel should be odd with window 'masked'", "4"]),
        ({"window": "ratio"}, ["ratio should be positive with window 'ratio'", "0"]),
        ({"window": "round"}, ["window should be 'shifted', 'ratio', 'masked' or 'whole'", "round"]),
    ],
)
def test_what_cannot_be_is_refused_by_name(change, words):
    problem = PROBLEMS[3]
    given = dict(zip(("query", "key", "value"), problem.tensors(torch.float32))) | {"heads": 2, "kernel": 3} | change
    with refused("cross_attention: ", *words):
        upwell.ops.cross_attention(**given)


@pytest.mark.skipif(ON_OPENCL, reason="a GPU stores those of some rows")
def test_no_weights_are_stored():
    """Beyond inputs and output a call takes what tasks hold: pixels times 81 cells of 4 heads would be 324 MiB."""
    script = """
import sys, torch, upwell
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
def maps(low, high):
    return torch.randn(1, 16, high, high), torch.randn(1, 16, low, low), torch.randn(1, 8, low, low)
torch.set_grad_enabled(False)
upwell.ops.cross_attention(*maps(16, 32), 4, "shifted", 9)
given = maps(32, 512)
before = peak()
output = upwell.ops.cross_attention(*given, 4, "shifted", 9)
print((peak() - before) / 1024 - output.nbytes / 2**20)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 32  # MiB
