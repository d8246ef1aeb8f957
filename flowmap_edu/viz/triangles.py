"""Triangles of times: which pairs (s, t) a method visits, and from where a pair takes what it learns.

    from flowmap_edu import METHODS
    from flowmap_edu.viz import triangles
    triangles.method(METHODS["meanflow"])        # one method
    triangles.methods(["ct", "lsd", "shortcut"])  # several, with one legend

The end t runs to the right and the start s up, as in `plots.over_times`. The diagonal holds the velocity v_{s,s}, the
corner at the lower right the one-step map X_{0,1}.
"""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from flowmap_edu import _checks as checks
from flowmap_edu import times
from flowmap_edu.methods import METHODS, Method
from flowmap_edu.viz.plane import legend as below
from flowmap_edu.viz.plots import COLOURS, STYLE

__all__ = ["method", "methods"]

DRAWN = 400  # pairs
STEP = 0.16  # a step that is infinitely small, or too small to see, is drawn so long
PAIR = (0.25, 0.55, 0.85)  # s, u, t of the pair with arrows, or the visited one that is next to it
OTHERS = {"dyadic": (0.0, 0.5, 1.0), "segments": (0.2, 0.2 + times.NEXT, 0.5)}
CONDITIONS = {"lagrangian": "Lagrangian", "eulerian": "Eulerian", "semigroup": "semigroup", "diagonal": "diagonal"}
PAIRS, DIAGONAL, ARROW = COLOURS[5], COLOURS[2], COLOURS[6]
GIVERS = {  # who gives what is learned: marker, colour, words
    "self": ("o", COLOURS[0], "the map itself"),
    "average": ("D", COLOURS[4], "its moving average"),
    "teacher": ("s", COLOURS[1], "a frozen teacher"),
    "sample": ("*", COLOURS[3], "the sample's own slope dI"),
}

Place = tuple[float, float]  # (t, s), as it is drawn


class Source(NamedTuple):
    """A place from which a pair takes what it learns, and who gives it there."""

    at: Place
    giver: str


def __dir__() -> list[str]:
    return sorted(__all__)


def example(method: Method) -> tuple[float, float, float]:
    """The times s, u, t of the pair that is drawn with arrows: of 4,096 visited ones the one next to PAIR."""
    if method.times in OTHERS:
        return OTHERS[method.times]
    drawn = torch.stack(times.draw(method, 4096, generator=torch.Generator().manual_seed(0)), -1)
    s, u, t = drawn[(drawn - torch.tensor(PAIR)).square().sum(-1).argmin()].tolist()
    return s, u, t


def sources(method: Method, pair: tuple[float, float, float] | None = None) -> list[Source]:
    """From where a pair (s, t) takes what it learns; `pair` holds its times s, u, t, by default the example's.

        lagrangian   (s, t - dt): the map along t; and (t, t): the velocity where it lands
        eulerian     (s + ds, t): the map along s; and (s, s): the velocity at the start
        semigroup    (s, u) and (u, t): two short jumps; or (s, s) and (u, t) if the first is a step along a velocity

    The steps dt and ds are drawn as 0.16, and a u next to s at least so far from it. In flow map matching (times
    "square") the jump comes back to a sample that the map took from t to s. Steps of a solver from s to t are drawn as
    the velocity at s and half way. Where points are compared at time 1, the map from t to 1 is a source too.
    """
    s, u, t = pair or example(method)
    if method.points == "trajectory":
        return [Source((time, time), "teacher") for time in (s, (s + t) / 2)]
    if method.condition == "lagrangian":
        there = [Source((s, t), "self")] if method.times == "square" else []
        return [Source((max(s, t - STEP), s), "self"), Source((t, t), method.velocity), *there]
    if method.condition == "eulerian":
        first = [Source((s, s), method.first_term)] if method.first_term else []
        return [Source((t, min(t, s + STEP)), "self"), Source((s, s), method.velocity), *first]
    if method.condition == "semigroup":
        later = u if method.middle == "half" else min(t, max(u, s + STEP))
        first = Source((u, s), method.short) if method.velocity == "self" else Source((s, s), method.velocity)
        onward = [Source((1.0, t), "average")] if method.compared == "to one" else []
        return [Source((t, later), method.short), first, *onward]
    return []


