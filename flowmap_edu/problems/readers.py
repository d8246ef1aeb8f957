"""Data sets of images, read from their own formats: bytes (N, C, H, W) and labels (N,).

CIFAR-10 is read from its binary version. The python version is a pickle, and unpickling a file
from elsewhere runs whatever code its author put into it; this library never does that.
"""

import http.client
import lzma
import os
import tarfile
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from flowmap_edu import _checks as checks
from flowmap_edu.problems.image_files import entries, image_of, images_in
from flowmap_edu.problems.prepared import alone, prepared

CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
CIFAR10_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
CIFAR10_BATCH = 10_000  # images in each of its six files
CELEBA_SIZE, CELEBA_CROP = (218, 178), 140  # height and width, side
AFHQ_CLASSES = ("cat", "dog", "wild")
SIDE = 64  # of CelebA-64 and AFHQ-64
RECORD = 1 + 3 * 32 * 32  # bytes of one image in CIFAR-10's binary format
PARTS = {True: "to train", False: "held out"}

Part = tuple[Tensor, Tensor | None]  # pixels (N, C, H, W) uint8, labels (N,) int64


def part_of(in_order: Tensor, first: int, train: bool, split: int | None) -> Tensor:
    """The indices of the first images, which are to train, or those of the others.

    The order is a random one by the seed `split`, or, if it is None, `in_order`.
    """
    order = in_order
    if split is not None:
        order = torch.randperm(len(in_order), generator=torch.Generator().manual_seed(split))
    return order[:first] if train else order[first:]


def read_digits(train: bool, split: int | None) -> Part:
    """scikit-learn's handwritten digits: a pixel counts the dark ones, 0 .. 16, in a block of 4 x 4.

    1,400 are to train: a random part by the seed `split`, or, if it is None, the first of the file.
    """
    digits = checks.extra("sklearn.datasets", "images").load_digits()
    part = part_of(torch.arange(len(digits.images)), 1400, train, split)
    pixels = torch.from_numpy(digits.images.astype(np.uint8))[:, None]  # (N, 1, 8, 8)
    return pixels[part], torch.from_numpy(digits.target.astype(np.int64))[part]


