"""The figures and tables of lesson 06: one function each."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import torch
from matplotlib.axes import Axes
from torch import Tensor

from flowmap_edu import methods
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics.errors import root_mean_square
from flowmap_edu.problems import Checkerboard
from flowmap_edu.recipes import recipe
from flowmap_edu.training import State, draw_batch, runs
from flowmap_edu.viz import plots

LOOKS = ("-", "--", "-.", ":")
MARKS = "os^Dv"
SHARES = {0.5: "median", 0.99: "99th percentile"}


class Found(NamedTuple):
    """What a training of the lesson gives: the averaged map, and rows (step, distance, norm of the gradient)."""

    X: FlowMap
    rows: Tensor


def ends(found: Mapping[str, Found]) -> dict[str, list[float]]:
    """The last distance of each training of LSD, then those of other seeds, by data/lessons/make_06.py."""
    rows: dict[str, list[dict[str, Any]]] = json.loads(
        (runs.shipped_folder() / "lessons" / "06.json").read_text(encoding="utf-8")
    )["rows"]
    return {
        name: [one.rows[-1, 1].item()] + [row["distance"] for row in rows[f"lsd: {name}"]]
        for name, one in found.items()
    }


def curves(ax: Axes, found: Mapping[str, Found], column: int = 1, colours: Sequence[int] = (0, 1, 2, 3)) -> None:
    """A column of the rows against the step, a line a training."""
    for k, (name, one) in enumerate(found.items()):
        colour = plots.COLOURS[colours[k]]
        ax.semilogy(one.rows[:, 0], one.rows[:, column], LOOKS[k], color=colour, label=name)
    ax.set(xlabel="step", ylabel=("", "distance to the exact map, one jump", "norm of the gradient")[column])


def distances(found: Mapping[str, Found], seeds: Mapping[str, Sequence[float]], title: str) -> None:
    """Left the distance as the training went, seed 0; right where each seed ended."""
    _, axes = plt.subplots(1, 2, figsize=(9.0, 3.1), width_ratios=(1.5, 1), sharey=True)
    curves(axes[0], found)
    for k, (name, values) in enumerate(seeds.items()):
        axes[1].semilogy([k] * len(values), values, MARKS[k], color=plots.COLOURS[k], alpha=0.7, label=name)
    axes[0].set_title(f"{title}, seed 0")
    axes[0].legend()
    axes[1].set(title="at the end, a mark a seed", xticks=range(len(seeds)), xlim=(-0.5, len(seeds) - 0.5))
    axes[1].set_xticklabels([name.replace(", ", ",\n") for name in seeds], fontsize=8)
    plt.show()


def print_seeds(seeds: Mapping[str, Sequence[float]]) -> None:
    """Print the range over seeds."""
    for name, values in seeds.items():
        print(f"{name:<30} {min(values):.4f} to {max(values):.4f}   ({len(values)} seeds)")


def speeds(problem: Checkerboard, X: FlowMap, times: Sequence[float]) -> dict[str, Tensor]:
    """Speeds at the landing points of X_{0,t}: of the exact velocity and of own velocity; (times, shares) each."""
    x0, found = problem.base(4000, torch.Generator().manual_seed(2)), {"exact velocity": [], "own velocity": []}
    with torch.no_grad():
        for t in times:
            landed = X(0.0, t, x0)
            for row, velocity in zip(found.values(), (problem.velocity, X.velocity), strict=True):
                row.append(velocity(t, landed).norm(dim=1).quantile(torch.tensor(list(SHARES))))
    return {name: torch.stack(values) for name, values in found.items()}


def speed(times: Sequence[float], found: Mapping[str, Tensor]) -> None:
    """The median and the 99th percentile of the speeds over time."""
    _, ax = plt.subplots(figsize=(5.6, 3.2))
    for k, (name, values) in enumerate(found.items()):
        for q, share in enumerate(SHARES.values()):
            ax.semilogy(times, values[:, q], ("--", "-")[q], color=plots.COLOURS[1 - k], label=f"{name}, {share}")
    ax.set(xlabel="time t", ylabel="speed", title="Speed at the points where the pupil lands")
    ax.legend(fontsize=8)
    plt.show()


def where_asked(problem: Checkerboard, places: Mapping[str, Tensor], t: float) -> None:
    """The places at which two losses ask for a velocity at time t, on the squares of the data."""
    figure, axes = plt.subplots(1, len(places), figsize=(3.4 * len(places), 3.8), sharex=True, sharey=True)
    for ax, (name, x) in zip(axes, places.items(), strict=True):
        far = problem.velocity(torch.full((len(x),), t), x).norm(dim=1) > 3
        plots.squares(ax)
        ax.plot(*x[~far].T, ".", ms=2, color=plots.COLOURS[0], label="exact speed there at most 3")
        ax.plot(*x[far].T, "x", ms=5, color=plots.COLOURS[1], label="above 3")
        plots.window(ax, 1.2)
        ax.set_title(f"{name}, at t = {t:g}")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    plt.show()


def pupils(found: Mapping[str, Mapping[str, Found]], limit: float) -> None:
    """The distance of pupils as they train, a panel a method, with the line of their teacher."""
    _, axes = plt.subplots(1, len(found), figsize=(3.6 * len(found), 3.1), sharey=True)
    for ax, (method, runs_of) in zip(axes, found.items(), strict=True):
        curves(ax, runs_of, colours=[{"no teacher": 0, "learned teacher": 2}[name] for name in runs_of])
        ax.axhline(limit, color="0.4", lw=1, ls=":", label="the teacher's flow")
        ax.set_title(f"{method}, seed 0")
    axes[1].set_ylabel("")
    axes[0].legend(fontsize=8)
    plt.show()


def print_landings(maps: Mapping[str, FlowMap], noise: Tensor, goals: Mapping[str, Tensor]) -> None:
    """Print the root mean square distance of one jump of each map to several goals."""
    print(f"{'one jump of ...':<26}" + "".join(f"{name:>24}" for name in goals))
    for name, X in maps.items():
        with torch.no_grad():
            x = X(0.0, 1.0, noise)
        found = [root_mean_square(x - goal) for goal in goals.values()]
        print(f"{name:<26}" + "".join(f"{value:>24.4f}" for value in found))


def costs(found: Mapping[str, Found], before: Mapping[str, int], limits: Mapping[str, float]) -> None:
    """The distance against the steps of teacher and pupil together; a short line is the teacher's own distance."""
    _, ax = plt.subplots(figsize=(7.8, 3.4))
    for k, (name, one) in enumerate(found.items()):
        steps = before[name] + one.rows[:, 0]
        ax.semilogy(steps, one.rows[:, 1], LOOKS[k], color=plots.COLOURS[k], label=name)
        if name in limits:
            ax.plot([20, before[name]], [limits[name]] * 2, LOOKS[k], color=plots.COLOURS[k], lw=3, alpha=0.4)
    ax.set(xlabel="steps of teacher and pupil together", ylabel="distance to the exact map, one jump")
    ax.set_title("LSD, seed 0; thick: while the teacher learns, what it will reach")
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    plt.show()


