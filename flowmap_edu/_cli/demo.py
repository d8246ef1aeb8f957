"""`flowmap-edu demo` and `flowmap-edu lab`: the first minutes with the library, on every system."""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from flowmap_edu import _checks as checks
from flowmap_edu._cli import commands, ready
from flowmap_edu._threads import choose
from flowmap_edu.problems.problem import STEPS
from flowmap_edu.recipes import recipe
from flowmap_edu.training import runs

SAMPLES = 400_000  # for the table: a million would take some twenty seconds more, for a KL64 that is lower by 0.003
MARK = "demo.json"  # the names of the files that a demo left in its folder: they, and nothing else, are removed again
CONFIG = Path(__file__).resolve().parent / "lab"  # JupyterLab's default settings for the lessons


def demo(arguments: argparse.Namespace) -> None:
    """flowmap-edu demo: a flow map of the checkerboard is trained, measured and drawn; an earlier demo is replaced."""
    out = ready.folder("--out", arguments.out)
    run = recipe("checkerboard", "lsd", minutes=arguments.minutes)
    ready.drawable(run.problem)
    remove_demo(out)
    if out.is_dir() and any(out.iterdir()):
        raise ValueError(f"{out} holds files that are not a demo's: name another folder with --out")
    many = arguments.threads or torch.get_num_threads()
    choose(arguments.threads or 1)
    how = argparse.Namespace(
        grid_every=None, fid_every=None, tensorboard=False, save_seconds=15.0, every=ready.rhythm(None, run.training),
        device="cpu", resume=False, run=str(out), problem=None, samples=SAMPLES, weights=None, ema=None, seed=0,
        steps=list(STEPS), figure=str(out / "samples.png"), threads=many,
    )  # fmt: skip
    try:
        commands.run_training(run, out, how)
        choose(many)  # so many points gain from every core; the small steps of training do not
        commands.evaluate(how)
    finally:
        if out.is_dir():
            names = sorted(path.name for path in out.iterdir() if path.is_file())
            runs.write(out / MARK, json.dumps({"files of the demo": names}, indent=1).encode())


def remove_demo(out: Path) -> None:
    """Remove the files of an earlier demo; those that somebody else put beside them stay.

    Raises:
        ValueError: if the list of its files is damaged.
    """
    if not (out / MARK).is_file():
        return
    try:
        names = json.loads((out / MARK).read_text(encoding="utf-8"))["files of the demo"]
        assert all(isinstance(name, str) and Path(name).name == name for name in names)
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise ValueError(f"{out / MARK} is damaged: remove {out}, or name another folder with --out") from error
    for name in [*names, MARK]:
        (out / name).unlink(missing_ok=True)


def lessons() -> Path:
    """The folder that holds tutorials/: the clone that this library is run from, else the current folder."""
    clone = CONFIG.parent.parent.parent
    return next((place for place in (clone, Path.cwd()) if first_lesson(place)), Path.cwd())


def first_lesson(root: Path) -> Path | None:
    """The lesson to open, or None where there are no lessons."""
    return next(iter(sorted((root / "tutorials").glob("00_*.ipynb"))), None)


def lab_command(arguments: argparse.Namespace) -> tuple[list[str], dict[str, str]]:
    """The words that start JupyterLab, and its environment.

    The state of widgets is saved with a notebook, so that it shows them when it is opened again. That is a default
    setting here: `lab/labconfig/default_setting_overrides.json` is found on JUPYTER_CONFIG_PATH, and what a user has
    set by hand in JupyterLab still comes first.
    """
    checks.extra("jupyterlab", "notebooks")
    root = lessons()
    words = [sys.executable, "-m", "jupyterlab", f"--ServerApp.root_dir={root}"]
    words += ["--no-browser"] if arguments.no_browser else []
    words += [f"--port={arguments.port}"] if arguments.port else []
    for word in arguments.more:
        if not word.startswith("-"):
            raise ValueError(f"options for JupyterLab begin with '-', got {word!r}")
    words += [*arguments.more, *([str(lesson)] if (lesson := first_lesson(root)) else [])]
    path = os.pathsep.join(filter(None, (str(CONFIG), os.environ.get("JUPYTER_CONFIG_PATH"))))
    return words, {**os.environ, "JUPYTER_CONFIG_PATH": path}


def lab(arguments: argparse.Namespace) -> None:
    """flowmap-edu lab: JupyterLab with the repository as root, so that links work, at the first lesson.

    Raises:
        ValueError: if JupyterLab ends with an error.
    """
    words, environment = lab_command(arguments)
    with subprocess.Popen(words, env=environment) as process:
        while True:
            try:
                status = process.wait()
                break
            except KeyboardInterrupt:  # JupyterLab got it as well, and asks whether to stop
                continue
    if status:
        raise ValueError(f"JupyterLab ended with status {status}")
