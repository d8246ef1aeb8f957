"""MNIST at one budget: networks, methods, and the shipped map; what docs/results.md and data/README.md say of them.

    python tests/benchmark_mnist.py                     all that is not in runs/mnist yet, 1.5 CPU hours
    python tests/benchmark_mnist.py --only networks     one part: networks, methods, shipped, install
    python tests/benchmark_mnist.py --only install      tables, figure, data/mnist-lsd from finished runs, no training

Each training is a run in runs/mnist, resumed if it was broken; its numbers are in judged.json beside the map. `install`
takes the finished runs alone, so that it can be called at any time; until the long run is, lsd-0 is the shipped map.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from benchmark import HERE, SEEDS, write_table
from benchmark_images import middle
from matplotlib.figure import Figure

from flowmap_edu.problems import Mnist, labelled
from flowmap_edu.recipes import STEPS
from flowmap_edu.sample import guided
from flowmap_edu.training import runs
from flowmap_edu.viz import plots

RUNS, DATA = HERE / "runs" / "mnist", HERE / "data"
EAGER = ("--set", "compile=false")  # the compiler takes minutes for such a network, too many of a short budget
BUDGET = ("--minutes", "3", *EAGER)  # of the networks and of the methods
LONG = ("--minutes", "30", *EAGER)  # of the shipped map
NETWORKS = {
    "MLP with residuals, 256 wide, batch 256": ("lsd-0", {}),
    "U-Net, 28 x 28 pixels, 8 to 32 channels, batch 64": ("patch1", {"width": 8, "multipliers": [1, 2, 4]}),
    "U-Net, 14 x 14 patches of 2 x 2, 24 to 48 channels, batch 64": (
        "patch2", {"patch": 2, "width": 24, "multipliers": [1, 2]},
    ),
}  # fmt: skip
METHODS = [(method, seed) for seed in SEEDS for method in ("lsd", "psd-m")]
METHODS += [(method, 0) for method in ("esd", "psd-u", "meanflow", "ct")]
NUMBERS = (100, 250, 500, 1000)  # images, where the distance's bias is shown


def train(
    name: str, method: str, seed: int, budget: tuple[str, ...] = BUDGET, net: dict[str, Any] | None = None
) -> Path:
    """Train a run, or go on with it."""
    out = RUNS / name
    words = [sys.executable, "-W", "ignore", "-m", "flowmap_edu.cli", "--threads", "1", "train", "--out", str(out)]
    if (out / "config.json").is_file():
        if finished(out):
            return out
        words += ["--resume"]
    else:
        words += ["mnist", "--method", method, "--seed", str(seed), *budget, "--every", "20"]
        if net:  # a U-Net of the data's size, with the settings of the digits
            words += ["--net", "flowmap_edu.nets:UNet", "--set", "batch=64", "--set", "lr=0.01"]
            sizes = {"size": 28, "channels": 1, "classes": 10}
            words += [word for key, value in (sizes | net).items() for word in ("--set", f"net.{key}={value}")]
    print("train", name, flush=True)
    subprocess.run(words, check=True)
    return out


def finished(out: Path) -> bool:
    """Whether a run is there and has done all its steps."""
    if not (out / "config.json").is_file():
        return False
    header = runs.read_metadata(out).header
    return header["steps_done"] == header["steps"]


def judged(
    out: Path, draws: int = 1, steps: tuple[int, ...] = STEPS, scale: float | None = None
) -> list[dict[str, Any]]:
    """The numbers of a run's map, computed once."""
    digest = runs.read_metadata(out).digests["map.safetensors"]
    path = out / f"judged-{draws}{'' if scale is None else f'-guided-{scale:g}'}.json"
    if path.is_file() and (said := json.loads(path.read_text()))["map"] == digest:
        return said["rows"]
    X = runs.load(out) if scale is None else guided(runs.load(out), scale)
    rows = labelled.judge(Mnist(split=0), X, steps, draws=draws)
    path.write_text(json.dumps({"map": digest, "rows": rows}, indent=1))
    return rows


