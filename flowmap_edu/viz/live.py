"""A live figure: a widget in a notebook, and a page that needs no Python and no network.

    from flowmap_edu.viz import live
    figure = live.checkerboard()                          # the last line of a cell shows it
    Path("flow.html").write_text(live.page(figure), encoding="utf-8")  # for a lecture hall without network

One slider sets the number N of jumps and moves the samples; Python computes these clouds of points. Two sliders
set s and t, and the browser evaluates a small network there. The JavaScript in `static/` draws both panels, in
JupyterLab and in a page.

JupyterLab shows the widget while its kernel runs. An exported notebook shows the text of a page, `Live.html()`.
Print, and programs that run no scripts, show the picture, `Live.png()`.
"""

import json
from typing import Any

import torch
from safetensors.torch import load_file

from flowmap_edu import _checks as checks
from flowmap_edu._shipped import shipped_folder
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.nets import MLP
from flowmap_edu.problems import Checkerboard
from flowmap_edu.training import runs
from flowmap_edu.viz.live_figure import MOST_POINTS, Live
from flowmap_edu.viz.packing import clouds
from flowmap_edu.viz.standalone import page

__all__ = ["Live", "checkerboard", "clouds", "page", "small_map"]

SQUARES = [
    ((i - 2) / 2, (j - 2) / 2, 0.5) for i in range(4) for j in range(4) if (i + j) % 2 == 0
]  # left, bottom, side


def small_map() -> tuple[FlowMap, dict[str, Any]]:
    """The shipped small map, distilled from `checkerboard-lsd`, and the numbers measured of it.

    `data/small-map/make.py` made it. The numbers are those of its small.json: how it was trained, KL64 of both
    maps with 1,000,000 points, and the distance sqrt(E |X_small - X_large|^2) of their jumps X_{0,1}.
    """
    folder = shipped_folder() / "small-map"
    about = json.loads((folder / "small.json").read_text(encoding="utf-8"))
    net = MLP(**about["net"])
    net.load_state_dict(load_file(folder / "small.safetensors"))
    return FlowMap(net.eval().requires_grad_(False)), about


def checkerboard(points: int = 10_000, live: int = 1_000, seed: int = 0) -> Live:
    """The shipped figure: `checkerboard-lsd` at N = 1, ..., 16, and its small copy. It takes about five seconds.

    Args:
        points: number of points in each of the 16 clouds, at most 10,000.
        live: number of points that the small map carries, at most 4,000.
        seed: seed of the noise.

    Raises:
        ValueError: if a number is below 1 or too large.
    """
    checks.count("points", points)
    checks.count("live", live)
    small, about = small_map()
    steps = about["large"]["steps"]
    if points * len(steps) > MOST_POINTS:
        raise ValueError(f"points must be at most {MOST_POINTS // len(steps)}, got {points}")
    x0 = Checkerboard.sigma * torch.randn(max(points, live), 2, generator=torch.Generator().manual_seed(seed))
    measured = f"{about['points']:,} points; exact draws score {about['floor']:.4f}"
    scores = about["large"]["kl64"]
    return Live(
        clouds(runs.load(about["teacher"]), x0[:points], steps),
        steps,
        scores=scores,
        caption=f"The map {about['teacher']}, drawn with {points:,} points. KL64 with {measured}.",
        small=small,
        noise=x0[:live],
        note=(
            f"A small copy with {about['parameters']:,} parameters, evaluated in this page. At one step its KL64 is "
            f"{about['small']['kl64']:.3f}, that of its teacher {scores[0]:.3f}; their jumps from 0 to 1 "
            f"differ by {about['distance']:.3f} (root mean square)."
        ),
        squares=SQUARES,
    )
