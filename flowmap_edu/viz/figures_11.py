"""The figures of lesson 11: one function a figure."""

from collections.abc import Mapping, Sequence
from statistics import median

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from flowmap_edu.viz import plots


def show(name: str, values: Sequence[float]) -> None:
    """Print what each seed gave, and the median."""
    each = ", ".join(f"{value:.3f}" for value in values)
    print(f"{name:<34} {each}   (median {median(values):.3f})")


def lowest(found: Mapping[str, Sequence[float] | Tensor]) -> str:
    """The name with the smallest number in every seed; "mixed" if the seeds do not agree."""
    best = torch.stack([torch.as_tensor(values) for values in found.values()]).argmin(0)
    return list(found)[best[0]] if (best == best[0]).all() else "mixed"


def clouds(found: Mapping[str, Tensor]) -> None:
    """Points in the plane, a panel a name."""
    _, axes = plt.subplots(1, len(found), figsize=(3.2 * len(found), 3.0), sharex=True, sharey=True)
    for ax, (title, x) in zip(axes, found.items(), strict=True):
        ax.plot(*x.T, ".", ms=2)
        ax.set(title=title, aspect="equal")
    plt.show()


def correlations(found: Mapping[str, Tensor], names: Sequence[str]) -> None:
    """The correlations of the columns of tables, a panel a table."""
    figure, axes = plt.subplots(1, len(found), figsize=(4.2 * len(found), 3.4), sharey=True)
    for ax, (title, rows) in zip(axes, found.items(), strict=True):
        ax.imshow(torch.corrcoef(rows.T), vmin=-1, vmax=1, cmap="PuOr")
        ax.set(title=title, yticks=range(len(names)), yticklabels=names)
        ax.set_xticks(range(len(names)), names, rotation=90)
    figure.colorbar(axes[-1].images[0], ax=axes, label="correlation of two columns")
    plt.show()


def sheets(found: Mapping[str, Tensor]) -> None:
    """The first 32 pictures of each set, a panel a set."""
    _, axes = plt.subplots(1, len(found), figsize=(4.2 * len(found), 2.4))
    for ax, (title, x) in zip(axes, found.items(), strict=True):
        plots.images(ax, x[:32].unflatten(0, (4, 8)))
        ax.set_title(title)
    plt.show()


def mistakes(found: Mapping[str, Sequence[float]], floor: float) -> None:
    """The distance of each training, a dot a seed, and that of training samples."""
    _, ax = plt.subplots(figsize=(6.4, 2.6))
    for k, values in enumerate(found.values()):
        ax.plot(values, [k] * len(values), "o", color=plots.COLOURS[k])
    ax.axvline(floor, color="0.5", ls="--", lw=1, label="training samples")
    ax.set(yticks=range(len(found)), yticklabels=found, xscale="log")
    ax.set(xlabel="sliced Wasserstein distance, in deviations", title="A dot a seed")
    ax.set_xticks([0.06, 0.1, 0.2, 0.4], ["0.06", "0.1", "0.2", "0.4"])
    ax.minorticks_off()
    ax.invert_yaxis()
    ax.legend()
    plt.show()
