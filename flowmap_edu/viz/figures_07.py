"""The figures of lesson 07, one function a figure, and the reading of the table of numbers that two of them draw."""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from torch import Tensor

from flowmap_edu.bench.report import GROUPS, group
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.methods import METHODS, Method
from flowmap_edu.problems.exact import ExactFlow
from flowmap_edu.viz.plane import CHORD, PATH, VELOCITY, arrow, dot, legend, plane, point
from flowmap_edu.viz.plots import COLOURS

__all__ = ["EVALUATIONS", "cells", "crowd", "findings", "gaps", "pushes", "seeds", "table", "there_and_back"]

EVALUATIONS = (1, 2, 4, 8, 16)
CONDITIONS, VELOCITIES = ("lagrangian", "eulerian", "semigroup"), ("self", "sample", "teacher")
HELD = {"none": ("s", 0), "convex": ("o", 1), "semi": ("^", 2), "full": ("D", 3)}  # marker, colour
SHOWN = {1: ("o", 0), 4: ("s", 1), 16: ("^", 2)}  # evaluations: marker, colour


def seeds(row: Mapping[str, Any]) -> Tensor:
    """The KL64 of a row of methods.json, shape (seeds, 5): of each seed that did not diverge, or of the only one."""
    each = [one["kl64"] for one in row["seeds"] if not one["diverged"]] if "seeds" in row else [row["kl64"]]
    return torch.tensor(each, dtype=torch.float64).reshape(-1, len(EVALUATIONS))


def gaps(steps: Sequence[float], found: Mapping[str, Sequence[float]], xlabel: str) -> None:
    """Relative gaps of gradients against a step, both axes logarithmic, beside a line that falls like the step."""
    ax = plt.subplots(figsize=(5.2, 3.2))[1]
    for k, (name, values) in enumerate(found.items()):
        ax.loglog(steps, values, ("o-", "s-")[k % 2], color=COLOURS[k], label=name)
    least = min(range(len(steps)), key=lambda k: steps[k])
    through = next(iter(found.values()))[least] / steps[least]
    ax.loglog(steps, [through * step for step in steps], ":", color="0.4", label="falls like the step")
    ax.set(xlabel=xlabel, ylabel="relative gap of the gradients", title="a step, and its limit")
    ax.legend()
    plt.show()


def pushes(measured: Mapping[str, tuple[float, float]], predicted: float) -> None:
    """Pushes on the true map, each with two standard errors; the prediction for "convex" as a cross."""
    ax = plt.subplots(figsize=(6.0, 3.2))[1]
    for k, (mean, error) in enumerate(measured.values()):
        ax.errorbar(k, mean, error, fmt="o", capsize=4, color=COLOURS[0], ms=6, label="measured" if k == 0 else None)
    first = next(k for k, name in enumerate(measured) if name.startswith("convex"))
    ax.plot(first + 0.15, predicted, "x", color=COLOURS[1], ms=8, mew=2, label="from the formula")
    ax.axhline(0, color="0.4", lw=1)
    ax.set(xticks=range(len(measured)), xticklabels=measured, ylabel="push on the true map")
    ax.set(xlim=(-0.5, len(measured) - 0.5), title="what is held, whose velocity; bars: two standard errors")
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    plt.show()


