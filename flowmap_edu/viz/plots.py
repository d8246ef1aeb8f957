"""Figures: one style, and the parts of figures that the command line and the notebooks share."""

import io
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import torch
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu._threads import chosen
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.viz import alternative

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
    """Use the style of the course for all later figures; in a notebook, keep their words with them.

    It also hides one warning: the forward mode of torch calls a part of torch that is deprecated. And it takes one CPU
    thread, unless OMP_NUM_THREADS or torch.set_num_threads names a number: the lessons' networks are small.
    """
    if not chosen():
        torch.set_num_threads(1)
    alternative.keep_with_pictures()
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated")
    matplotlib.rcParams.update(STYLE)


def window(ax: Axes, half_width: float, centre: tuple[float, float] = (0.0, 0.0)) -> None:
    """Show the square of this half width around a centre, with equal scales and few ticks."""
    (left, right), (bottom, top) = ((c - half_width, c + half_width) for c in centre)
    ax.set(aspect="equal", xlim=(left, right), ylim=(bottom, top))
    ax.locator_params(nbins=4)


def density(
    ax: Axes,
    points: Tensor,
    *,
    bins: int = 96,
    half_width: float | None = None,
    centre: tuple[float, float] = (0.0, 0.0),
    brightest: float | None = None,
) -> None:
    """Draw the density of points of the plane as a histogram on a square.

    Args:
        ax: the axes to draw on.
        points: shape (N, 2), in data units.
        bins: number of bins along each side.
        half_width: half the side of the square, in data units; None: the square holds every point.
        centre: the centre of the square.
        brightest: the density with the lightest colour; None: the 99.5 % quantile of the bins that are not empty.
            The density of the checkerboard is 1/2 on its squares: 0.8 shows it well.

    Raises:
        ValueError: if points has another shape than (N, 2), holds no point, or is not finite.
    """
    checks.points("points", points)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points):
        raise ValueError(f"points must have shape (N, 2) with at least one point, got {tuple(points.shape)}")
    checks.finite("points", points)
    if half_width is None:
        half_width = 1.05 * float((points.detach() - points.new_tensor(centre)).abs().max()) or 1.0
    share, lightest = histogram(points, bins, half_width, centre)
    extent = tuple(c + side for c in centre for side in (-half_width, half_width))
    how: Any = {"origin": "lower", "extent": extent, "interpolation": "nearest"}
    ax.imshow(share, vmin=0, vmax=lightest if brightest is None else brightest, **how)
    window(ax, half_width, centre)


def histogram(points: Tensor, bins: int, half: float, centre: tuple[float, float] = (0, 0)) -> tuple[np.ndarray, float]:
    """The density of points (N, 2) in bins x bins squares, [y, x], and the 99.5 % quantile of those not empty."""
    x, y = (np.linspace(c - half, c + half, bins + 1) for c in centre)
    count = np.histogram2d(*points.detach().cpu().numpy().T, bins=(x, y))[0].T
    share = count / len(points) / (2 * half / bins) ** 2
    return share, float(np.quantile(share[share > 0], 0.995)) if share.any() else 1.0


def board(ax: Axes, points: Tensor, *, bins: int = 96) -> None:
    """Draw the density of points of the checkerboard on [-1.2, 1.2]^2; 0.8 has the lightest colour."""
    density(ax, points, bins=bins, half_width=1.2, brightest=0.8)


def arrows(
    ax: Axes,
    velocity: Callable[[float, Tensor], Tensor],
    t: float,
    *,
    half_width: float = 1.2,
    n: int = 17,
    colour: str = COLOURS[6],
    seconds: float = 0.1,
) -> None:
    """Draw a velocity field at time t as n x n arrows; each shows how far a point moves in the time `seconds`."""
    axis = torch.linspace(-half_width, half_width, n, dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis)  # (n^2, 2)
    with torch.no_grad():
        b = velocity(t, x)
    how: Any = {"angles": "xy", "scale_units": "xy", "scale": 1 / seconds, "width": 0.004, "color": colour}
    ax.quiver(*x.T.numpy(), *b.T.numpy(), **how)
    ax.set(aspect="equal", xlim=(-half_width, half_width), ylim=(-half_width, half_width))
    ax.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1])


def paths(ax: Axes, path: Tensor, *, colour: str = COLOURS[0], marks: bool = True, label: str | None = None) -> None:
    """Draw B paths in the plane, shape (N + 1, B, 2), as `FlowMap.trajectory` returns them.

    Each path starts at an open circle and ends at a full one; `marks=False` leaves the circles out.
    """
    lines = path.detach().transpose(0, 1).numpy()  # (B, N + 1, 2)
    ax.add_collection(LineCollection(list(lines), colors=colour, linewidths=0.9, alpha=0.8, label=label))
    if marks:
        ax.scatter(*lines[:, 0].T, s=14, facecolors="white", edgecolors=colour, linewidths=0.9, zorder=3)
        ax.scatter(*lines[:, -1].T, s=14, color=colour, zorder=3)
    ax.autoscale_view()
    ax.set_aspect("equal")


def squares(ax: Axes) -> None:
    """Shade the eight squares that hold the mass of the checkerboard."""
    for i in range(4):
        for j in range(i % 2, 4, 2):
            ax.fill_between([i / 2 - 1, i / 2 - 0.5], j / 2 - 1, j / 2 - 0.5, color="0.85", lw=0, zorder=0)


def net(half_width: float = 1.2, lines: int = 13, points: int = 121) -> Tensor:
    """A square net of lines to send through a map: shape (2 lines, points, 2); flatten(0, 1) gives its points."""
    across, along = (torch.linspace(-half_width, half_width, n, dtype=torch.float64) for n in (lines, points))
    columns = torch.cartesian_prod(across, along).reshape(lines, points, 2)  # line k lies at x = across[k]
    return torch.cat([columns, columns.flip(-1)])


