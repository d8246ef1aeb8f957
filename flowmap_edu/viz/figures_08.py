"""The figures of lesson 08: one function a figure."""

import csv
import json
from collections.abc import Mapping, Sequence
from typing import Any

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


def distances(found: Mapping[int, Tensor], real: Sequence[float]) -> None:
    """The Fréchet distance over the number of jumps, to the training digits and to the held-out ones.

    Args:
        found: of each number of jumps, the distances of each draw of the noise to both, shape (draws, 2).
        real: distances of random splits of the real digits.
    """
    figure, axes = plt.subplots(1, 2, figsize=(7.6, 3.2), sharey=True)
    top = 1.15 * max(max(real), max(float(rows.max()) for rows in found.values()))
    for k, (ax, other) in enumerate(zip(axes, ("the training digits", "the held-out digits"), strict=True)):
        ax.axhspan(min(real), max(real), color="0.85", label="random splits of real digits")
        for draw in range(len(next(iter(found.values())))):
            points = [float(rows[draw, k]) for rows in found.values()]
            ax.semilogx(list(found), points, "o", base=2, color=plots.COLOURS[0], label=None if draw else "the map")
        ax.set(xlabel="jumps", ylim=(0, top), xticks=list(found), xticklabels=list(found), title=f"Distance to {other}")
    axes[0].set_ylabel("Fréchet distance of features")
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    plt.show()


def shares_within(found: Mapping[str, Tensor], threshold: float) -> None:
    """Of each set of digits, the share whose nearest training digit is at most so far away.

    Args:
        found: of each set, by its name, the distance of each digit to its nearest training digit.
        threshold: the distance below which a digit is called near.
    """
    _, ax = plt.subplots(figsize=(6.8, 3.2))
    styles = ("-", "--", "-.", ":", "-", "--")
    for (name, distance), style in zip(found.items(), styles, strict=False):
        ordered = distance.sort().values
        share = 100 * torch.arange(1, len(ordered) + 1) / len(ordered)
        ax.step(ordered, share, style, where="post", label=name)
    ax.axvline(threshold, color="0.5", lw=1, zorder=0)
    ax.annotate("threshold", (threshold, 104), ha="center", annotation_clip=False)
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


def near(found: Mapping[str, Tensor], shares: Mapping[str, float]) -> str:
    """Of each set of digits the median distance, and the share below the threshold, a line each."""
    lines = [f"{'':>24}  median distance   near"]
    lines += [f"{name:>24}  {distance.median().item():15.2f} {shares[name]:6.1%}" for name, distance in found.items()]
    return "\n".join(lines)


def mnist_runs() -> dict[str, list[dict[str, Any]]]:
    """The trainings on MNIST at one budget that tests/benchmark_mnist.py made: of each method an entry a seed."""
    runs = json.loads((shipped_folder() / "mnist" / "mnist.json").read_text(encoding="utf-8"))["runs"]
    found: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        found.setdefault(run["method"], []).append(run)
    return found


def mnist_distances() -> dict[str, Tensor]:
    """Of each method the distances to the training digits at 1, 2, 4, 8 and 16 jumps, shape (seeds, 5)."""
    runs = mnist_runs().items()
    return {name: torch.tensor([[row["fd_train"] for row in run["rows"]] for run in seeds]) for name, seeds in runs}


def span(values: Sequence[float], form: str) -> str:
    """The range of a few numbers, or the only one."""
    low, high = (format(value, form) for value in (min(values), max(values)))
    return low if len(values) == 1 else f"{low} to {high}"


