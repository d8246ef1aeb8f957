"""The figures and tables of lesson 05: one function each."""

import collections
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib.pyplot as plt
import torch
from matplotlib.ticker import NullFormatter
from torch import Tensor

from flowmap_edu.flow_map import FlowMap
from flowmap_edu.interpolant import Linear
from flowmap_edu.problems import Checkerboard
from flowmap_edu.recipes import paper
from flowmap_edu.recipes.recipe import Recipe
from flowmap_edu.times import triangle
from flowmap_edu.training import near, runs
from flowmap_edu.viz import plots, triangles

Target = Callable[[Tensor, Tensor, Tensor, float], Tensor]
Scores = Mapping[str, Mapping[str, float]]  # number of jumps -> name of a score -> value
MARKS = "os^Dv"
AT_ONCE = 1024  # fresh data points of an averaged target


def other_seeds() -> Mapping[str, list[dict[str, Any]]]:
    """What data/lessons/make_05.py measured, by the name of the training: one entry a seed, none for other names."""
    rows = json.loads((runs.shipped_folder() / "lessons" / "05.json").read_text(encoding="utf-8"))["rows"]
    return collections.defaultdict(list, rows)


def boards(drawn: Mapping[str, Tensor], title: str) -> None:
    """The densities of several sets of points, side by side."""
    figure, axes = plt.subplots(1, len(drawn), figsize=(2.2 * len(drawn), 2.5), sharex=True, sharey=True)
    for ax, (name, points) in zip(axes, drawn.items(), strict=True):
        plots.board(ax, points, bins=48)
        ax.set_title(name)
    figure.suptitle(title)
    plt.show()


def averaging(problem: Checkerboard, target: Target, times: Sequence[float]) -> None:
    """One place a panel: the data points by their weight, the pair's own slope, their mean slope, the velocity."""
    figure, axes = plt.subplots(1, len(times), figsize=(3.1 * len(times), 3.4), sharex=True, sharey=True)
    g = torch.Generator().manual_seed(11)
    y, x0 = problem.sample(AT_ONCE, g)[0], torch.tensor([[0.35, -0.3]])
    own = int((y - torch.tensor([0.25, 0.75])).square().sum(1).argmin())  # the pair's own end
    for ax, time in zip(axes, times, strict=True):
        t = torch.tensor([time])
        x = (1 - time) * x0 + time * y[own : own + 1]
        w = torch.softmax(-(x - time * y).square().sum(1) / (2 * ((1 - time) * problem.sigma) ** 2), 0)
        plots.squares(ax)
        ax.scatter(*y.T, s=9, c=w / w.max(), cmap="Greys", vmin=-0.15, vmax=1, linewidths=0, zorder=1)
        slopes = {
            "the pair's own slope": (y[own : own + 1] - x0, plots.COLOURS[0], 0.01),
            "velocity": (problem.velocity(t, x), plots.COLOURS[2], 0.016),
            "averaged target": (target(t, x, y, problem.sigma), plots.COLOURS[4], 0.007),
        }
        for name, (slope, colour, width) in slopes.items():
            how: Any = {"angles": "xy", "scale_units": "xy", "scale": 1, "width": width, "color": colour, "zorder": 3}
            ax.quiver(*x[0], *(0.7 * slope[0]), label=name, **how)
        ax.plot(*x[0], "x", color=plots.COLOURS[1], ms=8, mew=2, zorder=4)
        plots.window(ax, 1.2)
        ax.set_title(f"t = {time:g}")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    plt.show()


