"""Bad images, masks and folders: named before training begins, with nothing written."""

import shutil

import numpy as np
import pytest
from PIL import Image

from train_shapes import CLASSES, IGNORE, run, words, write_data
from upwell.__main__ import main
from upwell.train.class_counts import as_ranges, check_classes
from upwell.train.data import find_pairs, read_image
from upwell.train.errors import TrainingError


@pytest.fixture
def data(tmp_path):
    write_data(tmp_path / "data")
    return tmp_path / "data"


def save_mask(path, change) -> None:
    pixels = np.array(Image.open(path))
    Image.fromarray(change(pixels)).save(path)


def with_value(value: int):
    def change(pixels: np.ndarray) -> np.ndarray:
        pixels[11, 7] = value
        return pixels

    return change


def truncate(path) -> None:
    path.write_bytes(path.read_bytes()[:-2000])


QUARTER_TURN = Image.Exif()
QUARTER_TURN[0x0112] = 6

# What is done to train/{kind}/05.png, and what the message should hold beside that name.
DAMAGES = {
    "missing mask": ("masks", lambda path: path.unlink(), "missing, the mask of"),
    "class out of range": (
        "masks",
        lambda path: save_mask(path, with_value(3)),
        "value 3 at row 11, column 7",
    ),
    "colour mask": (
        "masks",
        lambda path: save_mask(path, lambda m: np.stack([m] * 3, 2)),
        "one channel.*R, G, B",
    ),
    "another size": (
        "masks",
        lambda path: save_mask(path, lambda m: m[:, :-1]),
        "is 58 x 46 but .* is 59 x 46",
    ),
    "half a mask": ("masks", lambda path: path.write_bytes(path.read_bytes()[:60]), "cannot be read"),
    "half an image": ("images", truncate, "cannot be read: image file is truncated"),
    "no image": ("images", lambda path: path.write_text("not a picture"), "cannot be read"),
    "wide image": (
        "images",
        lambda path: Image.fromarray(np.zeros((9, 9), np.uint16)).save(path),
        "should have 8 bits per channel but has 16",
    ),
    "mask through JPEG": (
        "masks",
        lambda path: Image.open(path).save(path, "JPEG"),
        "should hold PNG but holds JPEG",
    ),
    "image turned by its EXIF": (
        "images",
        lambda path: Image.open(path).save(path, exif=QUARTER_TURN),
        r"turned by its EXIF orientation 6",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
@pytest.mark.parametrize("part", ["train", "val"])
def test_a_bad_file_is_named_before_anything_is_written(name, part, data, tmp_path):
    kind, damage, message = DAMAGES[name]
    damage(data / part / kind / "01.png" if part == "val" else data / part / kind / "05.png")
    message = message.replace("58 x 46 but .* is 59 x 46", r"\d+ x \d+ but .* is \d+ x \d+")
    with pytest.raises(TrainingError, match=rf"{part}/{kind}/0[15].png.*{message}"):
        run(data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_every_bad_file_is_named_at_once(data, tmp_path):
    for stem in ("03", "07"):
        save_mask(data / "train/masks" / f"{stem}.png", with_value(9))
    with pytest.raises(TrainingError, match=r"(?s)masks/03.png: value 9.*masks/07.png: value 9"):
        run(data, tmp_path / "out")


def test_folders_without_images_and_stems_that_are_not_unique_are_named(data):
    images, masks = data / "train/images", data / "train/masks"
    with pytest.raises(TrainingError, match="nowhere: No such file"):
        find_pairs(data / "nowhere", masks)
    (data / "empty").mkdir()
    with pytest.raises(TrainingError, match="empty: no image"):
        find_pairs(data / "empty", masks)
    shutil.copy(masks / "00.png", masks / "00.PNG")
    with pytest.raises(TrainingError, match="00.png and 00.PNG share one stem, so one image"):
        find_pairs(images, masks)
    shutil.copy(images / "00.png", images / "00.bmp")
    with pytest.raises(TrainingError, match="00.png and 00.bmp share one stem, so one mask"):
        find_pairs(images, masks)


def test_grey_and_transparent_images_are_read_as_rgb(tmp_path):
    for mode in ("L", "LA", "RGBA", "P"):
        Image.new(mode, (5, 4)).save(tmp_path / "image.png")
        assert read_image(tmp_path / "image.png").shape == (4, 5, 3)


def change_masks(folder, change) -> None:
    for path in sorted((folder / "masks").iterdir()):
        save_mask(path, change)


def black_and_white(mask: np.ndarray) -> np.ndarray:
    """Where the mask has a class other than the first, the value that drawing tools call white."""
    return np.where(mask > 0, 255, 0).astype(np.uint8)


def without(label: int):
    return lambda mask: np.where(mask == label, 0, mask).astype(np.uint8)


@pytest.mark.parametrize("part, masks", [("train", "training masks"), ("val", "validation masks")])
@pytest.mark.parametrize(
    "change, missing", [(black_and_white, "classes 1, 2 occur"), (without(1), "class 1 occurs")]
)
def test_classes_that_occur_nowhere_are_named_and_refused(change, missing, part, masks, data, tmp_path):
    change_masks(data / part, change)
    message = rf"{part}/masks: {missing} nowhere in the {masks} \(--ignore 255 is .* % of the pixels\); --allow-empty-classes"
    with pytest.raises(TrainingError, match=message) as refused:
        run(data, tmp_path / "out")
    assert len(str(refused.value).splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_empty_classes_that_are_allowed_are_told_and_have_no_score(data, tmp_path, capsys):
    for part in ("train", "val"):
        change_masks(data / part, without(1))
    run(data, tmp_path / "out", epochs=1, allow_empty_classes=True)
    told = capsys.readouterr().out
    assert "class 1 occurs nowhere in the training masks" in told
    assert "class 1 occurs nowhere in the validation masks" in told


@pytest.mark.parametrize("part", ["train", "val"])
def test_masks_without_any_class_are_refused_whatever_is_allowed(part, data, tmp_path):
    change_masks(data / part, lambda mask: np.full_like(mask, IGNORE))
    with pytest.raises(TrainingError, match=rf"{part}/masks: no pixel .* has a class; --ignore {IGNORE} is 100 %"):
        run(data, tmp_path / "out", allow_empty_classes=True)


def test_the_pixels_of_every_class_are_told_when_the_data_is_read(data, tmp_path, capsys):
    run(data, tmp_path / "out", epochs=1)
    told = capsys.readouterr().out
    for part, name in (("train", "training"), ("val", "validation")):
        masks = (data / part / "masks").iterdir()
        pixels = np.concatenate([np.array(Image.open(path)).ravel() for path in masks])
        shares = [100 * np.mean(pixels == value) for value in (*range(CLASSES), IGNORE)]
        names = [*map(str, range(CLASSES)), "ignored"]
        expected = ", ".join(f"{name}: {share:.3g} %" for name, share in zip(names, shares))
        assert f"pixels of the {name} masks by class: {expected}\n" in told


def test_many_empty_classes_are_told_as_ranges(tmp_path):
    assert as_ranges([0, 1, 2, 4, 5, 7]) == "0 to 2, 4, 5, 7"
    pixels = np.zeros(151, np.int64)
    pixels[[3, 8]] = 5
    message = "masks: classes 0 to 2, 4 to 7, 9 to 149 occur nowhere in the training masks"
    with pytest.raises(TrainingError, match=message):
        check_classes(pixels, tmp_path / "masks", "training", 255, allow_empty=False)


@pytest.mark.parametrize("alike", [True, False])
def test_images_turned_without_their_masks_are_told(alike, data, tmp_path, capsys):
    half_turn = Image.Exif()
    half_turn[0x0112] = 3
    for kind in ("images", "masks") if alike else ("images",):
        for stem in ("02", "09"):
            path = data / "train" / kind / f"{stem}.png"
            Image.open(path).save(path, exif=half_turn)
    run(data, tmp_path / "out", epochs=1)
    told = capsys.readouterr().out
    assert ("2 training images have another EXIF orientation than their masks" in told) == (not alike)
    assert "validation images have" not in told


def test_the_command_upwell_train_is_the_module(data, tmp_path):
    with pytest.raises(SystemExit, match="upwell train: .*nowhere: No such file or directory"):
        main(["train", *words(data, tmp_path / "out", images=data / "nowhere")])
