"""`make bench`: measure every number of docs/results.md, and write its tables there.

    python tests/benchmark.py                 everything that is not in runs/bench yet, about eight CPU hours
    python tests/benchmark.py --only step     one part: quality, curve, last, methods, step, jax, growth, threads,
                                              memory, widgets, time
    python tests/benchmark.py --jobs 2        trainings side by side (CPU seconds are counted per process)

Trainings run on one thread each and have a budget in CPU minutes (`TRAININGS`), the CPU seconds they took are
what is reported; a finished one is read back from runs/bench, a broken one resumed. Speeds on a
shared machine swing, so they are ratios within one run: a training step over the matrix products in it.
A part whose marks are not on that page is printed and not written there.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import benchmark_jax
import torch

from flowmap_edu import methods
from flowmap_edu._shipped import shipped_folder
from flowmap_edu.bench import comparison, crossover, curve, floor, growth, last
from flowmap_edu.bench import step as whole_step
from flowmap_edu.bench.memory import peak_bytes
from flowmap_edu.problems import Checkerboard
from flowmap_edu.recipes import STEPS
from flowmap_edu.training import State, runs

HERE = Path(__file__).resolve().parent.parent
RUNS = HERE / "runs" / "bench"
SEEDS = curve.SEEDS
POINTS = 1_000_000
POINTS_OF_METHODS = 300_000  # of its 93 maps each: evaluation would else take longer than training
FEWER = 200_000  # for the paper's network, whose samples cost ten times as much

TRAININGS = {
    f"{method.upper()}, {60 * minutes:g} CPU-s": curve.Task(curve.RECIPE, method, minutes=minutes)
    for method in whole_step.SELF_DISTILLED
    for minutes in reversed(curve.BUDGETS)
}
TRAININGS |= {
    f"{method.upper()}, 600 CPU-s, checkerboard-fine": curve.Task("checkerboard-fine", method, minutes=10.0)
    for method in whole_step.SELF_DISTILLED
}
TRAININGS |= {
    "LSD, the paper's recipe with batch 1,024, 200,000 points": curve.Task("checkerboard-paper", "lsd", steps=4_000)
}


def one_training(name: str, seed: int) -> dict:
    """Train (or read back) one map, measure its KL64 at 1 to 16 steps."""
    return curve.trained(TRAININGS[name], seed, RUNS, FEWER if "paper" in name else POINTS)


def quality(jobs: int) -> list[str]:
    """KL64 of every training, median and range over the seeds."""
    tasks = [(name, seed) for name in TRAININGS for seed in (SEEDS if "paper" not in name else SEEDS[:1])]
    with ThreadPoolExecutor(jobs) as pool:
        found = dict(zip(tasks, pool.map(lambda task: one_training(*task), tasks), strict=True))
    lines = [
        "| KL64, 1,000,000 points | CPU-s | " + " | ".join(f"{n} step{'s' * (n > 1)}" for n in STEPS) + " |",
        "| --- | --- |" + " --- |" * len(STEPS),
    ]
    for name in TRAININGS:
        seeds = [result for (trained, _), result in found.items() if trained == name]
        cells = [f"{max(r['cpu_seconds'] for r in seeds):.0f}"]
        for i in range(len(STEPS)):
            kl = sorted(r["rows"][i]["kl64"] for r in seeds)
            cells.append(f"{statistics.median(kl):.4f}" + (f" ({kl[0]:.4f} to {kl[-1]:.4f})" if len(kl) > 1 else ""))
        lines.append(f"| {name} ({len(seeds)} seed{'s' * (len(seeds) > 1)}) | " + " | ".join(cells) + " |")
    floors = [result["rows"][0]["floor"] for result in (next(iter(found.values())), found[tasks[-1]])]
    note = (
        f"Exact draws score {floors[0]:.4f} (1,000,000) and {floors[1]:.4f} (200,000). CPU-s is the most a seed took."
    )
    return [*lines, "", note]


def large_step(batch: int, **changes: object) -> tuple[State, Callable[[], float]]:
    """A compiled LSD step of a network of 4 x 256, 75 % of it on the diagonal: its state, and loss and gradient."""
    sizes = {"batch": batch, "diagonal": 0.75, "stf_batch": 0} | changes
    state = State(*whole_step.default("lsd", net={"hidden": 256, "layers": 4}, **sizes))
    data, gradient = whole_step.source(state)(), whole_step.loss_and_gradient(state)
    return state, lambda: gradient(data)


def last_jump() -> list[str]:
    """Which jump makes the KL64 of the shipped map."""
    one_thread()
    return last.table()


def methods_at_one_budget(jobs: int) -> list[str]:
    """Every method, half a CPU minute and three seeds each; the numbers also go into data/methods for the lesson."""
    text = comparison.table(list(methods.METHODS), 0.5, RUNS / "methods", POINTS_OF_METHODS, jobs, len(SEEDS))
    shipped = shipped_folder() / "methods"
    shipped.mkdir(exist_ok=True)
    shutil.copy(RUNS / "methods" / "methods.json", shipped)
    return text.split("\n")


def one_thread() -> None:
    """What is compared by its CPU seconds runs on one thread."""
    torch.set_num_threads(1)


def parts() -> list[str]:
    """The default recipe's whole step, its parts and its floor."""
    one_thread()
    return whole_step.table()


