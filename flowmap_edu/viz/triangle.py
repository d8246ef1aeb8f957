"""The interactive triangle of times: a jump from s to t to move by hand, and the residual of the chosen condition.

    from flowmap_edu.viz import widgets
    widgets.triangle()                                    # the last line of a cell shows it
    widgets.triangle(condition="semigroup", shown="exact")

At the left is the triangle of pairs (s, t), at the right the (t, x) plane of `problems.two_modes()`. The reader drags
the end t, the start s or the stop u, or moves them by sliders, and chooses a condition and a map. The JavaScript in
`static/` computes the flow; the figure needs no kernel and no network connection.
"""

import io
from typing import Any

import matplotlib
import torch
from matplotlib.figure import Figure

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.methods import Method
from flowmap_edu.metrics.errors import CONDITIONS
from flowmap_edu.problems import two_modes
from flowmap_edu.viz import line, triangles
from flowmap_edu.viz.plane import point
from flowmap_edu.viz.plots import COLOURS, STYLE
from flowmap_edu.viz.standalone import Standalone
from flowmap_edu.viz.templates import joined

traitlets = checks.extra("traitlets", "notebooks")

SHOWN = {"exact": "the exact map", "euler": "one Euler step"}
FARTHEST = 1.2  # from 0 a path may start
PROBLEM = two_modes()
MAPS = {
    "exact": FlowMap(PROBLEM.v),
    "euler": FlowMap(lambda s, t, x: PROBLEM.velocity(s, x)),  # noqa: ARG005  X = x + (t - s) b_s(x), wrong for t > s
}


class Triangle(Standalone):
    """The widget that `triangle` makes.

    Attributes:
        s, u, t, start, condition, shown: as the arguments of `triangle`. In a notebook they change when a reader moves
            the figure, and the figure moves when they are set.
    """

    script = _esm = joined("two_modes.js", "triangle_panels.js", "triangle.js")

    problem = traitlets.Dict().tag(sync=True)
    s = traitlets.Float().tag(sync=True)
    u = traitlets.Float().tag(sync=True)
    t = traitlets.Float().tag(sync=True)
    start = traitlets.Float().tag(sync=True)
    condition = traitlets.Unicode().tag(sync=True)
    shown = traitlets.Unicode().tag(sync=True)

    def x(self) -> float:
        """Where the path that begins at `start` is at time s."""
        return PROBLEM.flow_map(0.0, self.s, point(self.start).double()).item()

    def figure(self) -> Figure:
        """The present state as a picture: the triangle, and the jump in the (t, x) plane with the gesture."""
        pair = (self.s, self.u, self.t)
        with matplotlib.rc_context(STYLE):
            figure = Figure(figsize=(7.6, 4.1))
            left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
            triangles.frame(left, diagonal=False)
            triangles.into(left, pair, triangles.sources(Method("", self.condition), pair))
            left.set_title(f"s = {self.s:.2f}, t = {self.t:.2f}")
            line.density(PROBLEM, right)
            tau = torch.linspace(0, self.t, 101, dtype=torch.float64)
            path = PROBLEM.flow_map(0.0, tau, point(self.start, 101).double())
            right.plot(tau, path[:, 0], color=COLOURS[5], lw=2, label="the exact path")
            line.gestures(MAPS[self.shown], *pair, self.x(), right, which=[self.condition])
            right.set_title(f"{SHOWN[self.shown]}, {triangles.CONDITIONS[self.condition]} condition")
        return figure

    def residual(self) -> float:
        """The size of the chosen condition's residual for the jump from (s, x) to t."""
        X, x = MAPS[self.shown], point(self.x()).double()
        if self.condition == "lagrangian":
            landed, rate = X.partial_t(self.s, self.t, x)
            residual = rate - X.velocity(self.t, landed)
        elif self.condition == "eulerian":
            residual = X.eulerian(self.s, self.t, x, X.velocity(self.s, x))[1]
        else:
            residual = X(self.u, self.t, X(self.s, self.u, x)) - X(self.s, self.t, x)
        return abs(residual.item())

    def alt(self) -> str:
        """The still picture in words, for readers who cannot see it."""
        x, stop = self.x(), f", stop at u = {self.u:.2f}" if self.condition == "semigroup" else ""
        landed = round(MAPS[self.shown](self.s, self.t, point(x).double()).item(), 2) + 0.0  # no "-0.00"
        return (
            f"The triangle of times with the pair s = {self.s:.2f}, t = {self.t:.2f}, and its jump in the plane of "
            f"time and x: {SHOWN[self.shown]} from s = {self.s:.2f}, x = {x:.2f} to t = {self.t:.2f}{stop}. It "
            f"lands at {landed:.2f}; the {triangles.CONDITIONS[self.condition]} residual is {self.residual():.2f}"
        )

    def png(self, dpi: int = 96) -> bytes:
        """A still picture of the present state for print, a PNG file."""
        file = io.BytesIO()
        self.figure().savefig(file, format="png", dpi=dpi, metadata={"Software": None})
        return file.getvalue()


def triangle(
    s: float = 0.2,
    u: float = 0.5,
    t: float = 0.8,
    *,
    start: float = 0.35,
    condition: str = "lagrangian",
    shown: str = "euler",
) -> Triangle:
    """An interactive figure: the pair (s, t) in the triangle of times, its jump, and the residual of a condition.

    The jump begins at time s on the exact path from `start`. The arrows in the triangle come from where the condition
    reads the map. A reader drags s, u and t, moves them by keys and by touch, and chooses condition and map.

    Args:
        s, u, t: the times at first, s <= u <= t; u is the stop of the semigroup condition.
        start: where the path is at time 0, in [-1.2, 1.2].
        condition: "lagrangian", "eulerian" or "semigroup".
        shown: the map, "exact" or "euler": x + (t - s) b_s(x), one Euler step.

    Raises:
        ValueError: if the times are not in order or leave [0, 1], start is too far away, or a name is unknown.
    """
    times: dict[str, Any] = {name: checks.share(name, time) for name, time in (("s", s), ("u", u), ("t", t))}
    checks.ordered("s", times["s"], "u", times["u"])
    checks.ordered("u", times["u"], "t", times["t"])
    if not abs(start := checks.finite_number("start", start)) <= FARTHEST:
        raise ValueError(f"start must lie in [-{FARTHEST}, {FARTHEST}], got {start}")
    checks.one_of("condition", condition, CONDITIONS)
    checks.one_of("shown", shown, SHOWN)
    mean, std = (abs(float(values.flatten()[0])) for values in (PROBLEM.means, PROBLEM.stds))
    problem = {"mean": mean, "std": std, "sigma": PROBLEM.sigma}
    return Triangle(**times, start=start, condition=condition, shown=shown, problem=problem)
