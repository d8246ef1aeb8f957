"""What a long run shows as it goes: images from the same noise, and TensorBoard's curves.

DIR/samples/step-00002000.png    rows of 1, 2, 4, 8 and 16 jumps, one noise (and class) in each column
DIR/fid.csv                      step, Fréchet distance of one jump
DIR/tensorboard/                 all of it, with loss, gradient norm and learning rate: `tensorboard --logdir DIR`
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import torch

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.problems.problem import STEPS
from flowmap_edu.training import State, distributed
from flowmap_edu.training.files import write
from flowmap_edu.viz import plots

COLUMNS = 16


def write_grid(state: State, out: Path) -> Path:
    """Write the sample grid of this step; the noise is the seed's, the same at every step."""
    problem = state.problem
    x0 = problem.base(COLUMNS, torch.Generator().manual_seed(state.training.seed))
    label = torch.arange(COLUMNS) % problem.classes if problem.classes else None
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"step-{state.step:08d}.png"
    plots.images_figure(state.X, x0, label, path, STEPS)
    return path


def due(state: State, every: int | None) -> bool:
    """Whether a multiple of `every` lies between the yield before this one and this one, or the run is at its end."""
    before = state.history[-2][0] if len(state.history) > 1 else 0
    return every is not None and (state.step // every > before // every or state.step == state.steps)


def watched(
    states: Iterator[State],
    out: Path,
    *,
    grid_every: int | None = None,
    fid_every: int | None = None,
    fid: Callable[[FlowMap], float | None] | None = None,
    tensorboard: bool = False,
) -> Iterator[State]:
    """Yield the states as they come, and write what they show into the run's folder; only the first process writes.

    Args:
        states: from `training.train` or `fit`.
        out: the run's folder.
        grid_every: steps between two sample grids, rounded up to the states' own rhythm; None for none.
        fid_every, fid: the same for the one-step Fréchet distance, and what computes it. A process other than the
            first calls it too, and drops what it gives: None there for a distance that the first computes alone.
        tensorboard: whether to log for TensorBoard.

    Raises:
        ValueError: if a number of steps is below 1, or grids are asked for of samples that are no images.
        ImportError: if TensorBoard is asked for and not installed.
    """
    for name, every in (("grid_every", grid_every), ("fid_every", fid_every)):
        if every is not None:
            checks.count(name, every)
    if distributed.rank() > 0:
        for state in states:
            if fid and due(state, fid_every):
                fid(state.X)
            yield state
        return
    log: Any = None
    begun = False
    for state in states:
        if log is None and tensorboard:
            log = writer(out / "tensorboard", state.step)
        if not begun and fid:
            forget(out / "fid.csv", state.step)
        begun = True
        if due(state, grid_every):
            if len(state.problem.shape) != 3:
                raise ValueError(f"sample grids are for images, this run's samples have shape {state.problem.shape}")
            path = write_grid(state, out / "samples")
            if log:
                log.add_image("samples", plt.imread(path)[..., :3], state.step, dataformats="HWC")
        if fid and due(state, fid_every):
            distance = fid(state.X)
            with (out / "fid.csv").open("a", encoding="utf-8") as file:
                file.write(f"{state.step},{distance}\n")
            if log:
                log.add_scalar("fid/1 step", distance, state.step)
        if log:
            log.add_scalar("loss", state.loss, state.step)
            log.add_scalar("gradient norm", state.grad_norm, state.step)
            log.add_scalar("learning rate", state.training.lr * state.rate(state.step), state.step)
            log.flush()
        yield state
    if log:
        log.close()


def forget(path: Path, step: int) -> None:
    """Drop the rows from a step on, which a resumed run computes again."""
    if path.is_file():
        rows = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [row for row in rows if row.endswith("\n") and int(row.partition(",")[0]) < step]
        write(path, "".join(kept).encode())


def writer(folder: Path, step: int) -> Any:
    """TensorBoard's writer; what an earlier, broken run logged beyond this step is hidden."""
    return checks.extra("torch.utils.tensorboard", "images").SummaryWriter(folder, purge_step=step)
