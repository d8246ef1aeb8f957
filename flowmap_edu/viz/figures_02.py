"""The figures of lesson 02, one function a figure."""

import math
from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from torch import Tensor

from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics import at_time
from flowmap_edu.problems.exact import ExactFlow
from flowmap_edu.viz import line, plots
from flowmap_edu.viz.plane import legend, point

__all__ = ["chords", "closing", "determinants", "diagonal_only", "errors", "jumps", "nets", "speeds"]

Jump = Callable[[float, float, Tensor], Tensor]  # X(s, t, x) for numbers s and t

GRID, EACH = 9, 150  # times, and draws for each pair of them


def jumps(X: Jump, start: Tensor) -> None:
    """Paths on the line in grey, and over them one jump (left) and three jumps (right) from every second start."""
    axes = plt.subplots(1, 2, figsize=(8.2, 3), sharey=True)[1]
    times = torch.linspace(0, 1, 101)
    for ax, stops in zip(axes, ((0.0, 1.0), (0.0, 0.4, 0.7, 1.0)), strict=True):
        ax.plot(times, torch.stack([X(0.0, float(t), start[:, 0]) for t in times]), color="0.75", lw=1)
        landed = torch.stack([X(0.0, t, start[::2, 0]) for t in stops])
        ax.plot(stops, landed, "o-", color=plots.COLOURS[0])
        ax.set(xlabel="time", ylabel="x", title=f"{len(stops) - 1} jump" + "s" * (len(stops) > 2))
    plt.show()


def chords(X: FlowMap, s: float, ends: Sequence[float], x: float) -> None:
    """Left: chords of one path that get shorter, and the tangent. Right: their slope against the end time."""
    axes = plt.subplots(1, 2, figsize=(9.4, 4.4))[1]
    line.tangent(X, s, ends, x, axes[0])
    axes[0].set_title("chords of a path, and its tangent")
    t = torch.linspace(s, 1, 100)
    start = point(x, len(t))
    with torch.no_grad():
        slope, landed = X.v(torch.full_like(t, s), t, start), X(torch.full_like(t, s), t, start)
        found = X.velocity(t, landed)
    axes[1].plot(t, slope, color=plots.COLOURS[1], label="slope of the jump, $v_{s,t}(x)$")
    axes[1].plot(t, found, ls="--", color=plots.COLOURS[0], label="velocity along the path, $b_t(X_{s,t}(x))$")
    axes[1].plot(s, slope[0], "o", color=plots.COLOURS[2], ms=6, label="velocity at the start, $b_s(x)$")
    axes[1].set(xlabel="end time t", ylabel="slope", title="slopes against the end time", xlim=(-0.02, 1.02))
    legend(axes[1])
    plt.show()


def speeds(
    partial_t: Callable[..., tuple[Tensor, Tensor]],
    X: Jump,
    b: Callable[..., Tensor],
    t: float,
    starts: Sequence[float],
) -> None:
    """How fast the landing point moves at time t, as a function of the start x, for several start times."""
    _, ax = plt.subplots(figsize=(4.8, 3))
    x = torch.linspace(-1, 2, 50)[:, None]
    for k, s in enumerate(starts):
        ax.plot(x, partial_t(X, s, t, x)[1], color=plots.COLOURS[(2, 5, 0)[k % 3]], label=f"s = {s}")
    ax.plot(x, b(t, x), ls="--", color=plots.COLOURS[1], label="velocity $b_t(x)$")
    ax.set(title=f"speed of the landing point at t = {t}", xlabel="start x", ylabel="$\\partial_t X_{s,t}(x)$")
    ax.legend()
    plt.show()


def closing(deltas: Sequence[float], gaps: Mapping[str, Sequence[float]], factors: Sequence[float]) -> None:
    """Gaps against delta on logarithmic axes, and through each a thin line, its predicted factor times delta."""
    _, ax = plt.subplots(figsize=(5, 3.3))
    for k, ((name, measured), factor) in enumerate(zip(gaps.items(), factors, strict=True)):
        colour = plots.COLOURS[k]
        ax.loglog(deltas, measured, "os^"[k % 3], color=colour, label=f"{name}: measured")
        ax.loglog(deltas, [factor * d for d in deltas], color=colour, lw=0.8, label=f"{name}: predicted")
    ax.set(xlabel="$\\delta = t - s$", ylabel="root mean square gap", title="distance from the velocity")
    ax.legend(fontsize=8)
    plt.show()


