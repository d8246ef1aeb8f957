"""The three conditions of a flow map as three gestures on one picture in the (t, x) plane."""

from collections.abc import Sequence

import torch
from matplotlib.axes import Axes

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics.errors import CONDITIONS
from flowmap_edu.viz.plane import arrow, bar, dot, legend, plane, point, segment
from flowmap_edu.viz.plots import COLOURS

COLOUR = dict(zip(CONDITIONS, (COLOURS[0], COLOURS[1], COLOURS[2]), strict=True))


def gestures(
    X: FlowMap,
    s: float,
    u: float,
    t: float,
    x: float,
    ax: Axes | None = None,
    *,
    which: Sequence[str] = CONDITIONS,
    step: float = 0.15,
) -> Axes:
    """Draw the jump from (s, x) to time t, and what each condition says about it.

        lagrangian   move the end: the landing point moves with the velocity that is found there.
                     arrows: step * d/dt X_{s,t}(x), and step * v_{t,t}(X_{s,t}(x)) (dashed)
        eulerian     move the start along its velocity, by step * v_{s,s}(x): the landing point stays.
                     its change, to first order, is step * (d/ds X_{s,t}(x) + grad X_{s,t}(x) v_{s,s}(x))
        semigroup    stop on the way, at time u: the second jump ends where the single jump ends

    The gap is drawn as a thick line and named in the legend. It is step * residual for the first two conditions, and
    the residual for the third. For the exact map every gap is 0.

    Args:
        X: the map.
        s, u, t: the times, s <= u <= t.
        x: the point at time s.
        ax: the axes.
        which: the conditions to draw.
        step: how far, in time, the end and the start are moved.

    Raises:
        ValueError: if the times are not in order or leave [0, 1], or a condition is unknown.
    """
    for name in which:
        checks.one_of("which", name, CONDITIONS)
    checks.times(point(x), s=s, u=u, t=t)
    ax = plane(ax, inches=3.4 + 0.7 * len(which))
    with torch.no_grad():
        landed = X(s, t, point(x)).item()
        end = (t, landed)
        segment(ax, (s, x), end, COLOURS[6], label="the jump", width=1.4)
        if "lagrangian" in which:
            rate = X.partial_t(s, t, point(x))[1].item()
            found = X.velocity(t, point(landed)).item()
            tip, wanted = (t + step, landed + step * rate), (t + step, landed + step * found)
            arrow(ax, end, tip, COLOUR["lagrangian"], label="the landing point moves, as t grows")
            arrow(ax, end, wanted, COLOUR["lagrangian"], label="the velocity found there", dashed=True)
            told = rf"Lagrangian gap: {step:g} $\times$ residual {abs(rate - found):.2f}"
            bar(ax, tip, wanted, COLOUR["lagrangian"], label=told)
            ax.set_xlim(right=max(1.02, t + step + 0.02))
        if "eulerian" in which:
            v = X.velocity(s, point(x))
            residual = X.eulerian(s, t, point(x), v)[1].item()
            moved, other = (s + step, x + step * v.item()), (t, landed + step * residual)
            arrow(ax, (s, x), moved, COLOUR["eulerian"], label="the start moves with its velocity")
            segment(ax, moved, other, COLOUR["eulerian"])
            told = rf"Eulerian gap: {step:g} $\times$ residual {abs(residual):.2f}"
            bar(ax, end, other, COLOUR["eulerian"], label=told, aside=-4)
        if "semigroup" in which:
            middle = X(s, u, point(x))
            stop, other = (u, middle.item()), (t, X(u, t, middle).item())
            ax.plot(*zip((s, x), stop, other, strict=True), color=COLOUR["semigroup"], lw=1.6, label=f"a stop at {u:g}")
            dot(ax, [u], [stop[1]], COLOUR["semigroup"])
            told = f"semigroup gap: residual {abs(other[1] - landed):.2f}"
            bar(ax, end, other, COLOUR["semigroup"], label=told, aside=4)
    dot(ax, [s], [x], COLOURS[6], full=False)
    dot(ax, [t], [landed], COLOURS[6])
    legend(ax)
    return ax
