"""Images made small once and kept on disk, so that a large data set is read in seconds the next time.

They are kept in the folder `prepared` of $FLOWMAP_EDU_CACHE, or of ~/.cache/flowmap_edu: never beside the data, which
may be shared or read-only. A file's name holds a digest of what it was made of (names, sizes and times of all files):
when an image changes, the file is made anew and the former one is removed. Where nothing can be written there is a
warning, and the images stay in memory.
"""

import contextlib
import hashlib
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import filelock
import numpy as np
import torch
from torch import Tensor

from flowmap_edu import _checks as checks

RULES = 2  # count up when the same files give other pixels


def digest(text: str, length: int) -> str:
    """The first hexadecimal digits of a text's SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:length]


def cache(name: str) -> Path:
    """A folder for what is made from data: in $FLOWMAP_EDU_CACHE, or in ~/.cache/flowmap_edu.

    Raises:
        ValueError: if the home that it names is nobody's.
    """
    root = os.environ.get("FLOWMAP_EDU_CACHE") or "~/.cache/flowmap_edu"
    try:
        return Path(root).expanduser() / name
    except RuntimeError as error:
        raise ValueError(f"FLOWMAP_EDU_CACHE must name a folder that can be written, got {root!r}: {error}") from error


def place_of(files: list[Path], folder: Path, name: str) -> Path:
    """The file that keeps `files` of the data set in `folder`, prepared.

    Raises:
        ValueError: if one of the files cannot be looked at.
    """
    lines = [f"{RULES} {name}"]
    for file in files:
        try:
            about = file.stat()
        except OSError as error:
            raise ValueError(f"{file} cannot be read; PNG or JPEG is expected: {error}") from error
        lines.append(f"{file.relative_to(folder).as_posix()} {about.st_size} {about.st_mtime_ns}")
    return cache("prepared") / f"{name}-{digest(str(folder.resolve()), 8)}-{digest(chr(10).join(lines), 16)}.npy"


def family(place: Path) -> str:
    """What the names of all files have in common that keep the same part of the same folder."""
    return place.name.rpartition("-")[0]


def mapped(place: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """A prepared array of that shape, mapped from disk; None if there is none or it is another.

    Mapped copy-on-write ("c"): torch wants memory that may be written to, and the file stays as it is.
    """
    try:
        array = np.load(place, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array if array.shape == shape and array.dtype == np.uint8 else None


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Run the block in one process at a time; others that come here with the same lock file wait.

    The operating system frees the lock when its process ends, however it ends. Where no lock can be had (a folder that
    cannot be written, some network file systems) the block runs without one.
    """
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(filelock.FileLock(path))
        yield


def written(place: Path, write: Callable[[BinaryIO], object], instead: str) -> bool:
    """Write a file whole or not at all; whether it was written.

    A folder that cannot be written, or a full disk, costs a warning.

    Args:
        place: the file.
        write: what writes the content.
        instead: what happens without the file, for the warning.
    """
    part = place.with_name(f"{place.name}.{os.getpid()}.part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:  # not through a memory map: on a full disk that ends the process
            write(file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(place)
    except OSError as error:
        warnings.warn(
            f"{place} cannot be written ({error}): {instead}; let FLOWMAP_EDU_CACHE name a folder with room",
            stacklevel=3,
        )
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        return False
    return True


def keep(array: np.ndarray, place: Path) -> None:
    """Write an array whole or not at all, and remove what was prepared of the same folder before."""
    instead = "the images stay in memory and are prepared again the next time"
    if not written(place, lambda file: np.lib.format.write_array(file, array, allow_pickle=False), instead):
        return
    for old in place.parent.glob(f"{family(place)}-*"):  # what a killed process has left there as well
        if old != place:
            with contextlib.suppress(OSError):
                old.unlink()


def prepared(
    files: list[Path], folder: Path, name: str, shrink: Callable[[Path], Tensor], shape: tuple[int, ...]
) -> Tensor:
    """`shrink` of every file, uint8 (N, *shape): mapped from disk, or made and kept there.

    Of several processes that come at once, the first makes it and the others wait.

    Args:
        files: the images.
        folder: the data set's; the files lie in it.
        name: of the data set and its part.
        shrink: what makes a file small, to `shape`.

    Raises:
        ValueError: as `shrink`; then nothing is kept.
    """
    place, whole = place_of(files, folder, name), (len(files), *shape)
    if (array := mapped(place, whole)) is not None:
        return torch.from_numpy(array)
    with alone(place.with_name(f"{family(place)}.lock")):
        if (array := mapped(place, whole)) is None:  # unless another process has made it meanwhile
            array = np.empty(whole, dtype=np.uint8)
            bar = checks.extra("tqdm", "images").tqdm
            for i, file in enumerate(bar(files, desc=f"preparing {name}", unit=" images")):
                array[i] = shrink(file).numpy()
            keep(array, place)
    kept = mapped(place, whole)  # shared by the processes, and the memory is free again
    return torch.from_numpy(array if kept is None else kept)
