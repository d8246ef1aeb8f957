"""The files of a folder: several written as one, told apart by digests, and one writer at a time.

`write_all` writes each file beside its place, then moves the header, then the others. The header says the digest of
each of the others. So the header's move is the one moment at which all of them change: a reader that finds another
file in a place takes the one beside it (`read`), and `tidy` finishes the moves of a process that was killed. A file may
be kept under another name: it moves there before the new one takes its place, and the new header has its digest, too.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import filelock

HEADER = "config.json"
NONE: Mapping[str, str] = {}


def digest(content: bytes) -> str:
    """The SHA-256 of some bytes, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def beside(path: Path) -> Path:
    """Where this process writes a file before it moves to its place."""
    return path.with_name(f"{path.name}.{os.getpid()}.part")


def parts(folder: Path, name: str = "*") -> list[Path]:
    """The files beside a place that no move has reached yet."""
    return sorted(folder.glob(f"{name}.*.part"))


def move(path: Path, place: Path) -> None:
    """Move a file to its place; where another program holds that place open, as Windows lets it, try for a second."""
    for _ in range(10):
        with contextlib.suppress(PermissionError):
            path.replace(place)
            return
        time.sleep(0.1)
    path.replace(place)


def put(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk holds it."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_all(folder: Path, contents: Mapping[str, bytes], kept: Mapping[str, str] = NONE) -> None:
    """Write several files, all of them or none; `config.json`, the header, has to name the digests of the others.

    Args:
        folder: where they go; it is made if it is missing.
        contents: the bytes of each file by its name.
        kept: names whose old file moves to another name.

    Raises:
        OSError: if one of them cannot be written. The files that were there before are still there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = sorted(contents, key=lambda name: name != HEADER)
    try:
        for name in names:
            put(beside(folder / name), contents[name])
        move(beside(folder / names[0]), folder / names[0])
    except OSError:
        for name in names:
            with contextlib.suppress(OSError):
                beside(folder / name).unlink()
        raise
    for name in names[1:]:
        if name in kept and (folder / name).exists():
            move(folder / name, folder / kept[name])
        move(beside(folder / name), folder / name)


def write(path: Path, content: bytes) -> None:
    """Write one file whole or not at all.

    Raises:
        OSError: if it cannot be written; what was there is still there.
    """
    write_all(path.parent, {path.name: content})


def read(folder: Path, name: str, digests: Mapping[str, str]) -> bytes | None:
    """The file that the header means; None if it is missing or another one.

    Args:
        folder: where it lies.
        name: its name.
        digests: what the header says; a file that it does not name is taken as it is.

    Raises:
        OSError: if it is there and cannot be read.
    """
    for path in (folder / name, *parts(folder, name)):
        with contextlib.suppress(FileNotFoundError):
            content = path.read_bytes()
            if digests.get(name) in (None, digest(content)):
                return content
    return None


def tidy(folder: Path, digests: Mapping[str, str], kept: Mapping[str, str] = NONE) -> None:
    """Finish the moves of a writer that was killed, and remove what it left half written.

    To be called by the one that holds the folder (`claimed`).

    Args:
        folder: where the files lie.
        digests: what the header says, of the kept files, too.
        kept: as in `write_all`.
    """
    for name, other in kept.items():
        if parts(folder, name) and (folder / name).exists():
            found = digest((folder / name).read_bytes())
            if found == digests.get(other) and found != digests.get(name):
                move(folder / name, folder / other)
    for name in (HEADER, *digests):
        for path in parts(folder, name):
            if digest(path.read_bytes()) == digests.get(name):
                move(path, folder / name)
            else:
                path.unlink()


@contextlib.contextmanager
def claimed(folder: Path, what: str = "training") -> Iterator[None]:
    """Hold a folder as its only writer; the system gives it back when this process ends, however it ends.

    The folder is made, and removed again if it is still empty at the end.

    Args:
        folder: to hold.
        what: the work that is done there, for the message.

    Raises:
        ValueError: if another process holds it.
        OSError: if it cannot be made or written.
    """
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / ".lock"
    lock = filelock.FileLock(path, timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise ValueError(f"another {what} writes into {folder}: wait for its end, or name another folder") from error
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if {item.name for item in folder.iterdir()} == {path.name}:
                path.unlink()
        lock.release()
        with contextlib.suppress(OSError):  # a folder that holds something stays
            if made:
                folder.rmdir()
