"""The second half of `make bench`: what docs/results.md says of images.

    python tests/benchmark_images.py                   what is not in runs/bench yet, an hour of one core
    python tests/benchmark_images.py --only layouts    one part: digits, layouts
    python tests/benchmark_images.py --jobs 2          trainings side by side
    python tests/benchmark_images.py --finished        the table of the digits from finished runs, without training

The four self-distillation losses on the digits, three CPU minutes each, and the numbers that judge them beside those of
real digits; and the time of a training step in two memory layouts, with and without the compiler, as ratios within one
run.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from benchmark import RUNS, SEEDS, write_table

from flowmap_edu import training
from flowmap_edu._shipped import shipped_folder
from flowmap_edu.bench import costs
from flowmap_edu.recipes import STEPS, recipe
from flowmap_edu.training import loop, runs

MINUTES = 3  # CPU minutes a training, the compiler's included
TASKS = [(method, 0) for method in ("lsd", "psd-m", "esd", "psd-u")]
TASKS += [(method, seed) for seed in SEEDS[1:] for method in ("lsd", "psd-m")]
READ = ("labels", "copied", "precision", "recall")  # shares, of one step


def folder(task: tuple[str, int]) -> Path:
    """Where a training lies."""
    return RUNS / "digits" / f"{task[0]}-{task[1]}"


def finished(task: tuple[str, int]) -> bool:
    """Whether a training is there and has done all its steps."""
    if not (folder(task) / "config.json").is_file():
        return False
    about = runs.read_metadata(folder(task)).header
    return about["steps_done"] == about["steps"]


def trained(task: tuple[str, int]) -> dict[str, Any]:
    """Train (or read back) one map of digits, and what `evaluate` says of it."""
    (method, seed), out = task, folder(task)
    words = [sys.executable, "-W", "ignore", "-m", "flowmap_edu.cli", "--threads", "1"]
    if not finished(task):
        fresh = ["digits", "--method", method, "--seed", str(seed), "--minutes", str(MINUTES)]
        begun = (out / "config.json").is_file()
        train = ["train", "--out", str(out), *(["--resume"] if begun else fresh)]
        subprocess.run([*words, *train], check=True, stderr=subprocess.DEVNULL)
    if not (out / "evaluation.json").is_file():
        subprocess.run([*words, "evaluate", str(out)], check=True, stderr=subprocess.DEVNULL)
    return said(out)


def said(out: Path) -> dict[str, Any]:
    """What the folder of a finished and evaluated run says."""
    about = runs.read_metadata(out).header
    largest = [float(line.split(",")[3]) for line in (out / "history.csv").read_text().split()[1:]]
    second_half = largest[len(largest) // 2 :]
    rows = json.loads((out / "evaluation.json").read_text())["rows"]
    return {"seconds": about["cpu_seconds"], "steps": about["steps"], "rows": rows, "gradient": max(second_half)}


def middle(values: list[float], form: str) -> str:
    """The median, and the range if there are several."""
    values = sorted(values)
    text = format(statistics.median(values), form)
    return text if len(values) == 1 else f"{text} ({values[0]:{form}} to {values[-1]:{form}})"


def digits(jobs: int, fresh: bool = True) -> list[str]:
    """The numbers of the shipped map and of the trainings, median and range; without `fresh` of the finished ones."""
    tasks = [task for task in TASKS if fresh or finished(task)]
    with ThreadPoolExecutor(jobs) as pool:
        found = dict(zip(tasks, pool.map(trained, tasks), strict=True))
    heads = " | ".join(f"{n} step{'s' * (n > 1)}" for n in STEPS)
    lines = [
        f"| FD-digits to training digits | steps | CPU-s | {heads} | to held-out, 1 step | {' | '.join(READ)} | "
        "largest gradient |",
        "| --- |" + " --- |" * (len(STEPS) + 4 + len(READ)),
    ]
    rows = {"`digits-lsd`": [said(shipped_folder() / "digits-lsd")]}
    for (method, _), result in found.items():
        rows.setdefault(method.upper(), []).append(result)
    for name, seeds in rows.items():
        cells = [middle([r["steps"] for r in seeds], ",.0f"), f"{max(r['seconds'] for r in seeds):.0f}"]
        cells += [middle([r["rows"][i]["fd_train"] for r in seeds], ".2f") for i in range(len(STEPS))]
        cells.append(middle([r["rows"][0]["fd_held_out"] for r in seeds], ".2f"))
        cells += [middle([r["rows"][0][name] for r in seeds], ".1%") for name in READ]
        cells.append(middle([r["gradient"] for r in seeds], ".0f"))
        lines.append(f"| {name} ({len(seeds)} seed{'s' * (len(seeds) > 1)}) | " + " | ".join(cells) + " |")
    real = next(iter(rows.values()))[0]["rows"][0]
    cells = ["", "", *[f"{real['real_fd_train']:.2f}"] * len(STEPS), f"{real['real_fd_held_out']:.2f}"]
    cells += ["5.0%" if name == "copied" else f"{real[f'real_{name}']:.1%}" for name in READ]
    lines.append("| real digits | " + " | ".join([*cells, ""]) + " |")
    return [
        *lines, "",
        f"{real['n']} digits a map, means over {real['draws']} draws; 1,400 to train, 397 held out at random. The last "
        "line is of real digits, as many on both sides. CPU-s is the most a seed took, the compiler's too. The four "
        "shares are those of one step; the gradient's norm is the largest of a run's second half.",
    ]  # fmt: skip


def layouts(rounds: int = 7) -> list[str]:
    """CPU seconds of a step with channels last, and of a compiled one, over those of the plain eager step."""
    torch.set_num_threads(1)
    lines = ["| time of a step | eager | eager, channels last | compiled |", "|" + " --- |" * 4]
    for name, batch, ways in (("digits", 128, 3), ("emoji", 16, 2)):  # the compiler needs minutes for the second
        steps = []
        for compile_, channels_last in ((False, False), (False, True), (True, False))[:ways]:
            run = recipe(name, "lsd", steps=10, batch=batch, compile=compile_, channels_last=channels_last)
            state, data = training.State(*run), costs.noise_batch(run)
            loss, ramp = loop.Loss(state), torch.tensor(1.0)

            def step(state=state, loss=loss, data=data, ramp=ramp) -> float:
                started = time.process_time()
                loop.gradient(state, loss, {0: data}, ramp)
                state.optimizer.zero_grad()
                return time.process_time() - started

            step()  # compiles
            step()
            steps.append(step)
        ratios = []
        for _ in range(rounds):
            spent = [step() for step in steps]
            ratios.append([seconds / spent[0] for seconds in spent])
        columns = [f"{statistics.median(column):.2f}" for column in zip(*ratios, strict=True)]
        lines.append(f"| {name}, batch {batch} | " + " | ".join([*columns, *["not measured"] * (3 - ways)]) + " |")
    return lines


def main() -> None:
    """Run the parts asked for, print them, and write them into docs/results.md."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", choices=("digits", "layouts"), nargs="+")
    options.add_argument("--jobs", type=int, default=1)
    options.add_argument("--finished", action="store_true")
    arguments = options.parse_args()
    parts = {"digits": lambda: digits(arguments.jobs, not arguments.finished), "layouts": layouts}
    chosen = arguments.only or (("digits",) if arguments.finished else tuple(parts))
    found = {name: parts[name]() for name in chosen}
    print("\n".join(line for lines in found.values() for line in lines))
    write_table(found)


if __name__ == "__main__":
    main()
