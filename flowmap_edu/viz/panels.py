"""The picture of a slider over points: made once, and filled anew for each setting."""

import matplotlib
from matplotlib.figure import Figure
from torch import Tensor

from flowmap_edu.viz import plots
from flowmap_edu.viz.interactive import jumps

STYLE = plots.STYLE | {"figure.constrained_layout.use": False, "axes.titley": 1.0}  # each search for space takes time
SCATTERED = 10_000  # points drawn one by one, at most


class Panels:
    """For each map the density of its samples, and the samples in the colour of the quarter they began in.

    Most of the time for a picture of matplotlib goes into new axes and ticks, so they are kept.

    Args:
        names: of the maps.
        x0: where the samples began, shape (B, 2).
        half: half the side of the square that is shown.
    """

    def __init__(self, names: list[str], x0: Tensor, half: float):
        right, top = (x0[:SCATTERED] > 0).T
        self.quarter = right.int() + 2 * top.int()
        self.half, self.bins = half, bins(x0)
        rows, columns = (1, 2) if len(names) == 1 else (2, len(names))
        wide, high = 2.6 * columns, 2.9 * rows
        fixed = {"left": 0.5 / wide, "right": 1 - 0.1 / wide, "bottom": 0.5 / high, "top": 1 - 0.3 / high}
        with matplotlib.rc_context(STYLE):
            self.figure = Figure(figsize=(wide, high))
            self.figure.subplots_adjust(**fixed, wspace=0.22, hspace=0.35)
            upper, lower = self.figure.subplots(rows, columns, squeeze=False).reshape(2, -1)
            self.pairs = dict(zip(names, zip(upper, lower, strict=True), strict=True))
            for density, points in self.pairs.values():
                plots.density(density, x0, bins=self.bins, half_width=half)
                for colour in plots.COLOURS[:4]:
                    points.plot([], [], ".", ms=1.5, mew=0, color=colour)
                plots.window(points, half)
                points.set(xlabel="colour: quarter it began in")

    def drawn(self, samples: dict[str, Tensor], scores: dict[str, dict[str, str]], n: int) -> bytes:
        """The bytes of a PNG file for the samples after n jumps, with the scores under each density."""
        with matplotlib.rc_context(STYLE):
            for name, x in samples.items():
                density, points = self.pairs[name]
                share, brightest = plots.histogram(x, self.bins, self.half)
                density.images[0].set(data=share, clim=(0, brightest))
                density.set(title=f"{name}, {jumps(n)}", xlabel=", ".join(f"{k} {v}" for k, v in scores[name].items()))
                for k, line in enumerate(points.lines):
                    line.set_data(*x[:SCATTERED][self.quarter == k].T.numpy())
            return plots.as_png(self.figure, dpi=90)


def bins(points: Tensor) -> int:
    """The number of bins along a side of a histogram that suits so many points."""
    return 96 if len(points) > 50_000 else 48
