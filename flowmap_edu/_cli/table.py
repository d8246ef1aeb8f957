"""`flowmap-edu table`: our maps beside the paper's figures, or any methods at one budget."""

import argparse

from flowmap_edu import _checks as checks
from flowmap_edu._cli import ready
from flowmap_edu._cli.commands import run_training
from flowmap_edu.methods import METHODS
from flowmap_edu.problems.problem import STEPS
from flowmap_edu.recipes import paper, recipe
from flowmap_edu.training import runs

FOUR = ("lsd", "esd", "psd-m", "psd-u")
POINTS = 1_000_000


def table(arguments: argparse.Namespace) -> None:
    """flowmap-edu table: the four methods' KL64 beside the paper's KL, any methods at one budget, the paper's FID."""
    refuse_ignored(arguments)
    if arguments.problem == "images":
        print(paper.paper_table())
        return
    points = arguments.samples or POINTS
    out = ready.folder("--out", arguments.out or "runs")
    if arguments.methods is not None:
        from flowmap_edu.bench import comparison

        names = list(METHODS) if arguments.methods == "all" else arguments.methods.split(",")
        for name in names:
            checks.one_of("a name in --methods", name, METHODS)
        if len(set(names)) < len(names):
            raise ValueError(f"--methods names a method twice, got {arguments.methods}")
        print(comparison.table(names, arguments.minutes, out, points, arguments.jobs or 1, arguments.seeds or 1))
        return
    text, rows = [], []
    for method in FOUR:
        name = f"checkerboard-{method}"
        if arguments.minutes:
            folder = out / name
            watched = {"grid_every": None, "fid_every": None, "tensorboard": False, "save_seconds": 15.0, "every": 100}
            how = argparse.Namespace(**watched, device="cpu", resume=(folder / "config.json").is_file())
            run_training(recipe("checkerboard", method, minutes=arguments.minutes), folder, how)
            name = str(folder)
        info = runs.read_metadata(name)
        rows = info.problem().evaluate(runs.load(name), STEPS, n=points)
        ours = "".join(f"{row['kl64']:>9.4f}" for row in rows)
        text.append(f"{method:<7} {'ours, KL64':<12}{ours}   {info.header['cpu_seconds']:.0f} CPU-s")
        text.append(f"{'':<7} {'paper, KL':<12}" + "".join(f"{kl:>9.4f}" for kl in paper.PAPER_KL[method]))
    print(f"{'method':<20}" + "".join(f"{n:>3} step{'s' if n > 1 else ' '}" for n in STEPS))
    print("\n".join(text))
    print(f"KL64 with {points:,} points, floor {rows[0]['floor']:.4f}.")
    print("The paper does not publish its estimator: its figures are context, not a comparison.")


def refuse_ignored(arguments: argparse.Namespace) -> None:
    """Raise ValueError for an option that would do nothing."""
    given = [
        name
        for name in ("minutes", "out", "samples", "methods", "jobs", "seeds")
        if getattr(arguments, name) is not None
    ]
    if arguments.problem == "images" and given:
        raise ValueError(f"table images prints the paper's figures and takes no --{given[0]}")
    if arguments.methods is not None and arguments.minutes is None:
        raise ValueError("--methods compares trainings of one budget: name it with --minutes")
    if arguments.methods is None and (alone := [name for name in ("jobs", "seeds") if getattr(arguments, name)]):
        raise ValueError(f"--{alone[0]} would be ignored: it belongs to --methods")
    if arguments.minutes is None and arguments.out is not None:
        raise ValueError("--out would be ignored: it belongs to --minutes")
