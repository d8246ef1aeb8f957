"""The (t, x) plane of problems on the line: its axes, and the marks that the figures on it share."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.transforms import offset_copy
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.viz.plots import COLOURS

PATH, CHORD, VELOCITY = COLOURS[0], COLOURS[1], COLOURS[2]  # the same colour for the same thing in every figure

Point = tuple[float, float]  # (time, x)


def plane(ax: Axes | None, *, inches: float = 4.0) -> Axes:
    """The axes with time to the right and x up; a new figure, so many inches high, if it is None."""
    if ax is None:
        ax = plt.subplots(figsize=(5.4, inches))[1]
    ax.set(xlabel="time t", ylabel="x", xticks=[0, 0.25, 0.5, 0.75, 1])
    ax.set_xlim(-0.02, max(1.02, ax.get_xlim()[1]))
    return ax


def point(x: float, n: int = 1) -> Tensor:
    """x as n points on the line, shape (n, 1), of torch's default type."""
    return torch.full((n, 1), checks.finite_number("x", x))


def segment(
    ax: Axes, start: Point, end: Point, colour: str, *, label: str | None = None, alpha: float = 1.0, width: float = 1.6
) -> None:
    """A straight line between two points (time, x)."""
    ax.plot(*zip(start, end, strict=True), color=colour, lw=width, alpha=alpha, label=label)


def bundle(
    ax: Axes, first: float, starts: Tensor, last: float, ends: Tensor, colour: str, *, label: str | None = None
) -> None:
    """Thin straight lines from the points `starts` at time `first` to `ends` at time `last`, shape (n,) each."""
    lines = [[(first, a), (last, b)] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]
    ax.add_collection(LineCollection(lines, colors=colour, linewidths=0.8, alpha=0.6, label=label))
    ax.autoscale_view(scalex=False)


def bar(ax: Axes, start: Point, end: Point, colour: str, *, label: str, aside: float = 0.0) -> None:
    """A gap: a thick line between two points (time, x), moved `aside` by some points of the page."""
    moved = offset_copy(ax.transData, ax.get_figure(root=True), x=aside, units="points")
    ax.plot(
        *zip(start, end, strict=True),
        color=colour,
        lw=5,
        alpha=0.6,
        solid_capstyle="butt",
        label=label,
        transform=moved,
    )


def arrow(
    ax: Axes,
    start: Point,
    end: Point,
    colour: str,
    *,
    label: str | None = None,
    width: float = 2.4,
    dashed: bool = False,
) -> None:
    """An arrow between two points (time, x); the axes grow so that they hold both."""
    style = {"arrowstyle": "-|>,head_width=0.25,head_length=0.5", "color": colour, "lw": width}
    dashes = (0, (2, 1)) if dashed else "-"
    style |= {"shrinkA": 0, "shrinkB": 0, "linestyle": dashes}
    ax.annotate("", xy=end, xytext=start, arrowprops=style, zorder=4)
    ax.update_datalim([start, end])
    ax.autoscale_view(scalex=False)
    if label:
        ax.plot([], [], color=colour, lw=width, ls=dashes, label=label)


def dot(
    ax: Axes,
    t: Tensor | Sequence[float],
    x: Tensor | Sequence[float],
    colour: str,
    *,
    full: bool = True,
    label: str | None = None,
) -> None:
    """Circles at the points (t, x): full ones, or open ones for starts."""
    ax.scatter(
        t, x, s=22, facecolors=colour if full else "white", edgecolors=colour, linewidths=1, zorder=5, label=label
    )


def legend(ax: Axes, handles: Sequence[Artist] | None = None) -> None:
    """The legend below the axes: there it covers nothing that is drawn. Its entries are those of the axes, or given."""
    below = offset_copy(ax.transAxes, ax.get_figure(root=True), y=-36, units="points")
    place: Any = {"loc": "upper left", "bbox_to_anchor": (0, 0), "bbox_transform": below, "borderaxespad": 0}
    ax.legend(handles=handles or ax.get_legend_handles_labels()[0], fontsize=8, handlelength=1.8, **place)
