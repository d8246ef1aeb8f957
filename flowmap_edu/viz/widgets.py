"""The interactive figures for notebooks. This file holds the first of them, a slider over the number of jumps.

    from flowmap_edu import load
    from flowmap_edu.viz import widgets
    widgets.step_slider(load("checkerboard-lsd"), torch.randn(10_000, 2) / 3**0.5)

`step_slider`, `time_explorer`, `trajectory_player` and `loss_explorer` return an `interactive.Interactive`. Move it
by mouse or keys in JupyterLab, or by `.controls["steps"].value = 3` in Python. `.still()` is its picture for print.
`explorers.py` and `loss_explorer.py` hold the other three. `triangle` needs no kernel, as `live.checkerboard`.
"""

from collections.abc import Iterable
from typing import Any

import matplotlib
import torch
from matplotlib.figure import Figure
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics import errors, floor64, kl64
from flowmap_edu.problems.checkerboard import Checkerboard
from flowmap_edu.problems.exact import ExactFlow
from flowmap_edu.viz import plots
from flowmap_edu.viz.arguments import Maps, named, noise, reference
from flowmap_edu.viz.controls import WholeSlider
from flowmap_edu.viz.explorers import time_explorer, trajectory_player
from flowmap_edu.viz.interactive import Interactive, View, jumps, neighbours, table
from flowmap_edu.viz.loss_explorer import loss_explorer
from flowmap_edu.viz.panels import SCATTERED, Panels, bins
from flowmap_edu.viz.triangle import triangle

__all__ = ["Interactive", "loss_explorer", "step_slider", "time_explorer", "trajectory_player", "triangle"]

ERROR_POINTS = 256  # for the map error of a step slider
CHUNK = 1024  # points that a network takes at a time here: so few stay in the processor's cache
IMAGES = 40  # images in a sheet, at most


def step_slider(
    maps: Maps,
    x0: Tensor,
    steps: Iterable[int] = (1, 2, 4, 8, 16),
    label: Tensor | None = None,
    exact: ExactFlow | None = None,
) -> Interactive:
    """A slider over the number N of jumps: the samples of each map from the same noise.

    Points of the plane are drawn as a density and one by one, images as a sheet. The slider runs over
    1, ..., max(steps). The counts in `steps` are computed at once, the others when the reader visits them; while the
    kernel has nothing else to do, it computes the neighbours of the count that is shown.

    The axes of the plane hold 99.9 % of the points for all `steps`, and at least [-1.2, 1.2]^2 for the checkerboard.
    The table says how many points lie outside.

    Args:
        maps: one map, or several by name, shown side by side.
        x0: draws from the base, shape (B, 2) or (B, C, H, W); 10,000 points make a good picture.
        steps: the step counts that are ready from the start; the still picture shows them.
        label: classes, int64 of shape (B,), for maps that are conditioned on them.
        exact: the exact problem that the maps were trained on. The map error is then shown, and KL64 if it is the
            checkerboard. None: no score is shown.

    Returns:
        the slider; its control is "steps". The numbers of a view: "samples", and with exact "KL64" and "map error",
        each by the name of the map. With labels there is no map error, nor for maps that do not draw by equal jumps.

    Raises:
        ValueError: if x0 has another shape or no points, there is no map or one does not take such points, samples
            are not finite, a step count is below 1 or not whole, or label or exact does not fit.
    """
    x0 = noise(x0, "(B, 2) or (B, C, H, W)", (2, 4))
    plane = x0.ndim == 2
    steps = list(steps) if isinstance(steps, Iterable) else steps
    if not isinstance(steps, list) or not steps:
        raise ValueError(f"steps must list at least one step count, got {steps!r}")
    steps = sorted({checks.count("a step count", n) for n in steps})
    if label is not None and (not isinstance(label, Tensor) or label.shape != x0.shape[:1]):
        came = tuple(label.shape) if isinstance(label, Tensor) else type(label).__name__
        raise ValueError(f"label must have shape ({len(x0)},), one for each sample of x0, got {came}")
    if exact is not None and not plane:
        raise ValueError(f"exact is for points of the plane, and x0 has shape {tuple(x0.shape)}")
    truth = reference(exact)
    tried = named(maps, x0, label)

    chunk = {"chunk": CHUNK} if plane else {}

    def carried(n: int) -> dict[str, Tensor]:
        samples = {name: X.sample(x0, n, label=label, **chunk) for name, X in tried.items()}
        for x in samples.values():
            checks.finite("samples", x)
        return samples

    first = {n: carried(n) for n in steps}
    everything = [x for samples in first.values() for x in samples.values()]
    half = reach(everything, 1.2 if isinstance(truth, Checkerboard) else 0.0) if plane else 0.0
    panels = Panels(list(tried), x0, half) if plane else None

    def draw(n: int) -> View:
        samples = first.get(n) or carried(n)
        what = f"Samples of {', '.join(tried)} after {jumps(n)}"
        if panels is None:
            shown = min(len(x0), IMAGES)
            caption = f"{shown} of {len(x0)} images; the noise stays, the number of jumps changes"
            return View(draw_sheets(samples, n), f"{what}: {shown} images.", caption, {"samples": samples})
        numbers: dict[str, Any] = {"samples": samples}
        if isinstance(truth, Checkerboard):
            numbers["KL64"] = {name: kl64(x).kl for name, x in samples.items()}
        if truth is not None and label is None:
            numbers["map error"] = {
                name: errors.map_error(cast(X, x0), truth, steps=n, n=ERROR_POINTS)
                for name, X in tried.items()
                if X.sampler.name == "jumps"
            }
        scores = {
            name: {k: f"{numbers[k][name]:.4f}" for k in ("KL64", "map error") if name in numbers.get(k, {})}
            for name in tried
        }
        if isinstance(truth, Checkerboard):
            scores["exact draws"] = {"KL64": f"{floor64(len(x0)):.4f}", "map error": "0"}
        said = "; ".join(
            f"{name}: {', '.join(f'{k} {v}' for k, v in row.items())}" for name, row in scores.items() if row
        )
        alt = f"{what}: density, and the points coloured by the quarter of the plane they began in. {said}".strip()
        picture = panels.drawn(samples, scores, n)
        for name, x in samples.items():
            if outside := int((x.abs() > half).any(1).sum()):
                scores[name]["points outside the axes"] = f"{outside} of {len(x)}"
        return View(picture, alt, table(scores, jumps(n)), numbers)

    def still() -> bytes:
        return still_points(first, half) if plane else still_sheets(first)

    slider = WholeSlider(min=1, max=steps[-1], value=steps[0], description="jumps N")
    name_of_still = f"Samples of {', '.join(tried)} after {', '.join(map(str, steps))} jumps from the same noise"
    ready, ahead = [(n,) for n in steps], neighbours(1, steps[-1])
    return Interactive({"steps": slider}, draw, jumps, ready=ready, ahead=ahead, still=still, label=name_of_still)


