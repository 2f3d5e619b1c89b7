"""Bad images, backbones, weights, sizes and checkpoints: named in one line before anything is trained or written."""

import builtins
import re

import numpy as np
import pytest
import torch
from PIL import Image

from densify_shapes import frozen, run, words, write_images
from train_shapes import run as run_segmentation
from train_shapes import write_data
from upwell.densify import backbone, images, load
from upwell.densify.arguments import parse_arguments
from upwell.densify.densifier import FORMAT
from upwell.train import checkpoint
from upwell.train.errors import TrainingError


@pytest.fixture
def data(tmp_path):
    return write_images(tmp_path / "images")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    run(write_images(folder / "images"), folder / "out", steps=1)
    return folder / "out"


def refused(match: str, data, out, **options) -> None:
    with pytest.raises(TrainingError, match=match) as error:
        run(data, out, **options)
    assert len(str(error.value).splitlines()) == 1
    assert not out.exists()


@pytest.mark.parametrize("option", ["images", "held_out", "write_images"])
def test_an_image_that_cannot_be_read_is_named(option, data, tmp_path):
    bad = write_images(tmp_path / "bad")
    (bad / "03.png").write_bytes((bad / "03.png").read_bytes()[:200])
    options = {"images": data, "write": tmp_path / "features"} | {option: bad}
    refused("bad/03.png: cannot be read: ", options.pop("images"), tmp_path / "out", **options)
    assert not (tmp_path / "features").exists()


def test_images_of_16_bits_folders_without_images_and_two_of_a_stem_are_named(data, tmp_path):
    out = tmp_path / "out"
    refused("nowhere: No such file or directory", data / "nowhere", out)
    (tmp_path / "empty").mkdir()
    refused("empty: no image", tmp_path / "empty", out)
    Image.fromarray(np.zeros((9, 9), np.uint16)).save(data / "02.png")
    refused("02.png: should have 8 bits per channel but has 16", data, out)
    Image.open(data / "01.png").save(data / "01.jpg")
    refused("01.png and 01.jpg share one stem, so one file of features", data, out)


def test_every_bad_image_is_named_at_once(data, tmp_path):
    for stem in ("01", "04"):
        (data / f"{stem}.png").write_text("not a picture")
    with pytest.raises(TrainingError, match=r"(?s)01.png: cannot be read.*\n.*04.png: cannot be read"):
        run(data, tmp_path / "out")


def test_a_size_that_is_no_multiple_of_the_stride_is_named(data, tmp_path):
    refused("--size 18: should be a multiple of 4, the stride of mobilenet_v2", data, tmp_path / "out", size=18)
    refused("--size 4: should be at least 8 for anyup", data, tmp_path / "out", size=4, upsampler="anyup")
    message = "--batch-size 1: should be at least 2 for wrc_head at --size 4: one cell has no statistics"
    refused(message, data, tmp_path / "out", size=4, batch_size=1, upsampler="wrc_head")
    run(data, tmp_path / "out", size=4, batch_size=2, upsampler="wrc_head", steps=1)


