"""One figure of what a map makes, for any problem: by the shape of its samples."""

from pathlib import Path

import matplotlib
import torch
from matplotlib.figure import Figure
from torch import Tensor

from flowmap_edu.flow_map import FlowMap
from flowmap_edu.problems import Checkerboard
from flowmap_edu.problems.problem import STEPS, Problem
from flowmap_edu.viz import plots

DRAWN = 20_000  # points in a panel


def draw(problem: Problem, X: FlowMap, path: str | Path, *, seed: int = 1) -> None:
    """Write samples at 1, 2, 4, 8 and 16 steps from the same noise into a figure's file.

    Densities for points of the plane, histograms for numbers, the two directions of largest variance for other points,
    beside the data; a row of images for each number of steps, the classes in turn.

    Args:
        problem: what the map was trained on.
        X: the map.
        path: a file that matplotlib writes: .png, .pdf, .svg.
        seed: of the noise.

    Raises:
        ValueError: for samples of another shape, or another ending of the file.
    """
    if isinstance(problem, Checkerboard):
        plots.board_figure({"": X}, problem.sigma, path, seed=seed)
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
    panels = {"data": data, **{f"{n} step{'s' * (n > 1)}": X.sample(x0, n, seed=seed, label=label) for n in STEPS}}
    points_figure(panels).savefig(path)


def points_figure(panels: dict[str, Tensor]) -> Figure:
    """Sets of points (n, D) side by side on the same axes; the first one sets the axes."""
    first = next(iter(panels.values()))
    dim, mean = first.shape[1], first.mean(0)
    directions = torch.eye(dim)[:, :2] if dim <= 2 else torch.linalg.svd(first - mean, full_matrices=False)[2][:2].T
    with matplotlib.rc_context(plots.STYLE):
        figure = Figure(figsize=(1.9 * len(panels), 2.2))
        axes = figure.subplots(1, len(panels), sharex=True, sharey=True)
        half = 1.1 * ((first - mean) @ directions).abs().quantile(0.999).item()
        centre = (mean @ directions).tolist() if dim <= 2 else [0.0, 0.0]
        for (title, x), ax in zip(panels.items(), axes, strict=True):
            z = (x if dim <= 2 else x - mean) @ directions
            if dim == 1:
                ax.hist(z[:, 0].numpy(), 60, (centre[0] - half, centre[0] + half), density=True, color=plots.COLOURS[0])
            else:
                ax.plot(*z[:4000].T.numpy(), ".", ms=1.5, mew=0, color=plots.COLOURS[0])
                ax.set(ylim=(centre[1] - half, centre[1] + half), aspect="equal")
            ax.set(title=title, xlim=(centre[0] - half, centre[0] + half))
        if dim > 2:
            figure.supxlabel("the two directions of largest variance of the data", fontsize=9)
    return figure
