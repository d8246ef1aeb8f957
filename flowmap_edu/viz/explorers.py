"""Two interactive figures of the plane: the map between any two times, and paths against the exact curves."""

import math

import matplotlib
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics import errors
from flowmap_edu.problems.checkerboard import Checkerboard
from flowmap_edu.problems.exact import ExactFlow
from flowmap_edu.viz import plots
from flowmap_edu.viz.arguments import Maps, named, noise, reference
from flowmap_edu.viz.controls import RealSlider, WholeSlider
from flowmap_edu.viz.interactive import Interactive, View, jumps, neighbours, table

PATHS = 48  # paths drawn, at most
DRAWS = 256  # points for the residuals at one (s, t)
FINE = 1e-6  # tolerance of an exact map that is drawn: no error can be seen

# --- two times -------------------------------------------------------------------------------------


def time_explorer(X: FlowMap, exact: ExactFlow | None = None) -> Interactive:
    r"""Two sliders, s <= t: where X_{s,t} takes a net of points, next to where the exact map takes it.

    The table shows the residuals of the three conditions at this (s, t), the root of the mean square of

        d/dt X_{s,t}(x) - v_{t,t}(X_{s,t}(x)),
        d/ds X_{s,t}(x) + grad X_{s,t}(x) v_{s,s}(x),
        X_{s,t}(x) - X_{u,t}(X_{s,u}(x)),  u = (s + t) / 2,

    where v_{t,t} is the diagonal of X itself. `metrics.residuals` computes them on a grid of times.

    Args:
        X: a map of the plane.
        exact: an exact problem. With it, x are 256 draws of I_s; without it, the points of the net. Its map is an
            ODE solve.

    Returns:
        the sliders; the controls are "s" and "t". A slider that passes the other one moves it too. The numbers of
        a view: "carried" and "exact", shape (18, 41, 2), "points" and "residuals".

    Raises:
        ValueError: if X is no map of the plane, or exact is no exact problem of the plane.
    """
    truth = reference(exact)
    net = plots.net(lines=9, points=41).to(torch.get_default_dtype())  # (18, 41, 2)
    grid = net.flatten(0, 1)
    named(X, grid)

    def draw(s: float, t: float) -> View:
        with torch.no_grad():
            panels = {"at time s": net, "X": X(s, t, grid).reshape(net.shape)}
            if truth is not None:
                panels["exact"] = truth.flow_map(s, t, grid, tolerance=FINE).reshape(net.shape)
            seeded = torch.Generator().manual_seed(0)
            x = net[:9, ::5].flatten(0, 1) if truth is None else errors.at_time(truth, s, DRAWS, seeded)[0]
            squares = errors.residuals_at(X, torch.full((len(x),), s), torch.full((len(x),), t), x)
        names = {"lagrangian": "Lagrangian", "eulerian": "Eulerian", "semigroup": "semigroup"}
        residuals = {names[name]: square.mean().sqrt().item() for name, square in squares.items()}
        numbers = {"carried": panels["X"], "exact": panels.get("exact"), "points": x, "residuals": residuals}
        told = {name: f"{r:.3e}" for name, r in residuals.items()}
        said = ", ".join(f"{name} {text}" for name, text in told.items())
        alt = f"A net of lines at time {s:.2f} and where the map takes it by time {t:.2f}"
        if truth is not None:
            off = (panels["X"] - panels["exact"]).square().sum(-1).mean().sqrt().item()
            alt += f", beside the exact map; they are {off:.3f} apart in the root mean square"
        where = "the net's points" if truth is None else f"{DRAWS} draws of I_s"
        caption = table({"residual": told}, f"over {where}")
        return View(
            draw_nets(panels, s, t, isinstance(truth, Checkerboard)), f"{alt}. Residuals: {said}.", caption, numbers
        )

    def arrange(which: str) -> None:
        if s.value > t.value:
            (t if which == "s" else s).value = (s if which == "s" else t).value

    how = {"min": 0.0, "max": 1.0, "step": 0.05, "continuous_update": truth is None}
    s = RealSlider(value=0.0, description="start time s", **how)
    t = RealSlider(value=1.0, description="end time t", **how)
    return Interactive({"s": s, "t": t}, draw, lambda s, t: f"from s = {s:.2f} to t = {t:.2f}", arrange=arrange)


def draw_nets(panels: dict[str, Tensor], s: float, t: float, board: bool) -> bytes:
    """Nets side by side on the same axes; dots mark every fifth point of the lines in one direction."""
    titles = {
        "at time s": f"a net at time s = {s:.2f}",
        "X": f"carried by the map to t = {t:.2f}",
        "exact": "carried by the exact map",
    }
    reach = max(1.5, *(1.05 * net.abs().max().item() for net in panels.values()))
    wide = 2.75 * len(panels)
    with matplotlib.rc_context(plots.STYLE | {"figure.constrained_layout.use": False}):  # it takes half the time
        figure = Figure(figsize=(wide, 2.9))
        figure.subplots_adjust(
            left=0.45 / wide, right=1 - 0.15 / wide, bottom=0.25 / 2.9, top=1 - 0.25 / 2.9, wspace=0.1
        )
        for ax, (name, net) in zip(figure.subplots(1, len(panels), sharey=True), panels.items(), strict=True):
            if board and name != "at time s":
                plots.squares(ax)
            plots.threads(ax, plots.torn(net, 0.35) if name == "exact" else net)  # the exact map may tear a line
            ax.plot(*net[:9, ::5].flatten(0, 1).T.numpy(), ".", ms=3, color=plots.COLOURS[6])
            ax.set(title=titles[name], xlim=(-reach, reach), ylim=(-reach, reach), xticks=[-1, 0, 1], yticks=[-1, 0, 1])
        return plots.as_png(figure, dpi=90)


