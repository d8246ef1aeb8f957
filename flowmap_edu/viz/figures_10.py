"""The figures of lesson 10: one function a figure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import torch
from torch import Tensor, nn

from flowmap_edu._shipped import shipped_folder
from flowmap_edu.viz import plots

KEYS = ("fd", "labels", "on", "off")


def from_file() -> dict[str, Any]:
    """What data/lessons/make_10.py has made."""
    text = (shipped_folder() / "lessons" / "10.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def other_seeds() -> list[dict[str, Any]]:
    """What the seeds 1 and 2 gave."""
    seeds: list[dict[str, Any]] = from_file()["seeds"]
    return seeds


def lowest(found: Mapping[str, Tensor]) -> str:
    """The name with the smallest number in every seed; "mixed" if the seeds do not agree."""
    best = torch.stack(list(found.values())).argmin(0)
    return list(found)[best[0]] if (best == best[0]).all() else "mixed"


def span(values: Tensor, form: str) -> str:
    """The range of some numbers in words."""
    return f"{values.min().item():{form}} to {values.max().item():{form}}"


def each(values: Tensor, form: str) -> str:
    """Some numbers, seed 0 first."""
    return ", ".join(f"{value:{form}}" for value in values.tolist())


def trainings(first: Mapping[str, Sequence[float]]) -> dict[str, Tensor]:
    """Print what each of three seeds gave, and return the numbers.

    Args:
        first: of seed 0, by the name of a training: Fréchet distance, labels, residuals on and off the diagonal.

    Returns:
        by name, shape (3, 4).
    """
    found = {}
    for name, numbers in first.items():
        others = [[one["trainings"][name][key] for key in KEYS] for one in other_seeds()]
        found[name] = torch.tensor([list(numbers), *others])
    table(found)
    return found


def longer() -> Tensor:
    """Print what the learned weight gave after 800 steps, three seeds by data/lessons/make_10.py; shape (3, 4)."""
    rows = torch.tensor([[one[key] for key in KEYS] for one in from_file()["longer"]])
    table({"weight, 800": rows})
    return rows


def table(found: Mapping[str, Tensor]) -> None:
    """Print the numbers of three seeds, a line a training; shape (3, 4) each."""
    print(f"{'seeds 0, 1, 2':>14}{'FD, one jump':>19}{'labels':>16}{'on the diagonal':>22}{'off it':>18}")
    for name, rows in found.items():
        cells = [each(rows[:, k], form) for k, form in enumerate((".1f", ".0%", ".2f", ".2f"))]
        print(f"{name:>14}{cells[0]:>19}{cells[1]:>16}{cells[2]:>22}{cells[3]:>18}")


def pairs(found: Mapping[str, Tensor]) -> None:
    """The residual off the diagonal and the Fréchet distance of two trainings; a line joins the two of a seed."""
    _, ax = plt.subplots(figsize=(4.8, 2.9))
    for k, (name, rows) in enumerate(found.items()):
        ax.plot(rows[:, 3], rows[:, 0], "os"[k], color=plots.COLOURS[k], label=f'"{name}"', zorder=2)
    for seed, (one, other) in enumerate(zip(*found.values(), strict=True)):
        ax.plot([one[3], other[3]], [one[0], other[0]], color="0.6", lw=1, zorder=1)
        ax.annotate(f"seed {seed}", (one[3], one[0]), (-5, -9), ha="right", textcoords="offset points", fontsize=8)
    ax.set(xlabel="mean squared residual off the diagonal", ylabel="Fréchet distance, one jump")
    ax.margins(x=0.15, y=0.15)
    ax.set_title("A line joins the two trainings of a seed")
    ax.legend()
    plt.show()


def gradients(first: Mapping[str, tuple[float, float]]) -> dict[str, Tensor]:
    """Print length and noise over mean of each loss in three networks, draw the noise, and return it by name."""
    others = [one["gradients"] for one in other_seeds()]
    _, ax = plt.subplots(figsize=(5.8, 2.6))
    found = {}
    for k, (name, numbers) in enumerate(first.items()):
        length, noise = torch.tensor([list(numbers), *(one[name] for one in others)]).T
        print(f"{name:>15}: length of the mean {each(length, '.0f'):>13}; noise over mean {each(noise, '.2f')}")
        ax.plot(noise, [k] * len(noise), "o", color=plots.COLOURS[0])
        found[name] = noise
    ax.set(yticks=range(len(first)), yticklabels=first, xlabel="noise over mean", xlim=(0, None))
    ax.invert_yaxis()
    ax.grid(axis="y", color="0.9")
    ax.set_title("Same batches; a dot a network")
    plt.show()
    return found


def distances(first: Mapping[str, float]) -> dict[str, Tensor]:
    """Print the Fréchet distances of averages and of last weights for three seeds, and return them by name."""
    found = {}
    for name, value in first.items():
        found[name] = torch.tensor([value, *(one["averages"][name] for one in other_seeds())])
        print(f"{name:>16}: FD {each(found[name], '.1f')}")
    return found


def apart() -> list[float]:
    """How far one jump and sixteen are apart, of the other seeds."""
    return [one["jumps"]["apart"] for one in other_seeds()]


def jumps(first: Mapping[int, tuple[float, float]], real: float) -> Tensor:
    """Print and draw grey pixels by the number of jumps for three seeds; return them, shape (3, jumps).

    Args:
        first: of seed 0, for each number of jumps: the share of grey pixels and the Fréchet distance.
        real: the share of grey pixels of real digits.
    """
    others = [one["jumps"] for one in other_seeds()]
    grey = torch.tensor([[g for g, _ in first.values()], *([one["grey"][str(n)] for n in first] for one in others)])
    fd = torch.tensor([[d for _, d in first.values()], *([one["fd"][str(n)] for n in first] for one in others)])
    for k, n in enumerate(first):
        words = f"FD {span(fd[:, k], '.1f')}, grey pixels {span(grey[:, k], '.1%')}"
        print(f"{n:>2} jump{'s' if n > 1 else ' '}: {words} (real digits {real:.1%})")
    _, ax = plt.subplots(figsize=(4.8, 2.7))
    for k, row in enumerate(grey):
        label = None if k else "a map, a line a seed"
        ax.semilogx(list(first), 100 * row, "o-", base=2, color=plots.COLOURS[0], alpha=0.7, label=label)
    ax.axhline(100 * real, color="0.5", ls="--", lw=1, label="real digits")
    ax.set(xlabel="jumps", ylabel="grey pixels, %", ylim=(0, 60), xticks=list(first), xticklabels=list(first))
    ax.set_title("Grey pixels, 400 steps of training")
    ax.legend(loc="lower left")
    plt.show()
    return grey


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
