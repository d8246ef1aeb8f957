"""The command line: `flowmap-edu train | evaluate | sample | table`, over the same functions as the notebooks."""

import argparse
import json
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from flowmap_edu import comparison, methods, runs
from flowmap_edu.config import PROBLEMS, Config
from flowmap_edu.evaluation import base_noise, digit_rows, kl_rows
from flowmap_edu.losses import METHODS
from flowmap_edu.recipes import PAPER_KL, RECIPES, STEPS, recipe
from flowmap_edu.training import DivergedError, base_of


def run_training(config: Config, out: Path, resume: bool, save_seconds: float = 15.0) -> None:
    """Train with a progress bar."""
    started = time.monotonic()
    if config.pays_to_compile:
        print("compiling the training step (about half a minute the first time) ...", file=sys.stderr, flush=True)
    with tqdm(desc=config.method, unit="step", mininterval=2.0, dynamic_ncols=True) as bar:
        for state in runs.train(config, out, resume=resume, every=100, save_seconds=save_seconds):
            bar.total = state.steps
            bar.set_postfix(loss=f"{state.loss:.4f}", grad=f"{state.grad_norm:.2f}", refresh=False)
            bar.update(state.step - bar.n)
    about, _ = runs.read_about(out)
    wall = time.monotonic() - started
    done = f"{about['steps_done']:,} steps, {about['cpu_seconds']:.0f} CPU-s, {wall:.0f} s"
    print(f"{out}: {config.method}, {done}", flush=True)


def train(arguments: argparse.Namespace) -> None:
    """flowmap-edu train."""
    out = Path(arguments.out)
    if arguments.resume:
        _, config = runs.read_about(out)
    else:
        budget = {"steps": arguments.steps} if arguments.steps is not None else {"minutes": arguments.minutes}
        about = {"problem": arguments.problem, "seed": arguments.seed, "teacher": arguments.teacher}
        name = arguments.recipe or (arguments.problem if arguments.problem in RECIPES else "checkerboard")
        config = recipe(name, arguments.method, **about, **budget)
        if config.row.taught != (config.teacher is not None):
            wanted = "reads a" if config.row.taught else "reads no"
            raise ValueError(f"{config.method} {wanted} teacher, --teacher is {config.teacher!r}")
    run_training(config, out, arguments.resume, arguments.save_seconds)


def evaluate(arguments: argparse.Namespace) -> None:
    """flowmap-edu evaluate."""
    _, config = runs.read_about(arguments.run)
    X = runs.load(arguments.run)
    if config.pictures:
        rows = digit_rows(X, config, arguments.steps, arguments.seed, str(arguments.run))
        print(
            f"{arguments.run}: {config.method}, FD of the training digits to the held-out ones {rows[0]['floor']:.2f}"
        )
        print(f"{'steps':>6} {'FD-digits':>10} {'labels read back':>17} {'nearer to training':>19}")
        for row in rows:
            print(f"{row['steps']:>6} {row['fd']:>10.2f} {row['labels']:>17.1%} {row['nearer_to_train']:>19.1%}")
    else:
        rows = kl_rows(X, config, arguments.steps, arguments.points, arguments.seed, str(arguments.run))
        print(f"{arguments.run}: {config.method}, {arguments.points:,} points, floor {rows[0]['floor']:.4f}")
        print(f"{'steps':>6} {'KL64':>8} {'leak':>8} {'distance to the exact map':>27}")
        for row in rows:
            error = f"{row['map_error']:.4f}" if row["map_error"] is not None else "no jumps"
            print(f"{row['steps']:>6} {row['kl64']:>8.4f} {row['leak']:>8.4f} {error:>27}")
    if Path(arguments.run).is_dir():
        points = {} if config.pictures else {"points": arguments.points}
        report = points | {"seed": arguments.seed, "rows": rows}
        name = "fd.json" if config.pictures else "kl64.json"
        runs.write(Path(arguments.run) / name, json.dumps(report, indent=1).encode())
    if arguments.figure:
        from flowmap_edu import plots

        X = methods.Trained(X, config.row, base_of(config), arguments.seed)
        if config.pictures:
            plots.digits_figure(X, base_noise(20, config, arguments.seed), torch.arange(20) % 10, arguments.figure)
        else:
            plots.board_figure({config.method.upper(): X}, PROBLEMS[config.problem]().sigma, arguments.figure)
        print(f"the picture is {arguments.figure}")


