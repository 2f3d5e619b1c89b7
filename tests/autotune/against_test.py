"""What the comparison of two builds says of their times."""

import subprocess
import sys
from pathlib import Path

import pytest

AUTOTUNE = Path(__file__).resolve().parent.parent.parent / "autotune"
sys.path.append(str(AUTOTUNE))
from against import verdict  # noqa: E402


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
    done = subprocess.run([sys.executable, AUTOTUNE / "against.py", tmp_path], capture_output=True, text=True)
    assert done.returncode == 2
    assert f"BUILD should be a build folder with python/upwell but is {tmp_path}" in done.stderr
