"""examples/ablation.py: the variants are what they say, each trains, and a study ends in its files."""

import math

import pytest
import torch
import upwell
from upwell.nn.pcdc import PCDCBlock, Ratio

from problems import random

import ablation
from ablation_study import runs, tables
from ablation_study.results import Results
from ablation_study.similarity import Convolution, InnerProduct
from ablation_study.variants import VARIANTS, ReSFUVariant, make
from disparity_demo import scene

RATIO, K = 4, 3
OPTIONS = dict(embedding_dim=16, normx=False, normy=False)
every_variant = pytest.mark.parametrize("variant", VARIANTS)


def variant(**changes) -> ReSFUVariant:
    """With random parameters, larger than initial ones, so that every part matters."""
    module = ReSFUVariant(5, 2, scale_factor=RATIO, **OPTIONS, **changes).double()
    for i, parameter in enumerate(module.parameters()):
        parameter.data = random(parameter.shape, torch.float64, i)
    return module


def maps() -> tuple[torch.Tensor, torch.Tensor]:
    return random((2, 5, 5 * RATIO, 6 * RATIO), torch.float64, 1), random((2, 2, 5, 6), torch.float64, 2)


def test_the_variant_that_changes_nothing_composes_to_resfu():
    module = variant()
    torch.testing.assert_close(module.compose(*maps()), upwell.nn.ReSFU.forward(module, *maps()))


def test_a_pixel_of_low_res_neighbours_is_made_of_the_cells_around_its_own():
    (y, x), module = maps(), variant(neighbours="low_res")
    x.requires_grad_()
    row, column = 2 * RATIO + RATIO - 1, 3 * RATIO  # in a corner of cell (2, 3), where FNS reaches 4 x 4
    cells = {}
    for name, each in (("low_res", module), ("fns", variant())):
        logits = random((2, K * K, *y.shape[2:]), torch.float64, 3)
        each.semantic_scores.forward = each.detail_scores.forward = lambda *given: logits
        (gradient,) = torch.autograd.grad(each.compose(y, x)[0, 0, row, column], x)
        cells[name] = gradient[0, 0].nonzero().tolist()
    assert cells["low_res"] == [[i, j] for i in (1, 2, 3) for j in (2, 3, 4)]
    assert cells["fns"] == [[i, j] for i in (1, 2, 3, 4) for j in (1, 2, 3, 4)]


def test_scores_of_low_res_neighbours_see_the_same_keys_from_all_pixels_of_a_cell():
    (y, x), module = maps(), variant(neighbours="low_res", guided_filter=False)
    keys = []
    for name in ("semantic_scores", "detail_scores"):
        block = getattr(module, name)
        block.register_forward_pre_hook(lambda block, given: keys.append(given[0]))
    module.compose(y, x)
    assert len(keys) == 2
    for key in keys:
        cells = key.unflatten(3, (6, RATIO)).unflatten(2, (5, RATIO))
        assert torch.equal(cells, cells[:, :, :, :1, :, :1].expand_as(cells))
    torch.testing.assert_close(keys[0][:, :, ::RATIO, ::RATIO], module.k(x))


def test_the_inner_product_is_that_of_the_query_and_each_neighbouring_key():
    block = PCDCBlock(16, K)
    k, q = (random((1, 16, 9, 11), torch.float32, i) for i in (1, 2))
    scores = InnerProduct(block)(k, q, Ratio(2), Ratio(3))
    k, q = block.norm(k), block.norm(q)
    for i, (dy, dx) in enumerate((dy, dx) for dy in (-2, 0, 2) for dx in (-3, 0, 3)):
        expected = q[0, :, 4, 5] @ k[0, :, 4 + dy, 5 + dx]
        torch.testing.assert_close(scores[0, i, 4, 5], expected)


@pytest.mark.parametrize("layout", ["published", "paper"])
def test_pcdc_is_the_convolution_of_the_pair_whose_query_weights_undo_the_keys(layout):
    block = PCDCBlock(16, K, layout=layout)
    convolution = Convolution(block)
    with torch.no_grad():
        for_q, for_k = convolution.weight.chunk(2, 1)
        for_k.copy_(block.weight)
        for_q.zero_()
        for_q[:, :, 1, 1] = -block.weight.sum((2, 3))
    given = *(random((1, 16, 9, 11), torch.float32, i) for i in (1, 2)), Ratio(2), Ratio(3)
    torch.testing.assert_close(convolution(*given), block(*given), rtol=1e-4, atol=1e-4)


@every_variant
def test_every_variant_has_a_finite_gradient_for_each_parameter_that_it_trains(variant):
    module = make(variant, "resfu", 2, 5, RATIO, **OPTIONS)
    y, x = (each.float() for each in maps())
    module(y, x).square().sum().backward()
    for name, parameter in module.named_parameters():
        assert not parameter.requires_grad or parameter.grad.isfinite().all(), name


