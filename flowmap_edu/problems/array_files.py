"""Arrays on disk: nothing in a file is run, left out or guessed.

| ending | what is read |
| ------ | --------------------------------------------------------------------------------------------------- |
| .npy   | one array of real numbers: no Python objects (they are pickles), fields or text, nothing behind it |
| .csv   | numbers between commas, a sample a line, UTF-8; a first line without any number names the columns  |
"""

import textwrap
import warnings
from pathlib import Path

import numpy as np


def read_array(path: Path) -> np.ndarray:
    """The array in an .npy or .csv file, in the machine's byte order.

    Raises:
        ValueError: if the file is missing, has another ending, or does not hold one whole array of real numbers.
    """
    readers = {".npy": read_npy, ".csv": read_csv}
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path} has the ending {path.suffix!r}; .npy or .csv is expected")
    try:
        array = readers[path.suffix.lower()](path)
    except Exception as error:  # numpy passes on what a strange header does to Python's parser
        reason = textwrap.shorten(str(error), 300)
        raise ValueError(f"{path} is missing or holds no array of numbers: {reason}") from error
    if array.dtype.kind not in "fiub" or array.dtype.itemsize > 8:
        raise ValueError(f"{path} holds values of type {array.dtype}; real numbers such as float32 are expected")
    return array.astype(array.dtype.newbyteorder("="))


def read_npy(path: Path) -> np.ndarray:
    """The array of an .npy file.

    It is mapped first: a header that claims more than the file holds is refused before there is any memory for it.
    """
    array = np.load(path, mmap_mode="c", allow_pickle=False)
    if not isinstance(array, np.memmap):
        array.close()
        raise ValueError("it is an .npz archive; write one array with np.save")
    size, there = array.offset + array.nbytes, path.stat().st_size
    if size != there:
        raise ValueError(f"its array ends at byte {size:,} of {there:,}; one array a file is expected")
    return array


def number(cell: str) -> bool:
    """Whether the text of a cell is a number."""
    try:
        float(cell.strip().strip('"'))
    except ValueError:
        return False
    return True


def read_csv(path: Path) -> np.ndarray:
    """The numbers of a .csv file, float64, shape (lines, columns)."""
    with path.open(encoding="utf-8-sig") as file, warnings.catch_warnings():  # -sig: Excel writes a mark first
        cells = file.readline().split(",")
        names = not any(map(number, cells))
        if names and len(cells) > 1 and not cells[0].strip().strip('"'):
            raise ValueError("its first column has no name, as an index of pandas has none: write it with index=False")
        file.seek(0)
        warnings.filterwarnings("ignore", message="loadtxt: input contained no data")
        array = np.loadtxt(file, delimiter=",", skiprows=int(names), ndmin=2, quotechar='"')
    if array.size == 0:
        raise ValueError("it has no line of numbers")
    return array
