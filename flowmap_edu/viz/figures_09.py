"""The figures of lesson 09: one function a figure."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
from torch import Tensor

from flowmap_edu._shipped import shipped_folder
from flowmap_edu.viz import plots


def sheet(x: Tensor, title: str) -> None:
    """Pictures (N, C, H, W) in [-1, 1], N even, in two rows."""
    _, ax = plt.subplots(figsize=(7.0, 1.5))
    plots.images(ax, x.unflatten(0, (2, len(x) // 2)))
    ax.set_title(title)
    plt.show()


def resumed(steps: Sequence[int], loss: Sequence[float], stop: int) -> None:
    """The loss of a run that was stopped at a step and resumed."""
    _, ax = plt.subplots(figsize=(4.8, 2.6))
    ax.plot(steps, loss, "o-")
    ax.axvline(stop, color="0.5", lw=1, ls=":", label="stopped and resumed")
    ax.set(xlabel="step", ylabel="loss", ylim=(0, None), title="Emoji, mean over five steps")
    ax.legend()
    plt.show()


def kept(name: str, title: str) -> None:
    """A picture that is kept among the library's data."""
    _, ax = plt.subplots(figsize=(8.0, 2.8))
    ax.imshow(plt.imread(shipped_folder() / name))
    ax.set_axis_off()
    ax.set_title(title)
    plt.show()