def test_a_backbone_without_weights_is_told_where_they_were_looked_for(data, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    options = {"layer": None, "backbone": "resnet18"}
    message = "--backbone resnet18: without weights: resnet18-.*pth not in .*hub.*; --weights FILE"
    refused(message, data, tmp_path / "out", **options)
    pytest.importorskip("timm")
    message = "--backbone vit_tiny_patch16_dinov9: no model of torchvision or timm; similar: "
    refused(message, data, tmp_path / "out", layer=None, backbone="vit_tiny_patch16_dinov9")
    message = "--backbone test_vit: without weights: timm/test_vit.* is not in the hub's cache.*; --weights FILE"
    refused(message, data, tmp_path / "out", layer=None, backbone="timm:test_vit")


def test_unknown_libraries_and_layers_are_named(data, tmp_path):
    for options, message in (
        ({"backbone": "hub:resnet18"}, "--backbone hub:resnet18: should be of torchvision or timm but is of hub"),
        ({"layer": "features.99"}, "--layer features.99: no submodule of mobilenet_v2, which has features, classifier"),
        ({"layer": "classifier"}, "--backbone mobilenet_v2: of 224 x 224 pixels gives no map of features but"),
    ):
        refused(message, data, tmp_path / "out", **options)


def test_weights_that_are_missing_damaged_or_anothers_are_named(data, tmp_path):
    out, path = tmp_path / "out", tmp_path / "weights.pt"
    refused("weights.pt: No such file: weights of mobilenet_v2", data, out, weights=path)
    path.write_bytes(b"PK")
    refused("weights.pt: cannot be read: not a whole file of weights", data, out, weights=path)
    torch.save(torch.zeros(3), path)
    refused("weights.pt: holds no state_dict", data, out, weights=path)
    torch.save({"conv1.weight": torch.zeros(3)}, path)
    refused("weights.pt: not the weights of mobilenet_v2: features.0.0.weight is missing", data, out, weights=path)
    state = {name.removeprefix("network."): value for name, value in frozen().network.state_dict().items()}
    state["features.0.0.weight"] = torch.zeros(8, 3, 3, 3)
    torch.save({"state_dict": state}, path)
    refused(r"features.0.0.weight should be \[32, 3, 3, 3\] but is \[8, 3, 3, 3\]", data, out, weights=path)
    refused("weights.pt: not the weights of test_vit", data, out, weights=path, backbone="timm:test_vit", layer=None)


@pytest.mark.parametrize("package", ["torchvision", "timm"])
def test_a_library_that_is_not_installed_is_named(package, data, tmp_path, monkeypatch):
    import timm  # noqa: F401  before torchvision is hidden, which timm itself imports

    original = builtins.__import__

    def without(name, *of, **options):
        if name.split(".")[0] == package:
            raise ImportError(name)
        return original(name, *of, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    other = {"torchvision": "timm", "timm": "torchvision"}[package]
    with pytest.raises(TrainingError, match=f"nothing_like_it: no model of {other}; not installed: pip install {package}$"):
        backbone.make("nothing_like_it")
    with pytest.raises(TrainingError, match=f"{package}:resnet18: not installed: pip install {package}$"):
        backbone.make(f"{package}:resnet18")


def test_a_photograph_says_which_package_has_it(monkeypatch):
    original = builtins.__import__

    def without(name, *of, **options):
        if name.split(".")[0] in ("skimage", "sklearn"):
            raise ImportError(f"No module named {name}")
        return original(name, *of, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    for name, package in (("astronaut", "scikit-image"), ("china", "scikit-learn")):
        with pytest.raises(TrainingError, match=f"photograph {name} is in {package}: .*pip install {package}"):
            images.photographs([name])


def test_a_checkpoint_of_other_channels_upsamplers_ratios_or_weights_is_refused(data, finished, tmp_path):
    path, out = finished / "last.pt", tmp_path / "out"
    message = "last.pt: is for features of 24 channels, but those of mobilenet_v2 have 32"
    refused(message, data, out, resume=path, layer="features.6", size=32)
    refused("last.pt: was trained with --upsampler jbu, not --upsampler sapa", data, out, resume=path, upsampler="sapa")
    refused("last.pt: was trained with --ratio 2, not --ratio 4", data, out, resume=path, ratio=4)
    state = {name.removeprefix("network."): value.clone() for name, value in frozen().network.state_dict().items()}
    next(iter(state.values()))[0] += 1
    torch.save(state, tmp_path / "weights.pt")
    refused("last.pt: was trained over other weights of mobilenet_v2", data, out, resume=path, weights=tmp_path / "weights.pt")
    with pytest.raises(TrainingError, match="last.pt: was trained over other weights of mobilenet_v2"):
        load(path, tmp_path / "weights.pt")
    message = "last.pt: has step 1 already, .*--lr was 0.003, is 0.1.*; --steps 2 or more"
    refused(message, data, out, resume=path, lr=0.1, steps=1)


def test_what_is_no_checkpoint_of_densify_is_refused(data, finished, tmp_path):
    write_data(tmp_path / "shapes")
    run_segmentation(tmp_path / "shapes", tmp_path / "segmentation", epochs=1)
    other = tmp_path / "segmentation/last.pt"
    refused("last.pt: not a checkpoint of upwell densify", data, tmp_path / "out", resume=other)
    with pytest.raises(TrainingError, match="last.pt: not a checkpoint of upwell.train"):
        checkpoint.load(finished / "last.pt")
    half = tmp_path / "half.pt"
    half.write_bytes((finished / "last.pt").read_bytes()[:-3000])
    refused("half.pt: not a whole checkpoint", data, tmp_path / "out", resume=half)
    state = checkpoint.load(finished / "last.pt", FORMAT, "")
    state["model"].popitem()
    checkpoint.save(half, state, format=FORMAT)
    with pytest.raises(TrainingError, match="half.pt: does not fit this model"):
        run(data, tmp_path / "out", resume=half)
    assert not (tmp_path / "out").exists()
    with pytest.raises(TrainingError, match="half.pt: does not fit jbu"):
        load(half)
    with pytest.raises(TrainingError, match="last.pt: exists; continue it with --resume auto"):
        run(data, finished)


def test_a_loss_that_is_not_finite_stops_the_run_before_it_is_saved(data, tmp_path):
    with pytest.raises(TrainingError, match="the loss is (nan|inf) in step"):
        run(data, tmp_path / "out", lr=1e30)
    assert not (tmp_path / "out/last.pt").exists()


def test_features_that_cannot_be_written_end_the_run_with_none_half_written(data, finished, tmp_path, monkeypatch):
    features = tmp_path / "features"
    features.mkdir()
    (features / ".02.npy.tmp").symlink_to("/dev/full")
    with pytest.raises(TrainingError, match="02.npy: cannot be written: No space left on device"):
        run(data, finished, resume="auto", steps=1, write=features)
    assert sorted(path.name for path in features.iterdir()) == ["00.npy", "01.npy"]
    features.joinpath("file").write_text("")
    with pytest.raises(TrainingError, match="file: File exists"):
        run(data, finished, resume="auto", steps=1, write=features / "file")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"upsampler": "resfuu"}, "argument --upsampler: should be one of resfu, .*bicubic, .* but is resfuu"),
        ({"ratio": 1}, "argument --ratio: should be at least 2 but is 1"),
        ({"local": 0, "whole": 0}, "argument --local: nothing is left to train for"),
        ({"write_images": "x"}, "argument --write-images: is of no use without --write"),
        ({"format": "csv"}, "argument --format: invalid choice: 'csv'"),
    ],
)
def test_options_that_cannot_be_are_named(options, message, data, tmp_path, capsys):
    with pytest.raises(SystemExit):
        parse_arguments(words(data, tmp_path / "out", **options))
    assert re.search(message, capsys.readouterr().err.splitlines()[-1])


def test_a_ratio_that_the_upsampler_does_not_take_is_named(data, tmp_path):
    refused("--upsampler jbu: make: ratio of jbu should be a power of 2 but is 3", data, tmp_path / "out", ratio=3)