def threads(ax: Axes, carried: Tensor, *, colours: Sequence[str] = COLOURS[:2], width: float = 0.7) -> None:
    """Draw a net of `net`, or its image under a map, shape (2 lines, points, 2), in two colours."""
    for part, colour in zip(carried.detach().chunk(2), colours, strict=True):
        ax.add_collection(LineCollection(list(part.numpy()), colors=colour, linewidths=width))
    ax.autoscale_view()
    ax.set_aspect("equal")


def torn(carried: Tensor, farthest: float = 0.2) -> Tensor:
    """A net's lines, shape (lines, points, 2), with a hole between neighbours that are farther apart than that."""
    gap = carried.diff(dim=1).norm(dim=-1, keepdim=True) > farthest
    hole = torch.cat([gap, torch.zeros_like(gap[:, :1])], 1)
    return torch.stack([carried, carried.masked_fill(hole, math.nan)], 2).flatten(1, 2)


def over_times(ax: Axes, values: Tensor, *, low: float | None = None, high: float | None = None) -> AxesImage:
    """Draw positive numbers on a grid of times as colours on a logarithmic scale: row s, column t, nan left blank.

    One entry of `metrics.residuals` is such a grid. Pass the returned image to `figure.colorbar`.

    Raises:
        ValueError: if values is not a square.
    """
    if values.ndim != 2 or len(values) != values.shape[1]:
        raise ValueError(f"values must have shape (times, times), got {tuple(values.shape)}")
    half = 0.5 / max(1, len(values) - 1)
    extent = (-half, 1 + half, -half, 1 + half)
    shown = values.detach().clamp(min=low).numpy() if low else values.detach().numpy()
    image = ax.imshow(shown, origin="lower", extent=extent, norm=LogNorm(low, high), interpolation="nearest")
    ax.set(xlabel="end time t", ylabel="start time s", xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    return image


def against_steps(
    ax: Axes, curves: Mapping[str, Mapping[int, float]], *, ylabel: str = "KL64", floor: float | None = None
) -> None:
    """Draw curves, step count to value, on logarithmic axes; the dashed line `floor` is the score of exact draws."""
    for k, (name, curve) in enumerate(curves.items()):
        ax.loglog(list(curve), list(curve.values()), marker="os^Dv<>"[k % 7], label=name)
    if floor is not None:
        ax.axhline(floor, color="0.5", ls="--", lw=1, label="exact draws")
    ticks = sorted({n for curve in curves.values() for n in curve})
    ax.set_xticks(ticks, [str(n) for n in ticks])
    ax.minorticks_off()
    ax.set(xlabel="number of steps", ylabel=ylabel)
    ax.legend()


def images(ax: Axes, x: Tensor) -> AxesImage:
    """Draw images as one sheet: x of shape (rows, columns, C, H, W) in [-1, 1], thin white lines between them.

    Raises:
        ValueError: if x has another number of axes, or C is neither 1 nor 3.
    """
    ax.set_axis_off()
    return ax.imshow(grid(x), interpolation="nearest")


def grid(x: Tensor) -> np.ndarray:
    """Images (rows, columns, C, H, W) in [-1, 1] as one image (height, width, 3) in [0, 1], checked for `images`."""
    if x.ndim != 5 or x.shape[2] not in (1, 3):
        raise ValueError(f"images must have shape (rows, columns, 1 or 3, H, W), got {tuple(x.shape)}")
    make_grid = checks.extra("torchvision.utils", "images").make_grid
    flat = x.detach().cpu().flatten(0, 1).clamp(-1, 1) / 2 + 0.5
    return make_grid(flat, nrow=x.shape[1], padding=1, pad_value=1.0).permute(1, 2, 0).numpy()


def sheet(x: Tensor, path: str | Path) -> None:
    """Write images (N, C, H, W) in [-1, 1] into one PNG file, pixel by pixel, in rows that make about a square.

    Raises:
        ValueError: if x has another number of axes, holds no image, or C is neither 1 nor 3.
    """
    if x.ndim != 4 or not len(x):
        raise ValueError(f"images must have shape (N, 1 or 3, H, W) with at least one image, got {tuple(x.shape)}")
    columns = math.ceil(math.sqrt(len(x)))
    white = x.new_ones(-len(x) % columns, *x.shape[1:])
    plt.imsave(path, grid(torch.cat([x, white]).unflatten(0, (-1, columns))))


def images_figure(
    X: FlowMap, x0: Tensor, label: Tensor | None, path: str | Path, steps: Sequence[int] = (1, 2, 4, 8, 16)
) -> None:
    """Write a figure into a file: a row for each number of steps; a column has the same noise (and label, if any).

    Raises:
        ValueError: if matplotlib does not write files with this ending.
    """
    figure = Figure(figsize=(0.5 * len(x0), 0.55 * len(steps)), layout="constrained")
    ax = figure.subplots()
    images(ax, torch.stack([X.sample(x0, n, label=label) for n in steps]))
    for i, n in enumerate(steps):
        middle = (i + 0.5) / len(steps)
        ax.text(-0.01, 1 - middle, f"N = {n}", transform=ax.transAxes, ha="right", va="center", fontsize=9)
    figure.savefig(path)


def as_png(figure: Any, dpi: int = 80) -> bytes:
    """The figure as the bytes of a PNG file; a figure of pyplot is closed."""
    figure.savefig(buffer := io.BytesIO(), format="png", dpi=dpi)
    plt.close(figure)
    return buffer.getvalue()
