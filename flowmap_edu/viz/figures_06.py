"""The figures and tables of lesson 06: one function each."""

import functools
import json
import time
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
    """What a training gives: the averaged map, rows (step, distance, norm of the gradient), and processor time."""

    X: FlowMap
    rows: Tensor
    seconds: float = 0.0


def timed(train: Callable[..., Found]) -> Callable[..., Found]:
    """The function `train`, which returns the processor time of its training as well."""

    @functools.wraps(train)
    def with_time(*arguments: Any, **named: Any) -> Found:
        began = time.process_time()
        found = train(*arguments, **named)
        return found._replace(seconds=time.process_time() - began)

    return with_time


def other_seeds() -> dict[str, list[dict[str, float]]]:
    """The rows of the seeds 1 and 2, by data/lessons/make_06.py."""
    text = (runs.shipped_folder() / "lessons" / "06.json").read_text(encoding="utf-8")
    rows: dict[str, list[dict[str, float]]] = json.loads(text)["rows"]
    return rows


def with_others(first: float, name: str, what: str = "distance") -> list[float]:
    """A number of seed 0, then those of the other seeds."""
    return [first, *(row[what] for row in other_seeds()[name])]


def ends(found: Mapping[str, Found], kind: str = "lsd") -> dict[str, list[float]]:
    """The last distance of each training, then those of other seeds, whose rows begin with `kind`."""
    return {name: with_others(one.rows[-1, 1].item(), f"{kind}: {name}") for name, one in found.items()}


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
    axes[0].set_title(f"{title}, seed 0")
    axes[0].legend()
    marks(axes[1], seeds)
    axes[1].set_title("at the end, a mark a seed")
    plt.show()


def marks(ax: Axes, seeds: Mapping[str, Sequence[float]], colours: Sequence[int] = (0, 1, 2, 3)) -> None:
    """A mark for each seed, a column for each name."""
    for k, values in enumerate(seeds.values()):
        ax.semilogy([k] * len(values), values, MARKS[k], color=plots.COLOURS[colours[k]], alpha=0.7)
    ax.set(xticks=range(len(seeds)), xlim=(-0.5, len(seeds) - 0.5))
    ax.set_xticklabels([name.replace(", ", ",\n") for name in seeds], fontsize=8)


def print_seeds(seeds: Mapping[str, Sequence[float]]) -> None:
    """Print what each seed gave."""
    for name, values in seeds.items():
        print(f"{name:<30} {', '.join(f'{value:.4f}' for value in values)}   (seeds 0, 1, 2)")


def print_seconds(
    found: Mapping[str, Found], before: Mapping[str, int], guides: Mapping[str, Found], steps: int
) -> None:
    """Print the processor time of the ways of `costs`, that of their teachers included."""
    for name, one in found.items():
        teacher = guides[name].seconds if name in guides else 0.0
        own = f"a step of the map {1000 * one.seconds / (steps - before[name]):.0f} ms"
        guide = f", of the teacher {1000 * teacher / before[name]:.0f} ms" if before[name] else ""
        print(f"{name:<30} {teacher + one.seconds:.0f} s of processor time, seed 0 ({own}{guide})")


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


def pupils(found: Mapping[str, Found], teachers: Sequence[float], seeds: Mapping[str, Sequence[float]]) -> None:
    """Left the distance of pupils as they train, with the line of their teacher; right where each seed ended."""
    _, axes = plt.subplots(1, 2, figsize=(9.4, 3.3), width_ratios=(1.4, 1), sharey=True)
    curves(axes[0], found, colours=(0, 2, 1))
    axes[0].axhline(teachers[0], color="0.4", lw=1, ls=":", label="the teacher's flow")
    axes[0].set_title("seed 0")
    axes[0].legend(fontsize=8)
    axes[1].plot([-1] * len(teachers), teachers, "_", color="0.3", ms=14)
    marks(axes[1], seeds, (0, 2, 1))
    words = [name.replace(", ", ",\n").replace("learned ", "learned\n") for name in seeds]
    names = ["the teacher's\nflow", *words]
    axes[1].set_xticks(range(-1, len(seeds)), names, fontsize=8)
    axes[1].set(xlim=(-1.5, len(seeds) - 0.5), title="at the end, a mark a seed")
    plt.show()


