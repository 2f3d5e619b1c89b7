"""One picture file: what it says of itself, and its pixels turned as its EXIF says."""

from pathlib import Path
from typing import NamedTuple

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from upwell.train.errors import TrainingError

PNG_BITS = 24  # where a PNG has its bits per sample: signature, then the chunk IHDR with width and height before them
TIFF_BITS = 258  # the tag BitsPerSample, a number for each channel
TURNED = range(2, 9)  # EXIF orientations; with others, 1 among them, a file holds a picture as it is shown


class Stored(NamedTuple):
    image: Image.Image  # the way viewers and drawing tools show it
    bits: int  # of a sample in the file: Pillow scales 1, 2 and 4 of them to 8, and cuts many a 16 to the high 8
    orientation: int  # that its EXIF names; 1 unless the picture was turned


def load(path: Path, formats: tuple[str, ...], mode: str | None = None) -> Stored:
    """A file of one of Pillow's formats, whatever its name ends with; converted to a mode, if any."""
    try:
        with open(path, "rb") as file:
            header = file.read(PNG_BITS + 1)
            with Image.open(file) as image:
                if image.format in formats:
                    return _decode(image, header, mode)
                found = image.format
    except UnidentifiedImageError:
        raise TrainingError(f"{path}: cannot be read: holds nothing that is known as a picture")
    except Exception as error:  # the decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        raise TrainingError(f"{path}: cannot be read: {error}")
    raise TrainingError(f"{path}: should hold {' or '.join(formats)} but holds {found}")


def _decode(image: Image.Image, header: bytes, mode: str | None) -> Stored:
    bits = _bits(image, header)
    orientation = image.getexif().get(ExifTags.Base.Orientation)  # first: of a TIFF, decoding turns and forgets
    image.load()
    turned = orientation in TURNED
    if turned:
        image = ImageOps.exif_transpose(image)
    converted = image if mode in (None, image.mode) else image.convert(mode)
    return Stored(converted, bits, orientation if turned else 1)


def _bits(image: Image.Image, header: bytes) -> int:
    """Bits of a sample in the file; of the other formats, Pillow reads those with 8 alone."""
    if image.format == "PNG":
        return header[PNG_BITS]
    if image.format == "TIFF":
        return max(image.tag_v2.get(TIFF_BITS, (1,)))
    if image.format == "PPM":
        return _ppm_bits(image)
    return 8


def _ppm_bits(image: Image.Image) -> int:
    """By the value that stands for white, which the decoder is told unless it is the usual one."""
    if image.mode in ("F", "I"):
        return 32 if image.mode == "F" else 16
    told = image.tile[0].args
    return told[1].bit_length() if isinstance(told, tuple) else 8
