"""Image files of a folder: which of them are read, and what their pixels are.

    names that begin with "." or "__"    left out (.ipynb_checkpoints, ._0.png, __MACOSX), folders too
    .png .jpg .jpeg, in any case         read; the content says whether it is PNG or JPEG, the ending does not matter
    other formats (.webp, .gif, ...)     refused: convert them or take them out
    every other name                     left out (README.txt, Thumbs.db)

    a folder, a broken link, a damaged or truncated file named like an image    refused
    two names that differ in their ending alone (0.jpg, 0.PNG)                  refused
    more pixels than Pillow's limit (89 million): a decompression bomb          refused
    the same image under two names                                              two images

Pillow opens dozens of formats, and some of them start other programs (Ghostscript for EPS): it is asked for PNG and
JPEG alone. Grey, palette and CMYK become RGB without their colour profile. Transparent parts lie on white. Of 16 bits
a channel the upper 8 are kept. An image is turned as its EXIF orientation says. Of several images in one file the
first is read.
"""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from flowmap_edu import _checks as checks

FORMATS = ("PNG", "JPEG")  # Pillow's names
ENDINGS = (".png", ".jpg", ".jpeg")
OTHERS = (".avif", ".bmp", ".eps", ".gif", ".heic", ".jfif", ".jp2", ".jpe", ".ppm", ".tga", ".tif", ".tiff", ".webp")
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def entries(folder: Path) -> list[Path]:
    """What lies in a folder, by name, without names that begin with "." or "__".

    Raises:
        ValueError: if the folder cannot be listed.
    """
    try:
        found = [path for path in folder.iterdir() if not path.name.startswith((".", "__"))]
    except OSError as error:
        raise ValueError(f"{folder} cannot be listed; a folder is expected: {error}") from error
    return sorted(found, key=lambda path: path.name)  # paths themselves sort differently on Windows


def images_in(folder: Path) -> list[Path]:
    """The PNG and JPEG files of a folder, by name; at least one.

    Raises:
        ValueError: if there is none, one has another format's ending, or two differ in their ending alone.
    """
    there = entries(folder)
    for path in there:
        if path.suffix.lower() in OTHERS:
            raise ValueError(f"{path} has the ending {path.suffix}; PNG and JPEG files are expected: convert it")
    found = [path for path in there if path.suffix.lower() in ENDINGS]
    if not found:
        raise ValueError(f"{folder} holds no JPEG or PNG file")
    stems: dict[str, Path] = {}
    for path in found:
        if (twin := stems.setdefault(path.stem.lower(), path)) is not path:
            raise ValueError(f"{folder} holds {twin.name} and {path.name}; one file a name is expected: take one out")
    return found


def image_of(path: Path) -> Tensor:
    """A PNG or JPEG file as uint8 (3, H, W).

    Raises:
        ValueError: if it is no file, cannot be read, is damaged, too large, or of another format.
    """
    pillow, operations = (checks.extra(f"PIL.{name}", "images") for name in ("Image", "ImageOps"))
    try:
        if not path.is_file():
            raise OSError("it is missing, or no file")
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            head = file.read(25)
            deep = head.startswith(SIGNATURE) and head[24:] == b"\x10"  # bits a channel
            with pillow.open(file, formats=FORMATS) as image:
                pixels = rgb(operations.exif_transpose(image), deep)
    except pillow.UnidentifiedImageError as error:
        raise ValueError(f"{path} is no image; PNG or JPEG is expected, and its content is neither") from error
    except Exception as error:  # Pillow raises a dozen kinds, as the damage may be
        raise ValueError(f"{path} is damaged or no image; PNG or JPEG is expected: {error}") from error
    return torch.from_numpy(pixels).permute(2, 0, 1)


def rgb(image: Any, deep: bool) -> np.ndarray:
    """An image of Pillow as uint8 (H, W, 3), transparent parts on white; `deep`: of 16 bits a channel."""
    transparent = "transparency" in image.info  # one colour, or a table's entries
    if deep and transparent:
        raise ValueError("one of its 16-bit colours is transparent, which is not read; save it with 8 bits")
    if image.mode.startswith("I"):  # 16-bit grey; Pillow itself keeps the upper 8 bits of the other modes
        grey = (np.asarray(image) >> 8).astype(np.uint8)
        return np.stack([grey, grey, grey], axis=-1)
    if not (transparent or image.mode in ("LA", "PA", "RGBA")):
        return np.array(image.convert("RGB"))
    pixels = np.asarray(image.convert("RGBA")).astype(np.uint16)
    colour, alpha = pixels[..., :3], pixels[..., 3:]
    return ((alpha * colour + (255 - alpha) * 255 + 127) // 255).astype(np.uint8)  # rounded; at most 65,152
