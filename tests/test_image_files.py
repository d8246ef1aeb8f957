"""Image files: which of a folder's are read, and what their pixels are, for every kind of PNG and JPEG."""

import errno
import io
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from flowmap_edu.problems.image_files import OTHERS, entries, image_of, images_in

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)  # (H, W, 3)


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(pixels: np.ndarray, colour: int, extra: bytes = b"", side: int | None = None) -> bytes:
    """A PNG file, byte by byte as its standard describes it; `side` claims another width and height."""
    deep = pixels.dtype.itemsize
    height, width = (side, side) if side else pixels.shape[:2]
    head = struct.pack(">IIBBBBB", width, height, 8 * deep, colour, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(f">u{deep}").tobytes() for row in pixels)
    body = chunk(b"IHDR", head) + extra + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    """A file's content as Pillow writes it."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


JPEG = encoded(Image.fromarray(RGB), "JPEG", quality=95)


def read(path: Path, content: bytes) -> np.ndarray:
    """What the reader makes of such a file, (H, W, 3)."""
    path.write_bytes(content)
    found = image_of(path)
    assert found.dtype == torch.uint8
    return found.permute(1, 2, 0).numpy()


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "x.png"


# --- pixels ----------------------------------------------------------------------------------------


def test_of_16_bits_the_upper_8_are_kept(path):
    """Grey, colours, with alpha or without: 0 is 0, 65535 is 255, and between v // 256; nothing is cut off."""
    ramp = np.array([[0, 255, 256, 257, 1000], [32767, 32768, 65279, 65280, 65535]])
    wanted = ramp // 256
    deep = ramp.astype(np.uint16)
    opaque = np.full_like(deep, 65535)
    for colour, planes in ((0, [deep]), (2, [deep] * 3), (4, [deep, opaque]), (6, [deep, deep, deep, opaque])):
        pixels = planes[0] if colour == 0 else np.stack(planes, axis=-1)
        assert np.array_equal(read(path, png(pixels, colour)), np.stack([wanted] * 3, axis=-1)), colour
    with pytest.raises(ValueError, match=r"x\.png is damaged or no image.*16-bit colours is transparent"):
        read(path, png(deep, 0, chunk(b"tRNS", struct.pack(">H", 257))))


def test_transparent_parts_lie_on_white(path):
    """Seen colour = (alpha colour + (255 - alpha) 255) / 255, rounded; for RGBA, grey with alpha, and tables."""
    alpha = RNG.integers(0, 256, (6, 9, 1), dtype=np.uint8)
    alpha[0], alpha[1] = 0, 255

    def seen(colour, alpha):
        return np.rint((alpha.astype(float) * colour + (255.0 - alpha) * 255) / 255)

    grey = RGB[..., :1]
    assert np.array_equal(read(path, png(np.concatenate([RGB, alpha], 2), 6)), seen(RGB, alpha))
    found = read(path, png(np.concatenate([grey, alpha], 2), 4))
    assert np.array_equal(found, np.repeat(seen(grey, alpha), 3, 2))

    table, index = RNG.integers(0, 256, (4, 3), dtype=np.uint8), RNG.integers(0, 4, (6, 9), dtype=np.uint8)
    palette, clear = chunk(b"PLTE", table.tobytes()), np.array([0, 77, 255, 255], dtype=np.uint8)
    assert np.array_equal(read(path, png(index, 3, palette)), table[index])
    found = read(path, png(index, 3, palette + chunk(b"tRNS", clear.tobytes())))
    assert np.array_equal(found, seen(table[index], clear[index][..., None]))

    one = chunk(b"tRNS", struct.pack(">HHH", *RGB[2, 3].tolist()))  # a single colour that is not seen
    clear = (RGB[2, 3] == RGB).all(-1)
    assert np.array_equal(read(path, png(RGB, 2, one)), np.where(clear[..., None], 255, RGB))


