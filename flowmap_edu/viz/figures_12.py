"""The figures and tables of lesson 12: one function each."""

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from flowmap_edu.metrics import binned_kl
from flowmap_edu.problems import Checkerboard
from flowmap_edu.problems.tilted import Tilted
from flowmap_edu.viz import plots
from flowmap_edu.viz.figures_08 import sheet

__all__ = [
    "ahead",
    "ascent",
    "frechet",
    "off",
    "print_scores",
    "print_steps",
    "pulls",
    "score",
    "sheet",
    "span",
    "steered",
    "tradeoff",
]

MARKS = "os^Dv<>"


def span(values: Sequence[float], digits: int = 2) -> str:
    """The range of some numbers in words."""
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def off(problem: Checkerboard, x: Tensor) -> float:
    """The share of points that lie off the squares."""
    return float((~torch.isfinite(problem.log_density(1.0, x.double()))).double().mean())


def score(tilted: Tilted, x: Tensor) -> tuple[float, float]:
    """The divergence of samples to the tilted board on 16 x 16 bins, and the share of points off the squares."""
    assert isinstance(tilted.problem, Checkerboard)
    return binned_kl(tilted.log_density, x), off(tilted.problem, x)


def print_scores(found: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Print for each way the ranges over seeds: the divergence, and the share off the squares in percent."""
    print(f"{'':<24}{'divergence':>16}{'off the squares, %':>22}")
    for name, rows in found.items():
        divergence, away = zip(*rows, strict=True)
        print(f"{name:<24}{span(divergence, 3):>16}{span([100 * share for share in away], 1):>22}")


def print_steps(found: Mapping[tuple[str, int], Sequence[tuple[float, float]]]) -> None:
    """Print two tables, a row a way and a column a number of steps: the mean reward, and the percent off the squares.

    Args:
        found: for each way and number of steps a pair for each seed.
    """
    ways, counts = (list(dict.fromkeys(keys)) for keys in zip(*found, strict=True))
    heads = "".join(f"{f'{n} step' + 's' * (n > 1):>16}" for n in counts)
    for column, title in enumerate(("mean reward", "off the squares, %")):
        print(f"{title:<24}{heads}")
        for way in ways:
            cells = (span([pair[column] for pair in found[way, n]], 1 if column else 2) for n in counts)
            print(f"{way:<24}" + "".join(f"{cell:>16}" for cell in cells))
        print()


def ahead(x: Tensor, lines: Tensor, draws: Tensor) -> None:
    """Points on the way, draws of the data given each, and the look-ahead from the mean to the landing point.

    Args:
        x: points, shape (B, 2).
        lines: D_{s,u} for u from s to 1, shape (U, B, 2).
        draws: of the data given the point, shape (K, B, 2).
    """
    figure, axes = plt.subplots(1, len(x), figsize=(3.0 * len(x), 3.5), sharex=True, sharey=True)
    for k, ax in enumerate(axes):
        plots.squares(ax)
        ax.plot(*draws[:, k].T, ".", ms=2, color=plots.COLOURS[5], label="draws of the data given the point")
        ax.plot(*lines[:, k].T, color=plots.COLOURS[6], lw=1.2, label="$D_{s,u}$, u from s to 1")
        ax.plot(*x[k], "x", ms=7, mew=2, color=plots.COLOURS[6], label="the point")
        ax.plot(*lines[0, k], "o", ms=7, color=plots.COLOURS[0], label="u = s")
        ax.plot(*lines[-1, k], "s", ms=7, color=plots.COLOURS[1], label="u = 1")
        plots.window(ax, 1.2)
        ax.set_title(f"from the point ({float(x[k, 0]):.2f}, {float(x[k, 1]):.2f})")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    plt.show()


def tradeoff(us: Sequence[float], board: Tensor, digits: Tensor, times: tuple[float, float]) -> None:
    """The square error against the distance of distributions along u, a line a seed; rows (u, seed, 2)."""
    _, axes = plt.subplots(1, 2, figsize=(8.4, 3.3))
    for ax, rows, title, s in zip(axes, (board, digits), ("board", "held-out digits"), times, strict=True):
        for seed in range(rows.shape[1]):
            ax.plot(*rows[:, seed].T, "o-", color=plots.COLOURS[seed], label=f"seed {seed}", alpha=0.8)
        for place, words in ((0, "u = s"), (-1, "u = 1")):
            ax.annotate(words, rows[place, 0].tolist(), xytext=(-4, 9), textcoords="offset points")
        ax.set(
            xlabel="mean square error",
            ylim=(0, 1.2 * float(rows[..., 1].max())),
            title=f"{title}, s = {s:g}, {len(us)} values of u",
        )
        ax.margins(x=0.15)
        ax.locator_params(axis="x", nbins=5)
    axes[0].set_ylabel("divergence to the board")
    axes[1].set_ylabel("Fréchet distance of features")
    axes[0].legend()
    plt.show()


def steered(found: Mapping[str, Tensor], half_width: float = 1.6) -> None:
    """Samples of several ways as dots on the board's squares; points outside the window are counted in its title."""
    across = min(len(found), 4)
    down = math.ceil(len(found) / across)
    _, axes = plt.subplots(down, across, figsize=(2.3 * across, 2.9 * down), sharex=True, sharey=True, squeeze=False)
    for ax in axes.flat[len(found) :]:
        ax.set_axis_off()
    for ax, (name, x) in zip(axes.flat, found.items(), strict=False):
        outside = int((x.abs() > half_width).any(1).sum())
        plots.squares(ax)
        ax.plot(*x.T, ".", ms=1.5, color=plots.COLOURS[0])
        plots.window(ax, half_width)
        ax.set_title(f"{name}\n({outside} outside)", fontsize=9)
    plt.show()


def pulls(times: Sequence[float], found: Mapping[str, Sequence[float]]) -> None:
    """The median length of the term that guidance adds to the velocity, over time, for each value."""
    _, ax = plt.subplots(figsize=(5.6, 3.2))
    for k, (name, values) in enumerate(found.items()):
        ax.loglog(times, values, f"{MARKS[k]}-", color=plots.COLOURS[k], label=name)
    ax.set(xlabel="time s", ylabel="median length", title="What guidance adds to the velocity")
    ax.legend()
    plt.show()


def ascent(found: Mapping[str, Tensor]) -> None:
    """The mean reward and the share off the squares after each step, a line a seed; rows (seed, step, 2)."""
    _, axes = plt.subplots(1, 2, figsize=(8.0, 3.0))
    for k, (name, rows) in enumerate(found.items()):
        for seed, one in enumerate(rows):
            for column, ax in enumerate(axes):
                values = one[:, column] * (100 if column else 1)
                ax.plot(values, f"{MARKS[k]}-", color=plots.COLOURS[k], alpha=0.7, label=None if seed else name)
    axes[0].set(xlabel="steps in the noise", ylabel="mean reward", title="One jump from the moved noise")
    axes[1].set(xlabel="steps in the noise", ylabel="off the squares, %", ylim=(0, None))
    axes[0].legend()
    plt.show()


def frechet(a: Tensor, b: Tensor) -> float:
    """The Fréchet distance of two sets of features, (N, F) and (M, F), as in lesson 08."""
    one, other = torch.cov(a.double().T), torch.cov(b.double().T)
    root = torch.linalg.eigvals(one @ other).real.clamp_min(0).sqrt().sum()
    return float((a.double().mean(0) - b.double().mean(0)).square().sum() + one.trace() + other.trace() - 2 * root)
