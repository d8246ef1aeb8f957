"""The batches of a run, each drawn by a thread while the device computes the step before."""

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch

from flowmap_edu import losses, times
from flowmap_edu.training.batches import Batches
from flowmap_edu.training.trajectories import Trajectories

Drawn = tuple[dict[int, losses.Batch], dict[str, Any]]  # a step's shares, and where `Batches` stood after them


class Prefetched:
    """`Batches`, one step ahead of the training: the same batches in the same order, in pinned memory for a GPU.

    One thread draws at a time, and nothing else draws meanwhile: the numbers are those of `Batches` to the bit. The
    place that is saved is the one after the batches that were used, so a resumed run draws the next one again. The
    problem's `sample` must draw from the generator that it is given, and from no other.

    Args:
        batches: of the run; from now on they are read through this object.
        device: that computes the steps.
    """

    def __init__(self, batches: Batches, device: torch.device):
        self.batches, self.pinned = batches, device.type == "cuda"
        self.thread = ThreadPoolExecutor(1, "batches")
        self.used = batches.state_dict()
        self.ahead: tuple[int, Future[Drawn]] | None = None  # the levels it is drawn for, and the batch to come

    @property
    def trajectories(self) -> Trajectories | None:
        """Those of the run's teacher, or None where it draws from none."""
        return self.batches.trajectories

    def draw(self, levels: int) -> Drawn:
        """The next step's shares, and where the batches stand after them."""
        shares = self.batches.next(levels)
        if self.pinned:  # a copy from pinned memory to the GPU does not wait for the step before
            shares = {number: share.changed(torch.Tensor.pin_memory) for number, share in shares.items()}
        return shares, self.batches.state_dict()

    def next(self, levels: int = times.LEVELS) -> dict[int, losses.Batch]:
        """The shares of the next step; the thread begins with those of the step after it."""
        if self.ahead is not None and self.ahead[0] == levels:
            shares, self.used = self.ahead[1].result()
        else:  # the first step, whose draw may read files and compile, and one with other levels than the last
            self.go_back()
            shares, self.used = self.draw(levels)
        self.ahead = levels, self.thread.submit(self.draw, levels)
        return shares

    def go_back(self) -> None:
        """Leave out what was drawn ahead."""
        if self.ahead is not None:
            self.ahead[1].exception()  # waits; if that draw failed, the next one fails as well
            self.ahead = None
            self.batches.load_state_dict(self.used)

    def state_dict(self) -> dict[str, Any]:
        """As of `Batches`, after the batches that were used."""
        return self.used

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to where `state` was taken."""
        self.go_back()
        self.batches.load_state_dict(state)
        self.used = self.batches.state_dict()
