"""torch.export with every size free, and AOTInductor: a program made at one shape holds at others."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import upwell
from compare import assert_close
from problems import random
from torch import nn
from torch.export import Dim, export
from torch.utils import cpp_extension
from upwell.nn.make import NAMES

nns, ops = upwell.nn, upwell.ops
SAMPLE = (2, 4, 7, 9, 15, 20)  # N, C, h, w, H, W
OTHERS = ((3, 4, 5, 6, 13, 11), (1, 4, 12, 10, 17, 31), (4, 4, 4, 8, 25, 9))


def low(n, c, h, w, H, W):
    return (n, c, h, w)


def high(n, c, h, w, H, W):
    return (n, c, H, W)


def image(n, c, h, w, H, W):
    return (n, 3, H, W)


def double(n, c, h, w, H, W):
    return (n, c, 2 * h, 2 * w)


def taps(n, c, h, w, H, W):
    return (n, 9, H, W)


def fixed(*shape):
    return lambda *sizes: shape


class Call(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *tensors):
        return self.function(*tensors)


# Modules: what their tensors are. Channels are the module's own, but for those without parameters.
resfu = lambda **options: nns.ReSFU(4, 4, embedding_dim=16, groups=2, gn_dim=4, **options)
MODULES = {
    "ReSFU of its own ratio": (lambda: resfu(scale_factor=2), (double, low)),
    "ReSFU of another ratio": (lambda: resfu(scale_factor=2), (high, low)),
    "ReSFU of the true ratio": (lambda: resfu(scale_factor=None), (high, low)),
    "ReSFU of a real ratio": (lambda: resfu(scale_factor=2.5, layout="paper"), (high, low)),
    "AnyUp": (lambda: nns.AnyUp(3, 16, num_heads=2), (image, low)),
    "JAFAR": (lambda: nns.JAFAR(3, 16, 4, num_heads=2), (image, low)),
    "NAF": (lambda: nns.NAF(16, 2, 2, 3), (image, low)),
    "CARAFE": (lambda: nns.CARAFE(4, 2, 3), (low,)),
    "CARAFE with a mask": (lambda: nns.CARAFE(4, 2, 3, border="mask"), (low,)),
    "SAPA": (lambda: nns.SAPA(4, 4, None, 3, 8), (high, low)),
    "SAPA of its own ratio": (lambda: nns.SAPA(4, 4, 2, 3, 8, norm=False, border="mask"), (double, low)),
    "SAPAExp, gate": (lambda: nns.SAPAExp(4, 4, 6, "gate", up_factor=None, up_kernel_size=3), (high, low)),
    "SAPAExp, cat": (lambda: nns.SAPAExp(4, 4, None, "cat", up_kernel_size=3), (double, low)),
    "FADE": (lambda: nns.FADE(4, 4, None, 3), (high, low)),
    "FADE of two numbers of channels": (lambda: nns.FADE(3, 4, None, 3), (image, low)),
    "FADE, h2l": (lambda: nns.FADE(4, 4, 2, 3, "h2l"), (double, low)),
    "FADE, lite": (lambda: nns.FADE(4, 4, 2, 3, "lite", "mask"), (double, low)),
    "IndexNet, one to one": (lambda: nns.IndexNet(4, 4, 2, "o2o", True, True), (double, low)),
    "HolisticIndexBlock": (lambda: nns.HolisticIndexBlock(4), (double,)),
    "DepthwiseO2OIndexBlock": (lambda: nns.DepthwiseO2OIndexBlock(4), (double,)),
    "DepthwiseM2OIndexBlock": (lambda: nns.DepthwiseM2OIndexBlock(4, True, True), (double,)),
    "DySample": (lambda: nns.DySample(4, dyscope=True), (low,)),
    "DySample, pl": (lambda: nns.DySample(4, style="pl", groups=2), (low,)),
    "JBULearnedRange": (lambda: nns.JBULearnedRange(4, 4, 8, radius=1), (low, high)),
    "LocalAttender": (lambda: nns.LocalAttender(4, 13), (double, low)),
    "PixelShuffle": (lambda: nns.PixelShuffle(4, 3, out_channels=5), (low,)),
    "Deconv": (lambda: nns.Deconv(4, 6, 5, 3, groups=2), (low,)),
    "LCTC": (lambda: nns.LCTC(4, 4, 7, 3, 2, groups=4), (low,)),
    "LCTC of one group": (lambda: nns.LCTC(4, 16, 5, None, 2), (low,)),
    "WRC spectral": (lambda: nns.WRC(4, 4, 3, 2), (low,)),
    "WRC exact": (lambda: nns.WRC(4, 4, 3, 2, solver="exact", tolerance=0.0, max_iterations=4), (low,)),
    "WRC reflecting": (lambda: nns.WRC(4, 4, 3, 2, padding_mode="reflect"), (low,)),
    "GuidedFilter": (lambda: nns.guided_filter.GuidedFilter(3, 1e-2, 4, 2), (high, low)),
    "ColourGuidedFilter": (
        lambda: nns.ColourGuidedFilter(3, 1e-2, 2),
        (lambda n, c, *size: (n, 3, *high(n, c, *size)[2:]), low),
    ),
    "Bilinear(2)": (lambda: nns.Bilinear(2), (low,)),
    "Bilinear(1.3)": (lambda: nns.Bilinear(1.3), (low,)),
    "Bilinear(1.3), recomputed": (lambda: nns.Bilinear(1.3, recompute_scale_factor=True), (low,)),
    "Nearest(1.5)": (lambda: nns.Nearest(1.5), (low,)),
    **{
        f"make({name!r})": (lambda name=name: nns.make(name, 4, 4, 2), (double, low))
        for name in NAMES
    },
}
block = tuple(fixed(*s) for s in ((4,), (4, 2, 3, 3), (4,), (4, 2), (4,), (4,), (4,), (9, 4), (9,)))
wrc = (double, double, low, low, fixed(4, 3, 3))
OPERATORS = {
    "fns": (lambda v, l: ops.fns(v, l, 3), (low, taps)),
    "fns with a mask ratio": (lambda v, l: ops.fns(v, l, 3, 2), (low, taps)),
    "carafe": (lambda v, l: ops.carafe(v, l, 3, border="mask"), (low, taps)),
    "carafe_reassembly": (lambda v, l: ops.carafe_reassembly(v, l, 3), (low, taps)),
    "sapa_attention": (lambda v, q, k: ops.sapa_attention(v, q, k, 3, "mask"), (low, high, low)),
    "cross_attention": (lambda q, k, v: ops.cross_attention(q, k, v, 2, "shifted", 3), (high, low, low)),
    "cross_attention of a mean": (lambda q, k, v: ops.cross_attention(q, k, v, 2, "ratio", 0, 0.2, True), (high, low, low)),
    "adaptive_conv": (lambda v, f: ops.adaptive_conv(v, f, 3), (high, taps)),
    "range_weights": (lambda q, k, s: ops.range_weights(q, k, s, 3), (high, high, fixed(9))),
    "index_unpool": (lambda v, i: ops.index_unpool(v, i, 1, i.shape[1]), (low, high)),
    "index_unpool by a scale": (lambda v, i: ops.index_unpool(v, i, 2, 1), (low, lambda n, c, h, w, *_: (n, 4, h, w))),
    "local_attention": (ops.local_attention, (low, lambda n, c, h, w, *_: (n, 9, 2 * h, 3 * w))),
    "sample_at_offsets": (
        lambda v, o: ops.sample_at_offsets(v, o, 2, 2, True),
        (low, lambda n, c, h, w, *_: (n, 4, 2 * h, 2 * w)),
    ),
    "bilinear": (lambda v, g: ops.bilinear(v, g.shape[2:]), (low, high)),
    "bilinear by two scales": (lambda v: ops.bilinear(v, scale_factor=(2.3, 3)), (low,)),
    "bicubic": (lambda v, g: ops.bicubic(v, g.shape[2:]), (low, high)),
    "nearest": (lambda v, g: ops.nearest(v, g.shape[2:]), (low, high)),
    "nearest by a scale": (lambda v: ops.nearest(v, scale_factor=1.7), (low,)),
    "fold_group_norm": (ops.fold_group_norm, (fixed(5, 4), fixed(5), fixed(4), fixed(4), fixed(3, 2), fixed(3, 2))),
    "group_stats": (lambda x: ops.group_stats(x, 2, blur=True), (high,)),
    "group_stats of an upsampled map": (lambda x, g: ops.group_stats(x, 2, size=g.shape[2:]), (low, high)),
    "guided_filter": (lambda g, x: ops.guided_filter(g, x, 3, scale=2), (high, low)),
    "colour_guided_filter": (lambda g, x: ops.colour_guided_filter(g[:, :3], x, 3, scale=2), (high, low)),
    "pcdc": (lambda k, q, f: ops.pcdc(k, q, f, None, 2, (2, 1)), (high, high, fixed(6, 2, 3, 3))),
    "pcdc_scores": (lambda *a: ops.pcdc_scores(*a, 2, 2), (low, high, *block)),
    "pcdc_scores of a map": (lambda *a: ops.pcdc_scores(*a, 2, 2, (2, 1, 3, 2), blur=True), (high, high, *block)),
    "pcdc_scores of a map at the ratio of sizes": (
        lambda x, *a: ops.pcdc_scores(*a, 2, 2, (a[0].shape[2], x.shape[2], a[0].shape[3], x.shape[3])),
        (low, high, high, *block),
    ),
    "wrc_data": (ops.wrc_data, (low, low)),
    "wrc_prior": (lambda x, m, p: ops.wrc_prior(x, m, p, 2), (low, lambda n, c, h, w, *_: (n, 36, h, w), fixed(4))),
    "wrc_exact": (lambda p, w, d, x, k: ops.wrc_exact(p.abs() + 1, w, d.abs(), x, k, 2, 0.0, 3), wrc),
    "wrc_spectral": (lambda p, w, d, x, k: ops.wrc_spectral(p.abs() + 1, w, d.abs(), x, k, 2), wrc),
    "merge_kernels": (ops.merge_kernels, (fixed(4, 2, 7, 5), fixed(4, 2, 3, 3))),
    "transposed_conv": (lambda x, f: ops.transposed_conv(x, f, None, 2, 1, 1), (low, fixed(4, 3, 3, 3))),
}
CASES = {**MODULES, **{f"ops.{name}": case for name, case in OPERATORS.items()}}
FREE_CHANNELS = ("ops.fns", "ops.carafe_reassembly", "ops.sapa_attention", "ops.bilinear", "ops.nearest", "Bilinear", "Nearest")


def inputs(shapes, sizes) -> tuple[torch.Tensor, ...]:
    return tuple(random(shape(*sizes), torch.float32, i) for i, shape in enumerate(shapes))


def build(name: str) -> nn.Module:
    torch.manual_seed(0)
    make = CASES[name][0]
    return (Call(make) if name.startswith("ops.") else make()).eval()


def flat(outputs) -> tuple:
    return outputs if isinstance(outputs, tuple) else (outputs,)


@pytest.mark.parametrize("name", CASES)
def test_a_program_exported_with_every_size_free_runs_at_other_sizes(name):
    module, shapes = build(name), CASES[name][1]
    axes = (0, 1, 2, 3) if name.startswith(FREE_CHANNELS) else (0, 2, 3)
    free = tuple({axis: Dim.AUTO for axis in axes} if shape(*SAMPLE) != shape(*OTHERS[0]) else None for shape in shapes)
    if isinstance(module, Call):
        free = (free,)  # of *tensors
    with torch.no_grad():
        program = export(module, inputs(shapes, SAMPLE), dynamic_shapes=free).module()
        for i, (n, c, *size) in enumerate((SAMPLE, *OTHERS)):
            given = inputs(shapes, (n, c + i if 1 in axes else c, *size))
            for actual, expected in zip(flat(program(*given)), flat(module(*given)), strict=True):
                assert_close(actual, expected, 1e-6, f"{name} at {[list(t.shape) for t in given]}")


def test_no_operator_and_no_module_is_left_out():
    of_ops = {name.split()[0] for name in OPERATORS}
    assert of_ops == set(ops.__all__)
    made = {type(build(name)).__name__ for name in MODULES}
    # A stack of joint bilateral upsamplers and WRC's head pool to sizes that an exported program fixes.
    assert {name for name in nns.__all__ if isinstance(getattr(nns, name), type)} <= made | {"JBUStack", "WRCDensify"}


# Every operator, and every kind of option that it has.
PACKAGED = (
    *("ReSFU of the true ratio", "ReSFU of its own ratio", "CARAFE with a mask", "LCTC", "WRC spectral", "WRC exact"),
    *("SAPA", "Bilinear(1.3)", "Nearest(1.5)", "ops.fns with a mask ratio", "ops.carafe_reassembly", "ops.pcdc"),
    *("ops.group_stats of an upsampled map", "ops.pcdc_scores of a map at the ratio of sizes"),
)


class Several(nn.Module):
    """In one program, since C++ is compiled for each."""

    def __init__(self):
        super().__init__()
        self.parts = nn.ModuleList(build(name) for name in PACKAGED)

    def forward(self, *tensors):
        outputs = []
        for part, (first, count) in zip(self.parts, slices()):
            outputs += flat(part(*tensors[first : first + count]))
        return tuple(outputs)


def slices() -> list[tuple[int, int]]:
    """Where the tensors of each part lie among those of all: first and count."""
    counts = [len(CASES[name][1]) for name in PACKAGED]
    return [(sum(counts[:i]), count) for i, count in enumerate(counts)]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A package, what it is given, and what it should make."""
    folder = tmp_path_factory.mktemp("package")
    module = Several().eval()
    shapes = [shape for name in PACKAGED for shape in CASES[name][1]]
    free = (tuple({0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO} if s(*SAMPLE) != s(*OTHERS[0]) else None for s in shapes),)
    calls = [inputs(shapes, sizes) for sizes in (SAMPLE, *OTHERS)]
    with torch.no_grad():
        program = export(module, calls[0], dynamic_shapes=free)
        made = torch._inductor.aoti_compile_and_package(program, package_path=str(folder / "several.pt2"))
        return made, calls, [module(*given) for given in calls]


