"""The training loop, and runs on disk that resume to the bit."""

from flowmap_edu.training.batches import draw_batch, draw_data
from flowmap_edu.training.loop import DivergedError, MemoryShortError, budget, fit, planned
from flowmap_edu.training.runs import load, read_metadata, save, shipped, train
from flowmap_edu.training.state import State
from flowmap_edu.training.training import Training

__all__ = [
    "DivergedError",
    "MemoryShortError",
    "State",
    "Training",
    "budget",
    "draw_batch",
    "draw_data",
    "fit",
    "load",
    "planned",
    "read_metadata",
    "save",
    "shipped",
    "train",
]


def __dir__() -> list[str]:
    return sorted(__all__)
