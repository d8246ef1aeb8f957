"""Reading a run's folder: what it says of itself, its map, its checkpoint."""

import io
import json
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor, nn

from flowmap_edu import _checks as checks
from flowmap_edu import sample
from flowmap_edu._shipped import shipped_folder
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.nets.unet import renamed_keys
from flowmap_edu.training import distributed, files, format1
from flowmap_edu.training.metadata import BEFORE, CHECKPOINT, RunInfo, parsed
from flowmap_edu.training.network import on_device


def shipped() -> list[str]:
    """The names that `load` knows."""
    return sorted(path.parent.name for path in shipped_folder().glob("*/map.safetensors"))


def folder_of(name: str | Path) -> Path:
    """The folder that `name` means: a path, or the name of a shipped map.

    Raises:
        ValueError: if it is neither.
    """
    for folder in (Path(name).expanduser(), shipped_folder() / str(name)):
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
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    return parsed(content, folder)


def saved_step(out: str | Path) -> int | None:
    """The step from which the run in a folder can be resumed; None if nothing was saved there."""
    try:
        info = read_metadata(out)
    except (ValueError, OSError):
        return None
    return info.header["steps_done"] if any(info.folder.glob("checkpoint*")) else None


def read_file(name: str | Path, file: str) -> tuple[RunInfo, bytes]:
    """What config.json of a run says, and the file of the same save; a save that is under way is waited for.

    Raises:
        ValueError: if the file is missing, or is not the one that was written with config.json.
    """
    for seconds in (0.0, 0.02, 0.1, 0.5):
        time.sleep(seconds)
        info = read_metadata(name)
        content = files.read(info.folder, file, info.digests)
        if content is not None:
            return info, content
    path = info.folder / file
    why = "is not the file that was written with config.json" if path.is_file() else "is missing"
    hint = "; `flowmap-edu train --resume` writes it again from the checkpoint" if file != "checkpoint.pt" else ""
    raise ValueError(f"{path} {why}{hint if (info.folder / 'checkpoint.pt').is_file() else ''}")


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
    training = read_metadata(name).training
    if ema is not None:
        checks.one_of("ema", ema, [d for d in (training.ema, training.second_ema) if d is not None])
    file = "map.safetensors" if ema in (None, training.ema) else f"map-{ema}.safetensors"
    info, content = read_file(name, file)
    net, there = info.network() if net is None else net, distributed.device_of(device)
    try:
        held = load_tensors(content)
        fill(net, renamed_keys(held) if info.header["format"] == 1 else held)
    except (ValueError, SafetensorError, RuntimeError) as error:
        raise ValueError(f"{info.folder / file} is damaged, or the map of another network: {error}") from error
    how = sample.sampler(info.method.sampler, info.sigma, training.interpolant)
    return on_device(net.eval().requires_grad_(False).to(there), there, how, training.interpolant)


def fill(net: nn.Module, held: Mapping[str, Tensor]) -> None:
    """Give a network its weights.

    Raises:
        ValueError: if one has another type than the network's own, or is not finite.
        RuntimeError: if one is missing, unknown or of another shape.
    """
    for name, own in net.state_dict().items():
        full = {torch.float32, torch.float64}  # a network made in double precision takes either
        if name in held and held[name].dtype != own.dtype and not {held[name].dtype, own.dtype} <= full:
            raise ValueError(f"{name} must be {own.dtype}, got {held[name].dtype}")
        if name in held and held[name].is_floating_point():
            checks.finite(name, held[name])
    net.load_state_dict(held)


def newest_checkpoint(out: Path) -> str:
    """The name of the checkpoint to go on from; a warning says if it is the one before, since the newest is damaged.

    Raises:
        ValueError: if neither is the file that config.json means.
    """
    try:
        read_file(out, CHECKPOINT)
    except (ValueError, OSError) as error:
        info = read_metadata(out)
        if not info.kept:
            raise
        step = info.header["before"].get("steps_done")
        if files.read(out, BEFORE, info.kept) is None:
            raise ValueError(f"{error}; {BEFORE}, the one before, is missing or damaged as well") from error
        warnings.warn(f"{error}. The run goes on from the checkpoint before it, of step {step}", stacklevel=2)
        return BEFORE
    return CHECKPOINT


def read_checkpoint(out: Path, name: str = CHECKPOINT) -> dict[str, Any]:
    """A checkpoint of the run in `out`.

    Raises:
        ValueError: if there is none, or it is damaged.
    """
    if name == BEFORE:
        content = files.read(out, BEFORE, read_metadata(out).kept)
    else:
        _, content = read_file(out, name)
    try:
        return format1.checkpoint(torch.load(io.BytesIO(content or b""), weights_only=True, map_location="cpu"))
    except Exception as error:  # torch raises many kinds for a damaged file
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"{out / name} is damaged: {reason}") from error
