"""Maps of few channels where cells differ in size: depth, masks, flow. Lanes are pixels there, and memory is the output's."""

import subprocess
import sys
import timeit

import pytest
import torch
import upwell

# name, channels, low-res and high-res size
CALLS = [
    ("bilinear", 1, (2048, 2048), (512, 512)),
    ("nearest", 2, (1000, 1000), (1500, 1500)),
    ("fns", 2, (20, 56), (321, 897)),
    ("carafe", 1, (350, 350), (500, 500)),
    ("carafe_reassembly", 4, (350, 350), (500, 500)),
]
PROGRAM = """
import sys, torch, upwell.ops as ops

name, channels, low, high, backward = eval(sys.argv[1])
calls = {
    "bilinear": lambda v, _: ops.bilinear(v, high),
    "nearest": lambda v, _: ops.nearest(v, high),
    "fns": lambda v, l: ops.fns(v, l, 3),
    "carafe": lambda v, l: ops.carafe(v, l, 5),
    "carafe_reassembly": lambda v, l: ops.carafe_reassembly(v, l, 5),
}
torch.set_num_threads(2)
taps = {"fns": 9, "carafe": 25, "carafe_reassembly": 25}.get(name, 1)
value = torch.rand(1, channels, *low, requires_grad=backward)
logits = torch.rand(1, taps, *high, requires_grad=backward and taps > 1)
cotangent = torch.rand(1, channels, *high)


def run(value, logits, cotangent):
    out = calls[name](value, logits)
    inputs = [t for t in (value, logits) if t.requires_grad]
    return [out, *(torch.autograd.grad(out, inputs, cotangent) if inputs else [])]


high, all_of_it = (4, 5), high
run(value[..., :3, :4], logits[..., :4, :5], cotangent[..., :4, :5])  # libraries are loaded, threads exist
high = all_of_it
# Of this program: getrusage would know the peak of the one that started it.
resident = {key: int(value.split()[0]) for key, value in (
    line.split(":") for line in open("/proc/self/status") if line.startswith(("VmRSS", "VmHWM")))}
made = run(value, logits, cotangent)
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print((peak - resident["VmRSS"]) / 2**10, sum(t.numel() * 4 for t in made) / 2**20)
"""


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call[0])
def test_a_large_map_of_few_channels_takes_16_mb_beside_what_it_makes(call, backward):
    done = subprocess.run([sys.executable, "-c", PROGRAM, repr((*call, backward))], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    extra, made = map(float, done.stdout.split())
    assert extra <= made + 16, f"{extra:.1f} MB for results of {made:.1f} MB"


def seconds_of_gradients(operator: str, kernel: int, low: int, high: int) -> float:
    """Of one channel, the best of six."""
    inputs = [torch.randn(1, 1, low, low, requires_grad=True)]
    if kernel:
        inputs.append(torch.randn(1, kernel * kernel, high, high, requires_grad=True))
    out = getattr(upwell.ops, operator)(*inputs, kernel or (high, high))
    cotangent = torch.randn_like(out)
    return min(timeit.repeat(lambda: torch.autograd.grad(out, inputs, cotangent, retain_graph=True), number=1, repeat=6))


@pytest.mark.parametrize("operator, kernel", [("bilinear", 0), ("nearest", 0), ("fns", 3), ("carafe", 3)])
def test_gradients_of_few_channels_take_time_by_the_pixel(operator, kernel):
    # 25 times the pixels: 3 to 45 times as long. Where each pixel row went through all rows, 100 times and more.
    small, large = (seconds_of_gradients(operator, kernel, low, 5 * low // 2) for low in (80, 400))
    assert large < 90 * small, f"{1e3 * small:.2f} and {1e3 * large:.2f} ms"