def grows() -> list[str]:
    """Exponents of the time of a step."""
    one_thread()
    return list(growth.rows())


def step() -> list[str]:
    """One compiled LSD step over its matmul floor: ratios within one run, alternating the two."""
    one_thread()
    state, run = large_step(1024)
    products = floor.of_the_gradient(state.net, state.method, 768, 256)
    for _ in range(20):
        run()
    ratios, rates = [], []
    for _ in range(15):
        needed = floor.seconds(products, 40)
        rates.append(floor.operations(products) / needed / 1e9)
        ratios.append(floor.middle(run, 12) / needed)
    return [
        "| one LSD step over its matmul floor, compiled "
        f"(4 x 256, batch 1,024; products at {statistics.median(rates):.0f} GFLOP/s) "
        f"| {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
    ]


def memory() -> list[str]:
    """Peak resident memory of one LSD step at batch 100,000, whole and in two parts, each in a process of its own."""
    lines = []
    for parts, said in ((1, ""), (2, "; in two parts, accumulate=2")):
        code = f"import sys; sys.path.insert(0, 'tests'); import benchmark; benchmark.memory_of_one_step({parts})"
        found = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], check=True, cwd=HERE, capture_output=True, text=True
        )
        before, peak = json.loads(found.stdout.splitlines()[-1])
        lines.append(
            "| peak memory of an LSD step at batch 100,000, 4 x 256 "
            f"(whole process; {before:.2f} GB of it before the step{said}) "
            f"| {peak:.2f} GB |"
        )
    return lines


def memory_of_one_step(parts: int) -> None:
    """Print peak resident GB before and after a step at batch 100,000, compiled at that very size."""
    one_thread()
    _, run = large_step(100_000, accumulate=parts)
    before = peak_bytes() / 1e9
    run()
    run()
    print(json.dumps([before, peak_bytes() / 1e9]))


def milliseconds(values: list[float]) -> str:
    """Median and range."""
    return f"{statistics.median(values):.1f} ms ({min(values):.1f} to {max(values):.1f})"


