"""A run on disk: train into a folder, go on from it, load the map that it holds.

    DIR/config.json          problem, network, method, training; the format's version
    DIR/map.safetensors      the averaged weights: the map itself; map-<decay>.safetensors: the second average's
    DIR/tensors.safetensors  arrays among the problem's arguments, if there are any
    DIR/checkpoint.pt        all that resuming needs (read with weights_only=True: no code runs)
    DIR/history.csv          step, loss, gradient norm, CPU seconds

Every file is written beside its place and moved there, so that a kill leaves the last good one.
"""

import csv
import io
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as tensors_to_bytes
from torch import nn

from flowmap_edu import _checks as checks
from flowmap_edu import sample
from flowmap_edu._shipped import shipped_folder
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.methods import Method
from flowmap_edu.nets.unet import renamed_keys
from flowmap_edu.problems.problem import Problem
from flowmap_edu.training import distributed, format1
from flowmap_edu.training.loop import fit
from flowmap_edu.training.metadata import RunInfo, differences, document, parsed
from flowmap_edu.training.network import on_device
from flowmap_edu.training.state import State
from flowmap_edu.training.training import Training

COLUMNS = ("step", "loss", "grad_norm", "largest_grad_norm", "cpu_seconds")


def shipped() -> list[str]:
    """The names that `load` knows."""
    return sorted(path.parent.name for path in shipped_folder().glob("*/map.safetensors"))


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    beside = path.with_name(path.name + ".part")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def save_map(state: State, out: Path, teacher: str | None = None) -> None:
    """Write the averaged map and what it was made of: what `load` reads."""
    out.mkdir(parents=True, exist_ok=True)
    about, tensors = document(state.problem, state.net, state.method, state.training, teacher)
    header = {"steps_done": state.step, "steps": state.steps, "cpu_seconds": round(state.cpu_seconds, 1)}
    if tensors:
        write(out / "tensors.safetensors", tensors_to_bytes(tensors))
    write(out / "config.json", json.dumps(about | header, indent=1).encode())
    write(out / "map.safetensors", tensors_to_bytes(state.average.module.state_dict()))
    if state.second is not None:
        name = f"map-{state.training.second_ema}.safetensors"
        write(out / name, tensors_to_bytes(state.second.module.state_dict()))


def save(state: State, out: str | Path, teacher: str | None = None) -> None:
    """Write everything: the map, the checkpoint to resume from and the history."""
    out = Path(out)
    save_map(state, out, teacher)
    buffer = io.BytesIO()
    torch.save(state.checkpoint(), buffer)
    write(out / "checkpoint.pt", buffer.getvalue())
    text = io.StringIO()
    csv.writer(text).writerows([COLUMNS, *state.history])
    write(out / "history.csv", text.getvalue().encode())


def folder_of(name: str | Path) -> Path:
    """The folder that `name` means: a path, or the name of a shipped map.

    Raises:
        ValueError: if it is neither.
    """
    for folder in (Path(name), shipped_folder() / str(name)):
        if (folder / "config.json").is_file():
            return folder
    known = ", ".join(shipped()) or "none here"
    raise ValueError(f"{str(name)!r} is neither a run's folder (no config.json in it) nor a shipped map ({known})")


def read_metadata(name: str | Path) -> RunInfo:
    """What config.json of a run says: steps done and CPU seconds, the problem, the network, the method, the training.

    Raises:
        ValueError: if the folder is missing, the file is damaged or the format is unknown.
    """
    folder = folder_of(name)
    path = folder / "config.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    return parsed(content, folder)


def load(name: str | Path, *, net: nn.Module | None = None, device: str = "cpu", ema: float | None = None) -> FlowMap:
    """The map of a run folder, or a shipped one by its name, such as "checkerboard-lsd"; it draws by its own sampler.

    Args:
        name: the folder or the name.
        net: the network, where the folder cannot say how it is made (a class of a notebook, for example).
        device: where the network works; what goes in and comes out stays where the caller keeps it.
        ema: which of the run's two moving averages, by its decay; None for the first.

    Raises:
        ValueError: if the folder is missing, truncated or of an unknown format, the module of the network is gone,
            or there is no such device or average.
    """
    info = read_metadata(name)
    training = info.training
    if ema is not None:
        checks.one_of("ema", ema, [d for d in (training.ema, training.second_ema) if d is not None])
    path = info.folder / ("map.safetensors" if ema in (None, training.ema) else f"map-{ema}.safetensors")
    net, there = info.network() if net is None else net, distributed.device_of(device)
    try:
        held = load_tensors(path.read_bytes())
        net.load_state_dict(renamed_keys(held) if info.header["format"] == 1 else held)
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path} is missing, truncated or of another network: {error}") from error
    how = sample.sampler(info.method.sampler, info.sigma, training.interpolant)
    return on_device(net.eval().requires_grad_(False).to(there), there, how, training.interpolant)


def read_checkpoint(out: Path) -> dict[str, Any]:
    """The checkpoint of the run in `out`.

    Raises:
        ValueError: if there is none, or it is truncated.
    """
    try:
        return format1.checkpoint(torch.load(out / "checkpoint.pt", weights_only=True, map_location="cpu"))
    except Exception as error:  # torch raises many kinds for a file that is cut short
        raise ValueError(f"{out / 'checkpoint.pt'} is missing or truncated: {error}") from error


def train(
    problem: Problem,
    net: nn.Module,
    method: Method,
    training: Training,
    out: str | Path,
    *,
    teacher: str | None = None,
    resume: bool = False,
    every: int = 200,
    save_seconds: float = 15.0,
    device: str = "cpu",
) -> Iterator[State]:
    """`fit` into a folder: yields the state like it, and saves every few seconds and at the end.

    Args:
        problem, net, method, training: the run.
        out: the run's folder; it must not hold a run yet, unless `resume`.
        teacher: the run, or the shipped map, that is the teacher of a method that reads one.
        resume: go on from the folder's checkpoint, to the same numbers as an unbroken run.
        every: steps between yields; a checkpoint is written at a yield.
        save_seconds: least time between two checkpoints.
        device: as `fit`; of several processes, the first writes the files.

    Raises:
        ValueError: if `out` holds a run and resume is off, or holds none or another and it is on.
        DivergedError, MemoryShortError: as `fit`; the folder keeps the last good checkpoint.
    """
    out = Path(out)
    if not resume and (out / "checkpoint.pt").exists():
        raise ValueError(f"{out} already holds a run; resume it, or name another folder")
    if resume and (differ := differences(read_metadata(out), problem, net, method, training)):
        raise ValueError(f"{out} holds another run ({'; '.join(differ)})")
    checkpoint = read_checkpoint(out) if resume else None
    frozen = None if teacher is None else load(teacher)
    saved = time.monotonic()
    for state in fit(problem, net, method, training, teacher=frozen, resume=checkpoint, every=every, device=device):
        if distributed.rank() == 0 and (time.monotonic() - saved >= save_seconds or state.step == state.steps):
            save(state, out, teacher)
            saved = time.monotonic()
        yield state