def mnist_table() -> str:
    """Of each method the seeds, the steps of training, the distances by jumps, and labels and copies of one jump."""
    heads = ("seeds", "steps", *(f"{n} jump{'s' * (n > 1)}" for n in (1, 2, 4, 8, 16)), "labels", "copied")
    widths = (5, 15, *[13] * 5, 15, 13)
    lines = [f"{'':>8}" + "".join(f"{head:>{w}}" for head, w in zip(heads, widths, strict=True))]
    for name, seeds in mnist_runs().items():
        cells = [f"{len(seeds)}", span([run["steps"] for run in seeds], ",")]
        cells += [span([run["rows"][k]["fd_train"] for run in seeds], ".2f") for k in range(5)]
        cells += [span([100 * run["rows"][0][key] for run in seeds], ".1f") + " %" for key in ("labels", "copied")]
        lines.append(f"{name.upper():>8}" + "".join(f"{cell:>{w}}" for cell, w in zip(cells, widths, strict=True)))
    row = next(iter(mnist_runs().values()))[0]["rows"][0]
    real = (
        f"real digits: {row['real_fd_train']:.2f} to the training digits, labels {row['real_labels']:.1%}, copied 5 %"
    )
    return "\n".join([*lines, real])


def refinement() -> None:
    """The picture that tests/benchmark_mnist.py drew: a row for each map, the same noise and labels in each block."""
    picture = plt.imread(shipped_folder() / "mnist" / "refinement.png")
    height, width = picture.shape[:2]
    figure = plt.figure(figsize=(width / 110, height / 110 + 0.4), dpi=110, layout="none")
    ax = figure.add_axes((0.0, 0.0, 1.0, height / (height + 44)))
    ax.imshow(picture)
    ax.axis("off")
    ax.set_title("Five digits at 1 to 16 jumps, the same noise in each block; three CPU minutes but for the first row")
    plt.show()


def judged(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """What `labelled.judge` says of each map, a line each, the distances with their deviation over the draws."""
    first = next(iter(rows.values()))
    lines = [f"{'':>24}    to training    to held-out   labels   copied"]
    for name, row in rows.items():
        far = (f"{row[key]:.2f} ± {row[key + '_std']:.2f}" for key in ("fd_train", "fd_held_out"))
        lines.append(
            f"{name:>24}" + "".join(f"{cell:>15}" for cell in far) + f"{row['labels']:9.1%}{row['copied']:9.1%}"
        )
    real = [first[f"real_{key}"] for key in ("fd_train", "fd_held_out", "labels")]
    return "\n".join([*lines, f"{'real digits':>24}{real[0]:15.2f}{real[1]:15.2f}{real[2]:9.1%}{0.05:9.1%}"])


def guidance(rows: Mapping[float, Mapping[str, Any]]) -> None:
    """The two distances of one jump over the scale of the guidance, and the labels that are read back.

    Args:
        rows: of each scale, what `labelled.judge` says.
    """
    scales, (_, axes) = sorted(rows), plt.subplots(1, 2, figsize=(7.6, 3.0))
    for (part, words), colour in zip(
        {"train": "training", "held_out": "held-out"}.items(), plots.COLOURS, strict=False
    ):
        far, spread = ([rows[scale][f"fd_{part}{end}"] for scale in scales] for end in ("", "_std"))
        axes[0].errorbar(scales, far, spread, fmt="o-", color=colour, capsize=3, label=f"to the {words} digits")
        axes[0].axhline(rows[1.0][f"real_fd_{part}"], color=colour, ls=":", lw=1)
    axes[0].set(xlabel="scale of the guidance", ylabel="Fréchet distance", ylim=(0, None), title="Distance of one jump")
    axes[0].plot([], [], ":", color="0.4", lw=1, label="the same of real digits")
    axes[0].legend(fontsize=8)
    axes[1].plot(scales, [100 * rows[scale]["labels"] for scale in scales], "o-", color=plots.COLOURS[2])
    axes[1].axhline(100 * rows[1.0]["real_labels"], color=plots.COLOURS[2], ls=":", lw=1)
    axes[1].set(
        xlabel="scale of the guidance", ylabel="labels read back, %", ylim=(96, 100), title="Labels of one jump"
    )
    plt.show()
