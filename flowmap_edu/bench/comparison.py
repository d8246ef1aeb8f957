"""All methods at one budget: train every row, measure what it reaches and what a step of it costs.

The budget is the same for every row, a teacher included: a method that reads one gets half of it, and
the other half trains the teacher, by flow matching, once for all of them. With several seeds each row is trained
once a seed, by a teacher of its own seed, and the table shows medians and ranges.
"""

import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from flowmap_edu import _checks as checks
from flowmap_edu import losses
from flowmap_edu.bench.memory import peak_bytes
from flowmap_edu.bench.report import grouped, lines
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.methods import METHODS
from flowmap_edu.problems.problem import STEPS
from flowmap_edu.recipes import recipe
from flowmap_edu.training import State, draw_batch, runs
from flowmap_edu.training.loop import loss_of_batch
from flowmap_edu.training.metadata import differences, document

DIVERGED = 3  # the command line's exit status for a training that diverged


def command(*words: object, quiet: bool) -> int:
    """Run one flowmap-edu command on one thread in a process of its own; its exit status."""
    call = [sys.executable, "-W", "ignore", "-m", "flowmap_edu.cli", "--threads", "1", *map(str, words)]
    hidden = subprocess.DEVNULL if quiet else None
    return subprocess.run(call, stdout=subprocess.DEVNULL, stderr=hidden, check=False).returncode


def train(name: str, minutes: float, out: Path, teacher: Path | None, quiet: bool, seed: int = 0) -> int:
    """Train a method into `out`, or resume the run there; 0, or DIVERGED.

    Raises:
        ValueError: if the command failed in another way.
    """
    if (out / "config.json").is_file():
        compare(name, minutes, out, teacher, seed)
        header = runs.read_metadata(out).header
        if header["steps_done"] == header["steps"]:
            return 0
        words: list[object] = ["--resume"]
    else:
        words = ["checkerboard", "--method", name, "--minutes", minutes, "--seed", seed]
        words += ["--teacher", teacher] if teacher else []
    status = command("train", *words, "--out", out, quiet=quiet)
    if status not in (0, DIVERGED):
        raise ValueError(f"training {name} into {out} failed with status {status}; run it alone to see why")
    return status


def compare(name: str, minutes: float, out: Path, teacher: Path | None, seed: int) -> None:
    """Refuse the run in `out` unless it is the one that would be trained there.

    Raises:
        ValueError: with each setting that differs.
    """
    info, asked = runs.read_metadata(out), recipe("checkerboard", name, minutes=minutes, seed=seed)
    differ = differences(info.document, document(*asked)[0])
    if teacher is not None and info.header["teacher"] != str(teacher.resolve()):
        differ.append(f"teacher: {info.header['teacher']!r} there, {str(teacher.resolve())!r} asked")
    if differ:
        raise ValueError(f"{out} holds another run ({'; '.join(differ)}): name another folder for the table")


def evaluation(out: Path, points: int) -> list[dict[str, Any]] | None:
    """The rows that were measured of the map in `out` with so many points; None if there are none."""
    try:
        said = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
        map_digest = runs.read_metadata(out).digests["map.safetensors"]
        same = (said["n"], said["seed"], said["map"]) == (points, 0, map_digest)
        return said["rows"] if same and [row["steps"] for row in said["rows"]] == list(STEPS) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def place(folder: Path, name: str, seed: int) -> Path:
    """The folder of a run: that of seed 0 has no number."""
    return folder / (f"{name}-seed{seed}" if seed else name)


def measured(name: str, minutes: float, folder: Path, points: int, quiet: bool, seed: int = 0) -> dict[str, Any]:
    """Train (or read back) one method and its KL64; what the table says of one seed of it."""
    checks.one_of("method", name, METHODS)
    out, taught = place(folder, name, seed), METHODS[name].needs_teacher
    teacher = place(folder, "teacher", seed) if taught else None
    status = train(name, minutes / 2 if taught else minutes, out, teacher, quiet, seed)
    if not out.is_dir():
        return {"diverged": True, "kl64": [], "cpu_seconds": 0.0, "grad_norm": float("nan"), "steps": 0}
    header = runs.read_metadata(out).header
    seconds = header["cpu_seconds"] + (runs.read_metadata(teacher).header["cpu_seconds"] if teacher else 0.0)
    rows: list[dict[str, Any]] | None = []
    if status != DIVERGED:
        rows = evaluation(out, points)
        if rows is None:
            command("evaluate", out, "--points", points, quiet=quiet)
            rows = evaluation(out, points)
        if rows is None:
            raise ValueError(f"evaluating {out} with {points} points failed; run it alone to see why")
    largest = [float(line.split(",")[3]) for line in (out / "history.csv").read_text(encoding="utf-8").split()[1:]]
    found = {"diverged": status == DIVERGED, "kl64": [r["kl64"] for r in rows], "cpu_seconds": seconds}
    return found | {"grad_norm": max(largest), "steps": header["steps_done"]}


