"""The command line: `flowmap-edu train | evaluate | sample | table`, over the same functions as the notebooks."""

import argparse
import dataclasses
import json
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from flowmap_edu import _checks as checks
from flowmap_edu import methods
from flowmap_edu.bench import comparison
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.losses import METHODS
from flowmap_edu.problems import datasets
from flowmap_edu.recipes.evaluation import (
    CHUNK,
    base_noise,
    classes_in_turn,
    digit_rows,
    fid_rows,
    fid_table,
    judge,
    kl_rows,
    paper_table,
)
from flowmap_edu.recipes.named import CPU_RECIPES, PAPER_KL, RECIPES, STEPS, recipe
from flowmap_edu.training import distributed, runs
from flowmap_edu.training.config import PROBLEMS, Config
from flowmap_edu.training.loop import DivergedError, MemoryShortError, base_of


def run_training(config: Config, out: Path, arguments: argparse.Namespace, resume: bool = False) -> None:
    """Train with a progress bar, and with what `watch` writes where it was asked for."""
    started, first, every = time.monotonic(), distributed.rank() == 0, arguments.every
    if config.pays_to_compile and first:
        print("compiling the training step (about half a minute the first time) ...", file=sys.stderr, flush=True)
    states = runs.train(
        config, out, resume=resume, every=every, save_seconds=arguments.save_seconds, device=arguments.device
    )
    if arguments.tensorboard or arguments.grid_every is not None or arguments.fid_every is not None:
        from flowmap_edu.viz import monitor as watch

        fid = one_step_fid(config, arguments) if arguments.fid_every else None
        watching = {"grid_every": arguments.grid_every, "fid_every": arguments.fid_every, "fid": fid}
        states = watch.watched(states, out, tensorboard=arguments.tensorboard, **watching)
    with tqdm(desc=config.method, unit="step", mininterval=2.0, dynamic_ncols=True, disable=not first) as bar:
        for state in states:
            bar.total = state.steps
            bar.set_postfix(loss=f"{state.loss:.4f}", grad=f"{state.grad_norm:.2f}", refresh=False)
            bar.update(state.step - bar.n)
    if first:
        about, _ = runs.read_about(out)
        wall = time.monotonic() - started
        done = f"{about['steps_done']:,} steps, {about['cpu_seconds']:.0f} CPU-s, {wall:.0f} s"
        print(f"{out}: {config.method}, {done}", flush=True)


def changed(words: Sequence[str]) -> dict[str, Any]:
    """The fields of Config that `--set NAME=VALUE` changes, read as their types."""
    types = {field.name: getattr(field.type, "__name__", str(field.type)) for field in dataclasses.fields(Config)}
    found = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"--set wants NAME=VALUE, got {word!r}")
        checks.one_of("the name in --set", name, types)
        try:
            found[name] = value if types[name].startswith("str") else json.loads(value.lower())
        except json.JSONDecodeError as error:
            raise ValueError(f"--set {name} wants a value of type {types[name]}, got {value!r}") from error
    return found


def train(arguments: argparse.Namespace) -> None:
    """flowmap-edu train."""
    out = Path(arguments.out)
    if arguments.resume:
        _, config = runs.read_about(out)
    else:
        own = {"seed": arguments.seed, "teacher": arguments.teacher, "root": arguments.root}
        own |= changed(arguments.set) | {"problem": arguments.problem}
        name = arguments.recipe or (arguments.problem if arguments.problem in RECIPES else "checkerboard")
        for budget in ("steps", "minutes"):
            if getattr(arguments, budget) is not None:
                own[budget] = getattr(arguments, budget)
        if name in CPU_RECIPES and not {"steps", "minutes"} & set(own):
            own["minutes"] = 5.0
        config = recipe(name, arguments.method, **own)
        if config.row.taught != (config.teacher is not None):
            wanted = "reads a" if config.row.taught else "reads no"
            raise ValueError(f"{config.method} {wanted} teacher, --teacher is {config.teacher!r}")
    with distributed.joined(distributed.device_of(arguments.device)):
        run_training(config, out, arguments, arguments.resume)