def scatter_of_targets(problem: Checkerboard, target: Target) -> tuple[Tensor, dict[str, Tensor]]:
    """E |target - velocity|^2 at 38 times, for one pair's slope, the averaged target and the one over near points.

    As in training: 256 samples and 1,024 fresh data points, four batches a time.
    """
    g, pool = torch.Generator().manual_seed(2), near.Near(problem, Linear(), seed=0)
    pool.fill(0)
    when, found = torch.linspace(0.05, 0.975, 38), {"one pair": [], "averaged": [], "near points": []}
    for now in when:
        squares: list[list[Tensor]] = [[], [], []]
        for _ in range(4):
            x1, x0 = problem.sample(256, g)[0], problem.base(256, g)
            t, x = now.expand(256), (1 - now) * x0 + now * x1
            mean = target(t, x, torch.cat([x1, problem.sample(AT_ONCE, g)[0]]), problem.sigma)
            for row, one in zip(squares, (x1 - x0, mean, pool.target(t, x, x1 - x0, x1, g)), strict=True):
                row.append((one - problem.velocity(t, x)).square().sum(1).mean())
        for row, values in zip(found.values(), squares, strict=True):
            row.append(torch.stack(values).mean())
    return when, {name: torch.stack(values) for name, values in found.items()}


def scatters(when: Tensor, found: Mapping[str, Tensor]) -> None:
    """The scatter of each target over time; near points where they serve, from 0.85 on."""
    _, ax = plt.subplots(figsize=(5.4, 3.1))
    for (name, values), colour in zip(found.items(), (0, 4, 2), strict=True):
        ax.semilogy(
            *(z[when >= (0.85 if name == "near points" else 0)] for z in (when, values)),
            "o-",
            color=plots.COLOURS[colour],
            label=name,
        )
    ax.set(xlabel="time t", ylabel="E |target - velocity|$^2$", title="Scatter of three targets around the velocity")
    ax.legend()
    plt.show()


def pairs(recipes: Mapping[str, Recipe]) -> None:
    """The triangle of each method, and the additional pairs that its recipe visits."""
    figure, axes = plt.subplots(1, len(recipes), figsize=(3.1 * len(recipes), 3.6), sharey=True)
    for ax, (name, run) in zip(axes, recipes.items(), strict=True):
        triangles.method(run.method, ax, title=name.upper(), legend=False)
        given = run.training
        s, r = triangle(200, at_zero=given.at_zero, at_one=given.at_one, generator=torch.Generator().manual_seed(3))
        side = (s == 0) | (r == 1)
        look: Any = {"s": 14, "color": plots.COLOURS[4], "zorder": 6, "linewidths": 0}
        ax.scatter(r[side], s[side], label="additional pairs of the recipe", **look)
        ax.set(xlabel="end time r", ylabel="start time s")
        ax.label_outer()
    handles = triangles.key([run.method for run in recipes.values()]) + axes[0].get_legend_handles_labels()[0]
    words = [str(handle.get_label()).replace("(s, t)", "(s, r)").replace("s = t", "s = r") for handle in handles]
    figure.legend(handles, words, loc="outside lower center", ncols=3, fontsize=8)
    plt.show()


def diagonal_error(problem: Checkerboard, X: FlowMap) -> float:
    """E |v_{t,t}(I_t) - b_t(I_t)|^2 over 20,000 draws, t uniform."""
    g = torch.Generator().manual_seed(4)
    t, x1 = torch.rand(20_000, generator=g), problem.sample(20_000, g)[0]
    x = (1 - t)[:, None] * problem.base(20_000, g) + t[:, None] * x1
    with torch.no_grad():
        return (X.velocity(t, x) - problem.velocity(t, x)).square().sum(1).mean().item()


