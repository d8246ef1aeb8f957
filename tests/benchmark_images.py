"""The second half of `make bench`: what docs/results.md says of images.

    python tests/benchmark_images.py                   what is not in runs/bench yet, two CPU hours and more
    python tests/benchmark_images.py --only layouts    one part: digits, layouts
    python tests/benchmark_images.py --jobs 2          trainings side by side

The four self-distillation losses on the digits, ten CPU minutes and three seeds each; and the time of a training
step in two memory layouts, with and without the compiler, as ratios within one run.
"""

import argparse
import json
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import torch
from benchmark import RUNS, SEEDS, write_table

from flowmap_edu import training
from flowmap_edu.bench import costs
from flowmap_edu.recipes import STEPS, recipe
from flowmap_edu.training import loop, runs

METHODS = ("lsd", "esd", "psd-m", "psd-u")


def one_training(task: tuple[str, int]) -> dict:
    """Train (or read back) one map of digits, and what `evaluate` says of it."""
    method, seed = task
    out = RUNS / f"digits-{method}-{seed}"
    words = [sys.executable, "-W", "ignore", "-m", "flowmap_edu.cli", "--threads", "1"]
    begun = (out / "config.json").is_file()
    about = runs.read_metadata(out).header if begun else {}
    if not begun or about["steps_done"] != about["steps"]:
        fresh = ["digits", "--method", method, "--seed", str(seed), "--minutes", "10"]
        train = ["train", "--out", str(out), *(["--resume"] if begun else fresh)]
        subprocess.run([*words, *train], check=True, stderr=subprocess.DEVNULL)
    if not (out / "evaluation.json").is_file():
        subprocess.run([*words, "evaluate", str(out)], check=True, stderr=subprocess.DEVNULL)
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


def digits(jobs: int) -> list[str]:
    """FD-digits at 1 to 16 steps, labels and memorising in one step, and the largest gradient: median and range."""
    tasks = [(method, seed) for seed in SEEDS for method in METHODS]
    with ThreadPoolExecutor(jobs) as pool:
        found = dict(zip(tasks, pool.map(one_training, tasks), strict=True))
    heads = " | ".join(f"{n} step{'s' * (n > 1)}" for n in STEPS)
    lines = [
        f"| FD-digits | steps | CPU-s | {heads} | labels read back | nearer to training | largest gradient |",
        "| --- |" + " --- |" * (len(STEPS) + 5),
    ]
    for method in METHODS:
        seeds = [result for (trained, _), result in found.items() if trained == method]
        cells = [middle([r["steps"] for r in seeds], ",.0f"), f"{max(r['seconds'] for r in seeds):.0f}"]
        cells += [middle([r["rows"][i]["fd"] for r in seeds], ".2f") for i in range(len(STEPS))]
        cells += [middle([r["rows"][0][name] for r in seeds], ".1%") for name in ("labels", "nearer_to_train")]
        cells.append(middle([r["gradient"] for r in seeds], ".0f"))
        lines.append(f"| {method.upper()} ({len(seeds)} seeds) | " + " | ".join(cells) + " |")
    floor = found[tasks[0]]["rows"][0]["floor"]
    note = f"The training digits themselves score {floor:.2f}. CPU-s is the most a seed took, the compiler's included."
    more = "Labels and nearness are those of one step; the gradient's norm is the largest of a run's second half."
    return [*lines, "", f"{note} {more}"]


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
    arguments = options.parse_args()
    parts = {"digits": lambda: digits(arguments.jobs), "layouts": layouts}
    found = {name: parts[name]() for name in arguments.only or parts}
    print("\n".join(line for lines in found.values() for line in lines))
    write_table(found)


if __name__ == "__main__":
    main()
