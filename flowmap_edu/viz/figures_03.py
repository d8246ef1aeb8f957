"""The figures of lesson 03, one function a figure."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.transforms import offset_copy
from torch import Tensor

from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics.errors import at_time, residuals_at
from flowmap_edu.problems.checkerboard import Checkerboard
from flowmap_edu.problems.exact import ExactFlow
from flowmap_edu.viz import line, plots
from flowmap_edu.viz.plane import CHORD, PATH, VELOCITY, dot, legend, plane, point

__all__ = ["distances", "errors_at_starts", "gesture", "limits", "rms", "short_jumps", "starts", "stops"]
__all__ += ["suspects", "traces", "traces_of"]

NAMES = {"lagrangian": "Lagrangian", "eulerian": "Eulerian", "semigroup": "semigroup"}


def pair(height: float) -> tuple[Any, Any]:
    """Two panels with one y axis, for the flow map and the suspect."""
    axes = plt.subplots(1, 2, figsize=(9.0, height), sharey=True)[1]
    for ax, title in zip(axes, ("flow map", "suspect"), strict=True):
        ax.set_title(title)
    return axes[0], axes[1]


def traces(on_line: Sequence[FlowMap], on_board: Sequence[FlowMap], starts: Tensor) -> None:
    """Landing points X_{0,t}(x), t from 0 to 1, of the flow map (blue) and of the suspect (orange).

    Left: on the line, against t. Right: on the board, in the plane, from `starts`, shape (B, 2).
    """
    axes = plt.subplots(1, 2, figsize=(8.6, 4.3))[1]
    t = torch.linspace(0, 1, 101)
    plane(axes[0])
    for k, (X, name) in enumerate(zip(on_line, ("flow map", "suspect"), strict=True)):
        for n, x in enumerate((-0.9, -0.5, -0.2, 0.2, 0.5, 0.9)):
            with torch.no_grad():
                axes[0].plot(
                    t, X(0.0, t, point(x, 101))[:, 0], color=plots.COLOURS[k], lw=1.2, label=None if n else name
                )
            dot(axes[0], [0], [x], plots.COLOURS[k], full=False)
    axes[0].set_title("line: landing point against the end time")
    legend(axes[0])
    plots.squares(axes[1])
    t = torch.linspace(0, 1, 41).repeat_interleave(len(starts))  # every start at every end time, as one batch
    for k, X in enumerate(on_board):
        with torch.no_grad():
            plots.paths(axes[1], X(0.0, t, starts.repeat(41, 1)).reshape(41, -1, 2), colour=plots.COLOURS[k])
    axes[1].set(title="board: landing points in the plane", xlabel="first coordinate", ylabel="second coordinate")
    plt.show()


def gesture(maps: Sequence[FlowMap], which: Sequence[str], s: float, u: float, t: float, x: float) -> None:
    """What one or more conditions say of a jump on the line: of the flow map (left) and of the suspect (right)."""
    for ax, X in zip(pair(3.6 + 0.4 * len(which)), maps, strict=True):
        line.gestures(X, s, u, t, x, ax, which=which)
    plt.show()


def starts(maps: Sequence[FlowMap], x_s: Tensor, s: Tensor, t: float, chosen: int) -> None:
    """Where starts on one path of the line land, and the two terms of the Eulerian equation for one of them.

    Args:
        maps: the flow map and the suspect.
        x_s, s: the starts, shape (N, 1), and their times, shape (N,).
        t: the end time.
        chosen: which start has its two terms drawn as arrows: each is a quarter of the change for a unit of time.
    """
    axes = pair(4.2)
    for ax, X in zip(axes, maps, strict=True):
        plane(ax)
        landed = X(s, t, x_s)
        ax.plot(s, x_s[:, 0], "o-", mfc="white", color=PATH, label="starts, on one path")
        for k in range(len(s)):
            ax.plot([s[k], t], [x_s[k, 0], landed[k, 0]], color="0.8", lw=0.8, zorder=0)
        dot(ax, [t] * len(s), landed[:, 0], plots.COLOURS[6], label="where they land")
        one, clock = x_s[chosen : chosen + 1], float(s[chosen])
        moved = X.partial_s(clock, t, one)[1], X.push(clock, t, one, X.velocity(clock, one))[1]
        for k, (change, name) in enumerate(zip(moved, ("clock alone", "point alone"), strict=True)):
            at, change = landed[chosen, 0].item(), change.item()
            aside = offset_copy(ax.transData, ax.get_figure(root=True), x=9 + 8 * k, units="points")
            style: Any = {"arrowstyle": "-|>", "color": (CHORD, VELOCITY)[k], "lw": 2.2, "shrinkA": 0, "shrinkB": 0}
            ax.annotate("", (t, at + change / 4), (t, at), xycoords=aside, textcoords=aside, arrowprops=style)
            ax.update_datalim([(t, at + change / 4)])
            ax.plot([], [], color=(CHORD, VELOCITY)[k], lw=2.2, label=f"{name}: {change:.2f}")
        ax.autoscale_view(scalex=False)
        legend(ax)
    plt.show()


def stops(maps: Sequence[FlowMap], x: float, t: float, counts: Sequence[int] = (1, 2, 4)) -> None:
    """Equal jumps from (0, x) to time t on the line, for several numbers of them, over the path of the flow map."""
    for ax, X in zip(pair(4.0), maps, strict=True):
        plane(ax)
        tau = torch.linspace(0, t, 101)
        with torch.no_grad():
            ax.plot(tau, maps[0](0.0, tau, point(x, 101))[:, 0], color="0.7", lw=3, label="path of the flow map")
            for k, n in enumerate(counts):
                places = [point(x)]
                for i in range(n):
                    places.append(X(t * i / n, t * (i + 1) / n, places[-1]))
                look: Any = {"marker": "os^"[k % 3], "color": plots.COLOURS[k], "lw": 1.4}
                ax.plot([t * i / n for i in range(n + 1)], torch.cat(places)[:, 0], label=f"jumps: {n}", **look)
        legend(ax)
    plt.show()


def rms(residual: Tensor) -> float:
    """The root mean square length of a residual, shape (B, D)."""
    return residual.square().sum(1).mean().sqrt().item()


def distances(
    pair: Callable[..., tuple[Tensor, Tensor]],
    X: FlowMap,
    s: Tensor,
    t: Tensor,
    x: Tensor,
    steps: Sequence[float],
    wanted: tuple[Tensor, Tensor],
) -> tuple[list[float], list[float]]:
    """How far pair(X, s, t, x, step) is from two wanted tensors: two lists, with the mean distance for each step."""
    out: tuple[list[float], list[float]] = ([], [])
    for step in steps:
        for distances, mine, theirs in zip(out, pair(X, s, t, x, step), wanted, strict=True):
            distances.append((mine - theirs).norm(dim=1).mean().item())
    return out


def limits(steps: Sequence[float], end: Sequence[float], start: Sequence[float]) -> None:
    """Distances to the Lagrangian and to the Eulerian residual against the step, on logarithmic axes."""
    _, ax = plt.subplots(figsize=(4.8, 3.1))
    ax.loglog(steps, end, "o-", label="stop before the end: to the Lagrangian residual")
    ax.loglog(steps, start, "s-", label="stop after the start: to the Eulerian residual")
    ax.loglog(steps, steps, "--", color="0.5", label="proportional to the step")
    ax.set(xlabel="step", ylabel="mean distance", title="semigroup residual / step", ylim=(None, 50 * float(max(end))))
    ax.legend(loc="upper left", fontsize=8)
    plt.show()


def suspects(tables: Mapping[str, Mapping[str, Tensor]], low: float = 1e-4, high: float = 2.0) -> None:
    """Residuals r(s, t) of several maps: a row for each map, a column for each condition, one scale for all.

    A residual below 1e-9, which is rounding, is grey.
    """
    figure, axes = plt.subplots(len(tables), 3, figsize=(7.2, 1.75 * len(tables) + 0.4), sharex=True, sharey=True)
    image = None
    for row, (letter, by_condition) in zip(axes, tables.items(), strict=True):
        for ax, (name, table) in zip(row, by_condition.items(), strict=True):
            image = plots.over_times(ax, below_blank(table), low=low, high=high)
            none = torch.where(below_blank(table) < 1e-9, 1.0, math.nan)
            ax.imshow(none, origin="lower", extent=image.get_extent(), cmap="Greys", vmin=0, vmax=4, zorder=2)
            ax.set_title(f"{letter}: {NAMES[name]}")
            ax.label_outer()
    assert image is not None
    figure.colorbar(image, ax=axes, label="r(s, t); grey: no residual", shrink=0.5, extend="both")
    plt.show()


def below_blank(table: Tensor) -> Tensor:
    """A table with nan where s > t."""
    return torch.where(torch.ones_like(table).triu().bool(), table, math.nan)


def traces_of(maps: Mapping[str, FlowMap], problem: ExactFlow) -> None:
    """Landing points X_{0,t}(x) of nine starts of the plane: of each map in orange, of the exact map in grey."""
    axes = plt.subplots(1, len(maps), figsize=(2.2 * len(maps), 2.8), sharex=True, sharey=True)[1]
    x = at_time(problem, 0.0, 9, torch.Generator().manual_seed(4))[0]
    t = torch.linspace(0, 1, 41).repeat_interleave(9)
    for ax, (name, X) in zip(axes, maps.items(), strict=True):
        for colour, Y in (("0.7", FlowMap(problem.v)), (plots.COLOURS[1], X)):
            with torch.no_grad():
                plots.paths(ax, Y(0.0, t, x.repeat(41, 1)).reshape(41, 9, 2), colour=colour)
        ax.set(title=name, xlabel="first coordinate")
    axes[0].set_ylabel("second coordinate")
    plt.show()


def short_jumps(X: FlowMap, problem: ExactFlow, seed: int, n: int = 1000) -> list[float]:
    """The Lagrangian residual, root mean square over n draws of I_s, of jumps from s = 0, 0.1, ..., 0.9 to s + 0.1."""
    out: list[float] = []
    for k in range(10):
        x = at_time(problem, k / 10, n, torch.Generator().manual_seed(seed))[0]
        s, t = (torch.full((n,), i / 10, dtype=x.dtype) for i in (k, k + 1))
        out.append(residuals_at(X, s, t, x)["lagrangian"].mean().sqrt().item())
    return out


def squares_of(x: Tensor) -> Tensor:
    """The number 0, 1, ..., 15 of the square of the 4 x 4 board that holds each point, shape (B,)."""
    cell = ((x + 1) * 2).floor().clamp(0, 3)
    return 4 * cell[:, 0] + cell[:, 1]


def next_to_a_border(x: Tensor, square: Tensor, neighbours: int = 12) -> Tensor:
    """Whether one of a point's nearest neighbours ends in another square, shape (B,)."""
    nearest = torch.cdist(x, x).topk(neighbours, largest=False).indices  # (B, neighbours)
    return (square[nearest] != square[:, None]).any(1)


