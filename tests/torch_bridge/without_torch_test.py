"""ReSFU's inference by the program that has no torch, on what a module was exported to."""

import importlib.util
import subprocess
from pathlib import Path

import numpy
import pytest
import torch

import upwell

ROOT = Path(__file__).parents[2]
PROGRAM = Path(upwell.__file__).parents[2] / "examples" / "resfu"
spec = importlib.util.spec_from_file_location("export_resfu", ROOT / "examples/resfu_without_torch/export.py")
export = importlib.util.module_from_spec(spec)
spec.loader.exec_module(export)


@pytest.mark.parametrize("low, high", [((6, 7), (24, 28)), ((5, 8), (13, 19))], ids=["ratio 4", "real ratios"])
def test_the_program_without_torch_computes_what_the_module_does(tmp_path, low, high):
    torch.manual_seed(1)
    module = upwell.nn.ReSFU(8, 12, embedding_dim=16, scale_factor=None)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    y, x = torch.randn(2, 8, *high), torch.randn(2, 12, *low)
    export.export_resfu(module, y, x, tmp_path)
    subprocess.run([PROGRAM, tmp_path], check=True)
    output = numpy.fromfile(tmp_path / "output.f32", numpy.float32).reshape(2, 12, *high)
    with torch.no_grad():
        expected = module(y, x)
    torch.testing.assert_close(torch.from_numpy(output), expected, rtol=1e-4, atol=1e-5)


def test_the_program_has_neither_torch_nor_a_compiler_in_it(tmp_path):
    listed = subprocess.run(["ldd", PROGRAM], capture_output=True, text=True, check=True).stdout
    libraries = " ".join(line.split()[0] for line in listed.splitlines())
    assert "upwell_runtime" in libraries
    assert not [name for name in ("torch", "c10", "Halide", "python") if name in libraries]


def test_the_program_says_what_a_folder_lacks(tmp_path):
    done = subprocess.run([PROGRAM, tmp_path], capture_output=True, text=True)
    assert done.returncode == 1
    assert "no tensors.txt in" in done.stderr
