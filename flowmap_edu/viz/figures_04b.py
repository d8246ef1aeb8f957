"""The figures of lesson 04b: the graph of a loss, trainings with ranges, waves that grow, a map that failed."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from torch import Tensor

from flowmap_edu.flow_map import FlowMap
from flowmap_edu.problems import Checkerboard
from flowmap_edu.training import runs
from flowmap_edu.viz import plots
from flowmap_edu.viz.plots import COLOURS

__all__ = ["cases", "failing", "gradients", "graph", "growth", "heights_over_steps", "late", "spectra"]
__all__ += ["one_wave", "table", "trainings", "waves_over_steps", "wedge"]

Rows = Sequence[Mapping[str, Any]]
BOXES = {  # of the graph: where, and what is written
    "x": (0.4, 2.0, "$x$"),
    "X": (2.5, 2.0, "$X_{s,t}(x)$"),
    "dX": (5.4, 3.3, r"$\partial_t X_{s,t}(x)$"),
    "v": (5.4, 0.7, "$v_{t,t}(X_{s,t}(x))$"),
    "R": (8.7, 2.0, "residual $R$"),
}
VALUES = (  # grey arrows
    ((0.7, 2.0), (1.7, 2.0)), ((3.1, 2.35), (4.4, 3.1)), ((3.1, 1.65), (4.2, 0.95)),
    ((6.4, 3.1), (8.0, 2.4)), ((6.6, 0.9), (8.0, 1.6)),
)  # fmt: skip
PATHS = (  # dashed arrows: colour, and the pieces of the way back
    (0, (((8.2, 2.65), (6.5, 3.45)), ((5.4, 3.75), (5.4, 4.45)))),
    (2, (((8.5, 1.4), (6.85, 0.6)), ((5.4, 0.25), (5.4, -0.5)))),
    (1, (((8.25, 1.5), (6.7, 0.75)), ((4.15, 0.65), (2.75, 1.55)))),
)
NAMES = ((5.6, 4.3, 0, "1  the weights of the pupil"), (5.6, -0.4, 2, "2  the weights of the teacher"))


def arrow(ax: Axes, start: tuple[float, float], end: tuple[float, float], colour: str, **how: Any) -> None:
    """An arrow between two points."""
    ax.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 1.6, **how})


def graph() -> Figure:
    """The Lagrangian residual as a graph of computations, the gradient's three paths back, and where "convex" cuts."""
    figure, ax = plt.subplots(figsize=(8.6, 3.9))
    for start, end in VALUES:
        arrow(ax, start, end, "0.6")
    for x, y, text in BOXES.values():
        ax.text(x, y, text, ha="center", va="center", bbox={"boxstyle": "round,pad=0.45", "fc": "white", "ec": "0.3"})
    for k, pieces in PATHS:
        for start, end in pieces:
            arrow(ax, start, end, COLOURS[k], linestyle="--")
    for x, y, k, text in NAMES:
        ax.text(x, y, text, color=COLOURS[k], ha="left", va="center")
    ax.text(3.2, 0.75, "3  the landing point", color=COLOURS[1], ha="right", va="center")
    ax.plot([7.45, 7.45], [0.1, 1.75], color="black", lw=2.5)
    ax.text(7.6, 0.15, 'the cut of "convex"', va="center", ha="left")
    ax.set(xlim=(-0.2, 10.1), ylim=(-0.9, 4.8), title="Grey: values are computed. Dashed: a gradient flows back")
    ax.axis("off")
    return figure


def label(row: Mapping[str, Any]) -> str:
    """A case in words."""
    smooth = "" if row["fourier"] else ", smooth"
    return f"{row['method'][:3].upper()} {row['stopgrad']}{smooth}"


def cases(rows: Rows) -> dict[str, list[Mapping[str, Any]]]:
    """The rows of each case, by its words."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(label(row), []).append(row)
    return found


def table(rows: Rows) -> str:
    """The smallest and the largest error of each case over its seeds, a line a case."""
    lines: list[str] = []
    for name, seeds in cases(rows).items():
        ends = {key: [end(row[key] for row in seeds) for end in (min, max)] for key in ("diagonal", "jump")}
        told = [f"{low:.4f} to {high:.4f}" for low, high in ends.values()]
        lines.append(f"{name:<19} diagonal {told[0]},  one jump {told[1]}")
    return "\n".join(lines)


def late(rows: Rows, step: int = 300) -> dict[str, tuple[float, float]]:
    """Of each case, the gradient's norm at the end over that at a step: the smallest and the largest of its seeds."""
    found: dict[str, tuple[float, float]] = {}
    for name, seeds in cases(rows).items():
        ratios = [row["history"][-1][2] / next(h[2] for h in row["history"] if h[0] >= step) for row in seeds]
        found[name] = min(ratios), max(ratios)
    return found


def spectra(rows: Rows) -> dict[str, Tensor]:
    """The spectra of each case, shape (seeds, waves)."""
    return {name: torch.tensor([row["spectrum"] for row in seeds]) for name, seeds in cases(rows).items()}