def test_the_content_says_the_format_and_the_ending_does_not(tmp_path):
    """A JPEG named .png and a PNG named .JPG are read as what they are; CMYK and grey become RGB."""
    assert np.array_equal(read(tmp_path / "0.JPG", png(RGB, 2)), RGB)
    wanted = np.asarray(Image.open(io.BytesIO(JPEG)))
    assert np.array_equal(read(tmp_path / "1.png", JPEG), wanted)
    grey = encoded(Image.fromarray(RGB[..., 0]), "JPEG", quality=100)
    found = read(tmp_path / "2.jpeg", grey).astype(int)
    assert np.array_equal(found, np.repeat(np.asarray(Image.open(io.BytesIO(grey)))[..., None], 3, 2))
    flat = np.full((16, 16, 4), (0, 255, 255, 0), dtype=np.uint8)  # no cyan, all magenta and yellow: red
    red = read(tmp_path / "3.jpg", encoded(Image.fromarray(flat, "CMYK"), "JPEG", quality=100))
    assert np.abs(red.astype(int) - [255, 0, 0]).max() <= 3


def test_an_image_is_turned_as_its_exif_says(path):
    """All eight orientations of a PNG give the upright image back."""
    upright = torch.from_numpy(RGB)
    stored = {
        1: upright, 2: upright.flip(1), 3: upright.rot90(2), 4: upright.flip(0), 5: upright.transpose(0, 1),
        6: upright.rot90(1), 7: upright.rot90(2).transpose(0, 1), 8: upright.rot90(-1),
    }  # fmt: skip
    for orientation, pixels in stored.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        content = encoded(Image.fromarray(pixels.contiguous().numpy()), "PNG", exif=exif)
        assert np.array_equal(read(path, content), RGB), orientation


def test_of_several_images_in_a_file_the_first_is_read(path):
    """An animated PNG, and a JPEG that holds two photographs."""
    first, second = Image.fromarray(RGB), Image.fromarray(255 - RGB)
    assert np.array_equal(read(path, encoded(first, "PNG", save_all=True, append_images=[second])), RGB)
    found = read(path, encoded(first, "MPO", save_all=True, append_images=[second], quality=95))
    assert np.array_equal(found, np.asarray(Image.open(io.BytesIO(JPEG))))


# --- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["EPS", "GIF", "BMP", "TIFF", "WEBP", "PPM", "PDF"])
def test_other_formats_are_refused_whatever_their_name(path, monkeypatch, kind):
    """None of Pillow's other readers is even asked: an EPS named x.png starts no Ghostscript."""
    started = []
    monkeypatch.setattr("subprocess.Popen", lambda *words, **_: started.append(words))
    monkeypatch.setattr("subprocess.check_call", lambda *words, **_: started.append(words))
    content = encoded(Image.fromarray(RGB), kind)
    with pytest.raises(ValueError, match=r"x\.png is no image; PNG or JPEG is expected, and its content is neither"):
        read(path, content)
    assert not started


@pytest.mark.parametrize("content", [png(RGB, 2), JPEG], ids=["png", "jpeg"])
def test_a_truncated_file_is_refused_at_every_length(path, content):
    """Cut anywhere before its last pixel: an error that names the file. No cut gives other pixels in silence."""
    whole = read(path, content)
    refused = 0
    for length in range(0, len(content), 3):
        try:
            assert np.array_equal(read(path, content[:length]), whole)
        except ValueError as error:
            assert str(error).startswith(f"{path} is ")  # noqa: PT017
            refused += 1
    assert refused >= len(range(0, len(content) - 20, 3))


