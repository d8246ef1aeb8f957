"""The command line: `flowmap-edu train | evaluate | sample | table | demo | lab | tutorials | course | grade`.

What a command needs is imported when the command is known, so that `--help` is quick and Ctrl-C while torch is
imported ends without a traceback.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from flowmap_edu._cli import console, values

DIVERGED = 3  # the exit status of a training that diverged
MEMORY = 4  # that of one that did not fit into the memory
OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory", "overflow")  # torch's and numpy's words


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are ValueErrors, one line each: "--steps must be ..., got ..."."""

    def error(self, message: str) -> NoReturn:
        """Complain."""
        words = message.removeprefix("argument ")
        name, colon, rest = words.partition(": ")
        words = f"{name.partition('/')[0]} {rest}" if colon and rest.startswith("must ") else words
        raise ValueError(f"{words} (all options: {self.prog} --help)")


def common(p: argparse.ArgumentParser) -> None:
    """The options of what reads a map."""
    p.add_argument("--device", default="cpu", help="cpu (the default), cuda, or cuda:<number>")
    p.add_argument("--ema", type=values.number, help="which of the run's moving averages, by its decay")


def add_train(p: argparse.ArgumentParser) -> None:
    """The words of `train`."""
    from flowmap_edu.methods import METHODS
    from flowmap_edu.recipes import RECIPES

    data = ", ".join(name for name, named in RECIPES.items() if named.problem is not None)
    p.add_argument("problem", nargs="?", metavar="PROBLEM", help=f"{data}, gaussian, FILE.npy, FILE.csv or module:name")
    p.add_argument("--net", metavar="MODULE:NAME", help="a network of your own: a class, or a function that makes it")
    p.add_argument("--labels", metavar="FILE", help="the labels of FILE.npy, one whole number a sample (.npy or .csv)")
    p.add_argument("--method", choices=METHODS, help="default lsd")
    p.add_argument("--root", metavar="DIR", help="images: the folder that holds the data sets' folders")
    p.add_argument("--teacher", metavar="DIR", help="a run's folder or a shipped map, for the methods that read one")
    p.add_argument("--recipe", choices=RECIPES, help="the settings to start from (default: those of the problem)")
    budget = p.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=values.minutes, help="budget in CPU minutes (default 5; none for GPUs)")
    budget.add_argument("--steps", type=values.count, help="budget in steps: repeats a run exactly")
    p.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE",
        help="change a setting of the training (lr=0.001), or net.NAME, problem.NAME, method.NAME",
    )  # fmt: skip
    p.add_argument("--seed", type=values.seed, help="default 0")
    p.add_argument("--out", required=True, metavar="DIR")
    p.add_argument(
        "--resume", action="store_true", help="continue the run in DIR; --steps, --minutes, --set lr=, clip= may change"
    )
    p.add_argument("--device", default="cpu", help="cpu (the default), cuda, or cuda:<number>")
    p.add_argument("--grid-every", type=values.count, metavar="STEPS", help="images: draw DIR/samples/ so often")
    p.add_argument("--fid-every", type=values.count, metavar="STEPS", help="images: one-step Fréchet distance")
    p.add_argument("--weights", metavar="FILE", help="FID's Inception network, from a file of this machine")
    p.add_argument("--fid-images", type=values.at_least_two, metavar="N", help="images for it (default 10,000)")
    p.add_argument("--tensorboard", action="store_true", help="log into DIR/tensorboard")
    p.add_argument(
        "--every", type=values.count, metavar="STEPS", help="steps between reports (default 100, at most 1,000)"
    )
    p.add_argument(
        "--save-seconds", type=values.seconds, default=15.0, metavar="SECONDS",
        help="least time between checkpoints, which are written at reports (default 15); saving takes at most 2 %%",
    )  # fmt: skip


def add_evaluate(p: argparse.ArgumentParser) -> None:
    """The words of `evaluate`."""
    from flowmap_edu.problems.problem import STEPS

    p.add_argument("run", metavar="DIR", help="a run's folder, or a shipped map's name")
    p.add_argument("--steps", type=values.count, nargs="+", default=list(STEPS), metavar="N")
    p.add_argument("--samples", "--points", "--images", type=values.count, metavar="N", help="how many are drawn")
    p.add_argument("--problem", metavar="MODULE:NAME", help="the problem, where the run's folder cannot make it")
    p.add_argument("--weights", metavar="FILE", help="FID's Inception network, from a file of this machine")
    p.add_argument("--seed", type=values.seed, default=0)
    common(p)
    p.add_argument("--figure", metavar="FILE", help="also draw the samples into a new FILE (.png, .pdf, .svg)")