def landings(limit: float, maps: Mapping[str, FlowMap], noise: Tensor, end: Tensor) -> list[float]:
    """Print, of three seeds, how far pupils land from where their teacher's flow ends.

    Returns:
        the distances of the teachers' flows to the exact map, printed as well.
    """
    flows = with_others(limit, "teacher: half")
    print(f"the teacher's flow to the exact map: {span(flows)}")
    for name, X in maps.items():
        with torch.no_grad():
            first = root_mean_square(X(0.0, 1.0, noise) - end)
        values = with_others(first, f"learned: {name.split(',')[0].lower()}", "to_flow")
        print(f"{name} to its teacher's flow: {span(values)}")
    return flows


def span(values: Sequence[float], digits: int = 4) -> str:
    """The range of some numbers in words."""
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def costs(
    found: Mapping[str, Found],
    before: Mapping[str, int],
    limits: Mapping[str, float],
    seeds: Mapping[str, Sequence[float]],
) -> None:
    """The distance against the steps of teacher and pupil together; a thick line is the teacher's own distance."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.4, 3.6), width_ratios=(1.7, 1), sharey=True)
    for k, (name, one) in enumerate(found.items()):
        steps = before[name] + one.rows[:, 0]
        left.semilogy(steps, one.rows[:, 1], LOOKS[k], color=plots.COLOURS[k], label=name)
        if name in limits:
            left.plot([20, before[name]], [limits[name]] * 2, LOOKS[k], color=plots.COLOURS[k], lw=3, alpha=0.4)
    left.set(xlabel="steps of teacher and pupil together", ylabel="distance to the exact map, one jump")
    left.set_title("seed 0; thick: the trained teacher's flow")
    marks(right, {name.removesuffix(" for the teacher"): values for name, values in seeds.items()})
    right.set_title("at the end, a mark a seed")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    plt.show()


def norms(found: Mapping[str, Found]) -> dict[str, list[tuple[float, float]]]:
    """The mean norm of the gradient early and late in the training, a pair for each of three seeds."""
    return {
        name: [
            (one.rows[2:5, 2].mean().item(), one.rows[-5:, 2].mean().item()),
            *((row["early"], row["late"]) for row in other_seeds()[f"esd: {name}"]),
        ]
        for name, one in found.items()
    }


def print_norms(found: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Print the ranges over the seeds, and by which factor the norm changed in each."""
    for name, pairs in found.items():
        early, late = zip(*pairs, strict=True)
        factors = ", ".join(f"{b / a:.2f}" for a, b in pairs)
        print(f"{name:<22} early {span(early, 2)}, at the end {span(late, 2)}; by the factor {factors}")


def gradients(found: Mapping[str, Found], seeds: Mapping[str, Sequence[tuple[float, float]]]) -> None:
    """Left the norm of the gradient as the training went, right by which factor it changed in each seed."""
    _, (left, right) = plt.subplots(1, 2, figsize=(9.4, 3.2), width_ratios=(1.4, 1))
    curves(left, found, 2)
    left.set_title("ESD, gradient before it is clipped, seed 0")
    left.legend(fontsize=8)
    marks(right, {name: [b / a for a, b in pairs] for name, pairs in seeds.items()})
    right.axhline(1, color="0.5", lw=1, ls=":")
    right.set(title="a mark a seed", ylabel="norm at the end over early")
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


def of_stages(chains: Sequence[Sequence[FlowMap]], noise: Tensor, goal: Tensor) -> list[list[tuple[int, float, float]]]:
    """Print and return, for each chain's map: its jumps, its distance to the exact map and to the first teacher."""
    rows = []
    for chain in chains:
        first = chain[0].sample(noise, 16)
        landed = {16 // 2**k: X.sample(noise, 16 // 2**k) for k, X in enumerate(chain)}
        rows.append([(n, *(root_mean_square(x - y) for y in (goal, first))) for n, x in landed.items()])
    for found in zip(*rows, strict=True):
        jumps = f"{found[0][0]:>2} jump{'s' if found[0][0] > 1 else ' '}"
        print(f"{jumps}: to the first teacher " + ", ".join(f"{row[2]:.3f}" for row in found), end="   ")
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
