"""`make bench`: measure every number of the README's table, and write the table there.

    python tests/benchmark.py                 everything that is not in runs/bench yet, about four CPU hours
    python tests/benchmark.py --only step     one part: quality, methods, step, memory, widgets, time
    python tests/benchmark.py --jobs 2        trainings side by side (CPU seconds are counted per process)

Trainings run on one thread each and are planned in steps (`STEPS_OF`), the CPU seconds they took are
what is reported; a finished one is read back from runs/bench, a broken one resumed. Speeds on a
shared machine swing, so they are ratios within one run: a training step over the matrix products in it.
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
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from flowmap_edu import FlowMap, losses, methods
from flowmap_edu._shipped import shipped_folder
from flowmap_edu.bench import comparison
from flowmap_edu.bench.memory import peak_bytes
from flowmap_edu.nets import MLP
from flowmap_edu.problems import Checkerboard
from flowmap_edu.recipes import STEPS
from flowmap_edu.times import triangle
from flowmap_edu.training import runs
from flowmap_edu.training.loop import compiled

HERE = Path(__file__).resolve().parent.parent
RUNS = HERE / "runs" / "bench"
SEEDS = (0, 1, 2)
POINTS = 1_000_000
FEWER = 200_000  # for the paper's network, whose samples cost ten times as much

# name, with the budget that the steps were chosen for: (recipe, method, steps)
TRAININGS = {
    "LSD, 600 CPU-s": ("checkerboard", "lsd", 34_000),
    "LSD, 120 CPU-s": ("checkerboard", "lsd", 6_500),
    "ESD, 400 CPU-s": ("checkerboard", "esd", 20_000),
    "PSD-M, 500 CPU-s": ("checkerboard", "psd-m", 28_000),
    "PSD-U, 500 CPU-s": ("checkerboard", "psd-u", 28_000),
    "LSD, 600 CPU-s, the paper's recipe with batch 1,024, 200,000 points": ("checkerboard-paper", "lsd", 4_000),
}


def one_training(name: str, seed: int) -> dict:
    """Train (or read back) one map, measure its KL64 at 1 to 16 steps."""
    config_name, method, steps = TRAININGS[name]
    out = RUNS / f"{config_name}-{method}-{steps}-{seed}"
    words = [sys.executable, "-W", "ignore", "-m", "flowmap_edu.cli", "--threads", "1"]
    begun = (out / "checkpoint.pt").is_file()
    if not begun or runs.read_metadata(out).header["steps_done"] < steps:
        train = ["train", "--out", str(out)]
        fresh = [
            "checkerboard",
            "--recipe",
            config_name,
            "--method",
            method,
            "--steps",
            str(steps),
            "--seed",
            str(seed),
        ]
        subprocess.run([*words, *train, *(["--resume"] if begun else fresh)], check=True, stderr=subprocess.DEVNULL)
    if not (out / "evaluation.json").is_file():
        subprocess.run(
            [*words, "evaluate", str(out), "--points", str(FEWER if "paper" in config_name else POINTS)],
            check=True,
            stderr=subprocess.DEVNULL,
        )
    rows = json.loads((out / "evaluation.json").read_text())["rows"]
    return {"cpu_seconds": runs.read_metadata(out).header["cpu_seconds"], "rows": rows}


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


def lsd_step(batch: int, hidden: int = 256, layers: int = 4):
    """An LSD loss-and-gradient step at 75 % diagonal, compiled; and its forward units' FLOPs.

    Floor: 3 forward units a diagonal sample (forward, and two products backward), 7 an LSD sample
    (value and tangent forward, twice that backward, and the target).
    """
    net = MLP(2, hidden, layers)
    on, off = batch * 3 // 4, batch - batch * 3 // 4
    t, (s, r) = torch.rand(on), triangle(off)
    x_t, x_s = torch.randn(on, 2), torch.randn(off, 2)
    data = losses.Batch(losses.Diagonal(t, x_t, torch.randn(on, 2)), losses.Jumps(s, (s + r) / 2, r, x_s))
    loss = compiled(lambda batch: methods.loss(FlowMap(net), batch, methods.METHODS["lsd"]).mean())

    def step() -> None:
        loss(data).backward()
        net.zero_grad(set_to_none=True)

    unit = sum(2 * m.weight.numel() for m in net.modules() if isinstance(m, torch.nn.Linear))
    return step, (3 * on + 7 * off) * unit


def seconds(f, repeats: int) -> float:
    """CPU seconds of one call, the best of a few."""
    best = float("inf")
    for _ in range(repeats):
        started = time.process_time()
        f()
        best = min(best, time.process_time() - started)
    return best


def methods_at_one_budget(jobs: int) -> list[str]:
    """Every method, three CPU minutes each; the numbers also go into data/methods for the lesson that shows them."""
    text = comparison.table(list(methods.METHODS), 3.0, RUNS / "methods", POINTS, jobs)
    shipped = shipped_folder() / "methods"
    shipped.mkdir(exist_ok=True)
    shutil.copy(RUNS / "methods" / "methods.json", shipped)
    return text.split("\n")


def step() -> list[str]:
    """One compiled LSD step over its matmul floor: ratios within one run, alternating the two."""
    torch.set_num_threads(1)
    run, flops = lsd_step(1024)
    a, b, out = torch.randn(1024, 256), torch.randn(256, 256), torch.empty(1024, 256)
    for _ in range(20):
        run()
    ratios, rates = [], []
    for _ in range(15):
        rate = 2 * 1024 * 256 * 256 / seconds(lambda: torch.mm(a, b, out=out), 40)
        rates.append(rate / 1e9)
        ratios.append(seconds(run, 12) / (flops / rate))
    middle = statistics.median(ratios)
    return [
        "| one LSD step over its matmul floor, compiled "
        f"(4 x 256, batch 1,024; sgemm at {statistics.median(rates):.0f} GFLOP/s) "
        f"| {middle:.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
    ]


def memory() -> list[str]:
    """Peak resident memory of one LSD step at batch 100,000, in a process of its own."""
    code = "import sys; sys.path.insert(0, 'tests'); import benchmark; benchmark.memory_of_one_step()"
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], check=True, cwd=HERE, capture_output=True, text=True
    )
    before, peak = json.loads(found.stdout.splitlines()[-1])
    return [
        "| peak memory of an LSD step at batch 100,000, 4 x 256 "
        f"(whole process; {before:.2f} GB of it before the step) "
        f"| {peak:.2f} GB |"
    ]


def memory_of_one_step() -> None:
    """Print peak resident GB before and after a step at batch 100,000, compiled at that very size."""
    torch.set_num_threads(1)
    run, _ = lsd_step(100_000)
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

    torch.set_num_threads(1)
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


def write_table(parts: dict[str, list[str]]) -> None:
    """Put the tables between the README's marks."""
    readme = HERE / "README.md"
    text = readme.read_text()
    for name, lines in parts.items():
        start, end = f"<!-- bench:{name} -->\n", f"<!-- /bench:{name} -->"
        head, rest = text.split(start)
        text = head + start + "\n".join(lines) + "\n" + end + rest.split(end)[1]
    readme.write_text(text)


def main() -> None:
    """Run the parts asked for, print them, and write them into the README."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", choices=("quality", "methods", "step", "memory", "widgets", "time"), nargs="+")
    options.add_argument("--jobs", type=int, default=1)
    arguments = options.parse_args()
    parts = {"quality": lambda: quality(arguments.jobs), "methods": lambda: methods_at_one_budget(arguments.jobs)}
    parts |= {"step": step, "memory": memory, "widgets": moved, "time": wall}
    found = {name: parts[name]() for name in arguments.only or parts}
    print(f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}")
    print("\n".join(line for lines in found.values() for line in lines))
    write_table(found)


if __name__ == "__main__":
    main()