def add_sample(p: argparse.ArgumentParser) -> None:
    """The words of `sample`."""
    p.add_argument("run", metavar="DIR", help="a run's folder, or a shipped map's name")
    p.add_argument("--steps", type=values.count, default=1, metavar="N")
    p.add_argument(
        "--samples", "--points", "--images", type=values.count, default=10_000, metavar="N",
        help="how many (default 10,000)",
    )  # fmt: skip
    p.add_argument("--label", type=values.label, metavar="K", help="one class alone (default: all in turn)")
    p.add_argument("--guidance", type=values.number, metavar="SCALE", help="classifier-free guidance; 1 is none")
    p.add_argument("--seed", type=values.seed, default=0)
    common(p)
    p.add_argument(
        "--out", default="samples.npy", metavar="FILE", help=".npy; points also .csv, images also one .png sheet"
    )


def add_table(p: argparse.ArgumentParser) -> None:
    """The words of `table`."""
    from flowmap_edu.methods import METHODS

    p.add_argument("problem", choices=["checkerboard", "images"], help="images: the paper's figures, none run by us")
    p.add_argument("--minutes", type=values.minutes, help="train each method so long; else shipped maps are read")
    p.add_argument("--out", metavar="DIR", help="where trained runs go (default runs); existing runs are resumed")
    p.add_argument("--samples", "--points", type=values.count, metavar="N", help="default 1,000,000")
    p.add_argument("--methods", metavar="all|NAME,NAME", help=f"any of {', '.join(METHODS)}, at one budget")
    p.add_argument("--seeds", type=values.count, metavar="N", help="with --methods: trainings of each (default 1)")
    p.add_argument("--jobs", type=values.count, metavar="N", help="trainings side by side, a thread each (default 1)")


def add_demo(p: argparse.ArgumentParser) -> None:
    """The words of `demo`."""
    p.add_argument("--minutes", type=values.minutes, default=1.65, help="CPU minutes of training (default 1.65)")
    p.add_argument("--out", default="runs/demo", metavar="DIR", help="an earlier demo there is replaced")


def add_lab(p: argparse.ArgumentParser) -> None:
    """The words of `lab`."""
    p.add_argument("--no-browser", action="store_true", help="print the address, open nothing")
    p.add_argument("--port", type=values.port, metavar="N", help="default 8888")
    p.add_argument("more", nargs="*", metavar="-- OPTION", help="handed on to JupyterLab (flowmap-edu lab -- --ip=...)")


def add_tutorials(p: argparse.ArgumentParser) -> None:
    """The words of `tutorials`."""
    p.add_argument("folder", metavar="DIR", help="where the notebooks go; nothing there is overwritten")


def add_course(p: argparse.ArgumentParser) -> None:
    """The words of `course`."""
    p.add_argument(
        "what", choices=["init", "forms", "leaderboard"],
        help="init: a folder for nbgrader; forms: to hand out without it; leaderboard: place the maps of the project",
    )  # fmt: skip
    p.add_argument("folder", metavar="DIR", help="where it goes; nothing there is overwritten. Or the submitted maps")
    p.add_argument("--problem", metavar="NAME", help="leaderboard: as in train (default checkerboard)")
    p.add_argument("--by", metavar="NAME", help="leaderboard: the number that counts (default kl64); lower is better")
    p.add_argument("--steps", type=values.count, metavar="N", help="leaderboard: evaluations a sample (default 1)")
    p.add_argument("--samples", type=values.count, metavar="N", help="leaderboard: how many (default 200,000)")
    p.add_argument("--minutes", type=values.minutes, help="leaderboard: CPU minutes that are allowed (default 1)")
    p.add_argument("--out", metavar="FILE", help="leaderboard: a new .csv as well")


