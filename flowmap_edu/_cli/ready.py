"""What is looked at before the work: folders, files, libraries, numbers that fit the run. Nothing is written here."""

import argparse
import inspect
import os
from collections.abc import Sequence
from pathlib import Path

from flowmap_edu import _checks as checks
from flowmap_edu.problems.images import ImageProblem, feature_extractor
from flowmap_edu.problems.problem import Problem
from flowmap_edu.training import Training

FIGURES = (".png", ".pdf", ".svg")
OFTEN = 1000  # a checkpoint is written at a report: they must not lie further apart than this


def path_of(option: str, text: str) -> Path:
    """A path from the command line, with the home folder written out.

    Raises:
        ValueError: if it is empty, or names the home of nobody.
    """
    if not text.strip():
        raise ValueError(f"{option} must name a path, got {text!r}")
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f"{option} {text!r}: {error}") from error


def folder(option: str, text: str) -> Path:
    """A folder to write into, which need not be there yet.

    Raises:
        ValueError: if it is a file, lies below one, or may not be written into.
    """
    path = path_of(option, text)
    there = next((place for place in (path, *path.absolute().parents) if os.path.lexists(place)), path)
    if not there.is_dir():
        where = f"{there} is" if there == path else f"{path} would lie below {there}, which is"
        raise ValueError(f"{option} must be a folder: {where} a file")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"{option} {path}: nothing may be written into {there}")
    return path


def new_file(option: str, text: str, endings: Sequence[str]) -> Path:
    """A file to write, in a folder that need not be there yet; nothing is overwritten.

    Raises:
        ValueError: if its ending is none of these, it is there already, or its folder cannot be.
    """
    path = path_of(option, text)
    checks.one_of(f"the ending of {option}", path.suffix, endings)
    if os.path.lexists(path):
        raise ValueError(f"{option} {path} is already there; name another file, or remove it")
    folder(f"the folder of {option}", str(path.parent))
    return path


def drawable(problem: Problem) -> None:
    """Raise ValueError unless samples of this problem can be drawn; ImportError if a library is missing."""
    checks.extra("matplotlib", "images")
    shape = problem.shape
    if len(shape) == 3 and shape[0] in (1, 3):
        sheet(shape)
    elif len(shape) != 1:
        raise ValueError(f"--figure draws points (D,) and images (1 or 3, H, W), this run's samples have shape {shape}")


def sheet(shape: tuple[int, ...]) -> None:
    """Raise ValueError unless images of this shape can be a .png file; ImportError if a library is missing."""
    if shape[0] not in (1, 3):
        raise ValueError(f"--out .png is for images (1 or 3, H, W), this run's samples have shape {shape}")
    for module in ("matplotlib", "torchvision"):
        checks.extra(module, "images")


def rhythm(every: int | None, training: Training, steps: int | None = None) -> int:
    """The steps between two reports; by default 100, or all of a shorter run.

    Args:
        every: what was asked for.
        training: the run's.
        steps: of a resumed run whose budget is in minutes, as they were planned.

    Raises:
        ValueError: if no report, and so no checkpoint, would come before the end.
    """
    steps = training.steps if training.steps is not None else steps
    most = OFTEN if steps is None else min(OFTEN, steps)
    if every is None:
        return min(100, most)
    if every > most:
        run = "where the budget is in minutes" if steps is None else f"in a run of {steps:,} steps"
        raise ValueError(f"--every must be at most {most} {run}, got {every}: a checkpoint is written at a report")
    return every


def takes(problem: Problem, name: str) -> bool:
    """Whether the problem's evaluation has an argument of that name."""
    return name in inspect.signature(problem.evaluate).parameters


def watching(problem: Problem, arguments: argparse.Namespace) -> None:
    """Look at what `train` is to show as it goes.

    Raises:
        ValueError: if the problem has no such thing, an option would be ignored, or FID's network cannot be had.
        ImportError: if a library is missing.
    """
    what = f"{type(problem).__name__}, whose samples have shape {problem.shape}"
    if arguments.fid_every is None:
        for name in ("fid_images", "weights"):
            if getattr(arguments, name) is not None:
                raise ValueError(f"--{name.replace('_', '-')} would be ignored: it belongs to --fid-every")
    if arguments.grid_every is not None:
        if len(problem.shape) != 3 or problem.shape[0] not in (1, 3):
            raise ValueError(f"--grid-every is for images (1 or 3, H, W), not for {what}")
        sheet(problem.shape)
    if arguments.fid_every is not None:
        if problem.distance is None:
            raise ValueError(f"--fid-every is for data sets of images with a Fréchet distance, not for {what}")
        checks.extra("torchmetrics", "images")
        if isinstance(problem, ImageProblem) and takes(problem, "weights"):
            feature_extractor(problem.name, arguments.weights)
    if arguments.tensorboard:
        checks.extra("torch.utils.tensorboard", "images")