def read_records(path: Path, count: int | None = None, classes: int = 10) -> tuple[Tensor, Tensor]:
    """A file in CIFAR-10's binary format, as it is or compressed by xz.

    One record an image: a byte of label, then 1,024 bytes each of red, green and blue, row by row.

    Args:
        path: the file.
        count: how many records it must hold; None: any whole number of them.
        classes: how many there are.

    Raises:
        ValueError: if the file is missing, damaged, cut short, of another length, or has a label that is no class.
    """
    try:
        content = lzma.decompress(path.read_bytes()) if path.suffix == ".xz" else path.read_bytes()
    except (OSError, lzma.LZMAError) as error:
        raise ValueError(f"{path} is missing or damaged: {error}") from error
    if not content or len(content) % RECORD or len(content) != RECORD * (count or len(content) // RECORD):
        wanted = f"{count:,} records" if count else "a whole number of records"
        raise ValueError(f"{path} holds {len(content):,} bytes; {wanted} of {RECORD:,} bytes are expected")
    records = torch.frombuffer(bytearray(content), dtype=torch.uint8).view(-1, RECORD)
    labels = records[:, 0].long()
    if labels.max() >= classes:
        raise ValueError(f"{path} has a label {int(labels.max())}; labels in 0 .. {classes - 1} are expected")
    return records[:, 1:].reshape(-1, 3, 32, 32), labels


def read_cifar10(folder: Path, train: bool) -> Part:
    """CIFAR-10: five batches to train, one held out, of 10,000 images each."""
    names = [f"data_batch_{k}.bin" for k in range(1, 6)] if train else ["test_batch.bin"]
    try:
        pixels, labels = zip(*(read_records(folder / name, CIFAR10_BATCH) for name in names), strict=True)
    except ValueError as error:
        raise ValueError(f"{error}. Remove {folder} and call Cifar10().download()") from error
    return torch.cat(pixels), torch.cat(labels)


def fetch_cifar10(folder: Path) -> None:
    """Download CIFAR-10's binary version, check it, and unpack it to `folder`, whole or not at all.

    Of several processes the first does it and the others wait.

    Raises:
        ValueError: if it does not arrive, or not as published, or the disk does not take it.
    """
    root, archive = folder.parent, folder.parent / CIFAR10_URL.rpartition("/")[2]
    download = checks.extra("torchvision.datasets.utils", "images").download_url
    with alone(root / f".{folder.name}.lock"):
        if folder.is_dir():
            return
        try:
            root.mkdir(parents=True, exist_ok=True)
            download(CIFAR10_URL, root, md5=CIFAR10_MD5)
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            raise ValueError(f"{CIFAR10_URL} did not arrive in {root} with the md5 {CIFAR10_MD5}: {error}") from error
        try:
            unpack(archive, folder)
        except (OSError, tarfile.TarError) as error:
            raise ValueError(f"{archive} cannot be unpacked to {folder}: {error}") from error


def unpack(archive: Path, folder: Path) -> None:
    """The files of a tar archive, by their last names alone, into a new folder: nothing is written outside it."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as beside, tarfile.open(archive) as tar:
        whole = Path(beside) / folder.name
        whole.mkdir()
        for member in tar:
            if (content := tar.extractfile(member) if member.isfile() else None) is not None:
                (whole / Path(member.name).name).write_bytes(content.read())
        whole.replace(folder)


def read_emoji(folder: Path, train: bool, split: int | None) -> Part:
    """The emoji that come with the library; one in ten is held out.

    They are a random part by the seed `split`, or, if it is None, every 10th of the file.
    """
    pixels, labels = read_records(folder / "pictures.bin.xz")
    tenth = torch.arange(len(labels)) % 10 == 9
    in_order = torch.cat([(~tenth).nonzero()[:, 0], tenth.nonzero()[:, 0]])
    part = part_of(in_order, int((~tenth).sum()), train, split)
    return pixels[part], labels[part]


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


def parts_of_celeba(listing: Path, files: list[Path]) -> dict[str, str]:
    """What list_eval_partition.txt says: each file's name, and its part, 0 train, 1 validation, 2 test.

    Raises:
        ValueError: unless it gives every file its part, each once, and names no other.
    """
    try:
        words = listing.read_text(encoding="utf-8-sig").split()
    except (OSError, ValueError) as error:
        raise ValueError(f"{listing} is missing or damaged; without it no part can be told: {error}") from error
    names, parts = words[::2], words[1::2]
    wrong = sorted({file.name for file in files} ^ set(names)) + [k for k, n in Counter(names).items() if n > 1]
    if wrong or len(names) != len(parts) or not set(parts) <= {*"012"}:
        hint = f", and {wrong[0]} is too many, missing or there twice" if wrong else ""
        raise ValueError(
            f"{listing} must give each of the {len(files):,} images of img_align_celeba its part, 0, 1 or 2, once; "
            f"it names {len(names):,}{hint}"
        )
    return dict(zip(names, parts, strict=True))


def read_celeba(folder: Path, train: bool) -> Part:
    """CelebA without labels: its test part is held out, its train and validation parts are to train.

    The parts are what list_eval_partition.txt says, which must name each image of img_align_celeba and no other.
    """
    files, listing = images_in(folder / "img_align_celeba"), folder / "list_eval_partition.txt"
    parts = parts_of_celeba(listing, files)
    chosen = [file for file in files if (parts[file.name] != "2") == train]
    if not chosen:
        raise ValueError(f"{listing} puts none of the {len(files):,} images into the part {PARTS[train]}")
    name = f"celeba64-{'train' if train else 'test'}"
    return prepared(chosen, folder, name, celeba_image, (3, SIDE, SIDE)), None


def read_afhq(folder: Path, train: bool) -> Part:
    """AFHQ v2, its own train and test parts; the labels are 0 cat, 1 dog, 2 wild."""
    part = folder / ("train" if train else "test")
    found = [path.name for path in entries(part) if os.path.isdir(path)]
    if found != list(AFHQ_CLASSES):
        raise ValueError(f"{part} must hold the folders {', '.join(AFHQ_CLASSES)}; found {', '.join(found) or 'none'}")
    groups = [images_in(part / name) for name in AFHQ_CLASSES]
    files = [file for group in groups for file in group]
    labels = torch.tensor([k for k, group in enumerate(groups) for _ in group])
    return prepared(files, folder, f"afhq64-{part.name}", afhq_image, (3, SIDE, SIDE)), labels