def moved() -> list[str]:
    """What a move of a slider costs: in Python for 10,000 points, and, where chromium is, in the browser."""
    from flowmap_edu.viz import live, widgets

    one_thread()
    slider = widgets.step_slider(
        runs.load("checkerboard-lsd"),
        torch.randn(10_000, 2, generator=torch.Generator().manual_seed(0)) / 3**0.5,
        exact=Checkerboard(),
    )
    spent: dict[str, list[float]] = {"first visit": [], "visited before": []}
    for values in spent.values():
        for n in (3, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15):  # those that are not ready from the start
            started = time.perf_counter()
            slider.controls["steps"].value = n
            values.append(1000 * (time.perf_counter() - started))
    lines = [f"| slider over N, 10,000 points, in Python: {visit} | {milliseconds(v)} |" for visit, v in spent.items()]
    chromium = shutil.which("chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        chromium = None
    if chromium is None:
        return [*lines, "| in the browser | not measured: chromium or playwright is missing |"]
    (RUNS / "live.html").parent.mkdir(parents=True, exist_ok=True)
    (RUNS / "live.html").write_text(live.page(live.checkerboard()))
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        frames, maps = in_browser(browser.new_page())
        browser.close()
    lines.append(f"| live figure in chromium, no GPU: a frame of 10,000 points that travel | {milliseconds(frames)} |")
    return [*lines, f"| the same: 1,000 points by the small map, drawn | {milliseconds(maps)} |"]


def in_browser(page) -> tuple[list[float], list[float]]:
    """Milliseconds a frame on the way to each N, and of each answer of the small map, as the figure notes them."""
    page.goto((RUNS / "live.html").as_uri())
    host = page.locator(".flow-live").locator("xpath=..")
    read = lambda name: host.evaluate("(el, name) => el.dataset[name]", name)  # noqa: E731
    frames, maps = [], []
    for n in range(2, 17):
        page.get_by_role("slider", name="jumps N").press("ArrowRight")
        page.wait_for_function(
            "([el, n]) => el.dataset.steps === n && el.dataset.settled === 'true'", arg=[host.element_handle(), str(n)]
        )
        frames.append(float(read("ms")))
    for k in range(1, 16):  # both jumps are new for every s
        page.get_by_role("slider", name="from s").press("ArrowRight")
        page.wait_for_function("([el, s]) => Math.abs(el.dataset.s - s) < 1e-9", arg=[host.element_handle(), k / 100])
        maps.append(float(read("mapMs")))
    return frames, maps


def wall() -> list[str]:
    """Wall minutes of the README's commands on an installed environment."""
    lines = []
    for target in ("demo", "test", "test-browser"):
        started = time.monotonic()
        subprocess.run(["make", target], check=True, cwd=HERE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        lines.append(f"| `make {target}` on an installed environment | {(time.monotonic() - started) / 60:.1f} min |")
    return lines


def write_table(parts: dict[str, list[str]], page: Path = HERE / "docs" / "results.md") -> None:
    """Put the tables between the page's marks; one without marks stays out."""
    text = page.read_text()
    for name, lines in parts.items():
        start, end = f"<!-- bench:{name} -->\n", f"<!-- /bench:{name} -->"
        if start not in text:
            print(f"{page.name} has no marks for {name}: it is not written there")
            continue
        head, rest = text.split(start)
        text = head + start + "".join(f"{line}\n" for line in lines) + end + rest.split(end)[1]
    page.write_text(text)


def tables(jobs: int) -> dict[str, dict[str, Callable[[], list[str]]]]:
    """What --only names, and the tables of each by the names of their marks."""
    return {
        "quality": {"quality": lambda: quality(jobs)},
        "curve": {"curve": lambda: curve.table(RUNS, POINTS)},
        "last": {"last": last_jump},
        "methods": {"methods": lambda: methods_at_one_budget(jobs)},
        "step": {"step": step, "parts": parts},
        "jax": {"jax": benchmark_jax.rows},
        "growth": {"growth": grows},
        "threads": {"threads": crossover.table},
        "memory": {"memory": memory},
        "widgets": {"widgets": moved},
        "time": {"time": wall},
    }


def main() -> None:
    """Run the parts asked for, print them, and write them into docs/results.md."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", choices=tables(1), nargs="+")
    options.add_argument("--jobs", type=int, default=1)
    arguments = options.parse_args()
    known = tables(arguments.jobs)
    chosen = {mark: make for part in arguments.only or known for mark, make in known[part].items()}
    found = {mark: make() for mark, make in chosen.items()}
    print(f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}")
    print("\n".join(line for lines in found.values() for line in lines))
    write_table(found)


if __name__ == "__main__":
    main()