def frame(ax: Axes, *, diagonal: bool) -> None:
    """The empty triangle s <= t; its diagonal is green where it learns by flow matching."""
    ax.plot([0, 1, 1], [0, 0, 1], color="0.75", lw=0.8, zorder=1)
    ax.plot([0, 1], [0, 1], color=DIAGONAL if diagonal else "0.75", lw=2.4 if diagonal else 0.8, zorder=1)
    ax.set(aspect="equal", xlim=(-0.06, 1.06), ylim=(-0.06, 1.06), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    ax.set(xlabel="end time t", ylabel="start time s")


def into(ax: Axes, pair: tuple[float, float, float], given: Sequence[Source]) -> None:
    """Arrows from each source into the pair (s, t), of times s, u, t, and the marks of who gives what."""
    s, _, t = pair
    style: Any = {"arrowstyle": "-|>,head_width=0.22,head_length=0.45", "color": ARROW, "lw": 1.4}
    for source in given:
        ax.annotate("", xy=(t, s), xytext=source.at, arrowprops=style | {"shrinkA": 3, "shrinkB": 3}, zorder=3)
    for k, (at, giver) in enumerate(given):
        marker, colour, _ = GIVERS[giver]
        behind = k < len(given) - 1 and given[k + 1].at == at  # two givers at one place: the first as a ring
        size, inside = (130, "white") if behind else (50, colour)
        ax.scatter(*at, s=size, marker=marker, zorder=4 + k, linewidths=1.4, facecolors=inside, edgecolors=colour)
    ax.scatter(t, s, s=36, facecolors="white", edgecolors=ARROW, linewidths=1.4, zorder=5)


def method(method: Method, ax: Axes | None = None, *, title: str | None = None, legend: bool = True) -> Axes:
    """Draw the pairs (s, t) that a method visits, and arrows into one of them from where it takes what it learns.

    A pair learns from a place with a mark: the mark says who gives the map, or on the diagonal the velocity, there.
    What is known spreads along the arrows from the diagonal to the corner. `sources` lists them for each condition.
    The green line says that the diagonal learns the velocity by flow matching.

    Args:
        method: a row of `METHODS`, or a method of your own.
        ax: the axes; None: new ones.
        title: the title; None: the method's name and its condition.
        legend: whether the legend stands below the axes.

    Raises:
        ValueError: if method is no Method.
    """
    if not isinstance(method, Method):
        raise ValueError(f"method must be a Method, such as METHODS['lsd'], got {checks.kind(method)}")
    ax = ax if ax is not None else plt.subplots(figsize=(3.6, 5.4))[1]
    frame(ax, diagonal=method.diagonal != 0)
    if method.times == "square":
        ax.plot([0, 0, 1], [0, 1, 1], color="0.75", lw=0.8, zorder=1)
    given = sources(method)
    if given:
        s, _, t = times.draw(method, DRAWN, generator=torch.Generator().manual_seed(1))
        ax.scatter(t, s, s=5, color=PAIRS, alpha=0.7, linewidths=0, zorder=2)
        into(ax, example(method), given)
    ax.set(title=title or titled(method))
    if legend:
        below(ax, handles=key([method]))
    return ax


def titled(method: Method) -> str:
    """The method's name, and its condition on a line of its own."""
    return f"{textwrap.fill(method.title, 38)}\n({CONDITIONS[method.condition]})"


def key(drawn: Sequence[Method]) -> list[Line2D]:
    """The legend's entries for what these methods show."""
    given = {source.giver for one in drawn for source in sources(one)}
    point: Any = {"linestyle": "", "markersize": 6}
    entries: list[Line2D] = []
    if given:
        entries += [
            Line2D([], [], marker="o", color=PAIRS, linestyle="", markersize=3, label="visited pairs (s, t)"),
            Line2D(
                [], [], marker="o", color=ARROW, markerfacecolor="white", label="one of them; it learns from:", **point
            ),
        ]
    for giver, (marker, colour, words) in GIVERS.items():
        if giver in given:
            entries.append(Line2D([], [], marker=marker, color=colour, label=words, **point))
    if any(one.diagonal != 0 for one in drawn):
        entries.append(Line2D([], [], color=DIAGONAL, lw=2.4, label="flow matching at s = t"))
    return entries


def methods(names: Sequence[str] | Mapping[str, Method], *, columns: int = 4) -> Figure:
    """A figure of the triangles of several methods, each under its name, with one legend.

    Args:
        names: names in `METHODS`, or name -> method.
        columns: the number of triangles in a row, at most.

    Raises:
        ValueError: if there is no name, or one is unknown.
    """
    columns = checks.count("columns", columns)
    if not names:
        raise ValueError("names must hold at least one name of METHODS, got none")
    if not isinstance(names, Mapping):
        for name in names:
            checks.one_of("names", name, METHODS)
        names = {name: METHODS[name] for name in names}
    columns = min(columns, len(names))
    rows = -(-len(names) // columns)
    with matplotlib.rc_context(STYLE):
        several = len(names) > 1
        size = (2.25 * columns, 2.75 * rows + 0.8) if several else (3.4, 4.2)
        layout: Any = "compressed" if several else "none"
        figure = Figure(figsize=size, layout=layout)
        if not several:  # the layout engine leaves no room for the legend below a single square
            figure.subplots_adjust(left=0.16, right=0.96, bottom=0.3, top=0.9)
        axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
        for ax in axes.flat[len(names) :]:
            ax.remove()
        for (name, one), ax in zip(names.items(), axes.flat, strict=False):
            method(one, ax, title=f"{name}\n({CONDITIONS[one.condition]})", legend=False)
            ax.label_outer()
        figure.legend(
            handles=key(list(names.values())),
            loc="outside lower center" if several else "lower center",
            ncols=min(columns, 3),
            fontsize=8,
        )
    return figure