def trainings(rows: Rows) -> Figure:
    """The errors of each case, a dot a seed and a line over their range: on the diagonal, and of one jump."""
    figure, axes = plt.subplots(1, 2, figsize=(8.6, 3.4), sharey=True)
    found = cases(rows)
    panels = {"diagonal": (0.003, 0.01, 0.03), "jump": (0.05, 0.1, 0.2, 0.4)}
    titles = ("diagonal: distance to the velocity, squared", "one jump: distance to the exact map")
    for ax, (key, ticks), title in zip(axes, panels.items(), titles, strict=True):
        for y, (name, seeds) in enumerate(found.items()):
            values = [row[key] for row in seeds]
            colour = COLOURS["LEP".index(name[0])]
            ax.plot([min(values), max(values)], [y, y], color=colour, lw=1)
            ax.plot(values, [y] * len(values), "o", color=colour, ms=5)
        ax.set(xscale="log", title=title)
        ax.minorticks_off()
        ax.set_xticks(ticks, [str(tick) for tick in ticks])
        ax.grid(axis="y", color="0.9")
    axes[0].set_yticks(range(len(found)), list(found))
    axes[0].invert_yaxis()
    return figure


def one_wave(k: float, omega: float, d: float, b: float) -> Figure:
    """Left: the error cos(k x + omega s) of v and its derivative. Right: what it adds to the residual, by its terms.

    Args:
        k, omega: the wave number, and the frequency in s.
        d, b: the length of the jump and the velocity.
    """
    x = torch.linspace(0, 1.6, 321, dtype=torch.float64, requires_grad=True)
    s = torch.zeros_like(x, requires_grad=True)
    error = (k * x + omega * s).cos()
    in_x, in_s = torch.autograd.grad(error.sum(), (x, s))
    first, second = -error + d * in_s, d * b * in_x
    waves = (
        {"the wave": error, "its derivative in x, divided by k": in_x / k},
        {r"from $\partial_s X$": first, r"from $\nabla X\, b$": second, "the sum": first + second},
    )
    figure, axes = plt.subplots(1, 2, figsize=(9.2, 3.0))
    for ax, curves, colours in zip(axes, waves, ((0, 4), (2, 3, 6)), strict=True):
        for (name, curve), j in zip(curves.items(), colours, strict=True):
            ax.plot(x.detach(), curve.detach(), color=COLOURS[j], label=name, lw=2 if name == "the sum" else 1.4)
        ax.axhline(0, color="0.8", lw=0.8, zorder=0)
        ax.legend(fontsize=8, loc="upper center", ncols=3, bbox_to_anchor=(0.5, -0.2))
        ax.set(xlabel="x, at s = 0")
    axes[0].set(title="an error of v", ylabel="height")
    axes[1].set(title="what it adds to the residual")
    return figure


