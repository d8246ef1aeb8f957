r"""Five sets of pictures, read from their own formats into one: bytes on disk, values in [-1, 1] for the user.

| name       | picture     | classes | to train                | held out         | how it comes             |
| ---------- | ----------- | ------- | ----------------------- | ---------------- | ------------------------ |
| `digits`   | 1 x 8 x 8   | 10      | the first 1,400         | the other 397    | with scikit-learn        |
| `emoji`    | 3 x 32 x 32 | 10      | all but every 10th      | every 10th       | with this library        |
| `cifar10`  | 3 x 32 x 32 | 10      | data_batch_1 to 5       | test_batch       | load(..., download=True) |
| `celeba64` | 3 x 64 x 64 | none    | train and validation    | test             | by hand: its licence     |
| `afhq64`   | 3 x 64 x 64 | 3       | train                   | test             | by hand: its licence     |

They lie below one root: the argument `root`, or the environment variable FLOWMAP_EDU_DATA, or
~/.cache/flowmap_edu. Licences and checksums stand in data/README.md.

CIFAR-10 is read from its binary version. The python version is a pickle, and unpickling a file
from elsewhere runs whatever code its author put into it; this library never does that.
"""

import importlib
import lzma
import os
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate
from tqdm import tqdm

from flowmap_edu import _checks as checks

CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
CIFAR10_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
CELEBA_SIZE, CELEBA_CROP, CELEBA_HELD_OUT = (218, 178), 140, 19_962  # height and width, side, pictures
AFHQ_CLASSES = ("cat", "dog", "wild")
SIDE = 64  # of CelebA-64 and AFHQ-64
RECORD = 1 + 3 * 32 * 32  # bytes of one picture in CIFAR-10's binary format

Part = tuple[Tensor, Tensor | None]  # pixels (N, C, H, W) uint8, labels (N,) int64


@dataclass(frozen=True, eq=False)
class Images:
    """Pictures as bytes, and their classes; `values` and `draw` turn them into numbers in [-1, 1].

    Args:
        name: the data set's.
        pixels: uint8, shape (N, C, H, W).
        labels: int64, shape (N,), in 0 .. classes - 1; None where there are no classes.
        classes: how many there are, 0 without labels.
        levels: the pixel value that means +1; 0 means -1.
        flips: whether `draw` mirrors pictures left to right at random.

    Raises:
        ValueError: if the pixels or labels have another shape or type.
    """

    name: str
    pixels: Tensor
    labels: Tensor | None
    classes: int
    levels: int = 255
    flips: bool = False

    def __post_init__(self):
        if self.pixels.ndim != 4 or self.pixels.dtype != torch.uint8 or len(self.pixels) == 0:
            came = f"{tuple(self.pixels.shape)} {self.pixels.dtype}"
            raise ValueError(f"pixels must be uint8 of shape (N, C, H, W) with N >= 1, got {came}")
        if (self.labels is None) != (self.classes == 0):
            raise ValueError(f"labels go with classes, got {self.classes} classes and labels {self.labels}")
        if self.labels is not None and (self.labels.shape, self.labels.dtype) != ((len(self),), torch.int64):
            came = f"{tuple(self.labels.shape)} {self.labels.dtype}"
            raise ValueError(f"labels must be int64 of shape ({len(self)},), one a picture; got {came}")

    def __len__(self) -> int:
        return self.pixels.shape[0]

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of one picture."""
        channels, height, width = self.pixels.shape[1:]
        return channels, height, width

    def values(self, index: Tensor | slice | None = None) -> Tensor:
        """The pictures at `index`, all without one: 2 pixel / levels - 1, float32 in [-1, 1], (n, C, H, W)."""
        pixels = self.pixels if index is None else self.pixels[index]
        return 2 * (pixels.float() / self.levels) - 1

    def draw(self, n: int, generator: torch.Generator | None = None) -> Part:
        """n pictures with replacement, each mirrored with probability 1/2 if `flips`.

        Returns:
            their values, float32 in [-1, 1], shape (n, C, H, W); their labels, shape (n,), or None.

        Raises:
            ValueError: if n is not a whole number of at least 1.
        """
        checks.count("n", n)
        index = torch.randint(len(self), (n,), generator=generator)
        x1 = self.values(index)
        if self.flips:
            mirrored = torch.rand(n, generator=generator) < 0.5
            x1 = torch.where(mirrored[:, None, None, None], x1.flip(-1), x1)
        return x1, None if self.labels is None else self.labels[index]


def as_bytes(x: Tensor) -> Tensor:
    """Pictures in [-1, 1] as the nearest of 256 levels, uint8 of the same shape; what is outside is cut off.

    Raises:
        ValueError: if x holds a nan or an infinity.
    """
    checks.finite("the pictures", x)
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)


def from_bytes(pixels: Tensor) -> Tensor:
    """2 pixel / 255 - 1, float32: `as_bytes` undone."""
    return 2 * (pixels.float() / 255) - 1


def extra(module: str) -> Any:
    """A module of the optional extra `images`, imported only when it is needed."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{module} is needed here: pip install 'flowmap-edu[images]'") from error