def crowd(slopes: Tensor, b: Tensor, found: Mapping[str, Tensor]) -> None:
    """The slopes of the samples through one point, the velocity there, and what each weight finds."""
    figure, (whole, near) = plt.subplots(1, 2, figsize=(8.4, 4.4))
    least, most = slopes.amin(0), slopes.amax(0)
    centre, half = (least + most) / 2, 0.55 * (most - least).max()
    for ax, middle, reach in ((whole, centre, half), (near, b, 0.4)):
        ax.plot(*slopes.T, ".", ms=1.5, color="0.6", label="slopes of samples through x")
        ax.plot(*b, "+", color="black", ms=12, mew=2, label="the velocity b")
        for k, (weight, m) in enumerate(found.items()):
            ax.plot(*m, ("o", "s", "^")[k], ms=6, color=COLOURS[k], label=f'found with weight "{weight}"')
        ax.set(aspect="equal", xlabel="slope, first coordinate", ylabel="slope, second coordinate")
        ax.set(xlim=(middle[0] - reach, middle[0] + reach), ylim=(middle[1] - reach, middle[1] + reach))
    near.set(ylabel="", title="the same, near the velocity")
    whole.set_title("all slopes")
    figure.legend(*whole.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    plt.show()


def there_and_back(problem: ExactFlow, s: float = 0.15, t: float = 0.5, x0: float = -0.8, x1: float = 1.0) -> None:
    """A sample's line on the line problem: left a jump that starts at it, right a jump that ends at it."""
    X = FlowMap(problem.v)
    figure, axes = plt.subplots(1, 2, figsize=(9.4, 4.2), sharey=True)
    sample_s, sample_t = (1 - s) * x0 + s * x1, (1 - t) * x0 + t * x1
    starts = (sample_s, X(t, s, point(sample_t)).item())
    titles = ("the jump starts at the sample", "the jump ends at the sample")
    for ax, start, title in zip(axes, starts, titles, strict=True):
        plane(ax)
        ax.plot([0, 1], [x0, x1], ":", color="0.4", label="the line of one sample")
        times = torch.linspace(s, t, 60)
        path = [X(s, float(u), point(start)).item() for u in times]
        ax.plot(times, path, color=PATH, label="the path of the flow")
        ax.plot([s, t], [start, path[-1]], color=CHORD, label="the jump from s to t")
        dot(ax, [s], [start], CHORD, full=False)
        dot(ax, [t], [path[-1]], CHORD)
        b = problem.velocity(t, point(path[-1])).item()
        arrow(ax, (t, path[-1]), (t + 0.2, path[-1] + 0.2 * b), VELOCITY, label="the velocity where it lands")
        if ax is axes[1]:
            end = (t + 0.2, sample_t + 0.2 * (x1 - x0))
            arrow(ax, (t, sample_t), end, "0.4", label="the sample's slope dI", dashed=True)
        ax.set_title(title)
        legend(ax)
    figure.align_xlabels(axes)
    plt.show()


def cells(table: Mapping[str, Method]) -> None:
    """The table as a chart: condition by velocity. The mark says what is held; hollow: t = 1 alone."""
    inside: dict[tuple[str, str], list[str]] = {(c, v): [] for c in CONDITIONS for v in VELOCITIES}
    for name, row in table.items():
        if row.condition != "diagonal":
            reads = "teacher" if row.needs_teacher else row.velocity.replace("average", "self")
            inside[row.condition, reads].append(name)
    heights = [max(1, *(len(inside[c, v]) for v in VELOCITIES)) for c in CONDITIONS]
    ax = plt.subplots(figsize=(7.4, 0.24 * sum(heights) + 1.1))[1]
    top = [-sum(heights[:k]) - k for k in range(4)]
    for (condition, velocity), names in inside.items():
        x, y = VELOCITIES.index(velocity), top[CONDITIONS.index(condition)]
        for k, name in enumerate(names):
            marker, colour = HELD[table[name].stopgrad]
            hollow = "white" if table[name].sampler == "restarts" else COLOURS[colour]
            ax.plot(x + 0.07, y - 1 - k, marker, color=COLOURS[colour], mfc=hollow, ms=6)
            ax.text(x + 0.13, y - 1 - k, name, va="center", fontsize=8.5)
    ax.hlines(top[1:3], 0, 3, color="0.8")
    ax.vlines([1, 2], top[3], 0, color="0.8")
    middles = [(a + b) / 2 for a, b in pairwise(top)]
    ax.set(xlim=(0, 3), ylim=(top[3], 0), xticks=[0.5, 1.5, 2.5], yticks=middles, yticklabels=CONDITIONS)
    ax.set(xticklabels=["the map itself", "the sample", "a teacher"], xlabel="whose velocity, or whose short jumps")
    ax.tick_params(length=0)
    marks = [Line2D([], [], ls="", marker=m, color=COLOURS[c], label=f'"{name}"') for name, (m, c) in HELD.items()]
    marks.append(Line2D([], [], ls="", marker="o", color="0.3", mfc="white", label="hollow: t = 1 alone"))
    ax.legend(handles=marks, title="what is held", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    plt.show()


def findings(saved: Mapping[str, Any], better: Callable[[list[float], list[float]], bool]) -> str:
    """Print what can be concluded from methods.json; the name of the row with the lowest KL64 at one evaluation.

    Args:
        saved: the file's content.
        better: whether the first of two lists of KL64, one number a seed, is below the second whatever the seed.
    """
    rows = {name: row for name, row in saved["rows"].items() if name in METHODS and not row["diverged"]}
    kl = {name: seeds(row) for name, row in rows.items()}
    count = min(len(values) for values in kl.values())
    print(f"{len(kl)} rows, {saved['minutes']:g} CPU minutes each, seeds a row: {count}; {saved['machine']}")
    print("rows of the table that are not in the file:", ", ".join(n for n in METHODS if n not in rows) or "none")
    if count < 3:
        print("With so few seeds the order of rows that lie near to each other is not known.")
    print("\nlowest median of KL64 with one evaluation, of each idea:")
    leaders = []
    for title in list(GROUPS)[1:]:
        names = [name for name in kl if group(METHODS[name]) == title]
        if names:
            leaders.append(min(names, key=lambda name: kl[name].median(0).values[0].item()))
            print(f"  {title:<38} {said(kl, leaders[-1], 0)}")
    best = min(leaders, key=lambda name: kl[name].median(0).values[0].item())
    others = [name for name in kl if name not in ("fm", best)]
    beaten = [name for name in others if better(kl[best][:, 0].tolist(), kl[name][:, 0].tolist())]
    print(f"{best}: better than {len(beaten)} of {len(others)} other rows whatever the seed")
    jumping = [*others, best]
    print("\nlowest median with one evaluation, by whose velocity is read:")
    for title, reads in (("its own", ("self", "average")), ("a sample's", ("sample",)), ("a teacher's", ("teacher",))):
        names = [name for name in jumping if whose(METHODS[name]) in reads]
        if names:
            print(f"  {title:<12} {said(kl, min(names, key=lambda name: kl[name].median(0).values[0].item()), 0)}")
    last = min(jumping, key=lambda name: kl[name].median(0).values[-1].item())
    near = [n for n in jumping if n != last and not better(kl[last][:, -1].tolist(), kl[n][:, -1].tolist())]
    print(f"lowest median with 16 evaluations: {said(kl, last, -1)}; not surely behind it: {', '.join(near) or 'none'}")
    late = [name for name in kl if METHODS[name].sampler == "restarts"]
    four, sixteen = EVALUATIONS.index(4), EVALUATIONS.index(16)
    worse = [n for n in late if kl[n].median(0).values[sixteen] > kl[n].median(0).values[four]]
    surely = [n for n in late if better(kl[n][:, four].tolist(), kl[n][:, sixteen].tolist())]
    print(f"\n{len(worse)} of {len(late)} rows that know t = 1 alone have a larger median at 16 evaluations than at 4:")
    print(f"  {', '.join(worse) or 'none'}; whatever the seed: {', '.join(surely) or 'none'}")
    dear = sorted(rows, key=lambda name: rows[name]["step_memory"])[-2:][::-1]
    print("most memory a step: " + ", ".join(f"{n} {rows[n]['step_memory']:.1f} times flow matching's" for n in dear))
    return best


def whose(method: Method) -> str:
    """Whose velocity, or whose short jumps, a row reads: a teacher's wherever it has one."""
    return "teacher" if method.needs_teacher else method.velocity


def said(kl: Mapping[str, Tensor], name: str, column: int) -> str:
    """A row's name, and the median and the range of its KL64 in a column."""
    found = kl[name][:, column]
    return f"{name:<14} {found.median():.3f}  [{found.min():.3f}, {found.max():.3f}]"


def table(rows: Mapping[str, Mapping[str, Any]]) -> None:
    """KL64 of each row for 1, 4 and 16 evaluations (median, and the range of its seeds), and what a step costs.

    Args:
        rows: those of methods.json; rows that diverged, or that this library does not know, are left out.
    """
    known = {name: row for name, row in rows.items() if name in METHODS and not row["diverged"]}
    ordered: list[str | None] = []
    places: list[tuple[str, float]] = []
    for title in GROUPS:
        names = [name for name in known if group(METHODS[name]) == title]
        if names:
            places.append((title, len(ordered)))
            ordered += [None, *sorted(names, key=lambda name: seeds(known[name]).median(0).values[0].item())]
    _, (left, right) = plt.subplots(1, 2, figsize=(8.8, 0.2 * len(ordered) + 1.2), sharey=True, width_ratios=[2.2, 1])
    for y, name in enumerate(ordered):
        if name is None:
            continue
        found = seeds(known[name])
        for evaluations, (marker, colour) in SHOWN.items():
            kl = found[:, EVALUATIONS.index(evaluations)]
            left.plot([kl.min(), kl.max()], [y, y], color=COLOURS[colour], lw=2)
            left.plot(kl.median(), y, marker, color=COLOURS[colour], ms=5)
        right.plot(known[name]["step_time"], y, "o", color=COLOURS[3], ms=5)
        right.plot(known[name]["step_memory"], y, "D", color=COLOURS[4], ms=5)
    left.set(xscale="log", xlabel="KL64 (lower is better)", ylim=(len(ordered) - 0.3, -0.7))
    right.set(xlabel="over a step of flow matching", xlim=(0, None))
    labelled(left, ordered, places)
    said = [(m, c, f"{n} evaluation" + "s" * (n > 1)) for n, (m, c) in SHOWN.items()]
    for ax, marks in ((left, said), (right, [("o", 3, "time"), ("D", 4, "memory")])):
        handles = [Line2D([], [], ls="", marker=m, color=COLOURS[c], label=words) for m, c, words in marks]
        ax.legend(handles=handles, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, columnspacing=1, handletextpad=0.2)
    plt.show()


def labelled(ax: Axes, ordered: Sequence[str | None], places: Sequence[tuple[str, float]]) -> None:
    """Name the rows on the left; each group's name stands in bold on a line of its own."""
    groups = {int(y): title for title, y in places}
    ax.set_yticks(range(len(ordered)), [name or groups[y] for y, name in enumerate(ordered)])
    for y, text in enumerate(ax.get_yticklabels()):
        text.set_fontsize(8)
        text.set_fontweight("bold" if ordered[y] is None else "normal")
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="y", color="0.9")
