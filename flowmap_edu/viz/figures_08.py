"""The figures of lesson 08: one function a figure."""

import csv
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from flowmap_edu._shipped import shipped_folder
from flowmap_edu.viz import plots


def sheet(rows: Tensor, names: Sequence[str], title: str, side: float = 0.36) -> None:
    """Pictures (rows, columns, C, H, W) in [-1, 1] as one sheet, each row with its name on the left."""
    count, columns = rows.shape[:2]
    _, ax = plt.subplots(figsize=(1.0 + side * columns, 0.5 + side * count))
    plots.images(ax, rows)
    height = rows.shape[3] + 1  # a white line between the pictures
    for k, name in enumerate(names):
        ax.text(-1, 1 + height * (k + 0.5), name, ha="right", va="center")
    ax.set_title(title)
    plt.show()


def reading(times: Sequence[float], shares: Sequence[float]) -> None:
    """The share of digits that the classifier reads right on the way from noise to data."""
    _, ax = plt.subplots(figsize=(4.4, 2.5))
    ax.plot(times, [100 * share for share in shares], "o-")
    ax.axhline(10, color="0.5", ls=":", lw=1, label="guessing")
    ax.set(xlabel="time t", ylabel="read right, %", ylim=(0, 103), title="What a classifier reads in $I_t$")
    ax.legend(loc="center right")
    plt.show()


def losses(steps: Sequence[int], loss: Sequence[float], first: float) -> None:
    """The loss of a training, what it is before the first step, and the loss of the shipped map's training."""
    with (shipped_folder() / "digits-lsd" / "history.csv").open(encoding="utf-8") as file:
        rows = [(int(row["step"]), float(row["loss"])) for row in csv.DictReader(file)]
    _, ax = plt.subplots(figsize=(5.2, 2.6))
    ax.plot(*zip(*rows, strict=True), color=plots.COLOURS[2], label="shipped map's training")
    ax.plot(steps, loss, color=plots.COLOURS[0], label="this training")
    ax.plot([0.8 * steps[0]], [first], "o", color=plots.COLOURS[1], label="before the first step")
    ax.set(
        xlabel="step", ylabel="loss", xscale="log", ylim=(0, None), title="Means over the steps since the last point"
    )
    ax.legend()
    plt.show()


def distances(found: Mapping[int, Tensor], real: Sequence[float], held_out: float) -> None:
    """The Fréchet distance over the number of jumps, to the training digits and to the held-out ones.

    Args:
        found: of each number of jumps, the distances of each draw of the noise to both, shape (draws, 2).
        real: distances of random splits of the real digits.
        held_out: the distance of the training digits to the held-out ones.
    """
    figure, axes = plt.subplots(1, 2, figsize=(7.6, 3.2), sharey=True)
    for k, (ax, other) in enumerate(zip(axes, ("the training digits", "the held-out digits"), strict=True)):
        ax.axhspan(min(real), max(real), color="0.85", label="random splits of real digits")
        if k == 1:
            ax.axhline(held_out, color="0.4", ls="--", lw=1, label="training digits to held-out ones")
        for draw in range(len(next(iter(found.values())))):
            points = [float(rows[draw, k]) for rows in found.values()]
            ax.semilogx(list(found), points, "o", base=2, color=plots.COLOURS[0], label=None if draw else "the map")
        ax.set(xlabel="jumps", ylim=(0, 8), xticks=list(found), xticklabels=list(found), title=f"Distance to {other}")
    axes[0].set_ylabel("Fréchet distance of features")
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    plt.show()


def shares_within(found: Mapping[str, Tensor], thresholds: Sequence[float]) -> None:
    """Of each set of digits, the share whose nearest training digit is at most so far away.

    Args:
        found: of each set, by its name, the distance of each digit to its nearest training digit.
        thresholds: the distances below which a digit is called near.
    """
    _, ax = plt.subplots(figsize=(6.8, 3.2))
    styles = ("-", "--", "-.", ":", "-", "--", "-.")
    for (name, distance), style in zip(found.items(), styles, strict=False):
        ordered = distance.sort().values
        share = 100 * torch.arange(1, len(ordered) + 1) / len(ordered)
        ax.step(ordered, share, style, where="post", label=name)
    for k, threshold in enumerate(thresholds):
        ax.axvline(threshold, color="0.5", lw=1, ls=("--", "-")[k % 2], zorder=0)
    ax.annotate("the two thresholds", (sum(thresholds) / len(thresholds), 104), ha="center", annotation_clip=False)
    ax.set(xlabel="distance to the nearest training digit", ylabel="share of digits, %", ylim=(0, 101))
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    plt.show()


def changed_settings(first: object, second: object) -> str:
    """The settings in which two trainings differ, a line each, but for the number of steps and what compiles."""
    lines = [f"{'':>10}  checkerboard    digits"]
    for name, one in vars(first).items():
        other = getattr(second, name)
        if one != other and name not in ("steps", "compile"):
            before, after = (value if isinstance(value, str) else f"{value:.4g}" for value in (one, other))
            lines.append(f"{name:>10}  {before:>12}{after:>10}")
    return "\n".join(lines)


def ranges(scores: Mapping[int, Tensor]) -> str:
    """The range over the draws of the distances to training and held-out digits, a line for each number of jumps."""
    lines = []
    for n, found in scores.items():
        (a, b), (c, d) = ((float(column.min()), float(column.max())) for column in found.T)
        jumps = f"{n:>2} jump{'s' if n > 1 else ' '}"
        lines.append(f"{jumps}: to training digits {a:.2f} to {b:.2f}, to held-out digits {c:.2f} to {d:.2f}")
    return "\n".join(lines)


def near(found: Mapping[str, Tensor], shares: Mapping[str, Sequence[float]]) -> str:
    """Of each set of digits the median distance, and the shares below the two thresholds, a line each."""
    lines = [f"{'':>24}  median distance  below the first threshold  below the second"]
    for name, distance in found.items():
        first, second = shares[name]
        lines.append(f"{name:>24}  {distance.median().item():>15.2f}  {first:>25.1%}  {second:>16.1%}")
    return "\n".join(lines)


def near_of_draws(shares: Sequence[Sequence[float]]) -> str:
    """The shares below the first and the second threshold of each draw: of one jump, then of sixteen."""
    words = [", ".join(f"{share:.1%}" for share in row) for row in shares]
    return f"three draws, one jump: {words[0]}; {words[1]}\nthree draws, 16 jumps: {words[2]}; {words[3]}"
