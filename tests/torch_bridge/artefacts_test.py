"""examples/artefacts.py: its models train, its spectra show a grid, its attacks find the worst input and no other."""

import json

import pytest
import torch

import artefacts
import photographs
from artefact_study import spectrum
from artefact_study.attack import EPSILON, STEP, attack
from artefact_study.model import NAMES, Restorer
from artefact_study.report import Result, spread, table
from artefact_study.training import noisy, train

from problems import random

LONGEST = 10  # steps; from one side of what is allowed to the other takes 2 EPSILON / STEP = 6.3


def picture(height=136, width=144, seed=1) -> torch.Tensor:
    """Waves and a little of everything, in 0 .. 1, from one end to the other."""
    rows, columns = torch.arange(float(height))[:, None] / 9, torch.arange(float(width)) / 13
    waves = torch.stack([(rows + phase).sin() * (columns - phase).cos() for phase in (0.0, 1.0, 2.0)])[None]
    return (0.5 + 0.6 * waves + 0.05 * random((1, 3, height, width), torch.float32, seed)).clamp(0, 1)


def generator(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("skips", [True, False], ids=["skips", "straight"])
@pytest.mark.parametrize("name", NAMES)
def test_a_restorer_keeps_the_size_and_learns(name, skips):
    torch.manual_seed(0)
    restorer = Restorer(name, skips)
    before = [parameter.clone() for parameter in restorer.parameters()]
    train(name, restorer, [picture()], noise=0.1, steps=2, seed=0)
    assert restorer(picture()).shape == picture().shape
    assert all(not torch.equal(old, new) for old, new in zip(before, restorer.parameters()))


@pytest.mark.parametrize("skips", [True, False], ids=["skips", "straight"])
def test_without_skips_all_that_is_made_comes_through_the_upsamplers(skips):
    restorer = Restorer("deconv", skips)
    torch.nn.init.zeros_(restorer.to_full.weight)
    made = restorer(picture())
    assert torch.equal(made, made[..., :1, :1].expand_as(made)) != skips


def test_the_grid_of_pixels_is_seen_where_it_is():
    plain = [random((1, 3, 256, 256), torch.float32, 1).sigmoid()]
    grid = plain[0].clone()
    grid[..., ::4, ::4] += 0.5
    excess = spectrum.mean_log_magnitude([grid]) - spectrum.mean_log_magnitude(plain)
    assert min(Result("deconv", 0, 0, [grid], 0, 0.0, excess).peaks) > 10
    same = Result("deconv", 0, 0, plain, 0, 0.0, torch.zeros_like(excess))
    assert max(map(abs, same.peaks)) < 1e-6
    assert excess[64 + 32, 64] > 10 > excess[64 + 16, 64 + 16].abs()


def test_an_input_with_noise_is_a_picture():
    made = noisy(picture(), 0.1, generator())
    assert 0 == made.min() and made.max() == 1
    assert (made - picture()).std().item() == pytest.approx(0.1, rel=0.25)


def linear(seed: int, error: float):
    """A model of one weighted sum, and a truth from which it is off by about the error: its worst input is known."""
    weight = random((1, 3, 8, 9), torch.float64, seed)
    weight = weight / weight.abs().sum() / 4  # sums within 1/4 of 0
    return weight, lambda x: (weight * x).sum((1, 2, 3), True) + 0.5, torch.full((1, 1, 1, 1), 0.5 - error).double()


@pytest.mark.parametrize("error", [0.4, -0.4])
def test_an_attack_on_a_linear_model_finds_its_worst_input(error):
    weight, model, truth = linear(1, error)
    given = random((1, 3, 8, 9), torch.float64, 2).sigmoid().round(decimals=1)  # some at 0 and at 1
    given[0, 0, 0] = torch.tensor([0, 1, 0.01, 0.99, 0.5, 0.02, 0.98, 1, 0])
    best = (given + EPSILON * (weight * error).sign()).clamp(0, 1)
    found = attack(model, given, truth, [1, 7, LONGEST], generator())
    assert list(found) == [1, 7, LONGEST]
    torch.testing.assert_close(found[LONGEST], best, rtol=0, atol=1e-7)  # the random start has 32 bits
    torch.testing.assert_close(found[7], found[LONGEST])
    errors = [(model(each) - truth).abs().item() for each in (given, found[1], best)]
    assert errors[0] < errors[1] < errors[2]


def test_an_attack_starts_anywhere_within_its_bound_and_moves_by_its_step():
    model, given = (lambda x: 0 * x + 0.5), torch.full((1, 3, 64, 64), 0.5)  # without a slope to climb
    start = attack(model, given, 0 * given, [1], generator())[1]
    moved = (start - given) / EPSILON
    assert -1 <= moved.min() < -0.99 and 0.99 < moved.max() <= 1 and moved.mean().abs() < 0.02
    climbed = attack(lambda x: x, given, 0 * given, [1], generator())[1]
    torch.testing.assert_close(climbed, (start + STEP).clamp_max(0.5 + EPSILON))
    assert torch.equal(start, attack(model, given, 0 * given, [1], generator())[1])
    assert not torch.equal(start, attack(model, given, 0 * given, [1], generator(1))[1])


@pytest.fixture(scope="module")
def trained() -> Restorer:
    torch.manual_seed(0)
    restorer = Restorer("deconv")
    train("deconv", restorer, [picture()], noise=0.1, steps=60, seed=0)
    return restorer


def test_an_attack_stays_within_its_bound_and_makes_the_restored_picture_worse(trained):
    truth = picture(seed=2)
    given = noisy(truth, 0.1, generator())
    found = attack(trained, given, truth, [2, 5, LONGEST], generator(1))
    for moved in found.values():
        assert (moved - given).abs().max() <= EPSILON + 1e-7
        assert 0 <= moved.min() and moved.max() <= 1
    with torch.no_grad():
        psnr = [photographs.psnr(trained(each), truth) for each in (given, *found.values())]
    assert psnr == sorted(psnr, reverse=True)
    assert psnr[0] > psnr[-1] + 0.5


def test_an_attack_leaves_the_model_and_the_input_as_they_are(trained):
    truth = picture(32, 40)
    given, before = truth.clone(), [parameter.clone() for parameter in trained.parameters()]
    trained.zero_grad()
    attack(trained, given, truth, [2], generator())
    assert torch.equal(given, truth) and not given.requires_grad
    assert all(parameter.grad is None for parameter in trained.parameters())
    assert all(torch.equal(old, new) for old, new in zip(before, trained.parameters()))


def test_a_table_has_means_and_how_far_the_farthest_seed_is():
    assert spread([1.0, 2.0, 6.0]) == "3.00 ± 3.00"
    assert spread([1.0]) == "1.00"
    flat = torch.zeros(spectrum.SIDE, spectrum.SIDE)
    results = [Result("lctc7", seed, steps, [], 7, 20.0 + seed - steps, flat) for seed in (0, 1) for steps in (0, 5)]
    *_, row = table(results, "github").splitlines()
    assert [cell.strip() for cell in row.split("|")[1:5]] == ["LCTC 7x7", "7", "20.50 ± 0.50", "15.50 ± 0.50"]


@pytest.fixture
def short(monkeypatch, tmp_path):
    """A function that runs the study on two small pictures for a few steps, and returns its results by seed, method
    and steps of attack."""
    pictures = [photographs.Photograph("waves", picture(256, 256, seed)) for seed in (1, 2)]
    monkeypatch.setattr(photographs, "load_all", lambda names, multiple: pictures)

    def call(*words: str) -> dict:
        artefacts.main(["--steps", "2", "--attack", "2", "1", "--out", str(tmp_path), *words])
        results = json.loads((tmp_path / "scores.json").read_text())["results"]
        return {(each["seed"], each["method"], each["steps"]): each for each in results}

    return call


def test_the_study_takes_seeds_and_goes_on_where_it_stopped(short, tmp_path):
    one = short("--methods", "deconv")
    assert list(one) == [(0, "deconv", steps) for steps in (0, 1, 2)]
    kept = tmp_path / "finished" / "deconv_0.pt"
    written = kept.stat().st_mtime_ns
    more = short("--methods", "deconv", "pixelshuffle", "--seeds", "0", "1", "--resume")
    assert list(more) == [(s, m, a) for s in (0, 1) for m in ("deconv", "pixelshuffle") for a in (0, 1, 2)]
    assert kept.stat().st_mtime_ns == written
    assert one == {key: more[key] for key in one}
    assert more[1, "deconv", 0] != more[0, "deconv", 0]
    assert (tmp_path / "scores.md").read_text().count("±") == 14
    assert (tmp_path / "artefacts.png").stat().st_size > 0
    short("--methods", "deconv", "--noise", "0.2", "--resume")  # other settings: nothing is taken
    assert kept.stat().st_mtime_ns != written


def test_the_study_runs_without_an_attack(short):
    assert list(short("--methods", "nearest", "--no-skips", "--attack")) == [(0, "nearest", 0)]


@pytest.mark.parametrize("words", [["--attack", "0"], ["--steps", "0"], ["--noise", "0.6"]], ids=" ".join)
def test_an_option_out_of_range_is_said(words, capsys):
    with pytest.raises(SystemExit):
        artefacts.main(words)
    assert f"error: {words[0]} should be" in capsys.readouterr().err
