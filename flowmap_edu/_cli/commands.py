"""What the commands of `flowmap-edu` do, over the same functions as the notebooks."""

import argparse
import contextlib
import functools
import inspect
import io
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from flowmap_edu import _checks as checks
from flowmap_edu._cli import ready
from flowmap_edu._cli.words import asked_recipe, changed_training, named_problem
from flowmap_edu._threads import choose
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.methods import METHODS, Method
from flowmap_edu.problems.problem import Problem
from flowmap_edu.recipes import Recipe, paper
from flowmap_edu.sample import guided
from flowmap_edu.training import State, distributed, runs
from flowmap_edu.training.metadata import RunInfo
from flowmap_edu.training.training import check


def train(arguments: argparse.Namespace) -> None:
    """flowmap-edu train."""
    out = ready.folder("--out", arguments.out)
    if arguments.resume:
        fresh = ("problem", "net", "labels", "method", "root", "teacher", "recipe", "seed")
        if given := [name for name in fresh if getattr(arguments, name) not in (None, [])]:
            raise ValueError(f"--resume continues the run in {out} with its own settings: leave out {', '.join(given)}")
        info = runs.read_metadata(out)
        if info.folder != out:
            raise ValueError(f"there is no folder {out} to go on in, and the shipped map of that name stays as it is")
        if arguments.threads is None:  # the run's own, so that its numbers stay the same to the bit
            choose((info.header.get("made_with") or {}).get("threads", 1))
        training = changed_training(info.training, arguments)
        found = Recipe(info.problem(), info.network(), info.method, training)
        same_budget = (training.steps, training.minutes) == (info.training.steps, info.training.minutes)
        teacher, steps = info.header["teacher"], info.header["steps"] if same_budget else training.steps
    else:
        if arguments.problem is None:
            raise ValueError("name a problem to train on, or --resume a run")
        found, teacher, steps = asked_recipe(arguments), arguments.teacher, None
        needed = found.method.needs_teacher or found.training.coupling == "reflow"
        if needed != (teacher is not None):
            wanted = "reads a" if needed else "reads no"
            pairs = found.training.coupling
            what = found.method.title + ("" if pairs == "independent" else f" with coupling={pairs!r}")
            raise ValueError(f"{what} {wanted} teacher, --teacher is {teacher!r}")
        if teacher and (shape := runs.read_metadata(teacher).shape) != found.problem.shape:
            raise ValueError(f"the teacher {teacher} has samples of shape {shape}, the problem {found.problem.shape}")
    arguments.every = ready.rhythm(arguments.every, found.training, steps)
    ready.watching(found.problem, arguments)
    check(found.problem, found.net, found.method, found.training)
    with distributed.process_group(distributed.device_of(arguments.device)):
        fresh = not out.exists()
        out.mkdir(parents=True, exist_ok=True)
        try:
            run_training(found, out, arguments, teacher)
        finally:
            with contextlib.suppress(OSError):  # a folder that holds something stays
                if fresh:
                    out.rmdir()


def run_training(found: Recipe, out: Path, arguments: argparse.Namespace, teacher: str | None = None) -> None:
    """Train with a progress bar, and with what the monitor writes where it was asked for."""
    started, first = time.monotonic(), distributed.rank() == 0
    states = runs.train(
        *found, out, teacher=teacher, resume=arguments.resume, every=arguments.every,
        save_seconds=arguments.save_seconds, device=arguments.device,
    )  # fmt: skip
    if arguments.tensorboard or arguments.grid_every is not None or arguments.fid_every is not None:
        states = monitored(states, found.problem, out, arguments)
    from tqdm import tqdm

    name = name_of(found.method)
    desc = f"{name}, compiling the step (half a minute or more)" if found.training.pays_to_compile else name
    with tqdm(desc=desc, unit="step", mininterval=2.0, dynamic_ncols=True, disable=not first, leave=False) as bar:
        for state in states:
            bar.set_description_str(name, refresh=False)
            bar.leave, bar.total = True, state.steps
            bar.set_postfix(loss=f"{state.loss:.4f}", grad=f"{state.grad_norm:.2f}", refresh=False)
            bar.update(state.step - bar.n)
    if first:
        header, wall = runs.read_metadata(out).header, time.monotonic() - started
        done = f"{header['steps_done']:,} steps, {header['cpu_seconds']:.0f} CPU-s, {wall:.0f} s"
        print(f"{out}: {name}, {done}", flush=True)


def monitored(states: Iterator[State], problem: Problem, out: Path, arguments: argparse.Namespace) -> Iterator[State]:
    """The states, with the sample grids, the distance and the logs that were asked for."""
    from flowmap_edu.viz import monitor

    fid = None
    if arguments.fid_every:
        named = {"n": ("--fid-images", arguments.fid_images), "weights": ("--weights", arguments.weights)}
        options = asked(problem, **named) | on_device(problem, distributed.device_of(arguments.device))
        divided = ready.takes(problem, "spread") and distributed.world() > 1
        if divided:
            options["spread"] = distributed.divided
        if divided or distributed.rank() == 0:
            fid = functools.partial(one_step_distance, problem, options)
    every = {"grid_every": arguments.grid_every, "fid_every": arguments.fid_every}
    return monitor.watched(states, out, **every, fid=fid, tensorboard=arguments.tensorboard)


