"""Figures of problems on the line, in the (t, x) plane: time to the right, x up. One call a figure.

    from flowmap_edu import FlowMap, problems
    from flowmap_edu.viz import line
    problem = problems.two_modes()
    X = FlowMap(problem.v)                 # the exact map
    ax = line.density(problem)
    line.chord(X, 0.2, 0.9, 0.3, ax)       # a second figure on the same axes

Each function draws on `ax`, or on new axes if it is None, and returns the axes. Points are numbers; they become
tensors of torch's default type. `gestures.py` holds the figure of the three conditions.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.problems.exact import ExactFlow
from flowmap_edu.viz.gestures import gestures
from flowmap_edu.viz.plane import CHORD, PATH, VELOCITY, arrow, bundle, dot, legend, plane, point, segment
from flowmap_edu.viz.plots import COLOURS

__all__ = ["chord", "crossing", "density", "gestures", "mean_velocity", "paths", "tangent", "tear"]

STEPS = 200  # of the Runge-Kutta method of order 4 that draws a path; 101 points draw the path of a map
CELLS = 20_001  # of the quadrature over x1


def __dir__() -> list[str]:
    return sorted(__all__)


def on_the_line(problem: ExactFlow) -> ExactFlow:
    """The problem; ValueError unless it is an exact one of dimension 1."""
    if not (isinstance(problem, ExactFlow) and problem.dim == 1):
        came = f"dim = {problem.dim}" if isinstance(problem, ExactFlow) else type(problem).__name__
        raise ValueError(f"problem must be an exact problem on the line, such as problems.two_modes(), got {came}")
    return problem


def reach(problem: ExactFlow) -> float:
    """Half the height of a figure: it holds three standard deviations of the base, and the data."""
    x1, _ = problem.sample(1000, torch.Generator().manual_seed(0))
    return max(3 * problem.sigma, 1.1 * x1.abs().max().item())


def density(problem: ExactFlow, ax: Axes | None = None, *, height: float | None = None) -> Axes:
    """Draw the density p_t(x) in grey, darker where it is larger, as a background.

    Args:
        problem: an exact problem on the line.
        ax: the axes.
        height: the figure shows x in [-height, height]; None: it holds the base and the data.
    """
    height = height or reach(on_the_line(problem))
    ax = plane(ax)
    t, x = torch.linspace(0, 1, 201), torch.linspace(-height, height, 401)
    grid = torch.cartesian_prod(x, t)
    p = problem.log_density(grid[:, 1], grid[:, :1]).exp().reshape(401, 201)
    how: Any = {"aspect": "auto", "origin": "lower", "cmap": "Greys", "interpolation": "bilinear", "zorder": 0}
    ax.imshow(p.numpy(), extent=(0, 1, -height, height), vmin=0, vmax=2 * p[:, 0].max().item(), alpha=0.7, **how)
    ax.set_ylim(-height, height)
    return ax


def crossing(problem: ExactFlow, n: int = 40, ax: Axes | None = None, *, seed: int = 0) -> Axes:
    """Draw the straight lines from x0 at time 0 to x1 at time 1 of n independent pairs. They cross.

    Args:
        problem: a problem on the line.
        n: the number of pairs.
        ax: the axes.
        seed: of the pairs.
    """
    n, generator = checks.count("n", n), checks.generator(seed)
    x0, x1 = on_the_line(problem).base(n, generator), problem.sample(n, generator)[0]  # (n, 1)
    x0, x1, ax = x0[:, 0], x1[:, 0], plane(ax)
    lines = torch.stack(
        [torch.stack([torch.zeros(n), x0.float()], -1), torch.stack([torch.ones(n), x1.float()], -1)], 1
    )
    ax.add_collection(LineCollection(list(lines.numpy()), colors=COLOURS[0], linewidths=0.8, alpha=0.6, label="pairs"))
    dot(ax, torch.zeros(n), x0, COLOURS[0], full=False)
    dot(ax, torch.ones(n), x1, COLOURS[0])
    return ax


def mean_velocity(
    problem: ExactFlow, t: float = 0.4, x: float = 0.2, ax: Axes | None = None, *, n: int = 24, length: float = 0.25
) -> Axes:
    """Draw lines of pairs that pass through x at time t, and as an arrow the mean of all their slopes.

    b_t(x) = E[x1 - x0 | I_t = x]. The n lines are equally likely: their ends x1 are quantiles of the density
    p(x1 | I_t = x), which is proportional to p_1(x1) N(x; t x1, (1 - t)^2 sigma^2). The mean is the integral over that
    density, computed by quadrature; the formula of `problem.velocity` is not used.

    Args:
        problem: an exact problem on the line.
        t: the time, in [0, 1).
        x: the point.
        ax: the axes.
        n: the number of lines.
        length: how long, in time, the arrow is.

    Raises:
        ValueError: if t is 1 or leaves [0, 1], or n is below 1.
    """
    t, x, n = checks.share("t", t), checks.finite_number("x", x), checks.count("n", n)
    if t == 1:
        raise ValueError("t must be below 1, got 1: there every line that arrives at x has the end x1 = x")
    h = reach(on_the_line(problem))
    x1 = torch.linspace(-h, h, CELLS, dtype=torch.float64)
    log_p = problem.log_density(1.0, x1[:, None]) - ((x - t * x1) / ((1 - t) * problem.sigma)) ** 2 / 2
    p = log_p.softmax(0)
    shown = x1[torch.searchsorted(p.cumsum(0), (torch.arange(n, dtype=torch.float64) + 0.5) / n).clamp(max=CELLS - 1)]
    slopes, mean = (shown - x) / (1 - t), float(p @ ((x1 - x) / (1 - t)))
    ax = plane(ax)
    label = f"{n} equally likely lines through t = {t:g}, x = {x:g}"
    bundle(ax, 0.0, x - t * slopes, 1.0, shown, COLOURS[0], label=label)
    arrow(
        ax,
        (t, x),
        (t + length, x + length * mean),
        VELOCITY,
        label=f"mean slope of all lines through this place: $b_t(x)$ = {mean:.2f}",
    )
    dot(ax, [t], [x], COLOURS[6])
    legend(ax)
    return ax


def paths(
    velocity: Callable[[Tensor, Tensor], Tensor],
    starts: Tensor | Sequence[float],
    ax: Axes | None = None,
    *,
    colour: str = PATH,
    label: str | None = None,
) -> Axes:
    """Draw the paths dx/dt = velocity(t, x) from time 0 to 1 that begin at `starts`, shape (B,) or (B, 1).

    The velocity is called with t of shape (B,) and x of shape (B, 1), as `problem.velocity` and `X.velocity` are.
    """
    x = torch.as_tensor(starts, dtype=torch.get_default_dtype()).reshape(-1, 1)
    checks.finite("starts", x)
    way, h = [x], 1 / STEPS
    with torch.no_grad():
        for k in range(STEPS):
            a, m, b = (torch.full((len(x),), min(1.0, (k + c) * h), dtype=x.dtype) for c in (0, 0.5, 1))
            k1 = velocity(a, x)
            k2 = velocity(m, x + h / 2 * k1)
            k3 = velocity(m, x + h / 2 * k2)
            x = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + velocity(b, x + h * k3))
            way.append(x)
    ax = plane(ax)
    x = torch.stack(way)[..., 0]  # (STEPS + 1, B)
    t = torch.linspace(0, 1, STEPS + 1)
    lines = [torch.stack([t.to(x), path], -1).numpy() for path in x.T]
    ax.add_collection(LineCollection(lines, colors=colour, linewidths=1.1, label=label))
    dot(ax, torch.zeros(x.shape[1]), x[0], colour, full=False)
    dot(ax, torch.ones(x.shape[1]), x[-1], colour)
    if label:
        legend(ax)
    return ax


def way(X: FlowMap, s: float, t: float, x: float) -> tuple[Tensor, Tensor]:
    """101 times tau from s to t, and the landing points X_{s,tau}(x), shape (101,) each."""
    checks.ordered("s", s := checks.share("s", s), "t", t := checks.share("t", t))
    tau = torch.linspace(s, t, 101).clamp(s, t)
    with torch.no_grad():
        return tau, X(s, tau, point(x, 101))[:, 0]


def chord(X: FlowMap, s: float, t: float, x: float, ax: Axes | None = None) -> Axes:
    """Draw the path of x from time s to t and its chord, whose slope is v_{s,t}(x).

    The path is the curve of the landing points X_{s,tau}(x), tau from s to t; the chord joins its ends.

    Raises:
        ValueError: if s > t or a time leaves [0, 1].
    """
    tau, landed = way(X, s, t, x)
    with torch.no_grad():
        slope = X.v(s, t, point(x)).item()
    ax = plane(ax)
    ax.plot(tau, landed, color=PATH, lw=2, label=r"path $X_{s,\tau}(x)$")
    end = float(landed[-1])
    segment(ax, (s, x), (t, end), CHORD, label=f"chord, slope $v_{{s,t}}(x)$ = {slope:.2f}")
    dot(ax, [s], [x], COLOURS[6], full=False, label=f"start: s = {s:g}, x = {x:g}")
    dot(ax, [t], [end], COLOURS[6], label=f"landing point: t = {t:g}, $X_{{s,t}}(x)$ = {end:.2f}")
    legend(ax)
    return ax


def tangent(X: FlowMap, s: float, ts: Sequence[float], x: float, ax: Axes | None = None) -> Axes:
    """Draw the chords from (s, x) to the ends in `ts`, and the tangent, whose slope is v_{s,s}(x) = b_s(x).

    Raises:
        ValueError: if `ts` is empty, an end lies before s, or a time leaves [0, 1].
    """
    if not len(ts):
        raise ValueError("ts must hold at least one end time, got none")
    ends = sorted(ts, reverse=True)
    checks.ordered("s", s, "the first of ts", ends[-1])
    tau, landed = way(X, s, ends[0], x)
    ax = plane(ax, inches=4.6)
    ax.plot(tau, landed, color=PATH, lw=2, label="path")
    for k, t in enumerate(ends):
        with torch.no_grad():
            slope = X.v(s, t, point(x)).item()
        strong = (k + 1) / len(ends)
        label = f"t - s = {t - s:.2g}: slope {slope:.2f}"
        end = (t, x + (t - s) * slope)
        segment(ax, (s, x), end, CHORD, alpha=0.35 + 0.65 * strong, label=label)
        dot(ax, [t], [end[1]], CHORD)
    with torch.no_grad():
        slope = X.velocity(s, point(x)).item()
    far = 0.6 * (ends[0] - s)
    arrow(ax, (s, x), (s + far, x + far * slope), VELOCITY, label=f"tangent: slope $v_{{s,s}}(x)$ = {slope:.2f}")
    dot(ax, [s], [x], COLOURS[6], full=False)
    legend(ax)
    return ax


def tear(
    maps: FlowMap | Mapping[str, FlowMap], ax: Axes | None = None, *, half_width: float = 1.5, points: int = 800
) -> Axes:
    """Draw x -> X_{0,1}(x) of one map or several by name. A line is not joined where it is steeper than 100.

    Args:
        maps: the map, or name -> map, such as {"exact": FlowMap(problem.v), "learned": X}.
        ax: the axes.
        half_width: x runs over [-half_width, half_width].
        points: the number of values of x. If it is even, 0 lies between two of them.

    Raises:
        ValueError: if there is no map.
    """
    maps = {"": maps} if isinstance(maps, FlowMap) else maps
    if not maps:
        raise ValueError("maps must hold at least one FlowMap, got none")
    ax = ax if ax is not None else plt.subplots(figsize=(4.2, 3.4))[1]
    x = torch.linspace(-half_width, half_width, points)[:, None].to(torch.get_default_dtype())
    for k, (name, X) in enumerate(maps.items()):
        with torch.no_grad():
            y = X(0.0, 1.0, x)[:, 0]
        torn = torch.cat([(y.diff() / x[:, 0].diff()).abs() > 100, torch.tensor([False])])
        ax.plot(x[:, 0], y.masked_fill(torn, torch.nan), color=COLOURS[k], lw=2 - 0.4 * k, label=name or None)
    ax.set(xlabel="x at time 0", ylabel="$X_{0,1}(x)$ at time 1")
    if any(maps):
        legend(ax)
    return ax
