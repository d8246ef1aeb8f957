"""Arrays on disk: what is read from .npy and .csv files, and what is refused by name."""

import errno
import io
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from flowmap_edu.problems import from_file
from flowmap_edu.problems.array_files import read_array

X = np.random.default_rng(0).normal(size=(20, 2))


def npy(x: np.ndarray, **options) -> bytes:
    """What np.save writes."""
    file = io.BytesIO()
    np.save(file, x, **options)
    return file.getvalue()


def header(text: str, body: bytes = bytes(320), version: int = 1) -> bytes:
    """An .npy file with a header of one's own."""
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text.encode("latin1") + body


def lines(x: np.ndarray) -> str:
    """Rows of a .csv file, to the last digit."""
    return "".join(",".join(map(repr, row)) + "\n" for row in x.tolist())


class Opened:
    """An object that notes when it is unpickled."""

    seen: list[int] = []  # noqa: RUF012

    def __reduce__(self):
        return Opened.seen.append, (1,)


@pytest.mark.parametrize("kind", ["<f2", "<f4", ">f4", "<f8", ">f8", "<i4", ">i8", "u1", "<u2", "?"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_files_of_any_real_type_byte_order_and_layout(tmp_path, kind, order):
    """Value by value what was saved; torch takes it."""
    x = np.asarray(np.abs(10 * X), dtype=kind, order=order)
    (tmp_path / "x.NPY").write_bytes(npy(x))
    found = read_array(tmp_path / "x.NPY")
    assert np.array_equal(found, x)
    assert found.dtype.isnative
    assert torch.from_numpy(found).shape == (20, 2)


@pytest.mark.parametrize(
    "text",
    [
        lines(X),
        "a,b\n" + lines(X),
        '"first, in cm","b"\n' + lines(X),
        "# a,b\n" + lines(X),
        "# 1,2\n" + lines(X),
        "\ufeff" + lines(X),  # as Excel writes UTF-8
        "\ufeffa,b\n" + lines(X),
        lines(X).replace("\n", "\r\n").replace(",", " , ") + "\r\n\r\n",
        "".join(",".join(f'"{v!r}"' for v in row) + "\n" for row in X.tolist()),
    ],
)
def test_csv_files_with_names_or_without(tmp_path, text):
    """No line of numbers is taken for names, and no names for numbers."""
    (tmp_path / "x.csv").write_text(text, encoding="utf-8", newline="")
    assert np.array_equal(read_array(tmp_path / "x.csv"), X)


OBJECTS = np.array([Opened(), None], dtype=object)
BAD_NPY = {
    "missing": (None, "No such file"),
    "empty": (b"", "No data left|EOF|empty"),
    "a text": (b"1,2\n3,4\n", "pickle"),
    "cut in the header": (npy(X)[:40], "EOF|expected"),
    "cut in the numbers": (npy(X)[:-1], "mmap length is greater than file size"),
    "two arrays": (npy(X) + npy(X), r"ends at byte 448 of 896; one array a file is expected"),
    "an archive": (None, r"an \.npz archive; write one array with np\.save"),
    "objects": (npy(OBJECTS, allow_pickle=True), "Python objects"),
    "a pickle": (__import__("pickle").dumps(Opened()), "pickle"),
    "complex": (npy(X + 1j), "values of type complex128; real numbers such as float32 are expected"),
    "text": (npy(np.array(["a", "b"])), "values of type <U1; real numbers"),
    "dates": (npy(np.array(["2020-01-01"], dtype="datetime64[D]")), r"type datetime64\[D\]; real numbers"),
    "fields": (npy(np.zeros(20, dtype=[("a", "f4"), ("b", "f4")])), "; real numbers such as"),
    "a huge shape": (header("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 2), }\n"), "mmap|size"),
    "a shape below 0": (header("{'descr': '<f8', 'fortran_order': False, 'shape': (-20, -2), }\n"), "."),
    "a long header": (header("{" + 100_000 * " " + "}", version=2), "max_header_size"),
    "a deep header": (header("{'descr': " + 4000 * "(" + "\n"), "no array of numbers"),
    "a call in the header": (
        header("{'descr': print(1), 'fortran_order': False, 'shape': (20, 2), }\n"),
        "malformed node",
    ),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", BAD_NPY)
def test_what_is_no_array_is_refused_by_name(tmp_path, name):
    """Each a ValueError with the file and the reason, before any memory is taken; no pickle is opened."""
    path, (content, message) = tmp_path / "x.npy", BAD_NPY[name]
    if content is not None:
        path.write_bytes(content)
    elif name == "an archive":
        with path.open("wb") as file:
            np.savez(file, x=X)
    with pytest.raises(ValueError, match=message) as caught:
        from_file(path)
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value)) < len(str(path)) + 400
    assert not Opened.seen


def test_a_changed_npy_file_gives_an_array_or_a_refusal(tmp_path):
    """A flipped bit in the header, wherever it is: an array of the file's size, or a ValueError with its name."""
    path, content = tmp_path / "x.npy", npy(X)
    for k in np.random.default_rng(1).integers(0, 8 * 128, 300):
        changed = bytearray(content)
        changed[k // 8] ^= 1 << k % 8
        path.write_bytes(changed)
        try:
            assert read_array(path).nbytes == X.nbytes
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017


BAD_CSV = {
    "": "it has no line of numbers",
    "a,b\n": "it has no line of numbers",
    "1,2\n3,\n5,6\n": "could not convert string '' to float64",
    ",2\n3,4\n": "could not convert string '' to float64",
    "1,2\n3\n5,6\n": "columns changed from 2 to 1",
    "1,2\n3,4,5\n": "columns changed from 2 to 3",
    "1,2\nthree,4\n": "could not convert string 'three'",
    "a,2\n3,4\n": "could not convert string 'a'",
    "1;2\n3;4\n": "could not convert string '3;4'",
    ",a,b\n0,1.5,2.5\n": "no name, as an index of pandas has none: write it with index=False",
    '"",a,b\n0,1.5,2.5\n': "no name, as an index of pandas",
    "1,2\n3,\x00\n": "could not convert",
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("text", BAD_CSV)
def test_what_is_no_table_of_numbers_is_refused_by_name(tmp_path, text):
    """A missing cell, another length, words, another separator: a ValueError with the file and the place."""
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(ValueError, match=BAD_CSV[text]) as caught:
        from_file(tmp_path / "x.csv")
    assert str(caught.value).startswith(str(tmp_path / "x.csv"))


def test_a_table_in_another_encoding_a_folder_and_no_permission(tmp_path, monkeypatch):
    """UTF-16, a folder named x.csv, another ending, a file that may not be read."""
    (tmp_path / "x.csv").write_text(lines(X), encoding="utf-16")
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "folder.npy").mkdir()
    for name, message in (
        ("x.csv", "codec can't decode"),
        ("folder.csv", "Is a directory|Permission"),
        ("folder.npy", "Is a directory|Permission"),
        ("x.npz", r"has the ending '\.npz'; \.npy or \.csv is expected"),
        ("x", r"has the ending ''; \.npy or \.csv is expected"),
    ):
        with pytest.raises(ValueError, match=rf"{tmp_path / name} .*{message}"):
            from_file(tmp_path / name)

    def refused(path: Path, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(ValueError, match=r"x\.csv is missing or holds no array of numbers: .*Permission denied"):
        from_file(tmp_path / "x.csv")


def test_labels_from_a_file(tmp_path):
    """Whole numbers of any type, (n,) or (n, 1); what does not fit names both files."""
    np.save(tmp_path / "x.npy", X)
    y = np.arange(20) % 3
    plain = from_file(tmp_path / "x.npy", held_out=0.0)
    for k, labels in enumerate([y, y[:, None], y.astype(">u2"), y.astype(float), y.astype(np.uint64)]):
        np.save(tmp_path / f"{k}.npy", labels)
        found = from_file(tmp_path / "x.npy", tmp_path / f"{k}.npy", held_out=0.0)
        assert torch.equal(found.train, plain.train)
        assert found.train_labels.tolist() == y.tolist()
    (tmp_path / "y.csv").write_text("class\n" + "".join(f"{k}\n" for k in y))
    assert from_file(tmp_path / "x.npy", tmp_path / "y.csv", held_out=0.0).train_labels.tolist() == y.tolist()
    for labels, message in (
        (y[:19], r"labels must have shape \(20,\)"),
        (np.stack([y, y], 1), r"labels must have shape \(20,\)"),
        (np.array(1), r"labels must have shape \(20,\)"),
        (y - 1, "labels must be whole numbers from 0 on"),
    ):
        np.save(tmp_path / "bad.npy", labels)
        with pytest.raises(ValueError, match=rf"x\.npy with labels .*bad\.npy: {message}"):
            from_file(tmp_path / "x.npy", tmp_path / "bad.npy")


def test_what_the_numbers_are_is_said_with_the_file(tmp_path):
    """Not finite, whole numbers, too few: the message of FromTensor with the file's name in front."""
    bad = {"finite": X * [[1, np.inf]], "floating-point, got torch.int64": X.astype(int), "at least 10 samples": X[:5]}
    for k, (message, x) in enumerate(bad.items()):
        np.save(tmp_path / f"{k}.npy", x)
        with pytest.raises(ValueError, match=rf"{k}\.npy: x must (be|hold) {message}"):
            from_file(tmp_path / f"{k}.npy")
