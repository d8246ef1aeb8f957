"""How many CPU threads: one where a step is small, torch's number where it is large, and the user's if they chose one.

Several threads share out each product of a network, and wait for each other. In a small step of points the products are
too small to gain from it; on a machine with other work the waiting was measured to cost seven to nine times the time.
"""

import contextlib
import os
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

# From how many rows times parameters on a step of points takes several threads. `python tests/benchmark.py --only
# threads` measures the gain. On two quiet cores a second thread takes the step to 0.94 of its time at the smallest size
# (7e6), to 0.85 at the recipe's (3e7), and to 0.6 at 3e8 and more. On busy cores it cost seven to nine times the time.
# So one thread is the choice wherever a user waits a short time, and several only where the gain is nearly whole.
LARGE = 1e9
AT_IMPORT: int | None = torch.get_num_threads()  # None once a number was chosen


def chosen() -> bool:
    """Whether the user set a number, by OMP_NUM_THREADS or by torch.set_num_threads."""
    return "OMP_NUM_THREADS" in os.environ or torch.get_num_threads() != AT_IMPORT


def choose(n: int) -> None:
    """Take n threads, from now on, as the user's number."""
    global AT_IMPORT
    AT_IMPORT = None
    torch.set_num_threads(n)


def threads_for(shape: tuple[int, ...], rows: int, net: Callable[..., Tensor]) -> int:
    """The threads for passes through a network: the number that the user chose; else one for small passes of points.

    Args:
        shape: of a sample. Those that are not points, shape (D,), take torch's number.
        rows: samples that go through the network at a time.
        net: rows times its parameters are the multiplications of one pass; below LARGE a pass is small. What is no
            network, such as an exact map, takes torch's number.
    """
    small = len(shape) == 1 and not large(rows, net)
    return 1 if small and not chosen() else torch.get_num_threads()


def large(rows: int, net: Callable[..., Tensor]) -> bool:
    """Whether a pass of so many rows through a network is a large one; through what is no network it always is."""
    return not isinstance(net, nn.Module) or rows * sum(p.numel() for p in net.parameters()) >= LARGE


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