def one_step_fid(config: Config, arguments: argparse.Namespace) -> Callable[[FlowMap], float]:
    """What `--fid-every` computes: the Fréchet distance of one jump, for a map in training."""
    features, _ = judge(config.problem, arguments.weights)
    n = arguments.fid_pictures
    return lambda X: fid_rows(X, config, [1], config.seed, features=features, n=n)[0]["fid"]


def kl_report(X: FlowMap, config: Config, arguments: argparse.Namespace) -> dict[str, Any]:
    """Print KL64, leak and distance to the exact map."""
    rows = kl_rows(X, config, arguments.steps, arguments.points, arguments.seed, str(arguments.run))
    print(f"{arguments.run}: {config.method}, {arguments.points:,} points, floor {rows[0]['floor']:.4f}")
    print(f"{'steps':>6} {'KL64':>8} {'leak':>8} {'distance to the exact map':>27}")
    for row in rows:
        error = f"{row['map_error']:.4f}" if row["map_error"] is not None else "no jumps"
        print(f"{row['steps']:>6} {row['kl64']:>8.4f} {row['leak']:>8.4f} {error:>27}")
    return {"points": arguments.points, "seed": arguments.seed, "rows": rows}


def digits_report(X: FlowMap, config: Config, arguments: argparse.Namespace) -> dict[str, Any]:
    """Print FD-digits, labels read back and what is memorised."""
    rows = digit_rows(X, config, arguments.steps, arguments.seed, str(arguments.run))
    print(f"{arguments.run}: {config.method}, FD of the training digits to the held-out ones {rows[0]['floor']:.2f}")
    print(f"{'steps':>6} {'FD-digits':>10} {'labels read back':>17} {'nearer to training':>19}")
    for row in rows:
        print(f"{row['steps']:>6} {row['fd']:>10.2f} {row['labels']:>17.1%} {row['nearer_to_train']:>19.1%}")
    return {"seed": arguments.seed, "rows": rows}


def fid_report(X: FlowMap, config: Config, arguments: argparse.Namespace) -> dict[str, Any]:
    """Print the Fréchet distance beside the paper's FID, and the kernel distance."""
    features, name = judge(config.problem, arguments.weights)
    rows = fid_rows(
        X, config, arguments.steps, arguments.seed, features=features, n=arguments.pictures, label=str(arguments.run)
    )
    print(f"{arguments.run}:", fid_table(config.problem, config.method, rows, arguments.steps, name), sep="\n")
    print("kernel distance: ", "  ".join(f"{row['steps']}: {row['kid']:.5f}" for row in rows))
    return {"seed": arguments.seed, "pictures": arguments.pictures, "features": name, "rows": rows}


def evaluate(arguments: argparse.Namespace) -> None:
    """flowmap-edu evaluate."""
    _, config = runs.read_about(arguments.run)
    X = runs.load(arguments.run, device=arguments.device, ema=arguments.ema)
    kind = config.problem if config.problem == "digits" and not arguments.weights else config.pictures
    report, name = {
        "digits": (digits_report, "fd.json"), True: (fid_report, "fid.json"), False: (kl_report, "kl64.json")
    }[kind]  # fmt: skip
    found = report(X, config, arguments)
    if Path(arguments.run).is_dir():
        runs.write(Path(arguments.run) / name, json.dumps(found, indent=1).encode())
    if arguments.figure:
        from flowmap_edu.viz import plots

        X = methods.Trained(X, config.row, base_of(config), arguments.seed)
        if config.pictures:
            noise = base_noise(20, config, arguments.seed)
            plots.pictures_figure(X, noise, classes_in_turn(config, 20), arguments.figure)
        else:
            plots.board_figure({config.method.upper(): X}, PROBLEMS[config.problem]().sigma, arguments.figure)
        print(f"the picture is {arguments.figure}")


