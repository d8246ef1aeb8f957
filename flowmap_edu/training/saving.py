"""Writing a run's folder: its files, what its numbers depend on, and another place where the folder is full."""

import csv
import io
import json
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as tensors_to_bytes
from torch import Tensor, nn

from flowmap_edu._shipped import shipped_folder
from flowmap_edu._threads import threads_for
from flowmap_edu._version import __version__
from flowmap_edu.problems.problem import Problem
from flowmap_edu.training import files
from flowmap_edu.training.metadata import BEFORE, CHECKPOINT, KEPT, RunInfo, differences, document
from flowmap_edu.training.reading import folder_of, read_metadata, saved_step
from flowmap_edu.training.state import State
from flowmap_edu.training.training import Training

COLUMNS = ("step", "loss", "grad_norm", "largest_grad_norm", "cpu_seconds")
PLACES = ("config.json", "map.safetensors", CHECKPOINT, "history.csv", "tensors.safetensors", BEFORE)


def write_run(out: Path, state: State, about: Mapping[str, Any], *, keep: bool = True) -> None:
    """Write the files of a run as one; config.json has the digests of the others.

    Args:
        out: the run's folder.
        state: what is written.
        about: from `origin`.
        keep: whether the checkpoint that is there is kept as the one before, by a move. Else that one stays as it is.

    Raises:
        OSError: if a file cannot be written; those that were there before are still there.
    """
    there = told(out)
    if there is not None and files.parts(out):  # what an earlier save could not move
        files.tidy(out, there.digests | there.kept, KEPT)
    said, tensors = document(state.problem, state.net, state.method, state.training)
    found = contents(state, tensors)
    digests = {name: files.digest(content) for name, content in found.items()}
    header = {"steps_done": state.step, "steps": state.steps, "cpu_seconds": round(state.cpu_seconds, 1)}
    header |= {"changed": state.changed} if state.changed else {}
    before = there.header.get("before") if there is not None else None
    old = there.digests.get(CHECKPOINT) if there is not None else None
    moves = keep and old not in (None, digests[CHECKPOINT])
    if there is not None and moves:
        before = {"steps_done": there.header["steps_done"], "files": {BEFORE: old}}
    header |= {"files": digests} | ({"before": before} if before else {})
    config = json.dumps({**said, **about, **header}, indent=1).encode()
    files.write_all(out, found | {files.HEADER: config}, KEPT if moves else {})


def told(out: Path) -> RunInfo | None:
    """What a folder says of its run; None if it says nothing that can be read."""
    try:
        return read_metadata(out) if (out / files.HEADER).is_file() else None
    except (ValueError, OSError):
        return None


def contents(state: State, tensors: dict[str, Tensor]) -> dict[str, bytes]:
    """The files of a run by their names, but for config.json; `tensors` are the arrays that `document` names."""
    found = {"map.safetensors": tensors_to_bytes(state.average.module.state_dict())}
    if state.second is not None:
        second = tensors_to_bytes(state.second.module.state_dict())
        found[f"map-{state.training.second_ema}.safetensors"] = second
    if tensors:
        found["tensors.safetensors"] = tensors_to_bytes(tensors)
    buffer, text = io.BytesIO(), io.StringIO()
    torch.save(state.checkpoint(), buffer)
    csv.writer(text).writerows([COLUMNS, *state.history])
    return found | {CHECKPOINT: buffer.getvalue(), "history.csv": text.getvalue().encode()}


def named(teacher: str | None) -> str | None:
    """A teacher's name that holds from any working directory: of a shipped map, or the whole path of a folder."""
    if teacher is None or folder_of(teacher).parent == shipped_folder():
        return teacher
    return str(folder_of(teacher).resolve())


def origin(problem: Problem, net: nn.Module, training: Training, teacher: str | None, device: str) -> dict[str, Any]:
    """What a run's numbers depend on beside its four objects."""
    threads = threads_for(problem.shape, training.rows, net)
    made_with = {"flowmap_edu": __version__, "torch": torch.__version__, "threads": threads}
    held = teacher and files.digest((folder_of(teacher) / "map.safetensors").read_bytes())
    found = {"teacher": teacher, "teacher_digest": held, "data": problem.digest()}
    return found | {"made_with": made_with | {"device": torch.device(device).type}}


def save(state: State, out: str | Path, teacher: str | None = None) -> None:
    """Write everything: the map, the checkpoint to resume from and the history.

    Args:
        state: from `fit`.
        out: a folder that is new, or that holds the same run at an earlier step.
        teacher: the run, or the shipped map, that the method read.

    Raises:
        ValueError: if the folder holds another run, or another process trains into it.
        OSError: if a file cannot be written; those that were there before are still there.
    """
    out = Path(out).expanduser()
    with files.claimed(out):
        if any((out / name).exists() for name in PLACES):
            there, here = read_metadata(out), document(state.problem, state.net, state.method, state.training)[0]
            if differ := differences(there.document, here):
                raise ValueError(f"{out} holds another run ({'; '.join(differ)}): name another folder")
        about = origin(state.problem, state.net, state.training, named(teacher), state.device.type)
        write_run(out, state, about)


def saved_or_said(state: State, out: Path, about: Mapping[str, Any], trouble: bool) -> bool:
    """Save a run; whether that failed. The first failure is said in a warning, the last save goes to another place.

    Raises:
        OSError: if the last save failed; it says where the run is now.
    """
    try:
        write_run(out, state, about)
    except OSError as error:
        step = saved_step(out)
        kept = "holds nothing yet" if step is None else f"still holds step {step}"
        said = f"step {state.step} cannot be saved to {out} ({error.strerror or error}), which {kept}"
        if state.step == state.steps:
            raise OSError(f"{said}; {rescued(state, out.name, about)}") from error
        if not trouble:
            warnings.warn(f"{said}; the training continues, and the next save tries again", stacklevel=3)
        return True
    return False


def rescued(state: State, name: str, about: Mapping[str, Any]) -> str:
    """Write a run to the first other place that takes it, and say where."""
    for place in (Path(tempfile.gettempdir()), Path.home(), Path.cwd()):
        try:
            folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=place))
            write_run(folder, state, about)
        except OSError:
            continue
        return f"the whole run is in {folder} instead"
    return "no other place could be written either"
