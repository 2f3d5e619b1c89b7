"""upwell densify: the objective against loops in float64, what trains and what stays, what a run resumes and writes."""

import argparse
import contextlib
import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import nn

from densify_shapes import CHANNELS, COUNT, STRIDE, frozen, random_views, run, words, write_images
from train_checkpoint_test import check_same, kill_in_a_write
from train_ddp_test import two_processes
from upwell.__main__ import main
from upwell.densify import backbone, dense, guide, images, load, objective, of_torchvision, training, views
from upwell.densify.arguments import build_parser
from upwell.densify.densifier import COMMAND, FORMAT, fingerprint
from upwell.densify.evaluate import Benchmark
from upwell.densify.objective import Objective, Teacher, Weights
from upwell.densify.views import View
from upwell.nn.make import UPSAMPLERS
from upwell.train import checkpoint
from upwell.train.distributed import Group
from upwell.train.encoder import LITE0, LITE0_PACKAGES

GUIDED = {name for name, row in UPSAMPLERS.items() if row.is_guided} | {dense.WRC_HEAD}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def unbroken(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("unbroken")
    run(data, out)
    return read(out)


def read(out) -> dict:
    return checkpoint.load(out / "last.pt", FORMAT, COMMAND)


class Means(nn.Module):
    """A backbone whose features are known: means of cells, and of their red half."""

    stride = multiple = STRIDE
    channels = 4
    name = "means"

    def forward(self, image):
        cells = F.avg_pool2d(image, STRIDE)
        return torch.cat([cells, cells[:, :1] / 2], 1)


# The objective.


def loop_distance(p, t) -> float:
    """By the formula, a pixel at a time."""
    cosine = error = 0.0
    N, C, H, W = t.shape
    for n in range(N):
        for y in range(H):
            for x in range(W):
                a, b = p[n, :, y, x].tolist(), t[n, :, y, x].tolist()
                dot = sum(i * j for i, j in zip(a, b))
                cosine += 1 - dot / math.sqrt(sum(i * i for i in a) * sum(j * j for j in b))
                low, high = min(b), max(b)
                scaled = [[(value - low) / (high - low + 1e-6) for value in pixel] for pixel in (a, b)]
                error += sum((i - j) ** 2 for i, j in zip(*scaled))
    return cosine / (N * H * W) + error / (N * C * H * W)


def test_the_distance_is_the_published_one():
    p, t = torch.randn(2, 2, 5, 3, 4, dtype=torch.float64).unbind(0)
    assert objective.distance(p, t).item() == pytest.approx(loop_distance(p, t), rel=1e-12)
    assert objective.distance(t, t).item() == pytest.approx(0, abs=1e-12)
    assert torch.autograd.gradcheck(lambda p: objective.distance(p, t), p.requires_grad_())


@pytest.mark.parametrize("upsampler", ["bilinear", "resfu", "jbu", "anyup"])
def test_the_objective_is_the_sum_of_its_terms(upsampler):
    ratio, size, weights = 2, 16, Weights(1, 0.5, 2, 3)
    made = dense.make(upsampler, Means.channels, ratio).double().eval()
    batch = Teacher(Means(), ratio, size)(View(*random_views(size, ratio, 2, 3)), weights)
    loss, terms = Objective(made, weights)(batch)

    with torch.no_grad():
        output, again = made(batch.image, batch.features), made(batch.recoloured, batch.features)
    cells = size // STRIDE
    cut = [output[n, :, y : y + cells, x : x + cells] for n in range(2) for y, x in batch.corners[n].tolist()]
    expected = [
        loop_distance(torch.stack(cut), batch.local),
        loop_distance(output, batch.whole),
        loop_distance(again, output) if upsampler in GUIDED else 0,
        {"anyup": loop_reduced, "jbu": loop_variation}.get(upsampler, lambda *of: 0)(output, batch.features),
    ]
    assert terms.tolist() == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert loss.item() == pytest.approx(sum(w * term for w, term in zip(weights, expected)), rel=1e-9)


def loop_reduced(output, features) -> float:
    means = torch.stack([output[..., i::2, j::2] for i in range(2) for j in range(2)]).mean(0)
    return 0.1 * loop_distance(means, features)


def loop_variation(output, features) -> float:
    terms = []
    for made, low in zip(output, features):  # each in units of its own features
        magnitude = made.square().sum(0).sqrt() / low.square().sum(0).sqrt().mean()
        down, right = (magnitude[1:] - magnitude[:-1]) ** 2, (magnitude[:, 1:] - magnitude[:, :-1]) ** 2
        terms.append(0.05 * (down.mean() + right.mean()).item())
    return sum(terms) / len(terms)


def test_a_teacher_cuts_the_cells_that_the_output_has_there():
    ratio, size = 2, 16
    source, corners, colours = random_views(size, ratio, 2, 3)
    batch = Teacher(Means(), ratio, size)(View(source, corners, colours), Weights())
    cells, high = size // STRIDE, Means()(source)
    cut = [high[n, :, y : y + cells, x : x + cells] for n in range(2) for y, x in corners[n].tolist()]
    torch.testing.assert_close(batch.local, torch.stack(cut))
    torch.testing.assert_close(batch.image, F.avg_pool2d(source, 2))
    torch.testing.assert_close(batch.features, Means()(F.avg_pool2d(source, 2)))
    assert batch.whole.shape == high.shape and not torch.equal(batch.whole, high)
    assert batch.recoloured.min() >= 0 and batch.recoloured.max() <= 1


def test_no_gradient_reaches_the_plain_output_through_the_consistency():
    made = dense.make("resfu", Means.channels, 2).double()
    batch = Teacher(Means(), 2, 16)(View(*random_views(16, 2, 1, 1)), Weights())
    found = torch.autograd.grad(Objective(made, Weights(0, 0, 1, 0))(batch)[0], list(made.parameters()))
    with torch.no_grad():
        plain = made(batch.image, batch.features)
    loss = objective.distance(made(batch.recoloured, batch.features), plain)
    torch.testing.assert_close(found, torch.autograd.grad(loss, list(made.parameters())))
    assert any(gradient.abs().max() > 0 for gradient in found)


# Views.


def test_a_pass_has_every_image_once_and_a_view_depends_on_its_number_alone():
    marked = [(str(i), torch.full((3, 20 + i, 30), i / 10)) for i in range(5)]
    made = views.Views(marked, 16, (4, 2), 3, seed=1)
    for turn in range(3):
        seen = [round(10 * made[5 * turn + k].source.mean().item()) for k in range(5)]
        assert sorted(seen) == [0, 1, 2, 3, 4]
    one, other = made[7], views.Views(marked, 16, (4, 2), 3, seed=1)[7]
    assert all(torch.equal(a, b) for a, b in zip(one, other))
    assert one.source.shape == (3, 16, 16) and one.corners.shape == (3, 2) and 0 <= one.corners.min() <= one.corners.max() <= 2


def test_two_processes_take_the_views_that_one_takes_with_twice_the_batches():
    alone = list(views.Shares(3, 5, 2, 4, 0, 1))
    both = [list(views.Shares(3, 5, 1, 4, rank, 2)) for rank in range(2)]
    assert alone == [batch for pair in zip(*both) for batch in pair]
    assert [k for batch in views.Shares(0, 3, 2, 4, 0, 1) for k in batch] == list(range(24))


def test_colours_that_are_1_change_nothing():
    image = torch.rand(2, 3, 5, 4)
    torch.testing.assert_close(views.recolour(image, torch.ones(2, 6)), image)
    grey = views.recolour(image, torch.tensor([[1.0, 1, 0, 1, 1, 1]]).expand(2, -1))
    torch.testing.assert_close(grey, image.mean(1, keepdim=True).expand_as(image))


# Upsamplers and backbones.


@pytest.mark.parametrize("ratio", [2, 4])
@pytest.mark.parametrize("upsampler", dense.NAMES)
def test_every_upsampler_makes_features_dense(upsampler, ratio):
    made = dense.make(upsampler, 12, ratio).eval()
    features, image = torch.randn(2, 12, 3, 5), torch.rand(2, 3, 48, 80)
    output = made(image, features)
    assert output.shape == (2, 12, 3 * ratio, 5 * ratio) and output.isfinite().all()
    assert made.is_guided == (upsampler in GUIDED)
    assert torch.equal(made(1 - image, features), output) != made.is_guided
    parameters = [parameter for parameter in made.parameters() if parameter.requires_grad]
    if parameters:
        output.square().mean().backward()
        assert all(parameter.grad is not None for parameter in parameters)
    else:
        mode = {"bilinear": {"mode": "bilinear", "align_corners": False}, "bicubic": {"mode": "bicubic"}, "nearest": {}}
        torch.testing.assert_close(output, F.interpolate(features, scale_factor=ratio, **mode[upsampler]))


def test_upsamplers_published_as_steps_of_2_are_repeated_and_dashes_are_taken():
    assert len(dense.make("jbu", 8, 8).steps) == 3 and len(dense.make("resfu", 8, 8).steps) == 1
    assert dense.make("any-up", 8, 2).upsampler == "anyup" and dense.make("local-attender", 8, 2).upsampler == "local_attender"
    with pytest.raises(ValueError, match="make: ratio of jbu should be a power of 2 but is 6"):
        dense.make("jbu", 8, 6)
    with pytest.raises(ValueError, match="make: upsampler should be one of resfu, .* but is 'resfuu'"):
        dense.make("resfuu", 8, 2)


def test_the_place_of_a_pixel_is_its_distance_from_the_middle_of_its_cell():
    rows, columns = guide.place((6, 8), (3, 2))
    assert rows[:, 0].tolist() == pytest.approx([-0.25, 0.25] * 3) and (rows == rows[:, :1]).all()
    assert columns[0].tolist() == pytest.approx([-0.375, -0.125, 0.125, 0.375] * 2) and (columns == columns[:1]).all()


@pytest.mark.parametrize("upsampler", ["resfu", "naf"])
@pytest.mark.parametrize("side", [4, 12, 200])
def test_a_guiding_image_may_have_any_size(upsampler, side):
    made = dense.make(upsampler, 8, 2)(torch.rand(1, 3, side, side + 1), torch.randn(1, 8, 3, 4))
    assert made.shape == (1, 8, 6, 8) and made.isfinite().all()


def test_a_backbone_gives_the_map_of_a_layer_of_the_normalised_image():
    made = frozen()
    network = torchvision.models.mobilenet_v2()
    network.load_state_dict(torch.load(of_torchvision.weights.packaged("mobilenet_v2"), weights_only=True))
    image = torch.rand(2, 3, 24, 32)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.no_grad():
        expected = network.eval().features[:4]((image - mean) / std)
    assert torch.equal(made.train()(image), expected)
    assert (made.channels, made.stride, made.multiple) == (CHANNELS, STRIDE, STRIDE) == (24, *[24 // expected.shape[2]] * 2)
    assert not any(parameter.requires_grad for parameter in made.parameters()) and not made.training
    with pytest.raises(ValueError, match=r"image should be \[N, 3, H, W\], H and W multiples of 4 .* but is \[1, 3, 8, 9\]"):
        made(image[:1, :, :8, :9])


def test_a_vision_transformer_of_timm_gives_its_patch_tokens_at_any_size(tmp_path):
    timm = pytest.importorskip("timm")
    network = timm.create_model("test_vit").eval()
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    made = backbone.make("timm:test_vit", tmp_path / "weights.pt")
    assert made.stride == 16
    side = network.default_cfg["input_size"][-1]
    image = torch.rand(1, 3, side, side)
    with torch.no_grad():
        tokens = network.forward_features((image - made.mean) / made.std)[:, network.num_prefix_tokens :]
    expected = tokens.transpose(1, 2).unflatten(2, (side // 16, side // 16))
    torch.testing.assert_close(made(image), expected)
    assert made(torch.rand(1, 3, 48, 80)).shape == (1, made.channels, 3, 5)
    assert not torch.equal(backbone.make("timm:test_vit", tmp_path / "weights.pt", 0)(image), made(image))


def test_a_vision_transformer_of_torchvision_gives_its_patch_tokens_at_any_size():
    network = torchvision.models.VisionTransformer(32, 8, 2, 2, 16, 32).eval()
    tokens, image = of_torchvision.Tokens(network), torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        x = torch.cat([network.class_token.expand(2, -1, -1), network._process_input(image)], 1)
        expected = network.encoder(x)[:, 1:].transpose(1, 2).unflatten(2, (4, 4))
        torch.testing.assert_close(tokens(image), expected)
        assert tokens(torch.rand(1, 3, 40, 24)).shape == (1, 16, 5, 3)


def test_efficientnet_lite0_gives_the_map_of_any_level_at_the_least_size():
    for package in LITE0_PACKAGES:
        pytest.importorskip(package)
    for layer, channels, stride in ((0, 16, 2), (1, 24, 4), (2, 40, 8), (3, 112, 16), (None, 320, 32), (-2, 112, 16)):
        made = backbone.make(LITE0, layer=layer)
        assert (made.channels, made.stride, made.multiple) == (channels, stride, stride)
        assert made(torch.rand(1, 3, stride, 3 * stride)).shape == (1, channels, 1, 3)
    whole = backbone.EfficientNetLite0(pretrained=True).eval()
    image = torch.rand(2, 3, 64, 32)
    with torch.no_grad():
        assert torch.equal(backbone.make(LITE0, layer=2)(image), whole(2 * image - 1)[2])


# Batches that are accumulated.

BATCH_STATISTICS, DRAWING = {dense.WRC_HEAD}, {"jbu", "naf"}
TRAINED = [name for name in dense.NAMES if any(p.requires_grad for p in dense.make(name, 4, 2).parameters())]


def updates(upsampler: str, accumulate: int, training_mode: bool) -> tuple[list, dict[str, torch.Tensor]]:
    """Two updates from the same four views -> their losses and terms, and the parameters after them, in float64."""
    torch.manual_seed(0)
    made = dense.make(upsampler, Means.channels, 2).double()
    size = 4 * STRIDE
    whole = random_views(size, 2, 4, 3)
    batches = (View(*parts) for parts in zip(*(part.chunk(2 * accumulate) for part in whole)))
    arguments = argparse.Namespace(lr=0.1, steps=100, accumulate=accumulate, seed=0)
    run = argparse.Namespace(optimizer=torch.optim.SGD(made.parameters()), step=50)
    task = Objective(made).train(training_mode), Teacher(Means(), 2, size), Weights(), batches, run
    terms = []
    for run.step in (50, 51):
        terms.append(training.update(*task, contextlib.nullcontext(), arguments, Group("cpu", "bilinear")))
    return terms, {name: value.detach() for name, value in made.named_parameters()}


def agree(one: tuple, other: tuple) -> bool:
    terms, parameters = zip(one, other)
    worst = max((a - b).abs().max().item() for a, b in zip(*(each.values() for each in parameters)))
    return worst < 1e-10 and np.allclose(*terms, rtol=0, atol=1e-10)


@pytest.mark.parametrize("upsampler", TRAINED)
def test_two_batches_of_one_view_are_one_of_two_unless_a_layer_mixes_its_batch_or_draws(upsampler):
    trained = [updates(upsampler, accumulate, training_mode=True) for accumulate in (1, 2)]
    assert agree(*trained) == (upsampler not in BATCH_STATISTICS | DRAWING)
    assert agree(*(updates(upsampler, accumulate, training_mode=False) for accumulate in (1, 2)))


def test_the_upsamplers_with_batch_norms_are_those_that_the_documentation_names():
    with_norms = {
        name for name in dense.NAMES if any(isinstance(m, nn.BatchNorm2d) for m in dense.make(name, 4, 2).modules())
    }
    assert with_norms == BATCH_STATISTICS


@pytest.mark.parametrize("consistency, passes", [(1, 2), (0, 1)])
def test_batch_norms_count_every_batch_and_every_pass_and_serve_what_they_counted(consistency, passes, data, tmp_path):
    run(data, tmp_path, upsampler="wrc-head", steps=2, accumulate=2, consistency=consistency)
    counted = [value.item() for name, value in read(tmp_path)["model"].items() if name.endswith("num_batches_tracked")]
    assert counted and set(counted) == {2 * 2 * passes}
    model = load(tmp_path / "last.pt")
    image = torch.rand(2, 3, 16, 24)
    with torch.no_grad():
        torch.testing.assert_close(model(image)[:1], model(image[:1]))


# Runs.


def test_the_loss_goes_down_and_the_backbone_keeps_its_bits(data, tmp_path, monkeypatch):
    kept = []
    make = backbone.make
    monkeypatch.setattr(backbone, "make", lambda *of: kept.append(make(*of)) or kept[-1])
    before = fingerprint(frozen())
    run(data, tmp_path, steps=60, save_every=15, lr=1e-2)
    history = read(tmp_path)["history"]
    assert [entry["step"] for entry in history] == [15, 30, 45, 60]
    assert history[-1]["loss"] < 0.9 * history[0]["loss"]
    assert fingerprint(kept[0]) == before == read(tmp_path)["backbone"]
    assert all(parameter.grad is None for parameter in kept[0].parameters())


def test_a_resumed_run_has_the_bits_of_an_unbroken_one(data, tmp_path, unbroken, monkeypatch):
    save = training.save

    def interrupted(state):
        save(state)
        if state.step == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(data, tmp_path)
    assert read(tmp_path)["step"] == 4
    run(data, tmp_path, resume="auto", workers=1)
    check_same(read(tmp_path), unbroken)
    assert json.loads((tmp_path / "metrics.json").read_text())["steps"] == unbroken["history"]


# What a resumed run trains with another value of, and which.
FOLLOWED = {
    **{"size": 24, "crops": 1, "steps": 8, "batch_size": 1, "accumulate": 2, "lr": 1e-2, "weight_decay": 0.5, "seed": 7},
    **{"local": 0.5, "whole": 0.5, "consistency": 0.5, "regulariser": 0.5, "whole_of": "source", "precision": "bfloat16"},
}


def test_every_option_is_followed_refused_or_of_no_matter_on_resuming(data, tmp_path, unbroken, capsys):
    options = {action.dest for action in build_parser()._actions} - {"help"}
    assert options == {*FOLLOWED, *training.RULES.defining, *training.RULES.places}
    run(data, tmp_path / "first", steps=2)
    start = {"resume": tmp_path / "first/last.pt", "steps": 4}
    run(data, tmp_path / "same", **start)
    same = read(tmp_path / "same")["model"]
    for option, value in FOLLOWED.items():
        capsys.readouterr()
        run(data, tmp_path / option, **start | {option: value})
        assert f"--{option.replace('_', '-')} was " in capsys.readouterr().out, option
        other = read(tmp_path / option)["model"]
        assert any(not torch.equal(other[name], same[name]) for name in same), option


def test_killed_in_the_middle_of_a_write_the_last_good_checkpoint_continues_to_the_same_end(data, tmp_path, unbroken):
    kill_in_a_write("upwell.densify", words(data, tmp_path))
    assert read(tmp_path)["step"] == 2
    load(tmp_path / "last.pt")
    run(data, tmp_path, resume="auto")
    check_same(read(tmp_path), unbroken)


@pytest.mark.parametrize("upsampler", ["jbu", "wrc_head"])
def test_two_processes_make_the_steps_of_one_that_accumulates(upsampler, data, tmp_path):
    two_processes("-m", "upwell.densify", *words(data, tmp_path / "two", steps=4, upsampler=upsampler))
    run(data, tmp_path / "one", steps=4, accumulate=2, upsampler=upsampler)
    two, one = read(tmp_path / "two"), read(tmp_path / "one")
    losses = [[entry["loss"] for entry in state["history"]] for state in (two, one)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    for name, value in one["model"].items():
        if name.endswith("num_batches_tracked"):  # the first process's batches alone
            assert 2 * two["model"][name] == value
        elif "running_" not in name:
            torch.testing.assert_close(two["model"][name], value, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("upsampler", ["resfu", "anyup"])
def test_bfloat16_trains_much_as_float32_does(upsampler, data, tmp_path):
    losses = []
    for precision in ("float32", "bfloat16"):
        run(data, tmp_path / precision, upsampler=upsampler, steps=2, precision=precision)
        losses.append(read(tmp_path / precision)["history"][-1]["loss"])
    assert losses[1] == pytest.approx(losses[0], rel=0.05) and losses[0] != losses[1]


def test_features_are_written_for_every_image_as_the_loaded_model_makes_them(data, tmp_path, capsys):
    run(data, tmp_path / "out", write=tmp_path / "features", held_out=data)
    told = capsys.readouterr().out
    model = load(tmp_path / "out/last.pt")
    benchmark = Benchmark(model.backbone, list(images.folder(data)), side=16)
    for name, made in (("bilinear", dense.make("bilinear", CHANNELS, 2)), ("jbu", model.dense)):
        scores = benchmark.row(name, made, with_cost=False)
        assert f"held out, {name}: cosine {scores['cosine']:.4f}, MSE {scores['mse']:.4f}" in told
    assert f"features of {COUNT} images" in told
    for name, image in images.folder(data):
        written = np.load(tmp_path / "features" / f"{name}.npy")
        cells = [-(-length // STRIDE) for length in image.shape[1:]]
        assert written.shape == (CHANNELS, 2 * cells[0], 2 * cells[1]) and written.dtype == np.float32
        with torch.no_grad():
            assert torch.equal(torch.from_numpy(written), model(image[None])[0])
    again = {"resume": "auto", "write": tmp_path / "half", "format": "pt", "dtype": "float16"}
    run(data, tmp_path / "out", **again)
    half = torch.load(tmp_path / "half/00.pt")
    torch.testing.assert_close(half.float(), torch.from_numpy(np.load(tmp_path / "features/00.npy")), rtol=1e-3, atol=1e-3)
    assert len(list((tmp_path / "half").iterdir())) == COUNT


def test_an_upsampler_without_parameters_is_not_trained_but_writes(data, tmp_path):
    run(data, tmp_path / "out", upsampler="bicubic", write=tmp_path / "features")
    assert not (tmp_path / "out").exists() and len(list((tmp_path / "features").iterdir())) == COUNT


def test_the_photographs_are_split_in_two():
    assert not set(images.TRAIN) & set(images.HELD_OUT)
    every = images.photographs()
    assert [name for name, _ in every] == [*images.TRAIN, *images.HELD_OUT]
    assert all(image.shape[0] == 3 and min(image.shape[1:]) >= 300 and 0 <= image.min() < image.max() <= 1 for _, image in every)


def test_the_command_upwell_densify_is_the_module(data, tmp_path):
    with pytest.raises(SystemExit, match="upwell densify: .*nowhere: No such file or directory"):
        main(["densify", *words(data / "nowhere", tmp_path / "out")])
