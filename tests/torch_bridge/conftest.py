"""Makes tests/ importable (reference.*); property tests try the same examples every run, leaving no files."""

import os
import pathlib
import sys

# Waiting threads sleep: on a busy machine, spinning ones make the small maps of these tests 30 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import hypothesis
import pytest
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

hypothesis.settings.register_profile(
    "upwell",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
hypothesis.settings.load_profile("upwell")


@pytest.fixture(autouse=True)
def same_start():
    """Every test starts from the same seed and leaves the thread count as it found it."""
    threads = torch.get_num_threads()
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)
