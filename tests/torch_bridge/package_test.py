"""What the package says of itself: which torch it is for, and `upwell doctor`."""

import subprocess
import sys

import pytest
import torch

import upwell
from upwell import built, doctor


def test_another_torch_is_refused_with_the_wheel_to_take():
    code = "import torch; torch.__version__ = '2.99.1+cpu'; import upwell"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert (
        f"upwell: this build is for torch {built.TORCH}, but torch is 2.99.1+cpu; take the wheel whose version ends in "
        f"+torch2.99, or torch {built.TORCH}"
    ) in result.stderr


def test_this_build_is_for_the_torch_that_runs_it():
    assert torch.__version__.startswith(built.TORCH + ".")


def test_doctor_says_what_there_is_and_that_nothing_is_wrong():
    result = subprocess.run([sys.executable, "-m", "upwell", "doctor"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    lines = dict(line.split(maxsplit=1) for line in result.stdout.splitlines())
    assert str(upwell.LIBRARY) in lines["upwell"]
    assert lines["torch"] == f"{torch.__version__}, built for {built.TORCH}"
    assert lines["processor"] in ("avx512", "avx2", "baseline")
    assert result.stdout.splitlines()[-1] == "nothing is wrong"


@pytest.mark.parametrize(
    ("kernels_for", "has", "says"),
    [
        ("all", "baseline", None),
        ("avx2", "avx2", None),
        ("avx512", "avx2", "kernels are for avx512, but this processor has avx2: build on this machine"),
        ("avx2", "avx512", "kernels are for avx2, but this processor has avx512, which is faster: build here"),
    ],
)
def test_doctor_compares_kernels_and_processor(monkeypatch, kernels_for, has, says):
    monkeypatch.setattr(built, "INSTRUCTION_SETS", kernels_for)
    monkeypatch.setattr(torch.ops.upwell, "instruction_set", lambda: has)
    assert doctor.problems() == ([says] if says else [])


def test_doctor_misses_kernels_for_a_gpu_that_is_there(monkeypatch):
    monkeypatch.setattr(built, "GPU", "")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert doctor.problems() == [
        "there is a GPU, but this build has no kernels for it: build with UPWELL_GPU=cuda"
    ]


def test_doctor_says_what_building_operators_lacks(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "a C++ compiler (no-such-compiler, or what CXX names)" in doctor.facts()["compiler"]


@pytest.mark.parametrize("command", ["train", "densify"])
def test_a_command_without_its_packages_names_the_extra(command):
    code = f"import sys; sys.modules['numpy'] = None; from upwell.__main__ import main; main(['{command}', '--help'])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1] == (
        f'upwell {command}: needs numpy, which is not installed; pip install "upwell[{command}]" brings it'
    )
    assert "Traceback" not in result.stderr