def read_digits(_: None, train: bool) -> Part:
    """scikit-learn's handwritten digits: a pixel counts the dark ones, 0 .. 16, in a block of 4 x 4."""
    digits = extra("sklearn.datasets").load_digits()
    part = slice(None, 1400) if train else slice(1400, None)
    pixels = torch.from_numpy(digits.images[part].astype(np.uint8))[:, None]  # (N, 1, 8, 8)
    return pixels, torch.from_numpy(digits.target[part].astype(np.int64))


def read_records(path: Path, classes: int = 10) -> tuple[Tensor, Tensor]:
    """A file in CIFAR-10's binary format, as it is or compressed by xz.

    One record a picture: a byte of label, then 1,024 bytes each of red, green and blue, row by row.

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
        extra("torchvision.datasets.utils").download_url(CIFAR10_URL, root, md5=CIFAR10_MD5)
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


def pictures_in(folder: Path) -> list[Path]:
    """The JPEG and PNG files of a folder, by name."""
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))


def picture(path: Path) -> Tensor:
    """A JPEG or PNG file as uint8 (3, H, W)."""
    try:
        with Image.open(path) as image:
            return torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
    except (OSError, SyntaxError, ValueError) as error:  # Pillow raises each of these for some damage
        raise ValueError(f"{path} is damaged or no picture: {error}") from error


def area(pixels: Tensor) -> Tensor:
    """Shrink to 64 x 64: uint8 (3, H, W) -> (3, 64, 64), each the mean of its window, rounded.

    Row i of 64 averages the rows from floor(i H / 64) up to, not including, ceil((i + 1) H / 64);
    windows share a row where 64 does not divide H. Columns likewise.
    """
    return interpolate(pixels[None].float(), size=(SIDE, SIDE), mode="area")[0].round().to(torch.uint8)


def celeba_picture(path: Path) -> Tensor:
    """The middle 140 x 140 of an aligned CelebA picture, at 64 x 64."""
    pixels = picture(path)
    if pixels.shape[1:] != CELEBA_SIZE:
        raise ValueError(f"{path} is {pixels.shape[2]} x {pixels.shape[1]}; the aligned pictures are 178 x 218")
    top, left = ((side - CELEBA_CROP) // 2 for side in CELEBA_SIZE)
    return area(pixels[:, top : top + CELEBA_CROP, left : left + CELEBA_CROP])


def afhq_picture(path: Path) -> Tensor:
    """An AFHQ picture, which is square (512 x 512), at 64 x 64."""
    pixels = picture(path)
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

    A cache made from another number of files is made anew; delete it after exchanging pictures.
    """
    shape = (len(files), 3, SIDE, SIDE)
    if (array := mapped(cache, shape)) is None:
        part = cache.with_name(f"{cache.name}.{os.getpid()}.part")
        try:
            array = np.lib.format.open_memmap(part, mode="w+", dtype=np.uint8, shape=shape)
            for i, file in enumerate(tqdm(files, desc=f"preparing {cache.name}", unit=" pictures")):
                array[i] = shrink(file).numpy()
            array.flush()
            part.replace(cache)
        finally:
            part.unlink(missing_ok=True)
        array = mapped(cache, shape)
    return torch.from_numpy(array)


def read_celeba(folder: Path, train: bool) -> Part:
    """CelebA without labels: its test part is held out, its train and validation parts are to train.

    The parts are what list_eval_partition.txt says. Without that file the last 19,962 pictures are
    held out, which is the same, since the standard parts follow the pictures' numbers.
    """
    files, listing = pictures_in(folder / "img_align_celeba"), folder / "list_eval_partition.txt"
    if listing.is_file():
        words = listing.read_text().split()
        parts = dict(zip(words[::2], words[1::2], strict=False))  # name, then 0 train, 1 validation or 2 test
        if len(words) % 2 or set(parts) != {file.name for file in files} or not set(parts.values()) <= {*"012"}:
            raise ValueError(
                f"{listing} must give each of the {len(files)} pictures of img_align_celeba its part, 0, 1 or 2; "
                f"it names {len(parts)}"
            )
        chosen = [file for file in files if (parts[file.name] != "2") == train]
    else:
        chosen = files[:-CELEBA_HELD_OUT] if train else files[-CELEBA_HELD_OUT:]
    if not chosen:
        raise ValueError(
            f"none of the {len(files)} pictures in {folder / 'img_align_celeba'} is in the part "
            f"{'to train' if train else 'held out'}; all 202,599 or a list_eval_partition.txt are wanted"
        )
    return prepared(chosen, folder / f"{'train' if train else 'test'}-{SIDE}.npy", celeba_picture), None