# --- paths -----------------------------------------------------------------------------------------


def trajectory_player(maps: Maps, x0: Tensor, exact: ExactFlow | None = None) -> Interactive:
    """The paths of some points under N = 1, ..., 16 jumps and the exact curves, with a button that plays them.

    Args:
        maps: one map, or several by name, shown side by side.
        x0: draws from the base, shape (B, 2); the paths of the first 48 are drawn.
        exact: the exact problem whose curves X*_{0,t}(x0) are drawn too; None: no curves.

    Returns:
        the player; its control is "steps". The numbers of a view: "paths", shape (N + 1, B, 2) by the name of the
        map, "curves", shape (33, B, 2), and "distance" by the name of the map, the root mean square distance
        between the ends of the paths and the ends of the curves.

    Raises:
        ValueError: if x0 has another shape or no points, there is no map or one does not take such points, or exact
            is no exact problem of the plane.
    """
    x0 = noise(x0, "(B, 2)", (2,))[:PATHS]
    truth, tried = reference(exact), named(maps, x0)
    times = torch.linspace(0, 1, 33, dtype=x0.dtype)
    curves = None
    if truth is not None:  # one solve for all times
        ends = truth.flow_map(0.0, times.repeat_interleave(len(x0)), x0.repeat(33, 1), tolerance=FINE)
        curves = ends.unflatten(0, (33, -1))

    def draw(n: int) -> View:
        paths = {name: X.trajectory(x0, n) for name, X in tried.items()}
        numbers = {"paths": paths, "curves": curves, "distance": {}}
        alt = f"The paths of {len(x0)} points under {jumps(n)} by {', '.join(tried)}"
        caption = f"The first {len(x0)} points, from open circles to full ones."
        if curves is not None:
            off = {k: math.sqrt((path[-1] - curves[-1]).square().sum(1).mean().item()) for k, path in paths.items()}
            numbers["distance"] = off
            alt += "; distance of their ends from the exact ones: " + ", ".join(f"{k} {d:.4f}" for k, d in off.items())
            caption += " Exact curves are orange." + table(
                {k: {"distance of the ends, root mean square": f"{d:.4f}"} for k, d in off.items()}, jumps(n)
            )
        return View(draw_paths({n: paths}, curves, isinstance(truth, Checkerboard)), f"{alt}.", caption, numbers)

    def still() -> bytes:
        by_steps = {n: player.views[n,].numbers["paths"] for n in (1, 4, 16)}
        return draw_paths(by_steps, curves, isinstance(truth, Checkerboard))

    slider = WholeSlider(min=1, max=16, value=1, description="jumps N", interval=700)
    ready, ahead = [(1,), (4,), (16,)], neighbours(1, 16)
    label = f"The paths of {len(x0)} points under 1, 4 and 16 jumps by {', '.join(tried)}"
    player = Interactive({"steps": slider}, draw, jumps, ready=ready, ahead=ahead, still=still, label=label)
    return player


def draw_paths(by_steps: dict[int, dict[str, Tensor]], curves: Tensor | None, board: bool) -> bytes:
    """Paths over the exact curves: a row for each number of jumps, a column for each map."""
    panels = [(n, name, path) for n, paths in by_steps.items() for name, path in paths.items()]
    drawn = [path for _, _, path in panels] + ([] if curves is None else [curves])
    reach = 1.08 * max(x.abs().max().item() for x in drawn)
    columns = len(panels) if len(panels) == len(by_steps) else len(panels) // len(by_steps)
    with matplotlib.rc_context(plots.STYLE):
        figure = Figure(figsize=(3.2 * columns, 3.4 * (len(panels) // columns) + 0.3))
        axes = figure.subplots(len(panels) // columns, columns, squeeze=False, sharex=True, sharey=True).flat
        for ax, (n, name, path) in zip(axes, panels, strict=True):
            draw_one(ax, path, curves, board)
            ax.set(title=f"{name}, {jumps(n)}", xlim=(-reach, reach), ylim=(-reach, reach))
            ax.set(xlabel="first coordinate", ylabel="second coordinate")
            ax.label_outer()
        if curves is not None:
            figure.suptitle("blue: by jumps; orange: the exact curves", fontsize=9)
        return plots.as_png(figure, dpi=90)


def draw_one(ax: Axes, path: Tensor, curves: Tensor | None, board: bool) -> None:
    """The paths of one map, with a dot after each jump, over the exact curves in another colour."""
    if board:
        plots.squares(ax)
    if curves is not None:
        plots.paths(ax, curves, colour=plots.COLOURS[4], marks=False)
    plots.paths(ax, path, colour=plots.COLOURS[0])
    ax.plot(*path[1:-1].flatten(0, 1).T.numpy(), ".", ms=3, color=plots.COLOURS[0])
