"""Two processes: their gradients, and a whole run, are those of one process on the joined batch."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from upwell.nn.make import NAMES

from train_shapes import CLASSES, IGNORE, PACKAGES, run, words, write_data
from upwell.train.data import find_pairs
from upwell.train.data_check import check_data
from upwell.train.distributed import Group
from upwell.train.loop import joined_loss
from upwell.train.model import SegmentationModel


def two_processes(*command: str) -> None:
    here = os.path.dirname(__file__)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([PACKAGES, here, os.environ.get("PYTHONPATH", "")]),
    }
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*launcher, *command], env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr


def problem() -> tuple[torch.Tensor, torch.Tensor]:
    """Images [4, 3, 21, 18], masks [4, 21, 18]; the first two, one process's, are mostly ignored."""
    random = torch.Generator().manual_seed(0)
    image = torch.rand(4, 3, 21, 18, dtype=torch.double, generator=random)
    mask = torch.randint(CLASSES, (4, 21, 18), generator=random)
    mask[:2, 3:] = IGNORE
    mask[3, :2] = IGNORE
    return image, mask


def gradients(group: Group, upsampler: str) -> dict[str, torch.Tensor]:
    """Of this process's share of the problem."""
    torch.manual_seed(group.rank)  # DDP starts every process from the first one's parameters
    model = SegmentationModel(CLASSES, upsampler, "scratch").double().eval()  # NAF and JBU draw random numbers in training
    image, mask = (whole.chunk(group.size)[group.rank] for whole in problem())
    parallel = group.parallel(model)  # has to live until the gradients are there
    loss, _ = joined_loss(parallel(image), mask, IGNORE, group)
    loss.backward()
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad}


def pixels_in(folder: str, group: Group) -> np.ndarray:
    """Of each class and of the ignored, in the masks to train on."""
    pairs = find_pairs(*(Path(folder) / "train" / kind for kind in ("images", "masks")))
    return check_data(pairs, "training", CLASSES, IGNORE, group).pixels


def test_gradients_of_two_processes_are_those_of_one_on_the_joined_batch(tmp_path):
    script = tmp_path / "gradients.py"
    script.write_text(textwrap.dedent(f"""
            import torch
            from train_ddp_test import NAMES, Group, gradients
            with Group("cpu", "bilinear") as group:
                assert group.size == 2
                torch.save({{n: gradients(group, n) for n in NAMES}}, f"{tmp_path}/{{group.rank}}.pt")
            """))
    two_processes(str(script))
    shared = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    for upsampler in NAMES:
        expected = gradients(Group("cpu", upsampler), upsampler)
        for name, gradient in expected.items():
            for rank in range(2):
                difference = (shared[rank][upsampler][name] - gradient).abs().max()
                assert difference <= 1e-12 * max(1, gradient.abs().max()), (upsampler, name, rank)
        assert any(gradient.abs().max() > 1e-3 for gradient in expected.values())


def test_a_run_of_two_processes_is_that_of_one_with_twice_the_batch(tmp_path):
    data = tmp_path / "data"
    write_data(data)
    two_processes("-m", "upwell.train", *words(data, tmp_path / "two", upsampler="resfu", batch_size=2))
    run(data, tmp_path / "one", upsampler="resfu", batch_size=4)
    two, one = (json.loads((tmp_path / out / "metrics.json").read_text())["epochs"] for out in ("two", "one"))
    assert [entry["loss"] for entry in two] == pytest.approx([entry["loss"] for entry in one], rel=1e-5)
    assert [entry["miou"] for entry in two] == pytest.approx([entry["miou"] for entry in one], abs=0.01)


def test_two_processes_count_the_pixels_of_all_masks(tmp_path):
    write_data(tmp_path)
    script = tmp_path / "count.py"
    script.write_text(textwrap.dedent(f"""
            from train_ddp_test import Group, pixels_in
            with Group("cpu", "bilinear") as group:
                alone = Group("cpu", "bilinear")
                alone.rank = alone.local_rank = 0
                alone.size = alone.local_size = 1
                assert (pixels_in("{tmp_path}", group) == pixels_in("{tmp_path}", alone)).all()
            """))
    two_processes(str(script))
