"""A run on disk: train into a folder, go on from it, load the map that it holds.

    DIR/config.json        the configuration, and the format's version
    DIR/map.safetensors    the averaged weights: the map itself; map-<decay>.safetensors: the second average's
    DIR/checkpoint.pt      all that resuming needs (read with weights_only=True: no code runs)
    DIR/history.csv        step, loss, gradient norm, CPU seconds

Every file is written beside its place and moved there, so that a kill leaves the last good one.
"""

import csv
import dataclasses
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

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.problems.datasets import shipped_folder
from flowmap_edu.training import distributed
from flowmap_edu.training.loop import Config, State, build, fit
from flowmap_edu.training.state import worked_on

FORMAT = 1
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


def save_map(state: State, out: Path) -> None:
    """Write the averaged map and its configuration: what `load` reads."""
    out.mkdir(parents=True, exist_ok=True)
    about = {
        "format": FORMAT,
        "steps_done": state.step,
        "steps": state.steps,
        "cpu_seconds": round(state.cpu_seconds, 1),
    }
    write(out / "config.json", json.dumps(about | {"config": dataclasses.asdict(state.config)}, indent=1).encode())
    write(out / "map.safetensors", tensors_to_bytes(state.average.module.state_dict()))
    if state.second is not None:
        write(out / f"map-{state.config.second_ema}.safetensors", tensors_to_bytes(state.second.module.state_dict()))


def save(state: State, out: str | Path) -> None:
    """Write everything: the map, the checkpoint to resume from and the history."""
    out = Path(out)
    save_map(state, out)
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


def read_about(name: str | Path) -> tuple[dict[str, Any], Config]:
    """What config.json of a run says: its header (steps done, CPU seconds) and its configuration.

    Raises:
        ValueError: if the folder is missing, the file is damaged or the format is another.
    """
    path = folder_of(name) / "config.json"
    try:
        about = json.loads(path.read_text())
        version, config = about["format"], about["config"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged or not a run's configuration: {error}") from error
    if version != FORMAT:
        raise ValueError(f"{path} has format {version}, this library reads format {FORMAT}")
    try:
        return about, Config(**config)
    except TypeError as error:
        raise ValueError(f"{path} was written by another version of this library: {error}") from error


def load(name: str | Path, *, device: str = "cpu", ema: float | None = None) -> FlowMap:
    """The map of a run folder, or a shipped one by its name, such as "checkerboard-lsd".

    Args:
        name: the folder or the name.
        device: where the network works; what goes in and comes out stays where the caller keeps it.
        ema: which of the run's two moving averages, by its decay; None for the first.

    Raises:
        ValueError: if the folder is missing, truncated or of another version, or there is no such device or average.
    """
    _, config = read_about(name)
    if ema is not None:
        checks.one_of("ema", ema, [d for d in (config.ema, config.second_ema) if d is not None])
    path = folder_of(name) / ("map.safetensors" if ema in (None, config.ema) else f"map-{ema}.safetensors")
    net, there = build(config), distributed.device_of(device)
    try:
        net.load_state_dict(load_tensors(path.read_bytes()))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ValueError(f"{path} is missing, truncated or of another network: {error}") from error
    return worked_on(net.eval().requires_grad_(False).to(there), there)


def read_checkpoint(out: Path, config: Config) -> dict[str, Any]:
    """The checkpoint of the run in `out`, which must have the configuration `config`.

    Raises:
        ValueError: if there is none, it is truncated, or the run in the folder is another.
    """
    _, there = read_about(out)
    if there != config:
        differ = [
            f"{f.name}: {getattr(there, f.name)!r} there, {getattr(config, f.name)!r} asked"
            for f in dataclasses.fields(Config)
            if getattr(there, f.name) != getattr(config, f.name)
        ]
        raise ValueError(f"{out} holds a run of another configuration ({'; '.join(differ)})")
    try:
        return torch.load(out / "checkpoint.pt", weights_only=True, map_location="cpu")
    except Exception as error:  # torch raises many kinds for a file that is cut short
        raise ValueError(f"{out / 'checkpoint.pt'} is missing or truncated: {error}") from error


def train(
    config: Config,
    out: str | Path,
    *,
    resume: bool = False,
    every: int = 200,
    save_seconds: float = 15.0,
    device: str = "cpu",
) -> Iterator[State]:
    """`fit` into a folder: yields the state like it, and saves every few seconds and at the end.

    Args:
        config: the run.
        out: the run's folder; it must not hold a run yet, unless `resume`.
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
    checkpoint = read_checkpoint(out, config) if resume else None
    teacher = load(config.teacher) if config.row.taught and config.teacher else None
    saved = time.monotonic()
    for state in fit(config, teacher=teacher, resume=checkpoint, every=every, device=device):
        if distributed.rank() == 0 and (time.monotonic() - saved >= save_seconds or state.step == state.steps):
            save(state, out)
            saved = time.monotonic()
        yield state
