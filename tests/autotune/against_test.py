"""What the comparison of two builds says of their times."""

import subprocess
import sys

import pytest

from autotune.bench.against import verdict
from autotune.origin import ROOT


@pytest.mark.parametrize(
    "this, other, expected",
    [
        ([1.0, 1.1, 0.9, 1.0], [1.5, 1.6, 1.4, 1.5], "faster"),
        ([1.5, 1.6, 1.4, 1.5], [1.0, 1.1, 0.9, 1.0], "slower"),
        ([1.0, 1.1, 0.9, 1.0], [1.02, 1.12, 0.92, 1.02], "as fast"),  # within 3 %
        ([0.5, 2.0, 0.5, 2.0], [1.0, 1.9, 1.0, 1.9], "as fast"),  # the rounds do not agree
    ],
)
def test_a_row_is_faster_or_slower_only_where_its_rounds_agree(this, other, expected):
    assert verdict({"this build": this, "the other": other})[0] == expected


def test_a_folder_without_a_package_is_named(tmp_path):
    done = subprocess.run([sys.executable, "-m", "autotune.bench.against", tmp_path], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2
    assert f"BUILD should be a build folder with python/upwell but is {tmp_path}" in done.stderr
