"""The examples: the degradation, the scores, and a few steps of every method."""

import json
import os
import pathlib
import subprocess
import sys

import pytest
import torch

import disparity_demo.training
import photographs
import wrc_demo.training
from disparity_demo import model as disparity
from disparity_demo.scene import Part
from upwell.nn.make import NAMES
from wrc_demo import degrade, model, report

from compare import assert_close
from problems import random
from train_shapes import PACKAGES


def picture(height=48, width=56) -> photographs.Photograph:
    return photographs.Photograph("noise", random((1, 3, height, width), torch.float32, 1).sigmoid())


def test_samples_lie_at_every_scale_th_pixel():
    columns = torch.arange(60.0).expand(1, 3, 42, 60) / 60  # a ramp, which no symmetric blur changes inside
    for scale in (2, 3, 4):
        example = degrade.degrade(photographs.Photograph("ramp", columns), 1.0, scale)
        inner = slice(3, 60 // scale - 3)
        assert_close(example.low[..., inner], example.truth[..., ::scale, ::scale][..., inner], 1e-6)
        for mode in ("bilinear", "bicubic"):
            made = model.make(mode, scale, 5)(example.low)
            assert made.shape == example.truth.shape
            assert_close(made[..., ::scale, ::scale], example.low, 1e-5)
        bilinear = model.make("bilinear", scale, 5)(example.low)
        assert_close(bilinear[..., 12:-16], example.truth[..., 12:-16], 1e-5)


def test_a_crop_is_the_samples_and_their_pixels():
    example = degrade.degrade(picture(), 1.0, 2)
    crop = example.crop(3, 5, 8)
    assert torch.equal(crop.truth, example.truth[..., 6:22, 10:26])
    assert torch.equal(crop.low, example.low[..., 3:11, 5:13])


def test_every_photograph_loads():
    for name in (*photographs.TRAIN, *photographs.TEST):
        pixels = photographs.load(name, 8).pixels
        assert pixels.shape[:2] == (1, 3) and min(pixels.shape[2:]) >= 256
        assert pixels.shape[2] % 8 == pixels.shape[3] % 8 == 0
        assert 0 <= pixels.min() < pixels.max() <= 1


def test_the_score_of_an_error_of_a_tenth_is_20_dB():
    example = degrade.degrade(picture(), 1.0, 2)
    flat = degrade.Example("flat", torch.full_like(example.truth, 0.5), example.low, 2)
    assert report.score([flat.truth + 0.1], [flat]) == [pytest.approx(20, abs=1e-4)]


@pytest.mark.parametrize("name", model.NAMES)
def test_a_method_restores_and_learns(name):
    torch.manual_seed(0)
    examples = [degrade.degrade(picture(112, 104), 1.0, 2)]
    restorer = model.make(name, 2, 5)
    history = wrc_demo.training.train(name, restorer, examples, 3, seed=0)
    assert len(history.losses) == (3 if list(restorer.parameters()) else 0)
    restored = restorer(examples[0].low)
    assert restored.shape == examples[0].truth.shape and restored.isfinite().all()


@pytest.mark.parametrize("name", disparity.TITLES)
def test_a_method_upsamples_disparity_and_learns(name):
    torch.manual_seed(0)
    truth = 20 + random((1, 1, 64, 72), torch.float32, 1)
    known = truth > 0
    image, low = random((1, 3, 64, 72), torch.float32, 2).sigmoid(), truth[..., ::4, ::4].contiguous()
    part = Part(image, truth, known, known, low, 4)
    upsampler = disparity.DisparityUpsampler(name, part)
    before = [parameter.clone() for parameter in upsampler.parameters()]
    history = disparity_demo.training.train(name, upsampler, part, 2, seed=0)
    assert len(history.losses) == len(history.seconds) == (2 if before else 0)
    assert upsampler(part.image, part.low).shape == truth.shape
    assert not before or any(not torch.equal(old, new) for old, new in zip(before, upsampler.parameters()))


def test_every_upsampler_of_make_is_a_method_of_the_disparity_demo_but_its_default_list_stays():
    assert set(disparity.TITLES) == {*NAMES, "wrc_exact"}
    assert set(disparity.NAMES) < set(disparity.TITLES)


def demo(tmp_path, *words: str) -> dict:
    """scores.json of the demo, of 3 steps at ratio 16."""
    script = pathlib.Path(__file__).parent.parent.parent / "examples" / "disparity.py"
    command = [sys.executable, str(script), "--ratio", "16", "--steps", "3", "--out", str(tmp_path), *words]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": PACKAGES})
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads((tmp_path / "scores.json").read_text())


def test_the_demo_takes_all_methods_and_goes_on_where_it_stopped(tmp_path):
    some = demo(tmp_path, "--methods", "bilinear", "carafe", "naf")["methods"]
    written = (tmp_path / "finished" / "carafe.pt").stat().st_mtime_ns
    found = demo(tmp_path, "--methods", "all", "--resume")["methods"]
    assert list(found) == list(disparity.TITLES)
    assert (tmp_path / "finished" / "carafe.pt").stat().st_mtime_ns == written
    assert {name: found[name]["scores"] for name in some} == {name: each["scores"] for name, each in some.items()}
    for each in found.values():
        assert (each["parameters"] == 0) == (each["step_ms"] is None)
        assert each["step_ms"] is None or each["step_ms"] > 0
    table = (tmp_path / "scores.md").read_text()
    assert all(title in table for title in disparity.TITLES.values())
    assert (tmp_path / "disparity.png").stat().st_size > 0


def test_the_densify_demo_scores_and_draws_what_it_trained(tmp_path):
    script = pathlib.Path(__file__).parent.parent.parent / "examples" / "densify.py"
    options = ["--steps", "2", "--size", "32", "--methods", "bilinear", "carafe", "anyup", "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, str(script), *options], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": PACKAGES}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads((tmp_path / "scores.json").read_text())["methods"]
    assert {name: len(each["losses"]) for name, each in found.items()} == {"bilinear": 0, "carafe": 2, "anyup": 2}
    assert all(0 < each["cosine"] < 1 for each in found.values())
    table = (tmp_path / "scores.md").read_text()
    assert all(f"{each['cosine']:.4f}" in table and name in table for name, each in found.items())
    assert (tmp_path / "densify.png").stat().st_size > 0
