"""The widget of the live figure. `live.py` explains what the figure is for."""

import io
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.viz.packing import network, packed
from flowmap_edu.viz.plots import COLOURS
from flowmap_edu.viz.standalone import LIMIT, Standalone
from flowmap_edu.viz.templates import joined

traitlets = checks.extra("traitlets", "notebooks")

MOST_POINTS = 160_000  # in all clouds together: 1.28 MB, 1.71 MB as text
MOST_LIVE = 4_000  # points evaluated in the browser

MODULE = joined("network.js", "panels.js", "flow.js")  # anywidget and a page take one module


class Live(Standalone):
    """Clouds of points that move when the number of jumps changes, and a small network evaluated in the browser.

    Args:
        clouds: where steps[k] jumps take the same noise, shape (K, n, 2), as `clouds` makes them; at most
            160,000 points in all, so that a page stays below 2 MB.
        steps: the K numbers of jumps, increasing.
        scores: KL64 for each of them, or None for a number without one.
        caption: the text below the left panel: how the scores were measured.
        small: the network for the right panel, a `nets.MLP` of the plane; None for no such panel.
        noise: draws from the base that it carries, shape (m, 2), m at most 4,000.
        note: the text below the right panel: what is known of the small network.
        squares: (left, bottom, side) of squares shaded in both panels.

    Attributes:
        step, s, t: the values of the sliders. In a notebook they change when a reader moves a slider, and
            a slider moves when its value is set.

    Raises:
        ValueError: for anything of another shape, not finite, or too large; the message names it.
    """

    script = _esm = MODULE

    clouds = traitlets.Bytes().tag(sync=True)
    points = traitlets.Int().tag(sync=True)
    steps = traitlets.List(traitlets.Int()).tag(sync=True)
    scores = traitlets.List(traitlets.Float(allow_none=True)).tag(sync=True)
    caption = traitlets.Unicode().tag(sync=True)
    net = traitlets.Dict().tag(sync=True)
    weights = traitlets.Bytes().tag(sync=True)
    noise = traitlets.Bytes().tag(sync=True)
    live = traitlets.Int().tag(sync=True)
    note = traitlets.Unicode().tag(sync=True)
    squares = traitlets.List().tag(sync=True)
    step = traitlets.Int(1).tag(sync=True)
    s = traitlets.Float(0.0).tag(sync=True)
    t = traitlets.Float(1.0).tag(sync=True)

    def __init__(
        self,
        clouds: Tensor,
        steps: Sequence[int] = range(1, 17),
        *,
        scores: Sequence[float | None] | None = None,
        caption: str = "",
        small: nn.Module | FlowMap | None = None,
        noise: Tensor | None = None,
        note: str = "",
        squares: Sequence[tuple[float, float, float]] = (),
    ):
        steps = [checks.count("a number of steps", n) for n in steps]
        if not steps or any(b <= a for a, b in pairwise(steps)):
            raise ValueError(f"steps must increase and hold at least one number, got {steps}")
        checks.points("clouds", clouds)
        if clouds.ndim != 3 or clouds.shape[0] != len(steps) or clouds.shape[2] != 2 or not clouds.shape[1]:
            wanted = f"({len(steps)}, n, 2), n points for each number of steps"
            raise ValueError(f"clouds must have shape {wanted}; got {tuple(clouds.shape)}")
        points = clouds.shape[0] * clouds.shape[1]
        if points > MOST_POINTS:
            raise ValueError(
                f"at most {MOST_POINTS} points fit into a page of {LIMIT / 1e6:g} MB, got "
                f"{clouds.shape[0]} clouds of {clouds.shape[1]} points, {points} in all"
            )
        checks.finite("clouds", clouds)
        scores = [None] * len(steps) if scores is None else list(scores)
        if len(scores) != len(steps):
            raise ValueError(
                f"scores must hold one number for each of {len(steps)} numbers of steps, got {len(scores)}"
            )
        state: dict[str, Any] = {"clouds": packed(clouds), "points": clouds.shape[1], "steps": steps, "scores": scores}
        state |= {"caption": caption, "note": note, "squares": [list(q) for q in squares], "step": steps[0]}
        if (small is None) != (noise is None):
            raise ValueError("small and noise go together, got one without the other")
        if small is not None and noise is not None:
            checks.points("noise", noise)
            if noise.ndim != 2 or noise.shape[1] != 2 or not 1 <= len(noise) <= MOST_LIVE:
                raise ValueError(f"noise must have shape (m, 2) with m from 1 to {MOST_LIVE}, got {tuple(noise.shape)}")
            checks.finite("noise", noise)
            shape, weights = network(small.slope if isinstance(small, FlowMap) else small)  # type: ignore[arg-type]
            state |= {"net": shape, "weights": weights, "noise": packed(noise), "live": len(noise)}
        super().__init__(**state)

    def alt(self) -> str:
        """The still picture in words, for readers who cannot see it."""
        scored = [f"{n} ({score:.3f})" for n, score in zip(self.steps, self.scores, strict=True) if score is not None]
        numbers = ", ".join(scored or map(str, self.steps))
        return f"Clouds of {self.points} points after some numbers of jumps; " + (
            f"number of jumps (KL64): {numbers}" if scored else f"numbers of jumps: {numbers}"
        )

    def png(self, dpi: int = 96) -> bytes:
        """A still picture for print, a PNG file: the clouds at up to four numbers of jumps, with KL64 as title."""
        last = len(self.steps) - 1
        shown = sorted({0, round(last / 15), round(last / 5), last})  # 1, 2, 4 and 16 of 1, ..., 16
        figure = Figure(figsize=(2.1 * len(shown), 2.35), layout="constrained")
        every = torch.frombuffer(bytearray(self.clouds), dtype=torch.float32).reshape(len(self.steps), self.points, 2)
        for ax, k in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
            ax.plot(*every[k].T.numpy(), ",", color=COLOURS[0], alpha=0.6)
            n, score = self.steps[k], self.scores[k]
            title = f"{n} jump{'s' if n > 1 else ''}" + ("" if score is None else f", KL64 {score:.4f}")
            ax.set_title(title, fontsize=9, loc="left")
            ax.set(aspect="equal", xlim=(-1.25, 1.25), ylim=(-1.25, 1.25), xticks=[-1, 0, 1], yticks=[-1, 0, 1])
            ax.tick_params(labelsize=8)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=dpi, metadata={"Software": None})
        return file.getvalue()