def read_afhq(folder: Path, train: bool) -> Part:
    """AFHQ v2, its own train and test parts; the labels are 0 cat, 1 dog, 2 wild."""
    part = folder / ("train" if train else "test")
    found = sorted(path.name for path in part.glob("*") if path.is_dir())
    if found != list(AFHQ_CLASSES):
        raise ValueError(f"{part} must hold the folders {', '.join(AFHQ_CLASSES)}; found {', '.join(found) or 'none'}")
    groups = [pictures_in(part / name) for name in AFHQ_CLASSES]
    for name, group in zip(AFHQ_CLASSES, groups, strict=True):
        if not group:
            raise ValueError(f"{part / name} holds no JPEG or PNG file")
    files = [file for group in groups for file in group]
    labels = torch.tensor([k for k, group in enumerate(groups) for _ in group])
    return prepared(files, folder / f"{part.name}-{SIDE}.npy", afhq_picture), labels


@dataclass(frozen=True)
class Source:
    """How a data set is read, and what its reader is told when it is not there."""

    read: Callable[[Any, bool], Part]  # (folder, train) -> pixels and labels
    classes: int
    folder: str | None = None  # its name below the root; None if it needs none
    levels: int = 255
    flips: bool = False
    steps: str = ""
    fetch: Callable[[Path], None] | None = None


DATASETS = {
    "digits": Source(read_digits, classes=10, levels=16),
    "cifar10": Source(
        read_cifar10,
        classes=10,
        folder="cifar-10-batches-bin",
        flips=True,
        steps='load("cifar10", download=True) fetches it (162 MB).',
        fetch=fetch_cifar10,
    ),
    "celeba64": Source(
        read_celeba,
        classes=0,
        folder="celeba",
        flips=True,
        steps="Its agreement (non-commercial research only) is yours to accept: read it at "
        "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html, fetch img_align_celeba.zip and "
        "list_eval_partition.txt there, unpack the first and put both into that folder.",
    ),
    "afhq64": Source(
        read_afhq,
        classes=3,
        folder="afhq_v2",
        flips=True,
        steps="Its licence (CC BY-NC 4.0) is yours to accept: see https://github.com/clovaai/stargan-v2, "
        "fetch the AFHQ v2 archive named there and unpack its train/ and test/ into that folder.",
    ),
    "emoji": Source(
        read_emoji,
        classes=10,
        folder="emoji",
        steps="It comes with the library; data/emoji/make.py makes it anew.",
    ),
}


def shipped_folder() -> Path:
    """Where what comes with the library lies: data/ of the checkout, or of the installed package."""
    package = Path(__file__).resolve().parent.parent
    return next((p for p in (package / "data", package.parent / "data") if p.is_dir()), package / "data")


def load(name: str, root: str | Path | None = None, *, train: bool = True, download: bool = False) -> Images:
    """The data set of that name: its part to train, or the part held out.

    Only the part to train is mirrored by `draw`; what is held out is drawn as it is.

    Args:
        name: one of DATASETS.
        root: the folder that holds the data sets' folders; without it $FLOWMAP_EDU_DATA or
            ~/.cache/flowmap_edu, and for the emoji the library's own data/.
        train: the part to train on, else the part held out.
        download: fetch the data set if it is not there and its licence lets us.

    Raises:
        ValueError: if the name is unknown; if the folder is missing (the message says how to get
            it); if a file is missing, damaged or of another size, or the download is.
        ImportError: if scikit-learn (digits) or torchvision (to download) is not installed.
    """
    checks.one_of("name", name, DATASETS)
    source = DATASETS[name]
    folder = None
    if source.folder is not None:
        if root is None:
            root = os.environ.get("FLOWMAP_EDU_DATA") or "~/.cache/flowmap_edu"
            root = shipped_folder() if name == "emoji" else root
        folder = Path(root).expanduser() / source.folder
        if download and source.fetch and not folder.is_dir():
            source.fetch(folder)
        if not folder.is_dir():
            raise ValueError(f"{name} is not here: there is no folder {folder}. {source.steps}")
    pixels, labels = source.read(folder, train)
    return Images(name, pixels, labels, source.classes, source.levels, source.flips and train)