def prepared(name: str, batch: int | None = None) -> State:
    """A fresh run of a method, its teacher (if it reads one) a network of the same size."""
    changes: dict[str, Any] = {"batch": batch, "stf_batch": 0} if batch else {}
    run = recipe("checkerboard", name, steps=100, compile=False, **changes)
    teacher = FlowMap(recipe("checkerboard", "fm", steps=1).net) if run.method.needs_teacher else None
    return State(*run, teacher)


def drawn(state: State) -> losses.Batch:
    """One batch of a run."""
    pool = state.batches.trajectories
    return draw_batch(state.problem, state.method, state.training, state.generator, trajectories=pool)


def one_step(state: State, batch: losses.Batch | None = None) -> None:
    """Draw a batch, unless it is given, and compute the training loss and its gradient; the weights stay."""
    if batch is None:
        batch = drawn(state)
    loss_of_batch(state, batch, torch.tensor(1.0)).backward()
    state.optimizer.zero_grad()


def step_times(names: list[str], rounds: int = 7, steps: int = 8) -> dict[str, float]:
    """CPU time of a step, eager, over that of flow matching: median of rounds that take the rows in turn."""
    states = {name: prepared(name) for name in dict.fromkeys(["fm", *names])}
    ratios: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(rounds):
        spent = {}
        for name, state in states.items():
            one_step(state)
            started = time.process_time()
            for _ in range(steps):
                one_step(state)
            spent[name] = time.process_time() - started
        for name in names:
            ratios[name].append(spent[name] / spent["fm"])
    return {name: statistics.median(values) for name, values in ratios.items()}


def peak_of_a_step(name: str, batch: int = 60_000) -> float:
    """Bytes that one step adds to the most this process has held; to be called in a fresh process."""
    torch.set_num_threads(1)
    state = prepared(name, batch)
    data = drawn(state)
    before = peak_bytes()
    one_step(state, data)
    return float(peak_bytes() - before)


def step_memories(names: list[str]) -> dict[str, float]:
    """Peak memory of a step at a large batch over that of flow matching, each in a process of its own."""
    wanted = list(dict.fromkeys(["fm", *names]))
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as pool:
        peak = dict(zip(wanted, pool.map(peak_of_a_step, wanted), strict=True))
    return {name: peak[name] / peak["fm"] for name in names}


def table(
    names: list[str], minutes: float, folder: Path, points: int = 1_000_000, jobs: int = 1, seeds: int = 1
) -> str:
    """Train the named rows for `minutes` CPU minutes each and say what they reach, as a table in Markdown.

    The runs go into `folder`; existing runs are resumed or read back. The numbers are written to methods.json beside
    them: of a row the results of each seed, and their medians ("kl64" and the rest).

    Raises:
        ValueError: for an unknown method, a budget that is not positive, or a training that failed.
    """
    for name in names:
        checks.one_of("method", name, METHODS)
    checks.count("jobs", jobs)
    checks.count("seeds", seeds)
    if not minutes > 0:
        raise ValueError(f"minutes must be positive, got {minutes}")
    quiet = jobs > 1 or not sys.stderr.isatty()
    folder.mkdir(parents=True, exist_ok=True)
    tasks = [(name, seed) for name in grouped(names) for seed in range(seeds)]
    with ThreadPoolExecutor(jobs) as pool:
        if any(METHODS[name].needs_teacher for name in names):
            teach = [
                pool.submit(train, "fm", minutes / 2, place(folder, "teacher", k), None, quiet, k) for k in range(seeds)
            ]
            for teacher in teach:
                teacher.result()
        runs_of = pool.map(lambda task: measured(task[0], minutes, folder, points, quiet, task[1]), tasks)
        of_task = dict(zip(tasks, tqdm(runs_of, total=len(tasks), desc="methods", unit="run"), strict=True))
    times, memories = step_times(names), step_memories(names)
    found = {name: summary([of_task[name, k] for k in range(seeds)]) for name in grouped(names)}
    for name, row in found.items():
        row |= {"step_time": times[name], "step_memory": memories[name]}
    settings = {"minutes": minutes, "points": points, "seeds": seeds, "machine": machine(), "steps": list(STEPS)}
    runs.write(folder / "methods.json", json.dumps(settings | {"rows": found}, indent=1).encode())
    return "\n".join(lines(found, minutes, points, machine()))


def summary(seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians over the seeds that did not diverge, beside what each seed gave; diverged if all did."""
    kept = [one for one in seeds if not one["diverged"]] or seeds
    middle = {name: statistics.median(one[name] for one in kept) for name in ("cpu_seconds", "grad_norm", "steps")}
    kl = [statistics.median(each) for each in zip(*(one["kl64"] for one in kept), strict=True)]
    return {"diverged": all(one["diverged"] for one in seeds), "kl64": kl, **middle, "seeds": seeds}


def machine() -> str:
    """The processor, the number of cores and torch's version."""
    info = Path("/proc/cpuinfo")
    words = info.read_text(encoding="utf-8") if info.is_file() else ""
    named = [line.split(":")[1].strip() for line in words.splitlines() if line.startswith("model name")]
    return f"{named[0] if named else platform.processor()}, {os.cpu_count()} cores, torch {torch.__version__}"
