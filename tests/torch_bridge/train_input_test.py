"""Bad images, masks and folders: named before training begins, with nothing written."""

import shutil

import numpy as np
import pytest
from PIL import Image

from train_shapes import run, write_data
from upwell.train.data import find_pairs, read_image, read_mask
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
    "wide image": ("images", lambda p: Image.fromarray(np.zeros((9, 9), np.uint16)).save(p), "8 bits.*I;16"),
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
    shutil.copy(images / "00.png", images / "00.bmp")
    with pytest.raises(TrainingError, match="00.png and 00.bmp share one stem"):
        find_pairs(images, masks)


@pytest.mark.parametrize("mode", ["L", "P", "1", "I;16"])
def test_masks_of_every_one_channel_mode_are_read_as_indices(mode, tmp_path):
    indices = np.array([[0, 1, 1], [1, 0, 0]], np.uint8)
    mask = Image.fromarray(
        indices.astype(np.uint16) if mode == "I;16" else indices * (255 if mode == "1" else 1)
    )
    if mode == "P":
        mask.putpalette([200, 10, 10, 10, 200, 10])
    (mask.convert("1") if mode == "1" else mask).save(tmp_path / "mask.png")
    assert Image.open(tmp_path / "mask.png").mode == mode
    assert read_mask(tmp_path / "mask.png").tolist() == indices.tolist()


def test_grey_and_transparent_images_are_read_as_rgb(tmp_path):
    for mode in ("L", "LA", "RGBA", "P"):
        Image.new(mode, (5, 4)).save(tmp_path / "image.png")
        assert read_image(tmp_path / "image.png").shape == (4, 5, 3)
