"""One figure of the samples of a map, for any problem: the shape of the samples chooses the kind of figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import torch
from matplotlib.figure import Figure
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics.kl import kl64
from flowmap_edu.problems import Checkerboard
from flowmap_edu.problems.problem import STEPS, Problem
from flowmap_edu.viz import plots

DRAWN = 20_000  # points in a panel


def draw(problem: Problem, X: FlowMap, path: str | Path, *, seed: int = 1) -> None:
    """Write a figure of the samples at 1, 2, 4, 8 and 16 steps, from the same noise, into a file.

        samples of shape     figure
        (1,)                 histograms next to that of the data
        (2,)                 densities next to that of the data; for the checkerboard with KL64 in each title
        (D,), D > 2          points along the two directions of largest variance of the data, next to the data
        (1 or 3, H, W)       images, a row for each number of steps

    With classes, the samples take all of them in turn.

    Args:
        problem: the problem that the map was trained on.
        X: the map.
        path: a file that matplotlib writes: .png, .pdf, .svg.
        seed: seed of the data and of the noise.

    Raises:
        ValueError: if the samples have another shape or are not finite, or matplotlib does not write files with
            this ending.
    """
    if isinstance(problem, Checkerboard):
        board_figure({"": X}, problem.sigma, path, seed=seed)
        return
    generator = torch.Generator().manual_seed(seed)
    if len(problem.shape) == 3 and problem.shape[0] in (1, 3):
        x0 = problem.base(20, generator)
        plots.images_figure(X, x0, torch.arange(20) % problem.classes if problem.classes else None, path, STEPS)
        return
    if len(problem.shape) != 1:
        raise ValueError(f"points (D,) and images (1 or 3, H, W) can be drawn, got samples of shape {problem.shape}")
    data, _ = problem.sample(DRAWN, generator)
    x0 = problem.base(DRAWN, generator)
    label = torch.arange(DRAWN) % problem.classes if problem.classes else None
    panels = {"data": data, **{steps(n): X.sample(x0, n, seed=seed, label=label) for n in STEPS}}
    for title, x in panels.items():
        checks.finite(title if title == "data" else f"samples at {title}", x)
    (densities if problem.shape == (2,) else points_figure)(panels).savefig(path)


def steps(n: int) -> str:
    """The number of steps in words: "1 step", "2 steps"."""
    return f"{n} step{'s' * (n > 1)}"


def densities(panels: Mapping[str, Tensor]) -> Figure:
    """Densities of sets of points (n, 2) side by side, on one square that holds all points."""
    every = torch.cat(list(panels.values()))
    low, high = every.amin(0), every.amax(0)
    x, y = ((low + high) / 2).tolist()
    half = 0.525 * (high - low).max().item() or 1.0
    with matplotlib.rc_context(plots.STYLE):
        figure = Figure(figsize=(1.9 * len(panels), 2.2))
        axes = figure.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True)[0]
        for (title, points), ax in zip(panels.items(), axes, strict=True):
            plots.density(ax, points, bins=64, half_width=half, centre=(x, y))
            ax.set_title(title)
    return figure


def points_figure(panels: Mapping[str, Tensor]) -> Figure:
    """Sets of points (n, D) side by side, on axes that hold all points.

    Histograms if D = 1, else at most 4,000 points of each set. If D > 2, the axes are the two directions of largest
    variance of the first set, and its mean is at 0.
    """
    shown = {title: x.detach().cpu() for title, x in panels.items()}
    first = next(iter(shown.values()))
    dim, mean = first.shape[1], first.mean(0)
    if dim > 2:
        directions = torch.linalg.eigh(torch.cov(first.T.double())).eigenvectors[:, -2:].flip(1)  # (D, 2)
        shown = {title: (x - mean).double() @ directions for title, x in shown.items()}
    every = torch.cat(list(shown.values()))
    low, high = every.amin(0), every.amax(0)
    middle, half = ((low + high) / 2).tolist(), 0.55 * (high - low).max().item() or 1.0
    with matplotlib.rc_context(plots.STYLE):
        figure = Figure(figsize=(1.9 * len(panels), 2.6 if dim > 2 else 2.2))
        axes = figure.subplots(1, len(panels), squeeze=False, sharex=True, sharey=True)[0]
        for (title, x), ax in zip(shown.items(), axes, strict=True):
            if dim == 1:
                span = (middle[0] - half, middle[0] + half)
                ax.hist(x[:, 0].numpy(), 60, range=span, density=True, color=plots.COLOURS[0])
                ax.set_xlim(*span)
            else:
                ax.plot(*x[:4000].T.numpy(), ".", ms=1.5, mew=0, color=plots.COLOURS[0])
                plots.window(ax, half, (middle[0], middle[1]))
            ax.set_title(title)
        if dim > 2:
            figure.supxlabel("the two directions of largest variance of the data", fontsize=9)
    return figure


def refinement(
    maps: Mapping[str, FlowMap], x0: Tensor, counts: Sequence[int] = STEPS, *, title: str | None = None
) -> Figure:
    """Densities of checkerboard maps at several numbers of steps, with KL64: a row for each map, the same noise x0.

    Args:
        maps: name to map.
        x0: draws from the base, shape (N, 2); 100,000 make a smooth picture.
        counts: the numbers of steps.
        title: the title of the figure.

    Raises:
        ValueError: if there is no map or no number of steps.
    """
    if not maps or not counts:
        raise ValueError(f"give at least one map and one number of steps, got {len(maps)} and {len(counts)}")
    with matplotlib.rc_context(plots.STYLE):
        figure = Figure(figsize=(1.9 * len(counts), 2.15 * len(maps) + (0.3 if title else 0)))
        axes = figure.subplots(len(maps), len(counts), squeeze=False, sharex=True, sharey=True)
        for (name, X), row in zip(maps.items(), axes, strict=True):
            for n, ax in zip(counts, row, strict=True):
                points = X.sample(x0, n)
                plots.board(ax, points)
                ax.set_title(f"{steps(n)}, KL64 {kl64(points).kl:.3f}")
            row[0].set_ylabel(name)
        if title:
            figure.suptitle(title)
    return figure


def board_figure(
    maps: Mapping[str, FlowMap], sigma: float, path: str | Path, *, n: int = 200_000, seed: int = 1
) -> None:
    """Write the `refinement` figure of checkerboard maps into a file."""
    x0 = sigma * torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))
    refinement(maps, x0, title=f"The same noise, carried by 1 to 16 steps ({n:,} points)").savefig(path)
