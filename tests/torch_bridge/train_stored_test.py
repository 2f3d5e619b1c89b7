"""Samples of pictures as they are in the file, for every depth that PNG has, turned alike in images and masks.

The files are written here, byte by byte, so that nothing of what reads them can hide what it does.
"""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from upwell.train.data import read_image, read_mask
from upwell.train.errors import TrainingError

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6  # PNG's colour types
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
MASK_DEPTHS = [(GREY, bits) for bits in (1, 2, 4, 8, 16)] + [(PALETTE, bits) for bits in (1, 2, 4, 8)]

# EXIF's definition of orientation: where the stored row 0 and column 0 are shown.
SHOWN = {
    1: lambda stored: stored,  # top, left
    2: lambda stored: stored[:, ::-1],  # top, right
    3: lambda stored: stored[::-1, ::-1],  # bottom, right
    4: lambda stored: stored[::-1],  # bottom, left
    5: lambda stored: stored.swapaxes(0, 1),  # left, top
    6: lambda stored: stored.swapaxes(0, 1)[:, ::-1],  # right, top
    7: lambda stored: stored.swapaxes(0, 1)[::-1, ::-1],  # right, bottom
    8: lambda stored: stored.swapaxes(0, 1)[::-1],  # left, bottom
}


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def exif(orientation: int) -> bytes:
    """A big-endian TIFF of one entry: tag, type SHORT, count, value."""
    return b"MM\0*" + struct.pack(">IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def png(samples: np.ndarray, bits: int, colour: int, orientation: int = 1, exif_last: bool = False) -> bytes:
    """samples [H, W] or [H, W, channels] below 2^bits, as PNG stores them."""
    height, width = samples.shape[:2]
    places = np.arange(bits)[::-1]
    rows = (np.packbits(row.reshape(-1, 1) >> places & 1) for row in samples)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    # Colours that have nothing to do with the indices.
    colours = np.random.default_rng(0).integers(0, 256, 3 * 2**bits, np.uint8).tobytes()
    palette = chunk(b"PLTE", colours) if colour == PALETTE else b""
    turn = chunk(b"eXIf", exif(orientation))
    data = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows)))  # 0: no filter
    body = [data, turn] if exif_last else [turn, data]
    return b"\x89PNG\r\n\x1a\n" + b"".join([header, palette, *body, chunk(b"IEND", b"")])


@given(
    depth=st.sampled_from(MASK_DEPTHS),
    size=st.tuples(st.integers(1, 19), st.integers(1, 19)),
    orientation=st.integers(0, 9),
    exif_last=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=300)
def test_a_mask_is_the_samples_of_its_file_turned_as_its_exif_says(
    tmp_path_factory, depth, size, orientation, exif_last, seed
):
    colour, bits = depth
    samples = np.random.default_rng(seed).integers(0, 2**bits, size)
    path = tmp_path_factory.getbasetemp() / "mask.png"
    path.write_bytes(png(samples, bits, colour, orientation, exif_last))
    mask = read_mask(path)
    assert mask.dtype == np.int64
    np.testing.assert_array_equal(mask, SHOWN.get(orientation, SHOWN[1])(samples))


@pytest.mark.parametrize("orientation", SHOWN)
def test_image_and_mask_of_one_orientation_lie_over_each_other(orientation, tmp_path):
    samples = np.random.default_rng(0).integers(0, 200, (5, 8))
    colours = np.stack([samples, samples + 1, samples + 2], 2)
    (tmp_path / "image.png").write_bytes(png(colours, 8, RGB, orientation))
    (tmp_path / "mask.png").write_bytes(png(samples, 8, GREY, orientation))
    image = read_image(tmp_path / "image.png")
    np.testing.assert_array_equal(image, SHOWN[orientation](colours))
    np.testing.assert_array_equal(image[..., 0], read_mask(tmp_path / "mask.png"))


