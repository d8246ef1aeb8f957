"""Data sets of images, read from their own formats: bytes (N, C, H, W) and labels (N,).

CIFAR-10 is read from its binary version. The python version is a pickle, and unpickling a file
from elsewhere runs whatever code its author put into it; this library never does that.
"""

import lzma
import os
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from flowmap_edu import _checks as checks

CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
CIFAR10_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
CELEBA_SIZE, CELEBA_CROP, CELEBA_HELD_OUT = (218, 178), 140, 19_962  # height and width, side, pictures
AFHQ_CLASSES = ("cat", "dog", "wild")
SIDE = 64  # of CelebA-64 and AFHQ-64
RECORD = 1 + 3 * 32 * 32  # bytes of one picture in CIFAR-10's binary format

Part = tuple[Tensor, Tensor | None]  # pixels (N, C, H, W) uint8, labels (N,) int64


def read_digits(_: Path | None, train: bool) -> Part:
    """scikit-learn's handwritten digits: a pixel counts the dark ones, 0 .. 16, in a block of 4 x 4."""
    digits = checks.extra("sklearn.datasets", "images").load_digits()
    part = slice(None, 1400) if train else slice(1400, None)
    pixels = torch.from_numpy(digits.images[part].astype(np.uint8))[:, None]  # (N, 1, 8, 8)
    return pixels, torch.from_numpy(digits.target[part].astype(np.int64))


def read_records(path: Path, classes: int = 10) -> tuple[Tensor, Tensor]:
    """A file in CIFAR-10's binary format, as it is or compressed by xz.

    One record an image: a byte of label, then 1,024 bytes each of red, green and blue, row by row.

    Raises:
        ValueError: if the file is missing, damaged, cut short, or has a label that is no class.
    """
    try:
        content = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
    except (OSError, lzma.LZMAError) as error:
        raise ValueError(f"{path} is missing or damaged: {error}") from error
    if not content or len(content) % RECORD:
        raise ValueError(f"{path} holds {len(content)} bytes; a whole number of records of {RECORD} bytes is wanted")
    records = torch.frombuffer(bytearray(content), dtype=torch.uint8).view(-1, RECORD)
    labels = records[:, 0].long()
    if labels.max() >= classes:
        raise ValueError(f"{path} has a label {int(labels.max())}; labels in 0 .. {classes - 1} are wanted")
    return records[:, 1:].reshape(-1, 3, 32, 32), labels


def read_cifar10(folder: Path, train: bool) -> Part:
    """CIFAR-10: five batches to train, one held out."""
    names = [f"data_batch_{k}.bin" for k in range(1, 6)] if train else ["test_batch.bin"]
    pixels, labels = zip(*(read_records(folder / name) for name in names), strict=True)
    return torch.cat(pixels), torch.cat(labels)


def fetch_cifar10(folder: Path) -> None:
    """Download CIFAR-10's binary version, check it, and unpack it to `folder`, whole or not at all."""
    root, archive = folder.parent, folder.parent / CIFAR10_URL.rpartition("/")[2]
    try:
        checks.extra("torchvision.datasets.utils", "images").download_url(CIFAR10_URL, root, md5=CIFAR10_MD5)
    except (OSError, RuntimeError) as error:
        raise ValueError(f"{CIFAR10_URL} did not arrive with the md5 {CIFAR10_MD5}: {error}") from error
    with tempfile.TemporaryDirectory(dir=root) as beside, tarfile.open(archive) as tar:
        whole = Path(beside) / folder.name
        whole.mkdir()
        for member in tar:
            if member.isfile():  # by its last name alone: nothing is written outside `whole`
                (whole / Path(member.name).name).write_bytes(tar.extractfile(member).read())  # type: ignore[union-attr]
        whole.replace(folder)


def read_emoji(folder: Path, train: bool) -> Part:
    """The emoji that come with the library: every 10th is held out, so that all classes are in both parts."""
    pixels, labels = read_records(folder / "pictures.bin.xz")
    held_out = torch.arange(len(labels)) % 10 == 9
    part = ~held_out if train else held_out
    return pixels[part], labels[part]


def images_in(folder: Path) -> list[Path]:
    """The JPEG and PNG files of a folder, by name."""
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))


def image_of(path: Path) -> Tensor:
    """A JPEG or PNG file as uint8 (3, H, W)."""
    pillow = checks.extra("PIL.Image", "images")
    try:
        with pillow.open(path) as image:
            return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    except (OSError, SyntaxError, ValueError) as error:  # Pillow raises each of these for some damage
        raise ValueError(f"{path} is damaged or no image: {error}") from error