def middle(values: Sequence[float]) -> tuple[float, float, float]:
    """The median of a few values, and how far it is from the smallest and the largest."""
    ordered = sorted(values)
    centre = ordered[len(ordered) // 2]
    return centre, centre - ordered[0], ordered[-1] - centre


def losses(
    histories: Mapping[str, Sequence[Sequence[float]]], diagonal: Mapping[str, list[float]], floor: float
) -> None:
    """The loss over the training, with the floor of plain targets; and the diagonal's distance, a point a seed."""
    _, axes = plt.subplots(1, 2, figsize=(9.0, 3.1), width_ratios=(1.7, 1))
    for name, history in histories.items():
        axes[0].semilogy(*list(zip(*history, strict=True))[:2], "--" if "plain" in name else "-", label=name)
    axes[0].axhline(floor, color="0.4", ls=":", label="floor, plain")
    axes[0].set(xlabel="step", ylabel="loss of the batch", title="Loss, seed 0")
    axes[0].legend(ncols=2, fontsize=8)
    for k, (name, values) in enumerate(diagonal.items()):
        axes[1].semilogx(values, [k] * len(values), MARKS[k], color=plots.COLOURS[k], alpha=0.7, label=name)
    axes[1].set(xlabel="E |v - b|$^2$ on the diagonal", title="Error of the diagonal, a mark a seed", xlim=(1e-3, 0.1))
    axes[1].xaxis.set_minor_formatter(NullFormatter())
    axes[1].set(yticks=range(len(diagonal)), yticklabels=list(diagonal), ylim=(len(diagonal) - 0.5, -0.5))
    plt.show()


def against_jumps(
    rows: Mapping[str, Sequence[Scores]], score: str, ylabel: str, floor: float, ruler: tuple[str, float]
) -> None:
    """A score against the number of jumps: the middle seed, and the range over seeds as a bar."""
    _, ax = plt.subplots(figsize=(6.4, 3.6))
    jumps = [int(n) for n in next(iter(rows.values()))[0]]
    for k, (name, seeds) in enumerate(rows.items()):
        centre, below, above = zip(*(middle([seed[str(n)][score] for seed in seeds]) for n in jumps), strict=True)
        at = [n * 1.035 ** (k - 2) for n in jumps]  # side by side, so that bars do not hide each other
        ax.errorbar(at, centre, (below, above), marker=MARKS[k], capsize=2, label=name)
    ax.axhline(floor, color="0.4", ls="--", lw=1, label="exact draws")
    ax.axhline(ruler[1], color="0.4", ls=":", lw=1, label=ruler[0])
    ax.set(xscale="log", yscale="log", xlabel="number of jumps", ylabel=ylabel, title="Middle and range of seeds")
    ax.set_xticks(jumps, [str(n) for n in jumps])
    ax.minorticks_off()
    ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    plt.show()


def span(values: Sequence[float], form: str = "{:.3f}") -> str:
    """The range of some values, or the one."""
    low, high = form.format(min(values)), form.format(max(values))
    return low if low == high else f"{low}-{high}"


def table(rows: Mapping[str, Sequence[Mapping[str, float]]], scores: Sequence[str]) -> None:
    """Print the range over seeds of some scores, a line a row; "worst" is a share, in per cent."""
    print(f"{'':<22}" + "".join(f"{name:>18}" for name in scores) + "   seeds")
    for name, seeds in rows.items():
        cells = [[100 * s[k] if k == "worst" else s[k] for s in seeds] for k in scores]
        forms = ["{:.0f} %" if k == "worst" else "{:.4f}" for k in scores]
        text = "".join(f"{span(c, form):>18}" for c, form in zip(cells, forms, strict=True))
        print(f"{name:<22}{text}{len(seeds):>8}")


def by_jumps(rows: Mapping[str, Sequence[Scores]], score: str) -> None:
    """Print the range over seeds of one score, a column for each number of jumps."""
    jumps = list(next(iter(rows.values()))[0])
    print(f"{score:<12}" + "".join(f"{n:>9} jump{'s' if n != '1' else ' '}" for n in jumps) + "   seeds")
    for name, seeds in rows.items():
        cells = "".join(f"{span([seed[n][score] for seed in seeds]):>15}" for n in jumps)
        print(f"{name:<12}{cells}{len(seeds):>8}")


def shipped(names: Mapping[str, str]) -> None:
    """Print KL64 of the shipped maps, with their steps and CPU seconds, and the paper's KL."""
    print(f"{'number of jumps':<52}" + "".join(f"{n:>8}" for n in (1, 2, 4, 8, 16)))
    rows: list[dict[str, float]] = []
    for title, name in names.items():
        folder = runs.shipped_folder() / f"checkerboard-{name}"
        rows = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["rows"]
        run = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        about = f"{title}, KL64: {run['steps']:,} steps, {run['cpu_seconds']:.0f} CPU-s"
        print(f"{about:<52}" + "".join(f"{row['kl64']:>8.3f}" for row in rows))
        print(f"{'':<7}KL, as the paper reports it{'':<18}" + "".join(f"{k:>8.3f}" for k in paper.PAPER_KL[name]))
        print(f"{'':<7}the leak alone makes {least(rows[0]):.0f} % of KL64 with one jump, or more")
    print(f"exact draws, a million points: {rows[0]['floor']:.3f}")


def least(row: Mapping[str, float]) -> float:
    """The part of KL64 that the leak alone makes, -log(1 - leak), in per cent."""
    return 100 * float(-torch.log1p(-torch.tensor(row["leak"]))) / row["kl64"]


def two_scores(rows: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """Each map as a point: KL64 to the right, the distance up, once as root mean square and once as median."""
    figure, axes = plt.subplots(1, 2, figsize=(9.4, 3.7), sharex=True, sharey=True)
    for ax, score, title in zip(axes, ("rms", "median"), ("root mean square", "median"), strict=True):
        for k, (name, seeds) in enumerate(rows.items()):
            x, *beside = middle([seed["kl64"] for seed in seeds])
            y, *above = middle([seed[score] for seed in seeds])
            euler = name.startswith("Euler")
            how: Any = {"color": "0.3" if euler else plots.COLOURS[(k // 2) % 6], "capsize": 2}
            bars = ([[beside[0]], [beside[1]]], [[above[0]], [above[1]]])
            how |= {"mfc": how["color"] if euler or "16" in name else "white", "label": name}
            ax.errorbar(x, y, bars[1], bars[0], marker="s^v"[k % 3] if euler else MARKS[k // 2], **how)
        ax.set(xscale="log", yscale="log", xlabel="KL64 (samples)", title=f"{title} of the distance")
    axes[0].set(ylabel="distance to the exact map")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=8)
    plt.show()


def misses(problem: Checkerboard, maps: Mapping[str, FlowMap]) -> None:
    """How far one jump from each place of the plane lands from its exact destination."""
    axis = torch.linspace(-1.4, 1.4, 45, dtype=torch.float64)
    plane = torch.cartesian_prod(axis, axis)
    truth = problem.flow_map(0.0, 1.0, plane).float()
    figure, axes = plt.subplots(1, len(maps), figsize=(9.4, 2.8), sharex=True, sharey=True)
    for ax, (name, X) in zip(axes, maps.items(), strict=True):
        with torch.no_grad():
            miss = (X(0.0, 1.0, plane.float()) - truth).norm(dim=1).reshape(45, 45)
        ax.imshow(miss.T.log10(), origin="lower", extent=(-1.43, 1.43, -1.43, 1.43), vmin=-2.5, vmax=-0.5)
        ax.set(title=name, xlabel="first coordinate")
    axes[0].set_ylabel("second coordinate")
    figure.colorbar(axes[0].images[0], ax=axes, label="log10 of the distance", shrink=0.8)
    figure.suptitle("Distance of one jump to its exact end, by its start")
    plt.show()


def last_jumps(starts: Sequence[float], late: Mapping[str, Sequence[Sequence[float]]]) -> None:
    """The median distance of X_{s,1} against s: the middle seed, and the range over seeds as a band."""
    _, ax = plt.subplots(figsize=(6.0, 3.5))
    for k, (name, seeds) in enumerate(late.items()):
        values = torch.tensor(seeds).sort(0).values
        ax.semilogy(starts, values[len(values) // 2], MARKS[k] + "-", color=plots.COLOURS[k], label=name)
        ax.fill_between(starts, values[0], values[-1], color=plots.COLOURS[k], alpha=0.2, lw=0)
    ax.set(
        xlabel="start time s", ylabel="median distance of $X_{s,1}$", title="The last jump: middle and range of seeds"
    )
    ax.legend(fontsize=8)
    plt.show()