def networks() -> list[str]:
    """Three networks at equal CPU time, LSD and one seed."""
    lines = [
        f"| network, LSD, {BUDGET[1]} CPU-min (1 seed) | parameters | steps | 1 step | 2 steps | 4 steps |",
        "|" + " --- |" * 6,
    ]
    for title, (name, net) in NETWORKS.items():
        out = train(f"networks/{name}" if net else name, "lsd", 0, net=net)
        about = runs.read_metadata(out)
        size = sum(p.numel() for p in about.network().parameters())
        cells = [f"{row['fd_train']:.2f}" for row in judged(out, steps=(1, 2, 4))[:3]]
        lines.append(f"| {title} | {size:,} | {about.header['steps']:,} | " + " | ".join(cells) + " |")
    return [*lines, "", "Fréchet distance of 1,000 drawn digits to the 4,000 training digits, one draw."]


def methods(go: bool) -> dict[tuple[str, int], dict[str, Any]]:
    """Every method at one budget; without `go` the finished ones alone."""
    found = {}
    for method, seed in METHODS:
        out = RUNS / f"{method}-{seed}"
        if go:
            train(out.name, method, seed)
        if finished(out):
            header = runs.read_metadata(out).header
            found[method, seed] = {"rows": judged(out), "steps": header["steps"], "seconds": header["cpu_seconds"]}
    return found


def table(found: dict[tuple[str, int], dict[str, Any]]) -> list[str]:
    """Median and range over the seeds, a row for each method."""
    heads = " | ".join(f"{n} step{'s' * (n > 1)}" for n in STEPS)
    more = ("labels", "copied", "precision", "recall")
    lines = [
        f"| FD-mnist to training digits | steps | CPU-s | {heads} | to held-out, 1 step | " + " | ".join(more) + " |",
        "| --- |" + " --- |" * (len(STEPS) + 3 + len(more)),
    ]
    for method in dict.fromkeys(method for method, _ in found):
        seeds = [result for (trained, _), result in found.items() if trained == method]
        cells = [middle([r["steps"] for r in seeds], ",.0f"), f"{max(r['seconds'] for r in seeds):.0f}"]
        cells += [middle([r["rows"][k]["fd_train"] for r in seeds], ".2f") for k in range(len(STEPS))]
        cells.append(middle([r["rows"][0]["fd_held_out"] for r in seeds], ".2f"))
        cells += [middle([r["rows"][0][name] for r in seeds], ".1%") for name in more]
        lines.append(f"| {method.upper()} ({len(seeds)} seed{'s' * (len(seeds) > 1)}) | " + " | ".join(cells) + " |")
    real = next(iter(found.values()))["rows"][0]
    cells = [f"{real['real_fd_train']:.2f}"] * len(STEPS) + [f"{real['real_fd_held_out']:.2f}"]
    cells += [f"{real[name]:.1%}" for name in ("real_labels",)] + ["5.0%"]
    cells += [f"{real[name]:.1%}" for name in ("real_precision", "real_recall")]
    lines.append("| real digits | | | " + " | ".join(cells) + " |")
    return [
        *lines, "",
        f"{real['n']:,} digits a map, one draw; 4,000 to train, 1,000 held out at random. The last line is of real "
        "digits with the same numbers of digits. The last four columns are of one step.",
    ]  # fmt: skip


def shipped(out: Path) -> list[str]:
    """The long run: three draws, and guidance."""
    lines = [
        "| `mnist-lsd`, 3 draws of 1,000 | FD to training | FD to held-out | labels | copied | precision | recall |",
        "|" + " --- |" * 7,
    ]
    rows = judged(out, draws=3)
    for row in rows:
        cells = [f"{row[name]:.2f} ± {row[f'{name}_std']:.2f}" for name in ("fd_train", "fd_held_out")]
        cells += [f"{row[name]:.1%}" for name in ("labels", "copied", "precision", "recall")]
        lines.append(f"| {row['steps']} step{'s' * (row['steps'] > 1)} | " + " | ".join(cells) + " |")
    for scale in (1.5, 2.0):
        row = judged(out, steps=(1,), scale=scale)[0]
        cells = [f"{row[name]:.2f}" for name in ("fd_train", "fd_held_out")]
        cells += [f"{row[name]:.1%}" for name in ("labels", "copied", "precision", "recall")]
        lines.append(f"| 1 step, guidance {scale:g} (1 draw) | " + " | ".join(cells) + " |")
    real = rows[0]
    cells = [f"{real['real_fd_train']:.2f}", f"{real['real_fd_held_out']:.2f}", f"{real['real_labels']:.1%}", "5.0%"]
    cells += [f"{real['real_precision']:.1%}", f"{real['real_recall']:.1%}"]
    return [*lines, "| real digits | " + " | ".join(cells) + " |"]


