"""What the commands of `flowmap-edu` do, over the same functions as the notebooks."""

import argparse
import functools
import inspect
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from flowmap_edu import _checks as checks
from flowmap_edu import sample
from flowmap_edu._words import asked_recipe, named_problem
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.methods import METHODS, Method
from flowmap_edu.problems.problem import STEPS, Problem
from flowmap_edu.recipes import Recipe, paper, recipe
from flowmap_edu.training import State, distributed, runs
from flowmap_edu.training.metadata import RunInfo

FOUR = ("lsd", "esd", "psd-m", "psd-u")


def train(arguments: argparse.Namespace) -> None:
    """flowmap-edu train."""
    out = Path(arguments.out)
    if arguments.resume:
        fresh = ("problem", "net", "labels", "method", "root", "teacher", "recipe", "minutes", "steps", "set", "seed")
        if given := [name for name in fresh if getattr(arguments, name) not in (None, [])]:
            raise ValueError(f"--resume continues the run in {out} with its own settings: leave out {', '.join(given)}")
        info = runs.read_metadata(out)
        found = Recipe(info.problem(), info.network(), info.method, info.training)
        teacher = info.header["teacher"]
    else:
        if arguments.problem is None:
            raise ValueError("name a problem to train on, or --resume a run")
        found, teacher = asked_recipe(arguments), arguments.teacher
        if found.method.needs_teacher != (teacher is not None):
            wanted = "reads a" if found.method.needs_teacher else "reads no"
            raise ValueError(f"{found.method.title} {wanted} teacher, --teacher is {teacher!r}")
    with distributed.process_group(distributed.device_of(arguments.device)):
        run_training(found, out, arguments, teacher)


def run_training(found: Recipe, out: Path, arguments: argparse.Namespace, teacher: str | None = None) -> None:
    """Train with a progress bar, and with what the monitor writes where it was asked for."""
    started, first = time.monotonic(), distributed.rank() == 0
    if found.training.pays_to_compile and first:
        print("compiling the training step (about half a minute the first time) ...", file=sys.stderr, flush=True)
    states = runs.train(
        *found, out, teacher=teacher, resume=arguments.resume, every=arguments.every,
        save_seconds=arguments.save_seconds, device=arguments.device,
    )  # fmt: skip
    if arguments.tensorboard or arguments.grid_every is not None or arguments.fid_every is not None:
        states = monitored(states, found.problem, out, arguments)
    from tqdm import tqdm

    with tqdm(desc=name_of(found.method), unit="step", mininterval=2.0, dynamic_ncols=True, disable=not first) as bar:
        for state in states:
            bar.total = state.steps
            bar.set_postfix(loss=f"{state.loss:.4f}", grad=f"{state.grad_norm:.2f}", refresh=False)
            bar.update(state.step - bar.n)
    if first:
        header, wall = runs.read_metadata(out).header, time.monotonic() - started
        done = f"{header['steps_done']:,} steps, {header['cpu_seconds']:.0f} CPU-s, {wall:.0f} s"
        print(f"{out}: {name_of(found.method)}, {done}", flush=True)


def monitored(states: Iterator[State], problem: Problem, out: Path, arguments: argparse.Namespace) -> Iterator[State]:
    """The states, with the sample grids, the distance and the logs that were asked for."""
    from flowmap_edu.viz import monitor

    fid = None
    if arguments.fid_every:
        options = asked(problem, n=arguments.fid_images, weights=arguments.weights)
        fid = functools.partial(one_step_distance, problem, options)
    every = {"grid_every": arguments.grid_every, "fid_every": arguments.fid_every}
    return monitor.watched(states, out, **every, fid=fid, tensorboard=arguments.tensorboard)


def one_step_distance(problem: Problem, options: Mapping[str, Any], X: FlowMap) -> float:
    """What `--fid-every` computes: the Fréchet distance of one jump."""
    row = problem.evaluate(X, [1], **options)[0]
    return float(row["fid"] if "fid" in row else row["fd"])


def name_of(method: Method) -> str:
    """The method's name in the table, or its title where it was composed."""
    return next((name for name, known in METHODS.items() if known.title == method.title), method.title)


def asked(problem: Problem, **options: Any) -> dict[str, Any]:
    """The options that are not None.

    Raises:
        ValueError: if the problem's `evaluate` does not take one of them.
    """
    found = {name: value for name, value in options.items() if value is not None}
    takes = inspect.signature(problem.evaluate).parameters
    for name in found:
        if name not in takes:
            raise ValueError(f"--{name} is not for {type(problem).__name__}: its evaluation takes {', '.join(takes)}")
    return found


def evaluate(arguments: argparse.Namespace) -> None:
    """flowmap-edu evaluate."""
    info = runs.read_metadata(arguments.run)
    problem = named_problem(arguments.problem, {}) if arguments.problem else info.problem()
    X = runs.load(arguments.run, device=arguments.device, ema=arguments.ema)
    options = asked(problem, n=arguments.samples, weights=arguments.weights)
    rows = problem.evaluate(X, arguments.steps, seed=arguments.seed, **options)
    print(f"{arguments.run}: {name_of(info.method)} on {type(problem).__name__}")
    if not rows:
        print(f"{type(problem).__name__} says nothing of how good a map is: define its method evaluate")
    print("\n".join(lines(rows)))
    if (name := getattr(problem, "name", None)) in paper.PAPER_FID:
        print(paper.fid_table(name, name_of(info.method), rows, arguments.steps))
    if Path(arguments.run).is_dir():
        measured = info.digests.get("map.safetensors") if arguments.ema in (None, info.training.ema) else None
        report = {"n": arguments.samples, "seed": arguments.seed, "map": measured, "rows": rows}
        runs.write(Path(arguments.run) / "evaluation.json", json.dumps(report, indent=1).encode())
    if arguments.figure:
        from flowmap_edu import viz

        viz.draw(problem, X, arguments.figure)
        print(f"the figure is {arguments.figure}")


