"""The figures of lesson 00: one function a figure."""

from collections.abc import Callable, Mapping
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from torch import Tensor

from flowmap_edu import metrics
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.problems.exact import ExactFlow
from flowmap_edu.viz import line, plots
from flowmap_edu.viz.plane import CHORD, PATH, VELOCITY, arrow, dot, segment

QUARTERS = ("right top", "left top", "left bottom", "right bottom")
POINTS = 2000  # drawn one by one


def four_steps(problem: ExactFlow, X: FlowMap, x: float = 0.5, s: float = 0.0, t: float = 0.9) -> None:
    """Motion, velocity, flow and map of a problem on the line, in four panels of the (t, x) plane.

    Args:
        problem: the problem.
        X: its exact map.
        x: where the point of the first, second and fourth panel starts.
        s, t: the start and the end of the jump in the fourth panel.
    """
    figure, axes = plt.subplots(1, 4, figsize=(9.6, 2.7), dpi=80, sharey=True)
    tau = torch.linspace(0, 1, 101)
    with torch.no_grad():
        path = X(0.0, tau, torch.full((101, 1), x))[:, 0]
        start, middle = float(path[round(100 * s)]), float(path[40])
        slope = X.velocity(0.4, torch.tensor([[middle]])).item()
        landed = X(s, t, torch.tensor([[start]])).item()
    for ax in axes:
        line.density(problem, ax)
    for ax in axes[[0, 1, 3]]:
        ax.plot(tau, path, color=PATH, lw=1.6)
        dot(ax, [0], [x], PATH, full=False)
        dot(ax, [1], [float(path[-1])], PATH)
    field(axes[1], X)
    arrow(axes[1], (0.4, middle), (0.65, middle + 0.25 * slope), VELOCITY)
    line.paths(problem.velocity, problem.sigma * quantiles(10), axes[2])
    segment(axes[3], (s, start), (t, landed), CHORD, width=2)
    dot(axes[3], [s], [start], CHORD, full=False)
    dot(axes[3], [t], [landed], CHORD)
    for ax in axes:
        ax.set(xticks=[0, 0.5, 1], ylabel="x" if ax is axes[0] else "")
    for ax, title in zip(axes, ("1. motion", "2. velocity", "3. flow", f"4. map, {s:g} to {t:g}"), strict=True):
        ax.set_title(title)
    figure.suptitle("A point starts on the left, at time 0, and ends on the right, at time 1")
    plt.show()


def field(ax: Axes, X: FlowMap) -> None:
    """Small arrows of equal length in the direction (1, b_t(x)) of the (t, x) plane."""
    t, x = torch.linspace(0.06, 0.94, 8), torch.linspace(-1.6, 1.6, 9)
    grid = torch.cartesian_prod(t, x)
    with torch.no_grad():
        b = X.velocity(grid[:, 0], grid[:, 1:])[:, 0]
    length = torch.hypot(torch.full_like(b, 0.07), 0.07 * b / 3)  # an equal length on the page: 3 in x is 1 in t
    step = 0.07 * 0.07 / length
    how: Any = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": 0.006, "color": VELOCITY}
    ax.quiver(grid[:, 0] - step / 2, grid[:, 1] - step * b / 2, step, step * b, alpha=0.7, **how)


def quantiles(n: int) -> Tensor:
    """n equally likely points of the normal distribution."""
    return torch.special.ndtri((torch.arange(n) + 0.5) / n)


def boards(clouds: Mapping[str, Tensor]) -> None:
    """Densities of points of the board side by side; the titles are the names."""
    figure, axes = plt.subplots(
        1, len(clouds), figsize=(0.3 + 2.3 * len(clouds), 2.6), dpi=80, sharex=True, sharey=True
    )
    for ax, (name, points) in zip(axes, clouds.items(), strict=True):
        plots.board(ax, points)
        ax.set(title=name, xlabel="first coordinate")
    axes[0].set_ylabel("second coordinate")
    figure.suptitle("Lighter: more points")
    plt.show()


def scored(clouds: Mapping[str, Mapping[str, Tensor]]) -> None:
    """Densities of points of the board with their KL64: a row for each method, as many panels in each."""
    columns = len(next(iter(clouds.values())))
    shape = (len(clouds), columns)
    _, axes = plt.subplots(*shape, figsize=(2.1 * columns, 2.3 * shape[0]), dpi=72, sharex=True, sharey=True)
    for row, (name, panels) in zip(axes, clouds.items(), strict=True):
        row[0].set_ylabel(name)
        for ax, (title, points) in zip(row, panels.items(), strict=True):
            plots.board(ax, points, bins=48)
            ax.set_title(f"{title}: KL64 {metrics.kl64(points).kl:.3f}")
    plt.show()


def by_quarter(noise: Tensor, clouds: Mapping[str, Tensor]) -> None:
    """Points coloured by the quarter of the plane in which their noise lies: the noise, then each cloud."""
    right, top = (noise[:POINTS] > 0).T
    which = torch.where(top, torch.where(right, 0, 1), torch.where(right, 3, 2))
    every = {"noise": noise, **clouds}
    figure, axes = plt.subplots(1, len(every), figsize=(2.3 * len(every), 2.9), dpi=72, sharex=True, sharey=True)
    for ax, (name, points) in zip(axes, every.items(), strict=True):
        for k, quarter in enumerate(QUARTERS):
            ax.scatter(*points[:POINTS][which == k].T, color=plots.COLOURS[k], s=1.5, label=quarter)
        plots.window(ax, 1.25)
        ax.set_title(name)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, title="the point began", loc="outside lower center", ncols=4, markerscale=4)
    plt.show()


def from_any_start(X: Callable[[float, float, Tensor], Tensor], noise: Tensor, times: tuple[float, ...]) -> None:
    """Above: noise carried to each time in one jump. Below: those points carried on to time 1 in a second jump."""
    _, axes = plt.subplots(2, len(times), figsize=(1.9 * len(times), 4.2), dpi=80, sharex=True, sharey=True)
    for (above, below), u in zip(axes.T, times, strict=True):
        with torch.no_grad():
            stop = X(0.0, u, noise)
            plots.board(above, stop, bins=48)
            plots.board(below, X(u, 1.0, stop), bins=48)
        above.set_title(f"u = {u:g}")
    axes[0, 0].set_ylabel("at time u")
    axes[1, 0].set_ylabel("jumped on to time 1")
    plt.show()