def sample(arguments: argparse.Namespace) -> None:
    """flowmap-edu sample: points as .npy or .csv, pictures as .npy of bytes (N, H, W, C) or as one .png sheet."""
    _, config = runs.read_about(arguments.run)
    out, n = Path(arguments.out), arguments.points
    endings = (".npy", ".png") if config.pictures else (".npy", ".csv")
    checks.one_of("the ending of --out", out.suffix, endings)
    if out.exists():
        raise ValueError(f"{out} is already there; name another file")
    X, sigma = runs.load(arguments.run, device=arguments.device, ema=arguments.ema), base_of(config)
    x0, labels = base_noise(n, config, arguments.seed), classes_in_turn(config, n)
    parts, size = [], CHUNK if config.pictures else n
    for k in tqdm(range(0, n, size), desc="sampling", unit="part", disable=n <= size):
        part = X if labels is None else X.given(labels[k : k + size])
        seed = arguments.seed + k
        parts.append(methods.sample(part, config.row, x0[k : k + size], arguments.steps, sigma=sigma, seed=seed))
    x = torch.cat(parts)
    if out.suffix == ".png":
        from flowmap_edu.viz import plots

        plots.sheet(x, out)
    elif config.pictures:
        np.save(out, datasets.as_bytes(x).permute(0, 2, 3, 1).numpy())
    else:
        np.save(out, x.numpy()) if out.suffix == ".npy" else np.savetxt(out, x.numpy(), delimiter=",", header="x,y")
    what = "pictures" if config.pictures else "points"
    print(f"{len(x):,} {what} after {arguments.steps} step{'s' * (arguments.steps > 1)} in {out}")


def table(arguments: argparse.Namespace) -> None:
    """flowmap-edu table: the four methods' KL64 beside the paper's KL, any methods at one budget, the paper's FID."""
    if arguments.problem == "pictures":
        print(paper_table())
        return
    if arguments.methods:
        if not arguments.minutes:
            raise ValueError("--methods compares trainings of one budget: name it with --minutes")
        names = list(methods.METHODS) if arguments.methods == "all" else arguments.methods.split(",")
        print(comparison.table(names, arguments.minutes, Path(arguments.out), arguments.points, arguments.jobs))
        return
    lines = []
    for method in METHODS:
        name: str | Path = f"{arguments.problem}-{method}"
        if arguments.minutes:
            name = Path(arguments.out) / name
            config = recipe("checkerboard", method, minutes=arguments.minutes)
            there = (name / "config.json").is_file()
            run_training(runs.read_about(name)[1] if there else config, name, arguments, there)
        about, config = runs.read_about(name)
        rows = kl_rows(runs.load(name), config, STEPS, arguments.points, 0, method)
        lines.append(
            f"{method:<7} {'ours, KL64':<12}"
            + "".join(f"{row['kl64']:>9.4f}" for row in rows)
            + f"   {about['cpu_seconds']:.0f} CPU-s"
        )
        lines.append(f"{'':<7} {'paper, KL':<12}" + "".join(f"{kl:>9.4f}" for kl in PAPER_KL[method]))
    print(f"{'method':<20}" + "".join(f"{n:>3} step{'s' if n > 1 else ' '}" for n in STEPS))
    print("\n".join(lines))
    print(f"KL64 with {arguments.points:,} points, floor {rows[0]['floor']:.4f}.")
    print("The paper does not publish its estimator: its figures are context, not a comparison.")