def one_step_distance(problem: Problem, options: Mapping[str, Any], X: FlowMap) -> float | None:
    """What `--fid-every` computes: the Fréchet distance of one jump; None where another process measures."""
    rows = problem.evaluate(X, [1], **options)
    return float(rows[0][str(problem.distance)]) if rows else None


def name_of(method: Method) -> str:
    """The method's name in the table, or its title where it was composed."""
    return next((name for name, known in METHODS.items() if known.title == method.title), method.title)


def one_thread_for_points(info: RunInfo, arguments: argparse.Namespace) -> None:
    """Take one thread where none is named and the samples are points: a second one gains nothing for small networks."""
    if arguments.threads is None and len(info.shape) == 1:
        choose(1)


def asked(problem: Problem, **options: tuple[str, Any]) -> dict[str, Any]:
    """The options that were given, each by the argument's name: its own name for the message, and its value or None.

    Raises:
        ValueError: if the problem's `evaluate` does not take one of them.
    """
    found = {name: value for name, (_, value) in options.items() if value is not None}
    any_name = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(problem.evaluate).parameters.values())
    for name in found:
        if not ready.takes(problem, name) and not any_name:
            raise ValueError(f"{options[name][0]} is not for {type(problem).__name__}: its evaluation takes no {name}")
    return found


def on_device(problem: Problem, device: torch.device) -> dict[str, Any]:
    """The argument `device` of the problem's evaluation, where it takes one."""
    return {"device": device} if ready.takes(problem, "device") and device.type != "cpu" else {}


def evaluate(arguments: argparse.Namespace) -> None:
    """flowmap-edu evaluate."""
    info = runs.read_metadata(arguments.run)
    problem = named_problem(arguments.problem) if arguments.problem else info.problem()
    if problem.shape != info.shape:
        raise ValueError(f"--problem has samples of shape {problem.shape}, {arguments.run} of {info.shape}")
    options = asked(problem, n=("--samples", arguments.samples), weights=("--weights", arguments.weights))
    options |= on_device(problem, distributed.device_of(arguments.device))
    figure = None
    if arguments.figure is not None:
        figure = ready.new_file("--figure", arguments.figure, ready.FIGURES)
        ready.drawable(problem)
        figure.parent.mkdir(parents=True, exist_ok=True)
    one_thread_for_points(info, arguments)
    X = runs.load(arguments.run, device=arguments.device, ema=arguments.ema)
    rows = problem.evaluate(X, arguments.steps, seed=arguments.seed, **options)
    print(f"{arguments.run}: {name_of(info.method)} on {type(problem).__name__}")
    if not rows:
        print(f"{type(problem).__name__} says nothing of how good a map is: define its method evaluate")
    print("\n".join(lines(rows)))
    if (name := getattr(problem, "name", None)) in paper.PAPER_FID:
        print(paper.fid_table(name, name_of(info.method), rows, arguments.steps))
    if info.folder == Path(arguments.run).expanduser():  # not a shipped map by its name
        measured = info.digests.get("map.safetensors") if arguments.ema in (None, info.training.ema) else None
        report = {"n": arguments.samples, "seed": arguments.seed, "map": measured, "rows": rows}
        try:
            runs.write(info.folder / "evaluation.json", json.dumps(report, indent=1).encode())
        except OSError as error:
            print(f"flowmap-edu: the numbers are not kept beside the map: {error}", file=sys.stderr)
    if figure:
        from flowmap_edu import viz

        viz.draw(problem, X, figure)
        print(f"the figure is {figure}")


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
        X = guided(X, arguments.guidance)
    from tqdm import tqdm

    size = max(1, min(8192, 200_000 // x0[0].numel()))
    parts = tqdm(range(0, n, size), desc="sampling", unit="part", disable=n <= 4 * size)
    out = []
    for k in parts:
        part = None if label is None else label[k : k + size]
        out.append(X.sample(x0[k : k + size], arguments.steps, seed=arguments.seed + k, label=part))
    return torch.cat(out)


def sample(arguments: argparse.Namespace) -> None:
    """flowmap-edu sample: an .npy of any shape, a .csv of points, or a .png sheet of images."""
    info = runs.read_metadata(arguments.run)
    endings = (".npy", ".csv") if len(info.shape) == 1 else (".npy", ".png") if len(info.shape) == 3 else (".npy",)
    out = ready.new_file("--out", arguments.out, endings)
    if out.suffix == ".png":
        ready.sheet(info.shape)
    out.parent.mkdir(parents=True, exist_ok=True)
    one_thread_for_points(info, arguments)
    x = drawn(runs.load(arguments.run, device=arguments.device, ema=arguments.ema), info, arguments)
    if out.suffix == ".png":
        from flowmap_edu import viz

        viz.sheet(x, out)
    else:
        content = io.BytesIO()
        if out.suffix == ".csv":
            header = ",".join(f"x{k}" for k in range(x.shape[1]))
            np.savetxt(content, x.numpy(), delimiter=",", header=header)
        else:
            np.save(content, x.numpy())
        runs.write(out, content.getvalue())
    print(f"{len(x):,} samples after {arguments.steps} step{'s' * (arguments.steps > 1)} in {out}")