def cut(carried: Tensor) -> Tensor:
    """The lines of a net on the board at time 1, with a hole between neighbours that are in different squares."""
    square = ((carried + 1) * 2).floor().clamp(0, 3)
    apart = (square.diff(dim=1) != 0).any(-1, keepdim=True)
    hole = torch.cat([apart, torch.zeros_like(apart[:, :1])], 1)
    return torch.stack([carried, carried.masked_fill(hole, math.nan)], 2).flatten(1, 2)


def nets(X: FlowMap, ends: Sequence[float]) -> None:
    """Where a net that is laid at time 0 is at the times `ends`; at time 1 a line is cut where the map tears it."""
    laid = plots.net(half_width=1.2, lines=13, points=121)
    axes = plt.subplots(1, len(ends), figsize=(2.45 * len(ends), 2.9), sharex=True, sharey=True)[1]
    for ax, t in zip(axes, ends, strict=True):
        plots.squares(ax)
        with torch.no_grad():
            carried = X(0.0, t, laid.flatten(0, 1)).reshape(laid.shape)
        plots.threads(ax, cut(carried) if t == 1 else carried)
        ax.set(
            title=f"t = {t}" if t else "a net at t = 0", xlim=(-1.3, 1.3), ylim=(-1.3, 1.3), xlabel="first coordinate"
        )
    axes[0].set_ylabel("second coordinate")
    plt.show()


def determinants(x: Tensor, det: Tensor) -> None:
    """Determinants against the distance of the start from the centre, and the curve that the densities give."""
    _, ax = plt.subplots(figsize=(4.8, 3.1))
    r = torch.linspace(0, 1.75, 100)
    ax.semilogy(
        r, 3 / math.pi * torch.exp(-1.5 * r**2), color=plots.COLOURS[1], label="$\\rho_0(x) / \\rho_1 = 2 \\rho_0(x)$"
    )
    ax.semilogy(x.norm(dim=1), det, "o", color=plots.COLOURS[0], label="$\\det \\nabla X_{0,1}(x)$, by two jvp")
    ax.set(xlabel="distance of x from the centre", ylabel="change of area", title="from time 0 to time 1 on the board")
    ax.legend()
    plt.show()


def errors(problem: ExactFlow, maps: Sequence[FlowMap]) -> dict[str, Tensor]:
    """How wrong slopes are, root mean square over 150 draws of I_s, for every pair s <= t of a grid of 9 times.

    Returns:
        a table for each of the maps, "network 0", ..., for "Euler", who takes b_s(x), and for "stay", the slope 0:
        row s, column t, nan where s > t.
    """
    grid, generator = torch.linspace(0, 1, GRID), torch.Generator().manual_seed(0)
    i, j = torch.triu_indices(GRID, GRID)
    x = torch.cat([at_time(problem, float(grid[k]), EACH, generator)[0] for k in i])
    s, t = grid[i].repeat_interleave(EACH), grid[j].repeat_interleave(EACH)
    with torch.no_grad():
        answers = {f"network {k}": X.v(s, t, x) for k, X in enumerate(maps)}
        exact = problem.v(s, t, x, tolerance=1e-6)
    answers |= {"Euler": problem.velocity(s, x), "stay": torch.zeros_like(x)}
    tables = {name: torch.full((GRID, GRID), math.nan) for name in answers}
    for name, answer in answers.items():
        error = (answer - exact).square().sum(1).reshape(-1, EACH).mean(1).sqrt()
        tables[name][i, j] = error.clamp_min(1e-6)  # colours on a logarithmic scale
    return tables


def diagonal_only(problem: ExactFlow, tables: Mapping[str, Tensor], maps: Sequence[FlowMap]) -> None:
    """Above: the errors of Euler's slope, of "stay" and of one network over all pairs. Below: one jump of each map."""
    figure, axes = plt.subplots(2, 3, figsize=(8.6, 5.6))
    image = None
    for ax, name in zip(axes[0], ("Euler", "stay", "network 0"), strict=True):
        image = plots.over_times(ax, tables[name], low=0.03, high=3)
        ax.set_title(f"error of the slope: {name}")
    assert image is not None
    figure.colorbar(image, ax=axes[0], label="root mean square", extend="both")
    x0 = problem.base(50_000, torch.Generator().manual_seed(0))
    for k, (ax, X) in enumerate(zip(axes[1], maps, strict=True)):
        plots.board(ax, X.sample(x0, steps=1), bins=48)
        ax.set_title(f"one jump of network {k}")
    plt.show()