def common(p: argparse.ArgumentParser) -> None:
    """The options of what reads a map."""
    p.add_argument("--device", default="cpu", help="cpu (the default), cuda, or cuda:<number>")
    p.add_argument("--ema", type=float, help="which of the run's moving averages, by its decay (default the first)")


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="flowmap-edu", description="Train, sample and measure flow maps.")
    top.add_argument(
        "--threads", type=int, default=None, help="CPU threads (training: 1, a second one buys nothing at this size)"
    )
    commands = top.add_subparsers(dest="command", required=True)

    p = commands.add_parser("train", help="train a map into a folder")
    p.add_argument("problem", choices=[*PROBLEMS, *datasets.DATASETS])
    p.add_argument("--method", choices=methods.METHODS, default="lsd")
    p.add_argument("--root", metavar="DIR", help="pictures: the folder that holds the data sets' folders")
    p.add_argument("--teacher", metavar="DIR", help="a run's folder or a shipped map, for the methods that read one")
    p.add_argument("--recipe", choices=RECIPES, help="ours (the default), or the paper's own choices")
    budget = p.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=float, help="budget in CPU minutes (plane and digits: 5)")
    budget.add_argument("--steps", type=int, help="budget in steps: repeats a run exactly")
    p.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="change a field of Config")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", required=True, metavar="DIR")
    p.add_argument("--resume", action="store_true", help="go on with the run in DIR, with its own configuration")
    p.add_argument("--device", default="cpu", help="cpu (the default), cuda, or cuda:<number>")
    p.add_argument("--grid-every", type=int, metavar="STEPS", help="pictures: draw DIR/samples/ so often")
    p.add_argument("--fid-every", type=int, metavar="STEPS", help="pictures: one-step Fréchet distance so often")
    p.add_argument("--weights", metavar="FILE", help="FID's Inception network, from a file of this machine")
    p.add_argument("--fid-pictures", type=int, default=10_000, metavar="N", help="pictures for it (default 10,000)")
    p.add_argument("--tensorboard", action="store_true", help="log into DIR/tensorboard")
    p.add_argument("--every", type=int, default=100, metavar="STEPS", help="steps between reports (default 100)")
    p.add_argument("--save-seconds", type=float, default=15.0, help="time between checkpoints (default 15)")
    p.set_defaults(call=train)

    p = commands.add_parser("evaluate", help="KL64 and distance to the exact map; FD-digits and labels read back")
    p.add_argument("run", metavar="DIR", help="a run's folder, or a shipped map's name")
    p.add_argument("--steps", type=int, nargs="+", default=list(STEPS))
    p.add_argument("--points", type=int, default=1_000_000, help="in the plane (default 1,000,000)")
    p.add_argument("--pictures", type=int, default=10_000, help="but for the digits (default 10,000)")
    p.add_argument("--weights", metavar="FILE", help="FID's Inception network, from a file of this machine")
    p.add_argument("--seed", type=int, default=0)
    common(p)
    p.add_argument("--figure", metavar="FILE", help="also draw the samples into FILE (png, pdf, svg)")
    p.set_defaults(call=evaluate)

    p = commands.add_parser("sample", help="draw points or pictures into a file")
    p.add_argument("run", metavar="DIR", help="a run's folder, or a shipped map's name")
    p.add_argument("--steps", type=int, default=1)
    p.add_argument("--points", "--pictures", type=int, default=10_000, metavar="N", help="how many (default 10,000)")
    p.add_argument("--seed", type=int, default=0)
    common(p)
    p.add_argument(
        "--out", default="samples.npy", metavar="FILE", help=".npy; points also .csv, pictures also one .png sheet"
    )
    p.set_defaults(call=sample)

    p = commands.add_parser("table", help="the four methods beside the paper's figures")
    p.add_argument("problem", choices=["checkerboard", "pictures"], help="pictures: what the paper has, none run by us")
    p.add_argument("--minutes", type=float, help="train each method so long; without it, the shipped maps are read")
    p.add_argument(
        "--out", default="runs", metavar="DIR", help="where the trained runs go; those there are gone on with"
    )
    p.add_argument("--points", type=int, default=1_000_000)
    p.add_argument("--methods", metavar="all|NAME,NAME", help=f"any of {', '.join(methods.METHODS)}, at one budget")
    p.add_argument("--jobs", type=int, default=1, help="trainings side by side, one thread each (default 1)")
    unwatched = {"grid_every": None, "fid_every": None, "tensorboard": False, "every": 100}
    p.set_defaults(call=table, device="cpu", save_seconds=15.0, **unwatched)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 2 for bad input, 3 if a training diverged, 4 if it did not fit, 130 after Ctrl-C."""
    arguments = parser().parse_args(argv)
    torch.set_num_threads(arguments.threads or (1 if arguments.command == "train" else torch.get_num_threads()))
    warnings.filterwarnings("ignore", message="`torch.jit.script", category=FutureWarning)  # torch's compiler on itself
    try:
        arguments.call(arguments)
    except ValueError as error:
        print(f"flowmap-edu: {error}", file=sys.stderr)
        return 2
    except DivergedError as error:
        print(f"flowmap-edu: {error} The folder keeps the last good checkpoint.", file=sys.stderr)
        return comparison.DIVERGED
    except MemoryShortError as error:
        print(f"flowmap-edu: {error}", file=sys.stderr)
        return 4
    except KeyboardInterrupt:
        print("flowmap-edu: stopped; `--resume` goes on from the last checkpoint.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
