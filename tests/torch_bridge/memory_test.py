"""What a process keeps between training steps."""

import subprocess
import sys

import pytest

STEPS = """
import resource, sys, torch, upwell
if sys.argv[1] == "kept":
    assert upwell.keep_memory()
resfu = upwell.nn.ReSFU(3, 8, scale_factor=4)
y, x = torch.randn(1, 3, 512, 512), torch.randn(1, 8, 128, 128)
for _ in range(3):  # the last one counts
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    resfu(y, x).sum().backward()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def new_pages(how: str) -> int:
    """Of memory that the system had to clear for a training step."""
    done = subprocess.run([sys.executable, "-c", STEPS, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="needs glibc's malloc")
def test_a_step_takes_no_new_memory_once_what_is_freed_is_kept():
    given_back, kept = new_pages("given back"), new_pages("kept")
    assert given_back > 1000, f"nothing to save: {given_back} pages"
    assert kept < given_back / 5, f"{kept} new pages, {given_back} without"
