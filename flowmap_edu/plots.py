"""Figures: one style, and the pictures that the command line and the notebooks share."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from flowmap_edu import checks
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics import kl64

# Okabe & Ito 2008: eight colours that people with any common colour vision tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#F0E442")
SEQUENTIAL = "cividis"  # rises evenly in lightness: safe for colour-blind readers and in print
STYLE: Any = {
    "axes.prop_cycle": cycler(color=COLOURS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "figure.constrained_layout.use": True,
    "figure.dpi": 90,
    "font.size": 9,
    "image.cmap": SEQUENTIAL,
    "legend.frameon": False,
    "lines.markersize": 4,
    "savefig.dpi": 110,
}


def use_style() -> None:
    """Take the course's look for all figures drawn from here on."""
    matplotlib.rcParams.update(STYLE)


def density(ax: Axes, points: Tensor, *, bins: int = 96, half_width: float = 1.2, brightest: float = 0.8) -> None:
    """Draw the density of 2D points on [-half_width, half_width]^2; `brightest` is the density shown as white-most.

    The checkerboard's own density is 1/2 on its white squares.

    Raises:
        ValueError: if points has another shape than (N, 2).
    """
    checks.points("points", points)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"points must have shape (N, 2), got {tuple(points.shape)}")
    edges = np.linspace(-half_width, half_width, bins + 1)
    count = np.histogram2d(*points.detach().numpy().T, bins=(edges, edges))[0].T
    share = count / len(points) / (edges[1] - edges[0]) ** 2
    extent = (-half_width, half_width, -half_width, half_width)
    ax.imshow(share, origin="lower", extent=extent, vmin=0, vmax=brightest, interpolation="nearest")
    ax.set(aspect="equal", xticks=[-1, 0, 1], yticks=[-1, 0, 1])


def refinement(
    maps: Mapping[str, FlowMap], x0: Tensor, steps: Sequence[int] = (1, 2, 4, 8, 16), *, title: str | None = None
) -> Figure:
    """Samples of several maps at several numbers of jumps, from the same noise x0: a row a map.

    Args:
        maps: name to map.
        x0: draws from the base, shape (N, 2); 100,000 make a smooth picture.

    Raises:
        ValueError: if there is no map or no step count.
    """
    if not maps or not steps:
        raise ValueError(f"at least one map and one step count are wanted, got {len(maps)} and {len(steps)}")
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(1.9 * len(steps), 2.15 * len(maps) + (0.3 if title else 0)))
        axes = figure.subplots(len(maps), len(steps), squeeze=False, sharex=True, sharey=True)
        for (name, X), row in zip(maps.items(), axes, strict=True):
            for n, ax in zip(steps, row, strict=True):
                points = X.sample(x0, n)
                density(ax, points)
                ax.set_title(f"{n} step{'s' * (n > 1)}, KL64 {kl64(points).kl:.3f}")
            row[0].set_ylabel(name)
        if title:
            figure.suptitle(title)
    return figure


def board_figure(
    maps: Mapping[str, FlowMap], sigma: float, path: str | Path, *, n: int = 200_000, seed: int = 1
) -> None:
    """Write the `refinement` picture of checkerboard maps to a file."""
    x0 = sigma * torch.randn(n, 2, generator=torch.Generator().manual_seed(seed))
    refinement(maps, x0, title=f"The same noise, carried by 1 to 16 jumps ({n:,} points)").savefig(path)
