"""The figures of lesson 13: one function each."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from flowmap_edu._shipped import shipped_folder
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.problems.equations import Equation
from flowmap_edu.viz import plots

MARKS, LOOKS = "os^Dv", ("-", "-.", ":")


def densities(found: Mapping[str, tuple[Tensor, Tensor]], truth: float) -> None:
    """Samples, coloured by the logarithm of their density minus the true one's.

    Args:
        found: by title, samples (B, 2) and log q (B,).
        truth: the logarithm of the density on the squares.
    """
    figure, axes = plt.subplots(1, len(found), figsize=(3.3 * len(found) + 0.8, 3.1), sharex=True, sharey=True)
    shown: list[Any] = []
    for ax, (title, (x, log_q)) in zip(axes, found.items(), strict=True):
        shown.append(ax.scatter(*x.T, c=log_q - truth, s=2, cmap="PuOr", vmin=-2, vmax=2, rasterized=True))
        plots.squares(ax)
        ax.set(title=title, aspect="equal")
    figure.colorbar(shown[-1], ax=axes, label="log q - log of the true density", extend="both")
    plt.show()


def folds(x0: Tensor, x1: Tensor, folded: Tensor) -> None:
    """The draws of the noise and where one jump takes them, those with a negative determinant marked."""
    _, axes = plt.subplots(1, 2, figsize=(7.2, 3.3))
    for ax, x, title in zip(axes, (x0, x1), ("noise", "after one jump"), strict=True):
        ax.plot(*x[~folded].T, ".", color="0.8", ms=2, label="positive determinant")
        ax.plot(*x[folded].T, ".", color=plots.COLOURS[1], ms=4, label="negative determinant")
        ax.set(title=title, aspect="equal")
    axes[0].legend(loc="upper left", bbox_to_anchor=(0, -0.12), fontsize=8, markerscale=2)
    plt.show()


def shares(found: Mapping[str, Mapping[int, Sequence[float]]]) -> None:
    """The folded share in few and in many jumps, a colour a map and a mark a draw of the noise."""
    _, ax = plt.subplots(figsize=(5.2, 3.0))
    steps = list(next(iter(found.values())))
    for k, (name, rows) in enumerate(found.items()):
        for place, values in enumerate(rows.values()):
            where = [place + 0.12 * (k - 1)] * len(values)
            label = None if place else name
            ax.plot(where, [100 * v for v in values], MARKS[k], color=plots.COLOURS[k], alpha=0.7, label=label)
    names = [f"{count} jump{'s' * (count > 1)}" for count in steps]
    ax.set(ylabel="folded points, %", xticks=range(len(steps)), xticklabels=names, xlim=(-0.5, len(steps) - 0.5))
    ax.set_title("One trained map each, three draws of the noise")
    ax.legend()
    plt.show()


def phase(problem: Equation, X: FlowMap, x: Tensor) -> None:
    """Orbits of a pendulum, and where one jump from time 0 lands for a row of end times."""
    ends = torch.linspace(0, 1, 61)
    _, ax = plt.subplots(figsize=(5.4, 3.4))
    with torch.no_grad():
        for k, start in enumerate(x):
            many = start.expand(len(ends), 2)
            exact, jumped = problem.flow(torch.zeros_like(ends), ends, many), X(torch.zeros_like(ends), ends, many)
            ax.plot(*exact.T, color="0.7", lw=3, label="exact" if not k else None)
            ax.plot(*jumped.T, color=plots.COLOURS[0], lw=1, label="one jump to each time" if not k else None)
            ax.plot(*start, "o", color=plots.COLOURS[6], ms=4, label="start" if not k else None)
            ax.plot(*jumped[-1], "s", color=plots.COLOURS[1], ms=4, label="landing at T" if not k else None)
    ax.set(xlabel="angle q", ylabel="speed p", title=f"Pendulum, T = {problem.horizon:g}", aspect="equal")
    ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1), fontsize=8)
    plt.show()


def solvers(rows: Sequence[tuple[float, float]], jumps: Mapping[int, float]) -> None:
    """The error against the number of evaluations in a row: of a solver, at several tolerances, and of jumps."""
    _, ax = plt.subplots(figsize=(5.2, 3.0))
    ax.loglog(*zip(*rows, strict=True), "o", color=plots.COLOURS[0], label="RK45, evaluations of f")
    ax.loglog(list(jumps), list(jumps.values()), "s", color=plots.COLOURS[1], label="jumps, evaluations of the network")
    ax.set(xlabel="evaluations in a row", ylabel="error at time T", title="Pendulum")
    ax.legend()
    plt.show()


def chaos(apart: Tensor, step: float, first: Sequence[float]) -> None:
    """How far two solutions of Lorenz's equations are apart, a line for each first error.

    Args:
        apart: distances, shape (steps, first errors).
        step: the length of a step in Lyapunov times.
        first: the first errors.
    """
    _, ax = plt.subplots(figsize=(5.8, 3.2))
    times = step * torch.arange(1, len(apart) + 1)
    for k, size in enumerate(first):
        ax.semilogy(times, apart[:, k], LOOKS[k], color=plots.COLOURS[k], label=f"first error {size:g}")
        ax.semilogy(times, apart[0, k] * (times - times[0]).exp(), "--", color="0.6", lw=1, zorder=0)
    ax.plot([], [], "--", color="0.6", label="growth by e in each")
    ax.set(xlabel="time, in Lyapunov times", ylabel="distance of two forecasts", ylim=(None, 10), title="Lorenz")
    ax.legend(fontsize=8)
    plt.show()


def trained() -> dict[str, Any]:
    """What data/lessons/make_13.py measured: trained maps of Lorenz's equations by horizon, an entry a seed."""
    return json.loads((shipped_folder() / "lessons" / "13.json").read_text(encoding="utf-8"))


def horizons(table: Mapping[str, Any], exponent: float) -> None:
    """The error at the horizon of one, two and eight jumps of a map, a mark a seed, for each horizon.

    Args:
        table: of `trained`.
        exponent: the largest Lyapunov exponent.
    """
    _, ax = plt.subplots(figsize=(5.6, 3.2))
    for k, steps in enumerate((1, 2, 8)):
        seeds = enumerate(table["lorenz"].values())
        at = [(place + 0.15 * (k - 1), row[str(steps)]) for place, rows in seeds for row in rows]
        label = f"{steps} jump{'s' * (steps > 1)}"
        ax.semilogy(*zip(*at, strict=True), MARKS[k], color=plots.COLOURS[k], alpha=0.7, label=label)
    ax.axhline(table["apart"], color="0.5", ls="--", label="two random states")
    names = [f"{horizon}\n({exponent * float(horizon):.2f})" for horizon in table["lorenz"]]
    ax.set(xticks=range(len(names)), xticklabels=names, xlim=(-0.5, len(names) - 0.5))
    ax.set(xlabel="horizon T (in Lyapunov times)", ylabel="error at time T")
    ax.set_title(f"Lorenz: {table['steps']:,} steps of training, three seeds", fontsize=10)
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.02, 1))
    plt.show()