def errors_at_starts(X: FlowMap, board: Checkerboard, seed: int = 0, *, drawn: bool = True, n: int = 4000) -> str:
    """Points of the noise. Left: coloured by the square in which the exact map ends. Right: by the error of X.

    Args:
        X: the map.
        board: its problem.
        seed: of the points.
        drawn: whether to make the figure.
        n: how many points.

    Returns:
        how many of the 5 % largest errors, and of all points, are next to a border between squares, in words.
    """
    x = board.base(n, torch.Generator().manual_seed(seed)).to(torch.get_default_dtype())
    with torch.no_grad():
        exact = board.flow_map(0.0, 1.0, x, tolerance=1e-6)
        error = (X(0.0, 1.0, x) - exact).norm(dim=1)
    square, order = squares_of(exact), error.argsort()
    if drawn:
        starts_of(x[order], square[order], error[order])
    border = next_to_a_border(x, square).double()
    worst = border[order[-n // 20 :]].mean()
    return f"next to a border: {worst:.0%} of the starts with the 5% largest errors, {border.mean():.0%} of all starts"


def starts_of(x: Tensor, square: Tensor, error: Tensor) -> None:
    """The figure of `errors_at_starts`; the errors are in order, so that the largest are drawn last."""
    axes: Sequence[Axes] = plt.subplots(1, 2, figsize=(6.8, 3.1), sharex=True, sharey=True)[1]
    axes[0].scatter(*x.T, c=square, cmap="tab20", s=5, linewidths=0)
    size = 3 + 15 * (error > 0.03)
    image = axes[1].scatter(*x.T, c=error, norm=LogNorm(0.01, 0.3), cmap="cividis_r", s=size, linewidths=0)
    plt.colorbar(image, ax=axes[1], label="distance of the ends", extend="both")
    axes[0].set(title="start, by the square of its end", ylabel="second coordinate")
    axes[1].set_title("start, by the error (large: over 0.03)")
    for ax in axes:
        plots.window(ax, 1.5)
        ax.set_xlabel("first coordinate")
    plt.show()