def bias(out: Path) -> list[str]:
    """The distance to the training digits over the number of images: of the map at one step, and of real digits."""
    problem, X = Mnist(split=0), runs.load(out)
    measure = labelled.Judge(problem)
    x, _ = labelled.drawn(problem, X, 1, max(NUMBERS), 0)
    features = measure.seen(x)
    lines = [
        "| FD-mnist to the 4,000 training digits | " + " | ".join(f"{n:,} digits" for n in NUMBERS) + " |",
        "|" + " --- |" * (len(NUMBERS) + 1),
    ]
    held = measure.features["held_out"]
    for name, all_of in (("`mnist-lsd`, 1 step", features), ("held-out digits", held)):
        cells = []
        for n in NUMBERS:
            order = torch.randperm(len(all_of), generator=torch.Generator().manual_seed(0))
            parts = [part for part in order.split(n) if len(part) == n]
            found = [measure.reference["train"].hold([all_of[part]]).frechet() for part in parts]
            cells.append(f"{statistics.fmean(found):.2f}")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*lines, "", "Means over the disjoint parts of one set of 1,000: the images are the same in every column."]


def refinement(maps: dict[str, Path], path: Path) -> None:
    """A row for each map, a group of columns for each number of steps; the same noise in every group."""
    problem, labels = Mnist(split=0), torch.arange(5)
    x0 = problem.base(5, torch.Generator().manual_seed(7))
    figure = Figure(figsize=(11.0, 0.5 * len(maps) + 0.4), layout="constrained")
    axes = figure.subplots(len(maps), len(STEPS), squeeze=False)
    for row, (name, out) in zip(axes, maps.items(), strict=True):
        X = runs.load(out)
        for ax, n in zip(row, STEPS, strict=True):
            plots.images(ax, X.sample(x0, n, seed=1, label=labels)[None])
            if ax in axes[0]:
                ax.set_title(f"{n} step{'s' * (n > 1)}", fontsize=9)
        row[0].text(-0.03, 0.5, name, transform=row[0].transAxes, ha="right", va="center", fontsize=8)
    figure.savefig(path, dpi=110)


def install() -> dict[str, list[str]]:
    """Tables, figure and the shipped map, from the finished runs."""
    tables, found = {}, methods(go=False)
    (DATA / "mnist").mkdir(exist_ok=True)
    if all(finished(RUNS / (f"networks/{name}" if net else name)) for name, net in NETWORKS.values()):
        tables["mnist_networks"] = networks()
    if found:
        tables["mnist"] = table(found)
        kept = [{"method": m, "seed": s, **result} for (m, s), result in found.items()]
        (DATA / "mnist" / "mnist.json").write_text(
            json.dumps({"minutes": float(BUDGET[1]), "runs": kept}, indent=1) + "\n"
        )
        maps = {"LSD, 30 CPU-min": RUNS / "shipped"} if finished(RUNS / "shipped") else {}
        maps |= {m.upper(): RUNS / f"{m}-{s}" for m, s in found if s == 0}
        refinement(maps, DATA / "mnist" / "refinement.png")
    long = RUNS / "shipped" if finished(RUNS / "shipped") else RUNS / "lsd-0"
    if finished(long):
        tables |= {"mnist_shipped": shipped(long), "mnist_bias": bias(long)}
        (target := DATA / "mnist-lsd").mkdir(exist_ok=True)
        for name in ("config.json", "map.safetensors", "history.csv"):
            shutil.copyfile(long / name, target / name)
        digest = runs.read_metadata(long).digests["map.safetensors"]
        report = {"n": None, "seed": 0, "map": digest, "rows": judged(long, draws=3)}
        (target / "evaluation.json").write_text(json.dumps(report, indent=1))
    return tables


def main() -> None:
    """Train what was asked for, then write the tables."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("networks", "shipped", "methods", "install")
    options.add_argument("--only", choices=parts, nargs="+", default=parts)
    only = options.parse_args().only
    torch.set_num_threads(1)
    if "networks" in only:
        print("\n".join(networks()))
    if "shipped" in only:
        judged(train("shipped", "lsd", 0, LONG), draws=3)
    if "methods" in only:
        print("\n".join(table(methods(go=True))))
    if "install" in only:
        tables = install()
        print("\n".join(line for lines in tables.values() for line in lines))
        write_table(tables)


if __name__ == "__main__":
    main()