def cell(value: Any) -> str:
    """A number of a table: four digits that count, no number as a dash."""
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}" if isinstance(value, float) else str(value)


def lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows as a table of text; what is the same in all of several rows stands in one line below."""
    if not rows:
        return []
    same = [k for k in rows[0] if k != "steps" and len(rows) > 1 and all(row[k] == rows[0][k] for row in rows)]
    names = [k for k in rows[0] if k not in same]
    wide = {k: max(len(k), *(len(cell(row[k])) for row in rows)) for k in names}
    out = ["  ".join(f"{k:>{wide[k]}}" for k in names)]
    out += ["  ".join(f"{cell(row[k]):>{wide[k]}}" for k in names) for row in rows]
    return out + ([f"for all: {', '.join(f'{k} {cell(rows[0][k])}' for k in same)}"] if same else [])


def drawn(X: FlowMap, info: RunInfo, arguments: argparse.Namespace) -> torch.Tensor:
    """The samples that `sample` writes, shape (n, *D)."""
    n = arguments.samples
    checks.count("the number of samples", n)
    x0 = info.sigma * torch.randn(n, *info.shape, generator=torch.Generator().manual_seed(arguments.seed))
    label = torch.arange(n) % info.classes if info.classes else None
    if arguments.label is not None:
        if not info.classes:
            raise ValueError(f"--label is for maps with classes, {arguments.run} has none")
        checks.one_of("--label", arguments.label, range(info.classes))
        label = torch.full((n,), arguments.label)
    if arguments.guidance is not None:
        if not (info.classes and info.training.label_dropout):
            raise ValueError(
                f"--guidance needs a map that was trained with labels hidden: label_dropout of {arguments.run} is "
                f"{info.training.label_dropout} of {info.classes} classes; train with --set label_dropout=0.1"
            )
        X = sample.guided(X, arguments.guidance)
    from tqdm import tqdm

    size = max(1, min(8192, 200_000 // x0[0].numel()))
    parts = tqdm(range(0, n, size), desc="sampling", unit="part", disable=n <= 4 * size)
    out = []
    for k in parts:
        part = None if label is None else label[k : k + size]
        out.append(X.sample(x0[k : k + size], arguments.steps, seed=arguments.seed + k, label=part))
    return torch.cat(out)


def draw_samples(arguments: argparse.Namespace) -> None:
    """flowmap-edu sample: an .npy of any shape, a .csv of points, or a .png sheet of images."""
    info, out = runs.read_metadata(arguments.run), Path(arguments.out)
    endings = (".npy", ".csv") if len(info.shape) == 1 else (".npy", ".png")
    checks.one_of("the ending of --out", out.suffix, endings)
    if out.exists():
        raise ValueError(f"{out} is already there; name another file")
    x = drawn(runs.load(arguments.run, device=arguments.device, ema=arguments.ema), info, arguments)
    if out.suffix == ".png":
        from flowmap_edu import viz

        viz.sheet(x, out)
    elif out.suffix == ".csv":
        header = ",".join(f"x{k}" for k in range(x.shape[1]))
        np.savetxt(out, x.numpy(), delimiter=",", header=header)
    else:
        np.save(out, x.numpy())
    print(f"{len(x):,} samples after {arguments.steps} step{'s' * (arguments.steps > 1)} in {out}")


def table(arguments: argparse.Namespace) -> None:
    """flowmap-edu table: the four methods' KL64 beside the paper's KL, any methods at one budget, the paper's FID."""
    from flowmap_edu.bench import comparison

    if arguments.problem == "images":
        print(paper.paper_table())
        return
    if arguments.methods:
        if not arguments.minutes:
            raise ValueError("--methods compares trainings of one budget: name it with --minutes")
        names = list(METHODS) if arguments.methods == "all" else arguments.methods.split(",")
        print(comparison.table(names, arguments.minutes, Path(arguments.out), arguments.samples, arguments.jobs))
        return
    text, rows = [], []
    for method in FOUR:
        name: str | Path = f"{arguments.problem}-{method}"
        if arguments.minutes:
            name = Path(arguments.out) / name
            arguments.resume = (name / "config.json").is_file()
            fresh = recipe("checkerboard", method, minutes=arguments.minutes)
            info = runs.read_metadata(name) if arguments.resume else None
            run = Recipe(info.problem(), info.network(), info.method, info.training) if info else fresh
            run_training(run, name, arguments)
        info = runs.read_metadata(name)
        rows = info.problem().evaluate(runs.load(name), STEPS, n=arguments.samples)
        ours = "".join(f"{row['kl64']:>9.4f}" for row in rows)
        text.append(f"{method:<7} {'ours, KL64':<12}{ours}   {info.header['cpu_seconds']:.0f} CPU-s")
        text.append(f"{'':<7} {'paper, KL':<12}" + "".join(f"{kl:>9.4f}" for kl in paper.PAPER_KL[method]))
    print(f"{'method':<20}" + "".join(f"{n:>3} step{'s' if n > 1 else ' '}" for n in STEPS))
    print("\n".join(text))
    print(f"KL64 with {arguments.samples:,} points, floor {rows[0]['floor']:.4f}.")
    print("The paper does not publish its estimator: its figures are context, not a comparison.")
