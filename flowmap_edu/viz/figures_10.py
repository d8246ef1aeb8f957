"""The figures of lesson 10: one function a figure."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

from flowmap_edu.viz import plots


def gradients(found: Mapping[str, tuple[float, float]]) -> None:
    """Of each loss the length of its mean gradient, and the noise of one batch over that length."""
    _, axes = plt.subplots(1, 2, figsize=(8.0, 2.6), sharey=True)
    for k, (ax, label) in enumerate(zip(axes, ("length of the mean gradient", "noise over mean"), strict=True)):
        ax.barh(list(found), [values[k] for values in found.values()], color=plots.COLOURS[k])
        ax.set(xlabel=label, xlim=(0, None))
        ax.invert_yaxis() if k else None
    axes[0].set_title("One network, the same batches")
    plt.show()


def learned_weight(net: nn.Module) -> None:
    """The weight exp(-w) that a network learned, over the triangle of pairs s < t."""
    grid = torch.linspace(0, 1, 101)
    s, t = torch.meshgrid(grid, grid, indexing="ij")
    with torch.no_grad():
        weight = (-net.get_submodule("log_weight")(s.flatten(), t.flatten())).exp().view(101, 101)
    weight[s > t] = torch.nan
    figure, ax = plt.subplots(figsize=(3.8, 2.9))
    shown = ax.imshow(weight.T, origin="lower", extent=(0, 1, 0, 1), norm="log")
    ax.set(xlabel="start s", ylabel="end t", title="The learned weight $e^{-w}$")
    figure.colorbar(shown, ax=ax)
    plt.show()


def sheet(rows: Tensor, names: Sequence[str], title: str, side: float = 0.36) -> None:
    """Pictures (rows, columns, C, H, W) in [-1, 1] as one sheet, each row with its name on the left."""
    count, columns = rows.shape[:2]
    _, ax = plt.subplots(figsize=(1.6 + side * columns, 0.5 + side * count))
    plots.images(ax, rows)
    height = rows.shape[3] + 1  # a white line between the pictures
    for k, name in enumerate(names):
        ax.text(-1, 1 + height * (k + 0.5), name, ha="right", va="center")
    ax.set_title(title)
    plt.show()


def averages(errors: Mapping[str, Tensor], every: int = 5) -> None:
    """Of the weights and of their averages, the distance from the best weight: median and middle half of the seeds.

    Args:
        errors: by name, shape (seeds, columns).
        every: the steps from one column to the next.
    """
    _, ax = plt.subplots(figsize=(5.4, 2.8))
    for k, (name, values) in enumerate(errors.items()):
        steps = [every * column for column in range(1, values.shape[1] + 1)]
        low, middle, high = values.quantile(values.new_tensor([0.25, 0.5, 0.75]), dim=0)
        ax.plot(steps, middle, color=plots.COLOURS[k], label=name)
        ax.fill_between(steps, low, high, color=plots.COLOURS[k], alpha=0.25, lw=0)
    ax.set(xlabel="step", ylabel="distance from the best weights", yscale="log")
    ax.set_title("Noisy steps in a parabola: median and middle half of 20 seeds")
    ax.legend(loc="upper right")
    plt.show()


def grey_pixels(found: Mapping[int, float], real: float) -> None:
    """The share of grey pixels over the number of jumps."""
    _, ax = plt.subplots(figsize=(4.4, 2.5))
    ax.semilogx(list(found), [100 * share for share in found.values()], "o-", base=2, label="the map")
    ax.axhline(100 * real, color="0.5", ls="--", lw=1, label="real digits")
    ax.set(xlabel="jumps", ylabel="grey pixels, %", ylim=(0, 60), xticks=list(found), xticklabels=list(found))
    ax.set_title("One map, one draw of the noise")
    ax.legend(loc="lower left")
    plt.show()