@pytest.mark.parametrize("orientation", SHOWN)
def test_a_tiff_is_turned_once(orientation, tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (5, 8, 3), np.uint8)
    tag = (0x0112, "H", 1, orientation, True)
    tifffile.imwrite(tmp_path / "image.tif", colours, photometric="rgb", extratags=[tag])
    np.testing.assert_array_equal(read_image(tmp_path / "image.tif"), SHOWN[orientation](colours))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_in_an_image_of_few_bits_the_largest_sample_is_white(bits, tmp_path):
    samples = np.arange(2**bits).reshape(1, -1)
    (tmp_path / "image.png").write_bytes(png(samples, bits, GREY))
    expected = np.round(samples * 255 / (2**bits - 1))
    np.testing.assert_array_equal(read_image(tmp_path / "image.png"), np.stack([expected] * 3, 2))


@pytest.mark.parametrize("colour", [GREY, RGB, GREY_ALPHA, RGBA])
def test_an_image_of_16_bits_is_refused_in_every_colour_type_of_png(colour, tmp_path):
    shape = (4, 5, CHANNELS[colour])
    (tmp_path / "image.png").write_bytes(png(np.full(shape, 4095), 16, colour))
    with pytest.raises(TrainingError, match="image.png: should have 8 bits per channel but has 16"):
        read_image(tmp_path / "image.png")
    (tmp_path / "image.png").write_bytes(png(np.full(shape, 15), 8, colour))
    assert (read_image(tmp_path / "image.png") == 15).all()


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("sample", [np.uint8, np.uint16, np.float32])
def test_a_tiff_is_read_with_8_bits_and_refused_with_more(sample, channels, compression, tmp_path):
    pixels = np.full((4, 5, channels), 15, sample)
    photometric = "rgb" if channels > 2 else "minisblack"
    extra = ["unassalpha"] if channels == 4 else []
    kind = {"photometric": photometric, "extrasamples": extra, "compression": compression}
    tifffile.imwrite(tmp_path / "image.tif", pixels.squeeze(), **kind)
    if sample is np.uint8:
        assert (read_image(tmp_path / "image.tif") == 15).all()
        return
    refused = f"image.tif: (should have 8 bits per channel but has {8 * sample().nbytes}|cannot be read)"
    with pytest.raises(TrainingError, match=refused):
        read_image(tmp_path / "image.tif")


@pytest.mark.parametrize("magic", ["P2", "P3", "P5", "P6"])
@pytest.mark.parametrize("white", [1, 255, 256, 4095, 65535])
def test_a_ppm_is_read_with_8_bits_and_refused_with_more(magic, white, tmp_path):
    samples = np.full(3 if magic in ("P3", "P6") else 1, white)
    plain = " ".join(map(str, samples)).encode()
    raw = samples.astype("u1" if white < 256 else ">u2").tobytes()
    (tmp_path / "image.ppm").write_bytes(
        f"{magic} 1 1 {white}\n".encode() + (plain if magic < "P4" else raw)
    )
    if white < 256:
        assert (read_image(tmp_path / "image.ppm") == 255).all()
        return
    with pytest.raises(TrainingError, match="image.ppm: should have 8 bits per channel but has"):
        read_image(tmp_path / "image.ppm")


@pytest.mark.parametrize("content", ["JPEG", "WEBP", "TIFF", "BMP", "GIF", "PPM"])
def test_a_mask_whose_content_is_no_png_is_refused_and_an_image_is_read_by_its_content(content, tmp_path):
    grey = Image.fromarray(np.full((8, 8), 100, np.uint8))
    grey.save(tmp_path / "picture.png", content)
    with pytest.raises(TrainingError, match=f"picture.png: should hold PNG but holds {content}"):
        read_mask(tmp_path / "picture.png")
    if content == "GIF":
        with pytest.raises(TrainingError, match="picture.png: should hold BMP or .* but holds GIF"):
            read_image(tmp_path / "picture.png")
    else:
        assert np.abs(read_image(tmp_path / "picture.png").astype(int) - 100).max() <= 2


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("damage", [b"", b"II*\0", b"MM\0*\xff\xff\xff\xff", b"nonsense"])
def test_a_damaged_exif_is_no_traceback(damage, tmp_path):
    with io.BytesIO() as file:
        Image.new("RGB", (3, 2)).save(file, "JPEG", exif=b"Exif\0\0" + damage)
        (tmp_path / "image.jpg").write_bytes(file.getvalue())
    try:
        assert read_image(tmp_path / "image.jpg").shape == (2, 3, 3)
    except TrainingError as error:
        assert "image.jpg: cannot be read" in str(error)