def add_grade(p: argparse.ArgumentParser) -> None:
    """The words of `grade`."""
    p.add_argument("submissions", metavar="SUBMISSIONS", help="a folder: STUDENT.ipynb, STUDENT.py or STUDENT/ each")
    p.add_argument("--assignment", required=True, metavar="NAME", help="a1 or a1_interpolants, for example")
    p.add_argument("--out", required=True, metavar="FILE", help="the grades, a new .csv")
    p.add_argument(
        "--report", required=True, metavar="DIR", help="a page a student; an interrupted grading goes on here"
    )
    p.add_argument(
        "--seconds", type=values.minutes, default=30.0, help="of a cell or a part (default 30), thrice in all"
    )
    p.add_argument("--memory", type=values.count, default=4096, metavar="MB", help="of a submission (default 4096)")
    p.add_argument("--files", type=values.count, default=64, metavar="MB", help="of a file it writes (default 64)")
    p.add_argument("--jobs", type=values.count, default=2, metavar="N", help="submissions at a time (default 2)")
    p.add_argument("--seed", type=values.seed, default=0, help="of the hidden cases (default 0)")


COMMANDS: dict[str, tuple[Callable[[argparse.ArgumentParser], None], str]] = {
    "train": (add_train, "train a map into a folder"),
    "evaluate": (add_evaluate, "how good a map is, in its problem's own numbers"),
    "sample": (add_sample, "draw samples into a file"),
    "table": (add_table, "the four methods beside the paper's figures"),
    "demo": (add_demo, "train on the checkerboard for a hundred seconds, print the table, draw the picture"),
    "lab": (add_lab, "open the lessons in JupyterLab"),
    "course": (add_course, "lay out the assignments for nbgrader, or as forms to hand out; the leaderboard"),
    "grade": (add_grade, "grade submissions of an assignment, each in a sandbox"),
    "tutorials": (add_tutorials, "write the lessons into a folder, with gaps for the reader to fill"),
}


def parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The commands, with the options of those that are among the words."""
    top = Parser(prog="flowmap-edu", description="Train, sample and measure flow maps.")
    top.add_argument(
        "--threads", type=values.threads, metavar="N",
        help="CPU threads (default 1 for training and for points; a resumed run takes its own)",
    )  # fmt: skip
    commands = top.add_subparsers(dest="command", required=True)
    for name, (add, what) in COMMANDS.items():
        p = commands.add_parser(name, help=what)
        if name in words:
            add(p)
    return top


def stopped(arguments: argparse.Namespace | None) -> str:
    """What is true of a training that was stopped: whether there is something to go on from."""
    if arguments is not None and arguments.command == "grade":
        return "stopped; the same command goes on where it stopped."
    if arguments is None or arguments.command != "train":
        return "stopped."
    if (Path(arguments.out) / "checkpoint.pt").is_file():
        return "stopped; `--resume` continues from the last checkpoint."
    return "stopped before the first checkpoint."


def run(arguments: argparse.Namespace) -> int:
    """Run the command that was asked for; its exit status."""
    from flowmap_edu._cli import commands, demo, grading, lessons, table
    from flowmap_edu._threads import choose
    from flowmap_edu.training import DivergedError, MemoryShortError

    if arguments.threads or arguments.command == "train":
        choose(arguments.threads or 1)
    try:
        place = {
            "table": table,
            "demo": demo,
            "lab": demo,
            "tutorials": lessons,
            "course": grading,
            "grade": grading,
        }.get(arguments.command, commands)
        getattr(place, arguments.command)(arguments)
    except DivergedError as error:
        kept = (Path(getattr(arguments, "out", None) or "") / "checkpoint.pt").is_file()
        last = " The folder keeps the last good checkpoint." if kept else ""
        print(f"flowmap-edu: {error}{last}", file=sys.stderr)
        return DIVERGED
    except MemoryShortError as error:
        print(f"flowmap-edu: {error}", file=sys.stderr)
        return MEMORY
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not any(words in str(error).lower() for words in OUT_OF_MEMORY):
            raise
        print(f"flowmap-edu: this does not fit into the memory: {' '.join(str(error).split())}", file=sys.stderr)
        return MEMORY
    sys.stdout.flush()
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 2 for bad input, 3 if a training diverged, 4 if it did not fit, 130 after Ctrl-C."""
    words, arguments = list(sys.argv[1:] if argv is None else argv), None
    with console.streams():
        try:
            arguments = parser(words).parse_args(words)
            return run(arguments)
        except (ValueError, ImportError, OSError) as error:
            print(f"flowmap-edu: {' '.join(str(error).split())}", file=sys.stderr)
            return 2
        except KeyboardInterrupt:
            print(f"flowmap-edu: {stopped(arguments)}", file=sys.stderr)
            return 130


if __name__ == "__main__":
    sys.exit(main())