def cast(X: FlowMap, like: Tensor) -> FlowMap:
    """X for points of any precision; it computes in the precision of `like`."""
    return FlowMap(lambda s, t, x: X.v(s.to(like), t.to(like), x.to(like)).to(x), X.sampler)


def reach(samples: Iterable[Tensor], least: float) -> float:
    """Half the side of the square around 0 that holds 99.9 % of the coordinates of each set, and at least `least`."""
    return max(least, *(1.1 * x[:SCATTERED].abs().quantile(0.999).item() for x in samples)) or 1.0


def still_points(samples: dict[int, dict[str, Tensor]], half: float) -> bytes:
    """Densities: a row for each map, a column for each step count."""
    names = list(next(iter(samples.values())))
    with matplotlib.rc_context(plots.STYLE):
        figure = Figure(figsize=(0.3 + 1.9 * len(samples), 0.2 + 2.1 * len(names)))
        axes = figure.subplots(len(names), len(samples), squeeze=False, sharex=True, sharey=True)
        for name, row in zip(names, axes, strict=True):
            for (n, drawn), ax in zip(samples.items(), row, strict=True):
                plots.density(ax, drawn[name], bins=bins(drawn[name]), half_width=half)
                ax.set_title(jumps(n))
            row[0].set_ylabel(name)
        return plots.as_png(figure, dpi=90)


def sheet(x: Tensor, columns: int = 10) -> Tensor:
    """Images (B, C, H, W) in rows for `plots.images`; white images fill the last row."""
    columns = min(columns, len(x))
    white = x.new_ones(-len(x) % columns, *x.shape[1:])
    return torch.cat([x, white]).unflatten(0, (-1, columns))


def draw_sheets(samples: dict[str, Tensor], n: int) -> bytes:
    """A sheet for each map with its first images."""
    return sheets({f"{name}, {jumps(n)}": sheet(x[:IMAGES]) for name, x in samples.items()})


def still_sheets(samples: dict[int, dict[str, Tensor]]) -> bytes:
    """A sheet for each map: a row of ten images for each step count, from the same noise."""
    names = next(iter(samples.values()))
    counts = ", ".join(map(str, samples))
    rows = {name: torch.stack([drawn[name][:10] for drawn in samples.values()]) for name in names}
    return sheets({f"{name}; N = {counts} from top to bottom": x for name, x in rows.items()})


def sheets(by_title: dict[str, Tensor]) -> bytes:
    """Sheets of images, (rows, columns, C, H, W) each, side by side under their titles."""
    rows, columns = next(iter(by_title.values())).shape[:2]
    with matplotlib.rc_context(plots.STYLE):
        figure = Figure(figsize=(max(3.4, 0.5 * columns) * len(by_title), 0.5 * rows + 0.3))
        for ax, (title, x) in zip(figure.subplots(1, len(by_title), squeeze=False)[0], by_title.items(), strict=True):
            plots.images(ax, x)
            ax.set_title(title)
        return plots.as_png(figure, dpi=90)