def run_elsewhere(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


def assert_made(file, expected) -> None:
    made = torch.load(file, weights_only=False)  # C++ writes the types of lists too
    for outputs, of_call in zip(made, expected, strict=True):
        for actual, e in zip(outputs, of_call, strict=True):
            assert_close(actual, e, 1e-5)


def test_a_package_of_aotinductor_with_every_size_free_runs_in_a_process_of_its_own(package, tmp_path):
    made, calls, expected = package
    torch.save(calls, tmp_path / "calls.pt")
    run = f"""
import torch, upwell
program = torch._inductor.aoti_load_package({made!r})
outputs = [program(*given) for given in torch.load({str(tmp_path / "calls.pt")!r})]
torch.save(outputs, {str(tmp_path / "outputs.pt")!r})
"""
    run_elsewhere([sys.executable, "-c", run])
    assert_made(tmp_path / "outputs.pt", expected)


def test_a_program_in_cpp_runs_the_package(package, tmp_path):
    made, calls, expected = package
    torch.save([list(given) for given in calls], tmp_path / "calls.pt")
    program, library = tmp_path / "run_package", upwell.LIBRARY.parent
    compiler, torchs = cpp_extension.get_cxx_compiler(), cpp_extension.library_paths()
    run_elsewhere([
        *(compiler, "-std=c++20", "-O0", str(Path(__file__).with_name("run_package.cpp")), "-o", str(program)),
        *(f"-I{path}" for path in cpp_extension.include_paths()),
        f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}",
        *(f"-L{path}" for path in torchs), *(f"-Wl,-rpath,{path}" for path in [*torchs, library]),
        *("-Wl,--no-as-needed", f"-L{library}", "-lupwell_torch", "-ltorch", "-ltorch_cpu", "-lc10"),
    ])  # fmt: skip
    run_elsewhere([str(program), made, str(tmp_path / "calls.pt"), str(tmp_path / "outputs.pt")])
    assert_made(tmp_path / "outputs.pt", expected)