@every_variant
def test_every_variant_starts_from_the_same_projections(variant):
    modules = []
    for name in ("resfu", variant):
        torch.manual_seed(0)
        modules.append((make(name, "resfu", 2, 5, RATIO), torch.rand(3)))
    (full, after_full), (changed, after) = modules
    assert torch.equal(full.q.weight, changed.q.weight) and torch.equal(after_full, after)


def test_what_is_no_variant_is_refused():
    with pytest.raises(ValueError, match="similarity should be one of .* but is 'cosine'"):
        ReSFUVariant(5, 2, scale_factor=RATIO, **OPTIONS, similarity="cosine")
    with pytest.raises(ValueError, match="ratios should be integers but are 18/5 and 24/6"):
        variant(similarity="convolution").compose(random((1, 5, 18, 24), torch.float64, 1), maps()[1][:1])


def test_the_mosaic_is_measured_where_cells_meet():
    truth = torch.zeros(1, 1, 8, 8)
    part = scene.Part(truth.expand(1, 3, 8, 8), truth, truth == 0, truth == 0, truth[..., ::4, ::4], 4)
    cells = torch.tensor([[0.0, 3.0], [3.0, 0.0]])[None, None]
    assert runs.seams(upwell.ops.nearest(cells, (8, 8)), part) == 3
    assert runs.seams(torch.arange(8.0).expand(1, 1, 8, 8), part) == 0


@pytest.fixture
def small_scene(monkeypatch):
    """The corner of the scene, so that all methods train and score in seconds."""
    def load(ratio: int) -> scene.Parts:
        whole = scene.load(ratio)
        return scene.Parts(whole.whole, whole.train.crop(0, 0, 64), whole.test.crop(0, 0, 64))

    monkeypatch.setattr(runs, "load", load)
    monkeypatch.setattr("ablation_study.picture.load", load)


def test_every_method_trains_and_the_study_ends_in_tables_and_pictures(small_scene, tmp_path, capsys):
    results, planned = Results(tmp_path), runs.plan(runs.METHODS, [4], [3, 5], steps=2, crop=32)
    assert len(planned) == 2 * len(runs.METHODS) - len(runs.UNTRAINED)
    for run in planned:
        results.add(run, runs.execute(run, results.maps))
    for run, outcome in results.outcomes.items():
        assert all(math.isfinite(value) for value in outcome.values()), run
        assert results.map(run).shape == (64, 64)
    ablation.report(planned, results, tmp_path)
    table, printed = (tmp_path / "table.md").read_text(), capsys.readouterr().out
    for method in runs.METHODS:
        assert f"| {tables.TITLES[method]} " in table and tables.TITLES[method] in printed
    for name in ("mosaic.png", "errors.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")


def test_the_sentences_say_what_every_seed_agrees_on():
    errors = {"resfu": (1.0, 2.0), "detail": (1.1, 2.3), "semantic": (0.9, 2.1)}
    each = ((method, seed, errors[method][seed]) for method in errors for seed in (0, 1))
    outcomes = {runs.Run(method, 8, seed, 1, 1): {"error": error} for method, seed, error in each}
    assert tables.conclusions(tables.Study(outcomes)) == [
        "detail scores only: worse on every seed: +13.3 % at ratio 8",
        "semantic scores only: undecided, seeds disagree: +0.0 % at ratio 8",
    ]


def test_a_study_trains_what_its_folder_does_not_have(tmp_path):
    command = "--methods bilinear carafe --ratios 16 --seeds 0 1 --crop 64 --jobs 2 --steps 2 --out".split()
    ablation.main([*command, str(tmp_path)])
    before = Results(tmp_path).outcomes
    assert len(before) == 3
    (tmp_path / "maps" / "carafe_ratio16_seed1.npy").unlink()
    ablation.main([*command, str(tmp_path)])
    after = Results(tmp_path).outcomes
    again = [run for run in after if after[run] != before[run]]
    assert [(run.method, run.seed) for run in again] == [("carafe", 1)]
    assert after[again[0]]["error"] == before[again[0]]["error"]


OTHER_FILES = ["", "[]", '{"format": "another", "runs": []}', '{"format": "upwell ablation 1", "runs": [1]}']


@pytest.mark.parametrize("content", OTHER_FILES)
def test_results_of_something_else_are_named_and_left_alone(tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(SystemExit, match=r"results\.json cannot be continued .* --fresh starts anew"):
        ablation.main(["--methods", "bilinear", "--out", str(tmp_path)])
    assert (tmp_path / "results.json").read_text() == content
