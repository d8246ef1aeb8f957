"""How many CPU threads: one where the networks are small, unless the user chose a number.

Several threads share out each product of a network, and wait for each other. For a network of points the products are
too small to gain from it; on a machine with other work the waiting was measured to cost seven to nine times the time.
"""

import contextlib
import os
from collections.abc import Iterator

import torch

AT_IMPORT: int | None = torch.get_num_threads()  # None once a number was chosen


def chosen() -> bool:
    """Whether the user set a number, by OMP_NUM_THREADS or by torch.set_num_threads."""
    return "OMP_NUM_THREADS" in os.environ or torch.get_num_threads() != AT_IMPORT


def choose(n: int) -> None:
    """Take n threads, from now on, as the user's number."""
    global AT_IMPORT
    AT_IMPORT = None
    torch.set_num_threads(n)


def threads_for(shape: tuple[int, ...]) -> int:
    """The threads for samples of a shape: the number that the user chose; else one for points, torch's for images."""
    return 1 if len(shape) == 1 and not chosen() else torch.get_num_threads()


@contextlib.contextmanager
def cpu_threads(n: int) -> Iterator[None]:
    """Work with n threads, and give back the number that was set before."""
    before = torch.get_num_threads()
    if n != before:
        torch.set_num_threads(n)
    try:
        yield
    finally:
        if n != before:
            torch.set_num_threads(before)
