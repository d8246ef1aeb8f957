"""The figures of lesson 01: one function a figure."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from torch import Tensor

from flowmap_edu.problems.checkerboard import Checkerboard
from flowmap_edu.problems.exact import ExactFlow
from flowmap_edu.viz import line, plots
from flowmap_edu.viz.plane import CHORD, PATH, VELOCITY, arrow, bundle, dot, legend, plane, segment
from flowmap_edu.viz.plots import COLOURS

POINTS = "coordinate"


def crossing(problem: ExactFlow, n: int = 60) -> None:
    """The lines of n independent pairs over the density of I_t."""
    ax = line.density(problem, plt.subplots(figsize=(5.4, 3.4), dpi=72)[1])
    line.crossing(problem, n, ax)
    ax.set_title(f"{n} pairs, each joined by a line; grey: where $I_t$ is")
    plt.show()


def boards(clouds: Mapping[str, Tensor], title: str = "") -> None:
    """Densities of points of the board side by side; the names are the titles."""
    size = (1.9 * len(clouds), 2.7 if title else 2.4)
    figure, axes = plt.subplots(1, len(clouds), figsize=size, dpi=80, sharex=True, sharey=True)
    for ax, (name, points) in zip(axes, clouds.items(), strict=True):
        plots.board(ax, points, bins=48)
        ax.set(title=name, xlabel=f"first {POINTS}")
    axes[0].set_ylabel(f"second {POINTS}")
    figure.suptitle(title)
    plt.show()


def mean_slope(problem: ExactFlow, t: float, x: float) -> None:
    """The lines that pass through one place, and the mean of their slopes."""
    ax = line.density(problem, plt.subplots(figsize=(5.4, 3.8), dpi=80)[1])
    line.mean_velocity(problem, t, x, ax)
    ax.set_title("Lines through one place, and the mean of their slopes")
    plt.show()


def lines_and_paths(problem: ExactFlow, n: int = 24) -> None:
    """Left: lines of pairs. Right: paths of the velocity from the same starts."""
    figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.2), dpi=72, sharey=True)
    generator = torch.Generator().manual_seed(0)
    starts = problem.base(n, generator)
    for ax, title in zip(axes, ("lines of pairs", "paths of the velocity"), strict=True):
        line.density(problem, ax)
        ax.set_title(title)
    line.crossing(problem, n, axes[0])
    line.paths(problem.velocity, starts, axes[1])
    axes[1].set(ylabel="")
    figure.suptitle(f"{n} starts, the same on both sides")
    plt.show()


def fields(board: Checkerboard, clouds: Mapping[float, Tensor], length: float = 0.25) -> None:
    """The velocity of the board at some times, over the density; arrows only where points are.

    Args:
        board: the problem.
        clouds: points of I_t by the time t.
        length: how long in time an arrow is.
    """
    figure, axes = plt.subplots(1, len(clouds), figsize=(9.6, 3.1), dpi=90, sharex=True, sharey=True)
    axis = torch.linspace(-1.1, 1.1, 12, dtype=torch.float64)
    grid = torch.cartesian_prod(axis, axis)
    for ax, (t, points) in zip(axes, clouds.items(), strict=True):
        plots.board(ax, points, bins=48)
        seen = board.log_density(t, grid).exp() > 0.04
        x, b = grid[seen], length * board.velocity(t, grid[seen])
        how: Any = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.009, "color": "white"}
        how |= {"headwidth": 4, "headlength": 4, "headaxislength": 3.5, "minshaft": 2, "minlength": 0}
        ax.quiver(*x.T, *b.T, **how)
        ax.set(title=f"t = {t:g}", xlabel=f"first {POINTS}")
    axes[0].set_ylabel(f"second {POINTS}")
    figure.suptitle(f"Lighter: more points; an arrow is {length:g} $b_t$")
    plt.show()


def against_steps(kl: Mapping[int, float], distance: Mapping[int, float], floor: float) -> None:
    """KL64 and the distance from the exact ends against the number of Euler steps."""
    _, axes = plt.subplots(1, 2, figsize=(7.6, 2.9))
    plots.against_steps(axes[0], {"Euler, exact velocity": kl}, floor=floor)
    plots.against_steps(axes[1], {"Euler, exact velocity": distance}, ylabel="distance from the exact ends")
    axes[1].set_yticks([0.03, 0.1, 0.3, 0.8], ["0.03", "0.1", "0.3", "0.8"])
    plt.show()


def steps_on_a_path(problem: ExactFlow, x: float = 0.3) -> None:
    """A path on the line, its chord, one Euler step, and four."""
    ax = line.density(problem, plt.subplots(figsize=(5.4, 4.0), dpi=80)[1])
    with torch.no_grad():
        tau = torch.linspace(0, 1, 101)
        path = problem.flow_map(0.0, tau, torch.full((101, 1), x))[:, 0]
        places = [torch.tensor([[x]])]
        for k in range(4):
            places.append(places[-1] + problem.velocity(k / 4, places[-1]) / 4)
        slope = problem.velocity(0.0, places[0]).item()
    ax.plot(tau, path, color=PATH, lw=2, label="the path")
    end = float(path[-1])
    segment(ax, (0, x), (1, end), CHORD, label=f"its chord: slope {end - x:.2f}")
    arrow(ax, (0, x), (1, x + slope), VELOCITY, label=f"one Euler step: slope {slope:.2f}")
    ax.plot(
        [k / 4 for k in range(5)], [p.item() for p in places], color=COLOURS[3], marker="o", label="four Euler steps"
    )
    dot(ax, [0], [x], COLOURS[6], full=False)
    ax.set_title("One path on the line")
    legend(ax)
    plt.show()


def progress(times: Tensor, path: Tensor, rate: Tensor, shown: int = 8) -> None:
    """Left: paths on the board. Right: how fast the distance from the end of each path grows or shrinks.

    Args:
        times: shape (T,).
        path: shape (T, B, 2).
        rate: the derivative in time of the distance from the end, shape (T, B).
        shown: how many paths; their starts lie far apart.
    """
    _, axes = plt.subplots(1, 2, figsize=(8.6, 3.6), dpi=80)
    plots.squares(axes[0])
    for k, chosen in enumerate(apart(path[0], shown)):
        colour = COLOURS[k % len(COLOURS)] if k < 7 else "0.5"
        plots.paths(axes[0], path[:, chosen : chosen + 1], colour=colour)
        axes[1].plot(times, rate[:, chosen], color=colour, lw=1.2)
    axes[0].set(xlabel=f"first {POINTS}", ylabel=f"second {POINTS}", title="paths: open circle start, full circle end")
    axes[1].axhline(0, color="0.6", lw=0.8)
    axes[1].set(
        xlabel="time t", ylabel="d/dt of the distance from the end", title="below 0: the point approaches its end"
    )
    axes[1].set_ylim(-1.6, 1.1)
    plt.show()


def apart(starts: Tensor, n: int) -> list[int]:
    """n starts within 1 of the centre, where most of the noise is, each as far as possible from those before it."""
    inside = starts.norm(dim=1) < 1.0
    chosen = [int((starts - 0.25).norm(dim=1).argmin())]
    while len(chosen) < n:
        near = torch.cdist(starts, starts[chosen]).amin(1)
        chosen.append(int(near.masked_fill(~inside, 0).argmax()))
    return chosen


def two_judges(curves: Mapping[str, Mapping[float, tuple[float, float]]], floor: float) -> None:
    """KL64 against the distance from the exact ends.

    Args:
        curves: by name, points (distance, KL64) by what stands beside each: a number of steps, or a share.
        floor: KL64 of exact draws.
    """
    _, ax = plt.subplots(figsize=(5.6, 3.8))
    for k, (name, points) in enumerate(curves.items()):
        x, y = zip(*points.values(), strict=True)
        ax.loglog(x, y, marker="os"[k], label=name)
        for text, (a, b) in points.items():
            place: Any = {"xytext": (-5, 5) if k else (6, -5), "textcoords": "offset points", "fontsize": 8}
            ax.annotate(f"{text:.2g}", (a, b), color=COLOURS[k], ha="right" if k else "left", **place)
    ax.axhline(floor, color="0.5", ls="--", lw=1, label="exact draws")
    ax.set(xlabel="distance from the exact ends (root mean square)", ylabel="KL64", xlim=(4e-3, 1.6), ylim=(0.012, 20))
    ax.legend(loc="upper left")
    plt.show()


def pairings(pairs: Mapping[str, tuple[Tensor, Tensor]], shown: int = 50) -> None:
    """Lines of pairs on the line; a panel for each way to pair, x0 and x1 of shape (N, 1)."""
    _, axes = plt.subplots(1, len(pairs), figsize=(8.6, 2.9), dpi=72, sharey=True)
    for ax, (name, (x0, x1)) in zip(axes, pairs.items(), strict=True):
        every = max(1, len(x0) // shown)
        plane(ax)
        some = slice(every // 2, None, every)
        bundle(ax, 0.0, x0[some, 0], 1.0, x1[some, 0], COLOURS[0])
        ax.set_title(name)
    axes[1].set_ylabel("")
    plt.show()


def training(histories: Sequence[Sequence[float]], floor: float) -> None:
    """The losses of some trainings, each a mean over a window of steps, and the irreducible loss."""
    _, ax = plt.subplots(figsize=(5.6, 2.8))
    window = max(1, len(histories[0]) // 60)
    top = 0.0
    for k, history in enumerate(histories):
        smooth = torch.tensor(history).unfold(0, window, window).mean(1)
        top = max(top, smooth[2:].max().item())
        ax.plot(torch.arange(1, len(smooth) + 1) * window, smooth, color=COLOURS[k], lw=1, label=f"seed {k}")
    ax.axhline(floor, color=COLOURS[6], ls="--", label="irreducible loss")
    ax.set(xlabel="training step", ylabel=f"loss, mean of {window} steps", ylim=(0.0, 1.05 * max(1.3, top)))
    ax.legend(ncols=2)
    plt.show()


def learned(clouds: Mapping[str, Tensor], exact: Mapping[int, float], found: Mapping[int, Sequence[float]]) -> None:
    """Boards, and KL64 against the number of steps: the exact velocity, and the range of some learned ones."""
    n = len(clouds)
    _, axes = plt.subplots(1, n + 1, figsize=(9.6, 2.7), width_ratios=[1] * n + [1.6])
    for ax, (name, points) in zip(axes, clouds.items(), strict=False):
        plots.board(ax, points, bins=48)
        ax.set_title(name)
    curve(axes[n], exact, found)
    plt.show()


def curve(ax: Axes, exact: Mapping[int, float], found: Mapping[int, Sequence[float]]) -> None:
    """The last panel of `learned`."""
    low, high = ([pick(values) for values in found.values()] for pick in (min, max))
    steps = list(found)
    ax.loglog(steps, [exact[k] for k in steps], marker="o", label="exact velocity")
    ax.fill_between(steps, low, high, color=COLOURS[1], alpha=0.4, lw=0)
    middle = [sorted(values)[len(values) // 2] for values in found.values()]
    ax.loglog(steps, middle, marker="s", color=COLOURS[1], label="learned, three seeds")
    ax.set_xticks(steps, [str(k) for k in steps])
    ax.minorticks_off()
    ax.set(xlabel="number of steps", ylabel="KL64")
    ax.legend(loc="lower left")
