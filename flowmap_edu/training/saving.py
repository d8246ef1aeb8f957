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
from torch import nn

from flowmap_edu._shipped import shipped_folder
from flowmap_edu._threads import threads_for
from flowmap_edu._version import __version__
from flowmap_edu.problems.problem import Problem
from flowmap_edu.training import files
from flowmap_edu.training.metadata import differences, document
from flowmap_edu.training.reading import folder_of, read_metadata, saved_step
from flowmap_edu.training.state import State
from flowmap_edu.training.training import Training

COLUMNS = ("step", "loss", "grad_norm", "largest_grad_norm", "cpu_seconds")
PLACES = ("config.json", "map.safetensors", "checkpoint.pt", "history.csv", "tensors.safetensors")


def contents(state: State, about: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of a run by their names; config.json has the digests of the others."""
    said, tensors = document(state.problem, state.net, state.method, state.training)
    found = {"map.safetensors": tensors_to_bytes(state.average.module.state_dict())}
    if state.second is not None:
        second = tensors_to_bytes(state.second.module.state_dict())
        found[f"map-{state.training.second_ema}.safetensors"] = second
    if tensors:
        found["tensors.safetensors"] = tensors_to_bytes(tensors)
    buffer, text = io.BytesIO(), io.StringIO()
    torch.save(state.checkpoint(), buffer)
    csv.writer(text).writerows([COLUMNS, *state.history])
    found |= {"checkpoint.pt": buffer.getvalue(), "history.csv": text.getvalue().encode()}
    header = {"steps_done": state.step, "steps": state.steps, "cpu_seconds": round(state.cpu_seconds, 1)}
    header |= {"changed": state.changed} if state.changed else {}
    digests = {"files": {name: files.digest(content) for name, content in found.items()}}
    return found | {"config.json": json.dumps({**said, **about, **header, **digests}, indent=1).encode()}


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
        files.write_all(out, contents(state, about))


def saved_or_said(state: State, out: Path, about: Mapping[str, Any], trouble: bool) -> bool:
    """Save a run; whether that failed. The first failure is said in a warning, the last save goes to another place.

    Raises:
        OSError: if the last save failed; it says where the run is now.
    """
    try:
        files.write_all(out, contents(state, about))
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
            files.write_all(folder, contents(state, about))
        except OSError:
            continue
        return f"the whole run is in {folder} instead"
    return "no other place could be written either"
