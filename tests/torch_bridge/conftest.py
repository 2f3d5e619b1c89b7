"""Property tests try the same examples every run, leaving no files.

With UPWELL_LIBRARY=<build>/torch_bridge/libupwell_torch_opencl.so the same tests run on the GPU's kernels, on an
OpenCL device.
"""

import ctypes
import os
import pathlib

# Waiting threads sleep: on a busy machine, spinning ones make the small maps of these tests 30 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# PoCL's other method (3.1, loopvec) stores 16-bit numbers that a condition forbids.
os.environ.setdefault("POCL_WORK_GROUP_METHOD", "loops")

import hypothesis
import pytest
import torch

hypothesis.settings.register_profile(
    "upwell",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.load_profile("upwell")


def opencl_platforms() -> int:
    """How many there are; none where OpenCL is not installed."""
    try:
        library = ctypes.CDLL("libOpenCL.so.1")
    except OSError:
        return 0
    count = ctypes.c_uint(0)
    library.clGetPlatformIDs(0, None, ctypes.byref(count))
    return count.value


def pytest_sessionstart(session):
    if "opencl" in os.environ.get("UPWELL_LIBRARY", "") and opencl_platforms() == 0:
        pytest.exit("skipped: no OpenCL device", returncode=77)


@pytest.fixture(autouse=True)
def same_start():
    """Every test starts from the same seed and leaves the thread count as it found it."""
    threads = torch.get_num_threads()
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def warned(recwarn):
    """A function that returns what was warned of since it was last called."""

    def read() -> str:
        messages = [str(warning.message) for warning in recwarn]
        recwarn.clear()
        return "\n".join(messages)

    return read


@pytest.fixture(scope="session")
def cache(tmp_path_factory) -> pathlib.Path:
    """Where upwell.build keeps what it made."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("UPWELL_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def kindred(cache, tmp_path_factory):
    """The operator of strangers.py."""
    import upwell
    from strangers import KINDRED, write

    source = write(tmp_path_factory.mktemp("kindred"), "kindred.cpp", KINDRED)
    return upwell.build(source, kernels=[3], ratios=[2], progress=False)
