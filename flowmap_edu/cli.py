"""The command line: `flowmap-edu train | evaluate | sample | table`."""

import argparse
import sys
import warnings
from collections.abc import Sequence

import torch

from flowmap_edu import _commands as commands
from flowmap_edu.methods import METHODS
from flowmap_edu.problems.problem import STEPS
from flowmap_edu.recipes import RECIPES
from flowmap_edu.training import DivergedError, MemoryShortError

DIVERGED = 3  # the exit status of a training that diverged
DATA = ", ".join(name for name, named in RECIPES.items() if named.problem is not None)


def common(p: argparse.ArgumentParser) -> None:
    """The options of what reads a map."""
    p.add_argument("--device", default="cpu", help="cpu (the default), cuda, or cuda:<number>")
    p.add_argument("--ema", type=float, help="which of the run's moving averages, by its decay (default the first)")


def add_train(p: argparse.ArgumentParser) -> None:
    """The words of `train`."""
    p.add_argument("problem", nargs="?", metavar="PROBLEM", help=f"{DATA}, gaussian, FILE.npy, FILE.csv or module:name")
    p.add_argument("--net", metavar="MODULE:NAME", help="a network of your own: a class, or a function that makes it")
    p.add_argument("--labels", metavar="FILE", help="the labels of FILE.npy, one whole number a sample (.npy or .csv)")
    p.add_argument("--method", choices=METHODS, help="default lsd")
    p.add_argument("--root", metavar="DIR", help="images: the folder that holds the data sets' folders")
    p.add_argument("--teacher", metavar="DIR", help="a run's folder or a shipped map, for the methods that read one")
    p.add_argument("--recipe", choices=RECIPES, help="the settings to start from (default: those of the problem)")
    budget = p.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=float, help="budget in CPU minutes (default 5, but for GPU recipes)")
    budget.add_argument("--steps", type=int, help="budget in steps: repeats a run exactly")
    p.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE",
        help="change a setting of the training (lr=0.001), or net.NAME, problem.NAME, method.NAME",
    )  # fmt: skip
    p.add_argument("--seed", type=int, help="default 0")
    p.add_argument("--out", required=True, metavar="DIR")
    p.add_argument("--resume", action="store_true", help="continue the run in DIR, with its own settings")
    p.add_argument("--device", default="cpu", help="cpu (the default), cuda, or cuda:<number>")
    p.add_argument("--grid-every", type=int, metavar="STEPS", help="images: draw DIR/samples/ so often")
    p.add_argument("--fid-every", type=int, metavar="STEPS", help="images: one-step Fréchet distance so often")
    p.add_argument("--weights", metavar="FILE", help="FID's Inception network, from a file of this machine")
    p.add_argument("--fid-images", type=int, metavar="N", help="images for it (default 10,000)")
    p.add_argument("--tensorboard", action="store_true", help="log into DIR/tensorboard")
    p.add_argument("--every", type=int, default=100, metavar="STEPS", help="steps between reports (default 100)")
    p.add_argument("--save-seconds", type=float, default=15.0, help="time between checkpoints (default 15)")
    p.set_defaults(call=commands.train)


def add_evaluate(p: argparse.ArgumentParser) -> None:
    """The words of `evaluate`."""
    p.add_argument("run", metavar="DIR", help="a run's folder, or a shipped map's name")
    p.add_argument("--steps", type=int, nargs="+", default=list(STEPS))
    p.add_argument("--samples", "--points", "--images", type=int, metavar="N", help="how many are drawn")
    p.add_argument("--problem", metavar="MODULE:NAME", help="the problem, where the run's folder cannot make it")
    p.add_argument("--weights", metavar="FILE", help="FID's Inception network, from a file of this machine")
    p.add_argument("--seed", type=int, default=0)
    common(p)
    p.add_argument("--figure", metavar="FILE", help="also draw the samples into FILE (png, pdf, svg)")
    p.set_defaults(call=commands.evaluate)


def add_sample(p: argparse.ArgumentParser) -> None:
    """The words of `sample`."""
    p.add_argument("run", metavar="DIR", help="a run's folder, or a shipped map's name")
    p.add_argument("--steps", type=int, default=1)
    p.add_argument(
        "--samples", "--points", "--images", type=int, default=10_000, metavar="N", help="how many (default 10,000)"
    )
    p.add_argument("--label", type=int, metavar="K", help="one class alone (default: all in turn)")
    p.add_argument("--guidance", type=float, metavar="SCALE", help="classifier-free guidance; 1 is none")
    p.add_argument("--seed", type=int, default=0)
    common(p)
    p.add_argument(
        "--out", default="samples.npy", metavar="FILE", help=".npy; points also .csv, images also one .png sheet"
    )
    p.set_defaults(call=commands.draw_samples)


def add_table(p: argparse.ArgumentParser) -> None:
    """The words of `table`."""
    p.add_argument("problem", choices=["checkerboard", "images"], help="images: the paper's figures, none run by us")
    p.add_argument("--minutes", type=float, help="train each method so long; without it, the shipped maps are read")
    p.add_argument("--out", default="runs", metavar="DIR", help="where the trained runs go; existing runs are resumed")
    p.add_argument("--samples", "--points", type=int, default=1_000_000, metavar="N")
    p.add_argument("--methods", metavar="all|NAME,NAME", help=f"any of {', '.join(METHODS)}, at one budget")
    p.add_argument("--jobs", type=int, default=1, help="trainings side by side, one thread each (default 1)")
    unwatched = {"grid_every": None, "fid_every": None, "tensorboard": False, "every": 100}
    p.set_defaults(call=commands.table, device="cpu", save_seconds=15.0, **unwatched)


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    top = argparse.ArgumentParser(prog="flowmap-edu", description="Train, sample and measure flow maps.")
    top.add_argument(
        "--threads", type=int, default=None, help="CPU threads (training: 1, a second one buys nothing at this size)"
    )
    words = top.add_subparsers(dest="command", required=True)
    add_train(words.add_parser("train", help="train a map into a folder"))
    add_evaluate(words.add_parser("evaluate", help="how good a map is, in its problem's own numbers"))
    add_sample(words.add_parser("sample", help="draw samples into a file"))
    add_table(words.add_parser("table", help="the four methods beside the paper's figures"))
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 2 for bad input, 3 if a training diverged, 4 if it did not fit, 130 after Ctrl-C."""
    arguments = parser().parse_args(argv)
    torch.set_num_threads(arguments.threads or (1 if arguments.command == "train" else torch.get_num_threads()))
    warnings.filterwarnings("ignore", message="`torch.jit.script", category=FutureWarning)  # torch's compiler on itself
    try:
        arguments.call(arguments)
    except (ValueError, ImportError) as error:
        print(f"flowmap-edu: {error}", file=sys.stderr)
        return 2
    except DivergedError as error:
        print(f"flowmap-edu: {error} The folder keeps the last good checkpoint.", file=sys.stderr)
        return DIVERGED
    except MemoryShortError as error:
        print(f"flowmap-edu: {error}", file=sys.stderr)
        return 4
    except KeyboardInterrupt:
        print("flowmap-edu: stopped; `--resume` continues from the last checkpoint.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
