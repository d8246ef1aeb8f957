"""A run on disk: train into a folder, resume from it, load the map that it holds.

    DIR/config.json          problem, network, method, training; the step; the digests of the other files
    DIR/map.safetensors      the averaged weights: the map itself; map-<decay>.safetensors: the second average's
    DIR/tensors.safetensors  arrays among the problem's arguments, if there are any
    DIR/checkpoint.pt        all that resuming needs (read with weights_only=True: no code runs)
    DIR/checkpoint-before.pt the checkpoint of the save before, in case that the newest one is damaged
    DIR/history.csv          step, loss, gradient norm, CPU seconds
    DIR/.lock                held by the process that trains into the folder

All files change as one (files.py): a kill, a full disk or a crash at any moment leaves those of one step. A save moves
the checkpoint that is there to checkpoint-before.pt. If checkpoint.pt is missing or damaged when a run is resumed, a
warning says so: the run goes on from the one before, and all its files, the map too, become those of that step. While a
save is written the folder needs space for three checkpoints.

A resumed run gives the numbers of the unbroken run to the bit on the same number of CPU threads, the same kind of
processor and the same version of torch. What would change the mathematics (a setting, the data, the teacher) is
refused. What can change the last digits (threads, torch, the device) is named in a warning. Some settings may change on
the way (metadata.CHANGEABLE: the budget, lr, clip and what only saves time or memory): a warning names them, and
config.json keeps them with the step, as "changed".
"""

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from torch import nn

from flowmap_edu import _checks as checks
from flowmap_edu._shipped import shipped_folder
from flowmap_edu.methods import Method
from flowmap_edu.problems.problem import Problem
from flowmap_edu.training import distributed, files
from flowmap_edu.training.files import write
from flowmap_edu.training.loop import fit
from flowmap_edu.training.metadata import BEFORE, CHANGEABLE, KEPT, differences, document
from flowmap_edu.training.network import tried
from flowmap_edu.training.reading import load, newest_checkpoint, read_checkpoint, read_metadata, saved_step, shipped
from flowmap_edu.training.saving import PLACES, named, origin, save, saved_or_said, write_run
from flowmap_edu.training.state import State
from flowmap_edu.training.training import Training, check

__all__ = [
    "load",
    "newest_checkpoint",
    "read_checkpoint",
    "read_metadata",
    "save",
    "saved_step",
    "shipped",
    "shipped_folder",
    "train",
    "write",
]


SAVING = 0.02  # the largest share of the time that saving takes


def compare_origin(out: Path, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    """Refuse other data or another teacher than those a run began with; warn of what can change the last digits.

    Raises:
        ValueError: for other data or another teacher.
    """
    for name, what in (("data", "the data of its problem"), ("teacher_digest", f"the teacher in {there['teacher']}")):
        if name in there and there[name] != here[name]:
            raise ValueError(f"{out} cannot be resumed: {what} changed since it began, so its numbers would change")
    old, new = there.get("made_with") or {}, here["made_with"]
    if changed := [
        f"{name} {new[name]} instead of {old[name]}" for name in new if name in old and old[name] != new[name]
    ]:
        warnings.warn(f"{out} is resumed with {', '.join(changed)}: the last digits can differ", stacklevel=2)


def prepared(out: Path, resume: bool, asked: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Check that a claimed folder may be trained into; finish what a killed process left.

    Raises:
        ValueError: if it holds a run and resume is off, or none or another one and it is on.
    """
    if not resume:
        if there := [name for name in PLACES if (out / name).exists()]:
            raise ValueError(f"{out} already holds a run ({', '.join(there)}); resume it, or name another folder")
        return
    info = read_metadata(out)
    if differ := differences(info.document, asked, besides=CHANGEABLE):
        raise ValueError(f"{out} holds another run ({'; '.join(differ)})")
    compare_origin(out, info.header, about)
    files.tidy(out, info.digests | info.kept, KEPT)


def whole(out: Path, step: int) -> bool:
    """Whether a run's files are those of its checkpoint."""
    info = read_metadata(out)
    there = [name for name in info.digests if files.read(out, name, info.digests) is not None]
    return info.header["steps_done"] == step and there == list(info.digests) and (out / "map.safetensors").is_file()


def next_save(began: float, ended: float, least: float) -> float:
    """When the next save is due, after one that took from `began` to `ended`: it takes at most 2 % of the time.

    ended + max(least, (1 / 0.02 - 1) (ended - began)),   in seconds; at once where `least` is 0
    """
    return ended + (max(least, (1 / SAVING - 1) * (ended - began)) if least else 0.0)


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

    A save that fails costs a warning, and the next one tries again; if the last one fails, the run is written to
    another place, which the error names.

    Args:
        problem, net, method, training: the run.
        out: the run's folder; it must not hold a run yet, unless `resume`.
        teacher: the run, or the shipped map, that is the teacher of a method or a coupling that reads one.
        resume: go on from the folder's checkpoint, to the same numbers as an unbroken run if no setting changed.
        every: steps between yields; a checkpoint is written at a yield.
        save_seconds: least time between two checkpoints; it grows until saving takes at most 2 % of the time. 0 for
            one at every yield.
        device: as `fit`; of several processes, the first writes the files. During a save the others compute their
            shares of the next step and wait there (distributed.py).

    Raises:
        ValueError: if `out` holds a run and resume is off, or holds none or another and it is on; if another process
            trains into it; or as `fit`.
        OSError: if the folder cannot be made, or the finished run cannot be written there.
        DivergedError, MemoryShortError: as `fit`; the folder keeps the last good checkpoint, if there was one.
    """
    out = Path(out).expanduser()
    checks.at_least("save_seconds", save_seconds, 0.0)
    check(problem, net, method, training)
    training.check_parts(method, distributed.world())
    tried(net, problem)
    first, teacher = distributed.rank() == 0, distributed.together(lambda: named(teacher))
    about = distributed.together(lambda: origin(problem, net, training, teacher, device))
    with ExitStack() as held:

        def claim() -> None:
            held.enter_context(files.claimed(out))
            prepared(out, resume, document(problem, net, method, training)[0], about)

        distributed.once(claim)
        name = distributed.once(lambda: newest_checkpoint(out)) if resume else ""
        checkpoint = distributed.together(lambda: read_checkpoint(out, name)) if resume else None
        frozen = None if teacher is None else distributed.together(lambda: load(teacher))
        if first and checkpoint is not None and not whole(out, checkpoint["step"]):
            state = State(problem, net, method, training, frozen, distributed.device_of(device))
            state.restore(checkpoint)
            write_run(out, state, about, keep=name != BEFORE)
        due, trouble = time.monotonic() + save_seconds, False
        for state in fit(problem, net, method, training, teacher=frozen, resume=checkpoint, every=every, device=device):
            if first and ((began := time.monotonic()) >= due or state.step == state.steps):
                trouble = saved_or_said(state, out, about, trouble)
                due = next_save(began, time.monotonic(), save_seconds)
            yield state