def wedge(d: float, b: float, heights: Mapping[tuple[float, float, str], Sequence[float]]) -> Figure:
    """Left: the sign of the rate under "full" for each wave. Right: heights of waves over the gradient steps.

    Args:
        d, b: the length of the jump and the velocity.
        heights: of a wave (k, omega) and a stop-gradient, the height after each step.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9.2, 3.3))
    k, omega = torch.meshgrid(torch.linspace(0, 16, 161), torch.linspace(-16, 16, 161), indexing="xy")
    real = 1 + d**2 * omega * (omega + k * b)
    axes[0].contourf(k, omega, real, levels=[-20, 0, 1, 150], colors=[COLOURS[1], "0.85", "white"])
    marks = dict(zip(dict.fromkeys(at[:2] for at in heights), "os^", strict=True))
    for (at, mark), side in zip(marks.items(), (1, 1, 1), strict=True):
        axes[0].plot(*at, mark, color="black", ms=6 * side)
    for (wave, frequency, stop), path in heights.items():
        how: Any = {"marker": marks[wave, frequency], "markevery": 20}
        line, colour = {"full": ("-", COLOURS[1]), "convex": ("--", COLOURS[0]), "semi": (":", COLOURS[2])}[stop]
        words = "none and convex" if stop == "convex" else stop  # the velocity is known, so the two are the same
        axes[1].semilogy(path, line, color=colour, label=f"k = {wave:g}, {words}", **how)
    for word, x, y in (("below 0", 9.5, -6), ("0 to 1", 0.3, -4.5), ("above 1", 7, 8)):
        axes[0].text(x, y, word)
    axes[0].set(xlabel="wave number k", ylabel=r"frequency $\omega$ in s", title='real part of the rate under "full"')
    axes[1].set(xlabel="gradient step", ylabel="height of the wave", title="three waves, one step after another")
    axes[1].legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def failing(maps: Mapping[str, FlowMap], waves: Tensor, rows: Rows) -> Figure:
    """Slopes of one jump along a line, exact and trained, and the spectrum of the error, a line a seed.

    Args:
        maps: stop-gradient to the map that was trained with it.
        waves: the wave numbers of the spectra, shape (K,).
        rows: the trainings whose spectra are drawn.
    """
    figure, axes = plt.subplots(1, 2, figsize=(9.2, 3.3))
    x = torch.stack([torch.linspace(-1.2, 1.2, 241), torch.full((241,), 0.25)], 1)
    with torch.no_grad():
        axes[0].plot(x[:, 0], Checkerboard().v(torch.zeros(241), torch.ones(241), x)[:, 0], color="0.5", label="exact")
        for name, X in maps.items():
            axes[0].plot(x[:, 0], X.v(0.0, 1.0, x)[:, 0], color=COLOURS[name == "full"], label=f'"{name}"')
    axes[0].set(xlabel="first coordinate of x", ylabel="slope, first coordinate", title="slope of the jump from 0 to 1")
    axes[0].legend(fontsize=8)
    for name, seeds in cases(rows).items():
        for j, row in enumerate(seeds):
            words = name if j == 0 else None
            axes[1].loglog(waves, row["spectrum"], color=COLOURS["full" in name], lw=1, label=words)
    axes[1].minorticks_off()
    axes[1].set_xticks([3, 10, 30, 60], ["3", "10", "30", "60"])
    axes[1].set_yticks([0.01, 0.03, 0.1], ["0.01", "0.03", "0.1"])
    axes[1].set(
        xlabel="wave number k of the error", ylabel="height of the wave", title="waves of the error, three seeds"
    )
    axes[1].legend(fontsize=8)
    return figure


def gradients(rows: Rows) -> Figure:
    """The norm of the gradient over the steps of a training, a line a seed, a colour a case."""
    figure, ax = plt.subplots(figsize=(7.2, 3.2))
    for k, (name, seeds) in enumerate(cases(rows).items()):
        for j, row in enumerate(seeds):
            steps, norms = zip(*((line[0], line[2]) for line in row["history"]), strict=True)
            look = "--" if "smooth" in name else "-"
            ax.semilogy(steps, norms, look, color=COLOURS[(1, 0, 4, 5, 2)[k]], lw=1, label=name if j == 0 else None)
    ax.set(xlabel="step", ylabel="norm of the gradient", title="three trainings of each kind")
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def heights_over_steps() -> dict[str, list[list[tuple[int, float]]]]:
    """What data/lessons/make_04b.py measured: by the stop-gradient, for each seed, the step and the wave's height."""
    return json.loads((runs.shipped_folder() / "lessons" / "04b.json").read_text(encoding="utf-8"))["rows"]


def waves_over_steps(waves: Mapping[str, Sequence[Sequence[tuple[int, float]]]]) -> Figure:
    """The height of the coarse waves of the error over the steps of a training, a line a seed."""
    figure, ax = plt.subplots(figsize=(7.2, 3.2))
    colours = {"none": COLOURS[3], "convex": COLOURS[0], "full": COLOURS[1], "semi": COLOURS[2]}
    for stop, seeds in waves.items():
        for j, path in enumerate(seeds):
            ax.semilogy(*zip(*path, strict=True), color=colours[stop], lw=1.2, label=None if j else f"ESD {stop}")
    ax.set(xlabel="step", ylabel="height of the waves, k < 20", title="waves of the error, three seeds of each kind")
    ax.minorticks_off()
    ax.set_yticks([0.05, 0.1, 0.2, 0.4], ["0.05", "0.1", "0.2", "0.4"])
    ax.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    return figure


def growth(ends: Sequence[float], found: Tensor, starts: Tensor) -> Figure:
    """Left: quantiles of the growth of a squared error over the end of the jump. Right: its value at t = 1, by start.

    Args:
        ends: the end times, in order.
        found: the growth at each end and start, shape (ends, B).
        starts: shape (B, 2).
    """
    figure, axes = plt.subplots(1, 2, figsize=(9.2, 3.3))
    for q, look in ((0.5, "o-"), (0.9, "s-")):
        axes[0].semilogy(ends, found.quantile(q, dim=1), look, label=f"{100 * q:.0f} % of the points are below")
    axes[0].axhline(1.0, color="0.5", ls="--", lw=1, label="Lagrangian target: 1")
    axes[0].set(xlabel="end t of a jump from 0", ylabel="growth of a squared error", title="Eulerian target")
    axes[0].minorticks_off()
    axes[0].set_yticks([0.5, 1, 2, 4], ["0.5", "1", "2", "4"])
    axes[0].legend(fontsize=8)
    plots.squares(axes[1])
    dots = axes[1].scatter(*starts.T, c=found[-1], s=16, norm=LogNorm(0.1, 100))
    figure.colorbar(
        dots, ax=axes[1], label="growth of a squared error", extend="both", ticks=[0.1, 1, 10, 100], format="%g"
    )
    axes[1].set(aspect="equal", title="the same for t = 1, by the start of the jump")
    axes[1].set(xlabel="first coordinate", ylabel="second coordinate")
    return figure