def area(pixels: Tensor) -> Tensor:
    """Shrink to 64 x 64: uint8 (3, H, W) -> (3, 64, 64), each the mean of its window, rounded.

    Row i of 64 averages the rows from floor(i H / 64) up to, not including, ceil((i + 1) H / 64);
    windows share a row where 64 does not divide H. Columns likewise.
    """
    return interpolate(pixels[None].float(), size=(SIDE, SIDE), mode="area")[0].round().to(torch.uint8)


def celeba_image(path: Path) -> Tensor:
    """The middle 140 x 140 of an aligned CelebA image, at 64 x 64."""
    pixels = image_of(path)
    if pixels.shape[1:] != CELEBA_SIZE:
        raise ValueError(f"{path} is {pixels.shape[2]} x {pixels.shape[1]}; the aligned images are 178 x 218")
    top, left = ((side - CELEBA_CROP) // 2 for side in CELEBA_SIZE)
    return area(pixels[:, top : top + CELEBA_CROP, left : left + CELEBA_CROP])


def afhq_image(path: Path) -> Tensor:
    """An AFHQ image, which is square (512 x 512), at 64 x 64."""
    pixels = image_of(path)
    if pixels.shape[1] != pixels.shape[2] or pixels.shape[1] < SIDE:
        raise ValueError(f"{path} is {pixels.shape[2]} x {pixels.shape[1]}; a square of at least {SIDE} is wanted")
    return area(pixels)


def mapped(cache: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """A prepared array of that shape, mapped from disk; None if there is none or it is another.

    Mapped copy-on-write ("c"): torch wants memory that may be written to, and the file stays as it is.
    """
    try:
        array = np.load(cache, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array if array.shape == shape and array.dtype == np.uint8 else None


def prepared(files: list[Path], cache: Path, shrink: Callable[[Path], Tensor]) -> Tensor:
    """`shrink` of every file, uint8 (N, 3, 64, 64), mapped from `cache`, which the first call makes.

    A cache made from another number of files is made anew; delete it after exchanging images.
    """
    shape = (len(files), 3, SIDE, SIDE)
    if (array := mapped(cache, shape)) is None:
        part = cache.with_name(f"{cache.name}.{os.getpid()}.part")
        try:
            array = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
            for i, file in enumerate(
                checks.extra("tqdm", "images").tqdm(files, desc=f"preparing {cache.name}", unit=" images")
            ):
                array[i] = shrink(file).numpy()
            array.flush()
            part.replace(cache)
        finally:
            part.unlink(missing_ok=True)
        array = mapped(cache, shape)
    return torch.from_numpy(array)


def read_celeba(folder: Path, train: bool) -> Part:
    """CelebA without labels: its test part is held out, its train and validation parts are to train.

    The parts are what list_eval_partition.txt says. Without that file the last 19,962 images are
    held out, which is the same, since the standard parts follow the images' numbers.
    """
    files, listing = images_in(folder / "img_align_celeba"), folder / "list_eval_partition.txt"
    if listing.is_file():
        words = listing.read_text(encoding="utf-8").split()
        parts = dict(zip(words[::2], words[1::2], strict=False))  # name, then 0 train, 1 validation or 2 test
        if len(words) % 2 or set(parts) != {file.name for file in files} or not set(parts.values()) <= {*"012"}:
            raise ValueError(
                f"{listing} must give each of the {len(files)} images of img_align_celeba its part, 0, 1 or 2; "
                f"it names {len(parts)}"
            )
        chosen = [file for file in files if (parts[file.name] != "2") == train]
    else:
        chosen = files[:-CELEBA_HELD_OUT] if train else files[-CELEBA_HELD_OUT:]
    if not chosen:
        raise ValueError(
            f"none of the {len(files)} images in {folder / 'img_align_celeba'} is in the part "
            f"{'to train' if train else 'held out'}; all 202,599 or a list_eval_partition.txt are wanted"
        )
    return prepared(chosen, folder / f"{'train' if train else 'test'}-{SIDE}.npy", celeba_image), None


def read_afhq(folder: Path, train: bool) -> Part:
    """AFHQ v2, its own train and test parts; the labels are 0 cat, 1 dog, 2 wild."""
    part = folder / ("train" if train else "test")
    found = sorted(path.name for path in part.glob("*") if path.is_dir())
    if found != list(AFHQ_CLASSES):
        raise ValueError(f"{part} must hold the folders {', '.join(AFHQ_CLASSES)}; found {', '.join(found) or 'none'}")
    groups = [images_in(part / name) for name in AFHQ_CLASSES]
    for name, group in zip(AFHQ_CLASSES, groups, strict=True):
        if not group:
            raise ValueError(f"{part / name} holds no JPEG or PNG file")
    files = [file for group in groups for file in group]
    labels = torch.tensor([k for k, group in enumerate(groups) for _ in group])
    return prepared(files, folder / f"{part.name}-{SIDE}.npy", afhq_image), labels
