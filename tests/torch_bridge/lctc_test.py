"""The transposed convolution, the merged kernel and LCTC: against golden data and conv_transpose2d in float64."""

import dataclasses
import random as python_random

import pytest
import torch
import torch.nn.functional as F
import upwell
from torch.library import opcheck

import golden
from bad_input_test import refused, zeros
from compare import assert_close
from golden_test import check_module
from problems import LAYOUTS, random
from resfu_draws import assert_all_close, with_gradients

OPERATORS = [
    "merge_kernels", "transposed_conv", "transposed_conv_d_input", "transposed_conv_d_weight", "transposed_conv_d_bias",
]
both_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])


@dataclasses.dataclass(frozen=True)
class Problem:
    """input [n, groups * a, *low], weight [groups * a, b, *kernel]."""

    low: tuple[int, int] = (4, 5)
    kernel: tuple[int, int] = (3, 3)
    stride: tuple[int, int] = (2, 2)
    padding: tuple[int, int] = (1, 1)
    output_padding: tuple[int, int] = (0, 0)
    groups: int = 2
    a: int = 2
    b: int = 3
    n: int = 2
    bias: bool = True

    @property
    def options(self) -> tuple:
        return self.stride, self.padding, self.output_padding, self.groups

    def tensors(self, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
        channels = self.groups * self.a
        shapes = [(self.n, channels, *self.low), (channels, self.b, *self.kernel), (self.groups * self.b,)]
        return [random(shape, dtype, i) for i, shape in enumerate(shapes[: 3 if self.bias else 2])]

    def split(self, tensors: list[torch.Tensor]) -> tuple:
        return (*tensors, None) if len(tensors) == 2 else tuple(tensors)

    def run(self, tensors: list[torch.Tensor]) -> torch.Tensor:
        return upwell.ops.transposed_conv(*self.split(tensors), *self.options)

    def expected(self, tensors: list[torch.Tensor]) -> torch.Tensor:
        return F.conv_transpose2d(*self.split(tensors), *self.options)


# One pixel; vectors and tiles of a CPU and a GPU passed by one; a stride beyond the kernel; more padding than kernel.
PROBLEMS = [
    Problem(),
    Problem((1, 1), (7, 7), padding=(3, 3), output_padding=(1, 1)),
    Problem((33, 17), (11, 11), padding=(5, 5), output_padding=(1, 1), groups=2, a=1, b=1, n=1),
    Problem((9, 34), (4, 3), padding=(0, 2), groups=1, a=3, b=1, n=1, bias=False),
    Problem((3, 2), (2, 1), (4, 3), (0, 0), (3, 0)),
    Problem((3, 5), (1, 2), (1, 1), (0, 1)),
    Problem((8, 9), (2, 3), padding=(5, 4)),
]
# More samples than a GPU's launch takes; more weights than sums of all samples fit in memory.
MANY = [
    Problem((1, 1), (1, 1), padding=(0, 0), groups=1, a=1, b=1, n=66000),
    Problem((2, 1), (11, 11), padding=(5, 5), groups=1, a=64, b=64, n=5, bias=False),
]
every_problem = pytest.mark.parametrize("problem", PROBLEMS, ids=str)


def draw_problem(draw: python_random.Random) -> Problem:
    while True:
        kernel = (draw.randint(1, 11), draw.randint(1, 11))
        stride = draw.choice([(2, 2), (2, 2), (1, 1), (3, 3), (4, 4), (2, 1), (3, 4)])
        problem = Problem(
            (draw.choice([1, 2, 5, 9, 17, 33]), draw.choice([1, 3, 8, 16, 19, 37])),
            kernel,
            stride,
            tuple(draw.randint(0, k) for k in kernel),
            tuple(draw.randrange(s) for s in stride),
            *(draw.choice([1, 2, 3]) for _ in range(4)),
            draw.random() < 0.5,
        )
        sizes = zip(problem.low, kernel, stride, problem.padding, problem.output_padding)
        if all((low - 1) * s - 2 * p + k + o > 0 for low, k, s, p, o in sizes):
            return problem


def compare(problem: Problem, tensors: list[torch.Tensor], tolerance: float) -> None:
    actual = with_gradients(problem.run, tensors)
    expected = with_gradients(problem.expected, [tensor.double().contiguous() for tensor in tensors])
    assert_all_close(actual, expected, tolerance, str(problem))


@every_problem
@both_dtypes
def test_the_transposed_convolution_and_its_gradients_are_torchs(problem, dtype):
    compare(problem, problem.tensors(dtype), golden.TOLERANCE[dtype])


@pytest.mark.parametrize("seed", range(4))
@both_dtypes
def test_the_transposed_convolution_is_torchs_at_random_shapes(dtype, seed):
    draw = python_random.Random(seed)
    for _ in range(15):
        problem = draw_problem(draw)
        compare(problem, problem.tensors(dtype), golden.TOLERANCE[dtype])


@pytest.mark.parametrize("problem", MANY, ids=str)
def test_many_samples_and_many_weights_are_taken_in_parts(problem):
    compare(problem, problem.tensors(torch.float32), 1e-4)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_memory_layout_is_taken(layout):
    for problem in PROBLEMS[:4]:
        tensors = [LAYOUTS[layout](t) if t.dim() == 4 else t.repeat_interleave(2)[::2] for t in problem.tensors()]
        compare(problem, tensors, 1e-9)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_16_bits_are_computed_in_float32_and_rounded_once(dtype):
    problem = PROBLEMS[1]
    tensors = problem.tensors(dtype)
    actual = with_gradients(problem.run, tensors)
    expected = with_gradients(problem.run, [tensor.float() for tensor in tensors])
    for a, e in zip(actual, expected, strict=True):
        assert a.dtype == dtype
        assert_close(a, e, torch.finfo(dtype).eps)


@every_problem
def test_a_batch_of_none_gives_nothing_and_gradients_of_zero(problem):
    tensors = dataclasses.replace(problem, n=0).tensors()
    output, *gradients = with_gradients(problem.run, tensors)
    assert output.shape == problem.expected(tensors).shape
    for tensor, gradient in zip(tensors, gradients, strict=True):
        assert gradient.shape == tensor.shape and not gradient.any()


def test_no_channels_in_give_the_bias():
    output = upwell.ops.transposed_conv(zeros(2, 0, 3, 3), zeros(0, 2, 3, 3), torch.tensor([1.0, 2.0]), 2)
    assert output.shape == (2, 2, 7, 7)
    assert torch.equal(output, torch.tensor([1.0, 2.0]).view(1, 2, 1, 1).expand_as(output))


@pytest.mark.parametrize("problem", [PROBLEMS[i] for i in (0, 1, 4, 6)], ids=str)
def test_gradients_pass_gradcheck_and_gradgradcheck(problem):
    leaves = [t.requires_grad_() for t in dataclasses.replace(problem, n=1, a=1, b=2).tensors()]
    assert torch.autograd.gradcheck(lambda *given: problem.run(list(given)), leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda *given: problem.run(list(given)), leaves, fast_mode=True)


def test_second_gradients_are_torchs():
    problem = PROBLEMS[0]

    def second(call):
        x, weight, bias = (tensor.requires_grad_() for tensor in problem.tensors())
        output = call([x, weight, bias])
        first = torch.autograd.grad(output.square().sum(), [x, weight, bias], create_graph=True)
        return torch.autograd.grad(sum(gradient.square().sum() for gradient in first), [x, weight, bias])

    assert_all_close(list(second(problem.run)), list(second(problem.expected)), 1e-9, "second gradients")


@pytest.mark.parametrize("operator", OPERATORS)
def test_opcheck_passes(operator):
    for problem in (PROBLEMS[0], PROBLEMS[4]):
        x, weight, bias = (tensor.requires_grad_() for tensor in problem.tensors())
        d_output = random(tuple(problem.expected([x, weight, bias]).shape), torch.float64, 9).requires_grad_()
        arguments = {
            "merge_kernels": (weight, weight[:, :, :1, :1].detach().requires_grad_()),
            "transposed_conv": (x, weight, bias, *problem.options),
            "transposed_conv_d_input": (d_output, weight, *problem.low, *problem.options),
            "transposed_conv_d_weight": (d_output, x, *problem.kernel, *problem.options),
            "transposed_conv_d_bias": (d_output,),
        }[operator]
        if operator != "merge_kernels" or all(k % 2 for k in problem.kernel):
            opcheck(getattr(torch.ops.upwell, operator).default, arguments)


def test_the_same_bits_on_any_number_of_threads():
    problem = Problem((70, 40), (7, 7), padding=(3, 3), output_padding=(1, 1), n=3)
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        results.append(with_gradients(problem.run, problem.tensors(torch.float32)))
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize("kernel", [(3, 3), (1, 5), (7, 1), (11, 11)], ids=str)
def test_a_merged_kernel_is_the_sum_of_the_large_one_and_the_small_one_at_its_centre(kernel):
    large = random((5, 3, 11, 11), torch.float64, 1)
    small = random((5, 3, *kernel), torch.float64, 2)
    down, right = ((11 - k) // 2 for k in kernel)
    call, expected = upwell.ops.merge_kernels, large + F.pad(small, (right, right, down, down))
    assert torch.equal(call(large, small), expected)
    assert torch.equal(call(large.mT, small.mT), expected.mT)
    leaves = [large[:2, :2].requires_grad_(), small[:2, :2].requires_grad_()]
    assert torch.autograd.gradcheck(call, leaves, fast_mode=True)
    assert torch.autograd.gradgradcheck(call, leaves, fast_mode=True)


WRONG = {
    "the rank of input": ({"input": zeros(4, 3, 3)}, ("input", "4 dimensions", "[4, 3, 3]")),
    "the dtype of input": ({"input": zeros(2, 4, 3, 3, dtype=torch.int32)}, ("input", "Int")),
    "the channels of weight": ({"weight": zeros(5, 3, 3, 3)}, ("weight", "[4, 3, 3, 3]", "[5, 3, 3, 3]")),
    "the rank of weight": ({"weight": zeros(4, 3, 3)}, ("weight", "4 dimensions", "[4, 3, 3]")),
    "an empty kernel": ({"weight": zeros(4, 3, 0, 3)}, ("weight", "[4, 3, 0, 3]")),
    "the dtype of weight": ({"weight": zeros(4, 3, 3, 3, dtype=torch.float64)}, ("weight", "Float", "Double")),
    "the length of bias": ({"bias": zeros(5)}, ("bias", "[6]", "[5]")),
    "groups": ({"groups": 3}, ("groups", "4", "3")),
    "no groups": ({"groups": 0}, ("groups", "0")),
    "stride": ({"stride": (2, 0)}, ("stride", "[2, 0]")),
    "padding": ({"padding": -1}, ("padding", "[-1, -1]")),
    "output_padding": ({"output_padding": (2, 1)}, ("output_padding", "stride", "[2, 2]", "[2, 1]")),
    "an empty output": ({"padding": 4}, ("output", "at least 1", "[2, 6, -1, -1]")),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_argument_is_refused(case):
    changed, words = WRONG[case]
    right = {"input": zeros(2, 4, 3, 3), "weight": zeros(4, 3, 3, 3), "bias": zeros(6), "stride": 2, "groups": 2}
    upwell.ops.transposed_conv(**right)
    with refused("transposed_conv", *words):
        upwell.ops.transposed_conv(**{**right, **changed})


def test_a_wrong_argument_of_a_gradient_is_refused():
    d_output, x, weight = zeros(2, 6, 7, 7), zeros(2, 4, 3, 3), zeros(4, 3, 3, 3)
    options = ([2, 2], [0, 0], [0, 0], 2)
    operators = torch.ops.upwell
    operators.transposed_conv_d_input(d_output, weight, 3, 3, *options)
    operators.transposed_conv_d_weight(d_output, x, 3, 3, *options)
    with refused("transposed_conv_d_input", "d_output", "[2, 6, 7, 7]"):
        operators.transposed_conv_d_input(d_output, weight, 3, 4, *options)
    with refused("transposed_conv_d_input", "d_output", "[2, 5, 7, 7]"):
        operators.transposed_conv_d_input(zeros(2, 5, 7, 7), weight, 3, 3, *options)
    with refused("transposed_conv_d_weight", "d_output", "[2, 6, 7, 7]"):
        operators.transposed_conv_d_weight(d_output, x, 3, 5, *options)
    with refused("transposed_conv_d_weight", "d_output", "[3, 6, 7, 7]"):
        operators.transposed_conv_d_weight(zeros(3, 6, 7, 7), x, 3, 3, *options)
    with refused("transposed_conv_d_bias", "d_output", "[6, 7, 7]"):
        operators.transposed_conv_d_bias(zeros(6, 7, 7))


def test_kernels_that_do_not_merge_are_refused():
    for small in ((4, 3, 2, 3), (4, 3, 7, 3), (4, 2, 3, 3), (4, 3, 3), (3,)):
        with refused("merge_kernels", "small", str(list(small))):
            upwell.ops.merge_kernels(zeros(4, 3, 5, 5), zeros(*small))


@pytest.mark.parametrize("name", golden.names("lctc"))
@both_dtypes
def test_lctc_agrees_with_the_golden_data(name, dtype):
    case = golden.load(name, dtype)
    hyper = dict(case.hyper)
    check_module(case, upwell.nn.LCTC(small_kernel=hyper.pop("small_kernel_size"), **hyper).to(dtype))


# in_channels, out_channels, and options.
SETTINGS = [
    (6, 4, {"groups": 2}),
    (5, 5, {"groups": 5, "kernel_size": 11}),
    (4, 8, {"groups": 4, "stride": 3, "bias": False}),
    (3, 2, {"kernel_size": 1, "small_kernel": 1, "stride": 4}),
    (4, 4, {"groups": 4, "kernel_size": 5, "small_kernel": None, "stride": 1}),
    (64, 64, {"kernel_size": 7}),
]
every_setting = pytest.mark.parametrize("channels_in, channels_out, options", SETTINGS, ids=str)


@every_setting
def test_lctc_is_the_sum_of_two_transposed_convolutions(channels_in, channels_out, options):
    module = upwell.nn.LCTC(channels_in, channels_out, **options).double()
    x = random((2, channels_in, 5, 6), torch.float64, 1)
    leaves = [x, *module.parameters()]

    def gradients(call):
        x.requires_grad_()
        output = call(x)
        return [output.detach(), *torch.autograd.grad(output, leaves, random(tuple(output.shape), x.dtype, 2))]

    def branches(x):
        return module.large(x) if module.small is None else module.large(x) + module.small(x)

    actual = gradients(module)
    assert actual[0].shape == (2, channels_out, 5 * module.scale_factor, 6 * module.scale_factor)
    assert_all_close(actual, gradients(branches), 1e-9, str(options))


@every_setting
def test_a_folded_lctc_is_one_plain_transposed_convolution(channels_in, channels_out, options):
    module = upwell.nn.LCTC(channels_in, channels_out, **options).double()
    folded = module.fold()
    x = random((2, channels_in, 5, 6), torch.float64, 1)
    assert type(folded) is torch.nn.ConvTranspose2d and folded.weight.dtype == torch.float64
    assert all(parameter.requires_grad and parameter.is_leaf for parameter in folded.parameters())
    assert not {p.data_ptr() for p in folded.parameters()} & {p.data_ptr() for p in module.parameters()}
    assert_close(folded(x), module(x), 1e-12)


@pytest.mark.parametrize(
    "options, words",
    [
        ({"kernel_size": 4}, ("kernel_size", "odd", "4")),
        ({"small_kernel": 2}, ("small_kernel", "odd", "2")),
        ({"small_kernel": 9}, ("small_kernel", "at most kernel_size 7", "9")),
        ({"groups": 4}, ("groups", "in_channels 6", "4")),
        ({"stride": 1.5}, ("stride", "1.5")),
        ({"stride": 0}, ("stride", "0")),
    ],
    ids=str,
)
def test_wrong_settings_are_refused(options, words):
    with refused("LCTC", *words):
        upwell.nn.LCTC(6, 6, **options)


def test_a_map_of_other_channels_is_refused():
    with refused("LCTC", "x", "[N, 6, H >= 1, W >= 1]", "[1, 5, 4, 4]"):
        upwell.nn.LCTC(6, 6)(zeros(1, 5, 4, 4))


@pytest.mark.parametrize("groups", [1, 16], ids=["torch's convolution", "Upwell's"])
def test_autocast_takes_lctc_as_a_convolution_of_torch(groups):
    module = upwell.nn.LCTC(16, 16, groups=groups)
    x = random((1, 16, 4, 5), torch.float32, 1).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        output = module(x)
        merged = upwell.ops.merge_kernels(module.large.weight, module.small.weight)
    assert output.dtype == merged.dtype == torch.bfloat16
    assert_close(output, module(x), 0.05)
    output.float().sum().backward()
    assert x.grad.dtype == module.large.weight.grad.dtype == module.small.bias.grad.dtype == torch.float32


@pytest.mark.parametrize("groups", [1, 12], ids=["torch's convolution", "Upwell's"])
def test_torch_compile_traces_lctc_in_one_graph_forward_and_backward(groups):
    torch._dynamo.reset()
    module = upwell.nn.LCTC(12, 12, groups=groups).double()
    compiled = torch.compile(module, fullgraph=True, dynamic=False, backend="aot_eager")
    x = [random((1, 12, 5, 6), torch.float64, 1)]
    expected, actual = (with_gradients(lambda given: call(*given), x) for call in (module, compiled))
    assert_all_close(actual, expected, 1e-11, "compiled")


@pytest.mark.parametrize("branch", ["large", "small"])
def test_weights_that_are_not_finite_are_refused(branch):
    module = upwell.nn.LCTC(4, 4, groups=4)
    with torch.no_grad():
        getattr(module, branch).weight[1, 0, 0, 1] = float("nan")
    with refused("merge_kernels", branch, "finite"):
        module(zeros(1, 4, 3, 3))
