"""What a long run shows as it goes: pictures from the same noise, and TensorBoard's curves.

DIR/samples/step-00002000.png    rows of 1, 2, 4, 8 and 16 jumps, one noise (and class) in each column
DIR/fid.csv                      step, Fréchet distance of one jump
DIR/tensorboard/                 all of it, with loss, gradient norm and learning rate: `tensorboard --logdir DIR`
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.methods import Trained
from flowmap_edu.recipes.evaluation import base_noise, classes_in_turn
from flowmap_edu.recipes.named import STEPS
from flowmap_edu.training import distributed
from flowmap_edu.training.loop import base_of, learning_rate
from flowmap_edu.training.state import State, worked_on
from flowmap_edu.viz import plots

COLUMNS = 16


def drawn(state: State) -> FlowMap:
    """The averaged map as its row draws from it, for noise on the CPU."""
    X = worked_on(state.average.module, state.device)
    return Trained(X, state.config.row, base_of(state.config), state.config.seed)


def write_grid(state: State, out: Path) -> Path:
    """Write the sample grid of this step; the noise is the seed's, the same at every step."""
    x0 = base_noise(COLUMNS, state.config, state.config.seed)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"step-{state.step:08d}.png"
    plots.pictures_figure(drawn(state), x0, classes_in_turn(state.config, COLUMNS), path, STEPS)
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
    fid: Callable[[FlowMap], float] | None = None,
    tensorboard: bool = False,
) -> Iterator[State]:
    """Yield the states as they come, and write what they show into the run's folder; only the first process writes.

    Args:
        states: from `runs.train` or `training.fit`.
        out: the run's folder.
        grid_every: steps between two sample grids, rounded up to the states' own rhythm; None for none.
        fid_every, fid: the same for the one-step Fréchet distance, and what computes it.
        tensorboard: whether to log for TensorBoard.

    Raises:
        ValueError: if a number of steps is below 1, or grids are asked for of points in the plane.
        ImportError: if TensorBoard is asked for and not installed.
    """
    for name, every in (("grid_every", grid_every), ("fid_every", fid_every)):
        if every is not None:
            checks.count(name, every)
    if distributed.rank() > 0:
        yield from states
        return
    log: Any = None
    for state in states:
        if log is None and tensorboard:
            log = writer(out / "tensorboard", state.step)
        if due(state, grid_every):
            if not state.config.pictures:
                raise ValueError(f"sample grids are for pictures, this run is on {state.config.problem!r}")
            path = write_grid(state, out / "samples")
            if log:
                log.add_image("samples", plt.imread(path)[..., :3], state.step, dataformats="HWC")
        if fid and due(state, fid_every):
            distance = fid(drawn(state))
            with (out / "fid.csv").open("a") as file:
                file.write(f"{state.step},{distance}\n")
            if log:
                log.add_scalar("fid/1 step", distance, state.step)
        if log:
            log.add_scalar("loss", state.loss, state.step)
            log.add_scalar("gradient norm", state.grad_norm, state.step)
            log.add_scalar("learning rate", learning_rate(state.config, state.step, state.steps), state.step)
            log.flush()
        yield state
    if log:
        log.close()


def writer(folder: Path, step: int) -> Any:
    """TensorBoard's writer; what an earlier, broken run logged beyond this step is hidden."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ImportError("tensorboard is needed here: pip install 'flowmap-edu[images]'") from error
    return SummaryWriter(folder, purge_step=step)