def gradients(found: Mapping[str, Found]) -> None:
    """The norm of the gradient as the training went."""
    _, ax = plt.subplots(figsize=(5.8, 3.2))
    curves(ax, found, 2)
    ax.set_title("ESD, gradient before it is clipped, seed 0")
    ax.legend()
    plt.show()


def by_library(method: str, steps: int) -> FlowMap:
    """The averaged map after some steps by `methods.loss`, on the batches of `training.draw_batch`."""
    state = State(*recipe("checkerboard", method, steps=steps, compile=False))
    for _ in range(steps):
        batch = draw_batch(state.problem, state.method, state.training, state.generator)
        methods.loss(FlowMap(state.net), batch, state.method).mean().backward()
        torch.nn.utils.clip_grad_norm_(state.net.parameters(), state.training.clip)
        state.take_step()
        state.schedule.step()
    return state.X


def print_norms(found: Mapping[str, Found]) -> None:
    """Print the mean norm of the gradient early and late in the training."""
    for name, one in found.items():
        print(f"{name:<24} early {one.rows[2:5, 2].mean():.3f}, at the end {one.rows[-5:, 2].mean():.3f}")


def of_stages(chains: Sequence[Sequence[FlowMap]], noise: Tensor, goal: Tensor) -> list[list[tuple[int, float, float]]]:
    """Print and return, for each chain's map: its jumps, its distance to the exact map and to the first teacher."""
    rows = []
    for chain in chains:
        first = chain[0].sample(noise, 16)
        landed = {16 // 2**k: X.sample(noise, 16 // 2**k) for k, X in enumerate(chain)}
        rows.append([(n, *(root_mean_square(x - y) for y in (goal, first))) for n, x in landed.items()])
    for found in zip(*rows, strict=True):
        print(f"{found[0][0]:>2} jumps: to the first teacher " + ", ".join(f"{row[2]:.3f}" for row in found), end="   ")
        print("to the exact map " + ", ".join(f"{row[1]:.3f}" for row in found))
    return rows


def stages(rows: Sequence[Sequence[tuple[int, float, float]]]) -> None:
    """The distances of each stage's map to the exact map and to the first teacher, a line a seed."""
    _, ax = plt.subplots(figsize=(5.6, 3.2))
    labels: Callable[[str, int], str | None] = lambda words, k: words if k == 0 else None  # noqa: E731
    jumps = [jumps for jumps, _, _ in rows[0]]
    for k, seed in enumerate(rows):
        _, exact, first = zip(*seed, strict=True)
        ax.plot(range(len(jumps)), exact, "o-", color=plots.COLOURS[0], alpha=0.7, label=labels("to the exact map", k))
        ax.plot(
            range(len(jumps)), first, "s--", color=plots.COLOURS[1], alpha=0.7, label=labels("to the first teacher", k)
        )
    ax.set_xticks(range(len(jumps)), [f"{n} jump{'s' * (n > 1)}" for n in jumps])
    ax.set(ylabel="distance", ylim=(0, None), title="After each stage, a line a seed")
    ax.legend()
    plt.show()