def sample(arguments: argparse.Namespace) -> None:
    """flowmap-edu sample."""
    _, config = runs.read_about(arguments.run)
    if config.pictures:
        raise ValueError(f"sample writes points; for the pictures of {config.problem} use evaluate --figure FILE")
    x0, sigma = base_noise(arguments.points, config, arguments.seed), base_of(config)
    points = methods.sample(runs.load(arguments.run), config.row, x0, arguments.steps, sigma=sigma, seed=arguments.seed)
    out = Path(arguments.out)
    if out.exists():
        raise ValueError(f"{out} is already there; name another file")
    np.save(out, points.numpy()) if out.suffix == ".npy" else np.savetxt(
        out, points.numpy(), delimiter=",", header="x,y"
    )
    print(f"{len(points):,} points after {arguments.steps} step{'s' * (arguments.steps > 1)} in {out}")


def table(arguments: argparse.Namespace) -> None:
    """flowmap-edu table: the four methods' KL64 beside the paper's KL, or any methods at one budget."""
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
            run_training(runs.read_about(name)[1] if there else config, name, resume=there)
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


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="flowmap-edu", description="Train, sample and measure flow maps.")
    top.add_argument(
        "--threads", type=int, default=None, help="CPU threads (training: 1, a second one buys nothing at this size)"
    )
    commands = top.add_subparsers(dest="command", required=True)

    p = commands.add_parser("train", help="train a map into a folder")
    p.add_argument("problem", choices=[*PROBLEMS, "digits"])
    p.add_argument("--method", choices=methods.METHODS, default="lsd")
    p.add_argument("--teacher", metavar="DIR", help="a run's folder or a shipped map, for the methods that read one")
    p.add_argument("--recipe", choices=RECIPES, help="ours (the default), or the paper's own choices")
    budget = p.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=float, default=5.0, help="budget in CPU minutes (default 5)")
    budget.add_argument("--steps", type=int, help="budget in steps: repeats a run exactly")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", required=True, metavar="DIR")
    p.add_argument("--resume", action="store_true", help="go on with the run in DIR, with its own configuration")
    p.add_argument("--save-seconds", type=float, default=15.0, help="time between checkpoints (default 15)")
    p.set_defaults(call=train)

    p = commands.add_parser("evaluate", help="KL64 and distance to the exact map; FD-digits and labels read back")
    p.add_argument("run", metavar="DIR", help="a run's folder, or a shipped map's name")
    p.add_argument("--steps", type=int, nargs="+", default=list(STEPS))
    p.add_argument("--points", type=int, default=1_000_000)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--figure", metavar="FILE", help="also draw the samples into FILE (png, pdf, svg)")
    p.set_defaults(call=evaluate)

    p = commands.add_parser("sample", help="draw points into a file")
    p.add_argument("run", metavar="DIR", help="a run's folder, or a shipped map's name")
    p.add_argument("--steps", type=int, default=1)
    p.add_argument("--points", type=int, default=10_000)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--out", default="samples.npy", metavar="FILE", help=".npy, or .csv for text (default samples.npy)")
    p.set_defaults(call=sample)

    p = commands.add_parser("table", help="the four methods beside the paper's figures")
    p.add_argument("problem", choices=["checkerboard"])
    p.add_argument("--minutes", type=float, help="train each method so long; without it, the shipped maps are read")
    p.add_argument(
        "--out", default="runs", metavar="DIR", help="where the trained runs go; those there are gone on with"
    )
    p.add_argument("--points", type=int, default=1_000_000)
    p.add_argument("--methods", metavar="all|NAME,NAME", help=f"any of {', '.join(methods.METHODS)}, at one budget")
    p.add_argument("--jobs", type=int, default=1, help="trainings side by side, one thread each (default 1)")
    p.set_defaults(call=table)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 2 for bad input, 3 for a training that diverged, 130 after Ctrl-C."""
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
    except KeyboardInterrupt:
        print("flowmap-edu: stopped; `--resume` goes on from the last checkpoint.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