def test_a_changed_png_never_gives_other_pixels(path):
    """A flipped bit anywhere: the same pixels, or an error that names the file."""
    content = png(RGB, 2, chunk(b"gAMA", struct.pack(">I", 45455)))
    for k in RNG.integers(0, 8 * len(content), 300):
        changed = bytearray(content)
        changed[k // 8] ^= 1 << k % 8
        try:
            assert np.array_equal(read(path, bytes(changed)), RGB)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017


def test_a_decompression_bomb_is_refused_before_it_is_unpacked(path):
    """A small file that claims 10,000 or 60,000 pixels a side, and one whose text unpacks to 100 MB."""
    for side in (10_000, 60_000):
        with pytest.raises(ValueError, match=r"x\.png is damaged or no image.*exceeds limit .* decompression bomb"):
            read(path, png(RGB, 2, side=side))
    text = chunk(b"zTXt", b"comment\0\0" + zlib.compress(bytes(100_000_000), 1))
    with pytest.raises(ValueError, match=r"x\.png is damaged or no image"):
        read(path, png(RGB, 2, text))


def refused(path: Path, *_, **__):
    """What a file without permission says to everybody but root."""
    raise PermissionError(errno.EACCES, "Permission denied", str(path))


def test_what_is_no_file_or_cannot_be_read_is_named(tmp_path, monkeypatch):
    """A folder, a missing file, a broken link, a link to itself, a pipe, no permission, no bytes."""
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "broken.png").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    names = ["folder", "missing", "broken", "loop"]
    if hasattr(os, "mkfifo"):  # not on Windows
        os.mkfifo(tmp_path / "pipe.png")
        names.append("pipe")
    for name in names:
        with pytest.raises(ValueError, match=rf"{name}\.png is damaged or no image; .* missing, or no file"):
            image_of(tmp_path / f"{name}.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(
        ValueError, match=r"empty\.png is no image; PNG or JPEG is expected, and its content is neither"
    ):
        image_of(tmp_path / "empty.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "x.png")
    assert np.array_equal(read(tmp_path / "x.png", png(RGB, 2)), RGB)
    assert torch.equal(image_of(tmp_path / "link.png"), image_of(tmp_path / "x.png"))
    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(ValueError, match=r"x\.png is damaged or no image; .*Permission denied"):
        image_of(tmp_path / "x.png")


# --- which files of a folder -----------------------------------------------------------------------


def test_a_folder_s_images_are_its_png_and_jpeg_files_by_name(tmp_path):
    """Endings in any case; no name that begins with a point or two underscores; nothing that is no image by name."""
    read_ones = ["0.png", "1.PNG", "10.jpg", "2.JPG", "3.jpeg", "4.Jpeg", "_5.png", "a b.png", "z\u00fc.png"]
    left_out = ["._0.png", ".hidden.png", "__init__.png", ".DS_Store", "Thumbs.db", "README.txt", "png", "labels.csv"]
    for name in read_ones + left_out:
        (tmp_path / name).touch()
    for name in (".ipynb_checkpoints", "__MACOSX", "more"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "9.png").touch()
    assert [path.name for path in images_in(tmp_path)] == read_ones
    assert {path.name for path in entries(tmp_path)} == {*read_ones, *left_out[4:], "more"}


def test_a_link_to_the_folder_itself_does_no_harm(tmp_path):
    """Folders are not entered."""
    (tmp_path / "0.png").touch()
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    assert [path.name for path in images_in(tmp_path)] == ["0.png"]


def test_folders_that_cannot_be_read_right_are_refused(tmp_path, monkeypatch):
    """Other formats, one name with two endings, no image, no folder, no permission: each names what it found."""
    with pytest.raises(ValueError, match=r"holds no JPEG or PNG file"):
        images_in(tmp_path)
    (tmp_path / "0.png").touch()
    for ending in OTHERS:
        other = tmp_path / f"1{ending.upper()}"
        other.touch()
        with pytest.raises(ValueError, match=rf"1\{ending.upper()} has the ending .*; PNG and JPEG files are expected"):
            images_in(tmp_path)
        other.unlink()
    for twin in ("0.jpg", "0.PNG"):
        (tmp_path / twin).touch()
        with pytest.raises(
            ValueError, match=rf"holds (0\.png|{twin}) and (0\.png|{twin}); one file a name is expected"
        ):
            images_in(tmp_path)
        (tmp_path / twin).unlink()
    for wrong in (tmp_path / "nowhere", tmp_path / "0.png"):
        with pytest.raises(ValueError, match=rf"{wrong} cannot be listed; a folder is expected"):
            images_in(wrong)
    monkeypatch.setattr(Path, "iterdir", refused)
    with pytest.raises(ValueError, match=r"cannot be listed; a folder is expected: .*Permission denied"):
        images_in(tmp_path)


def test_no_warning_and_no_setting_of_pillow_is_left_behind(path):
    """Reading changes neither the filters of warnings nor what Pillow accepts elsewhere."""
    before = list(warnings.filters), Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    read(path, png(RGB, 2))
    assert (list(warnings.filters), Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES) == before
