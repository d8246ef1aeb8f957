"""A live figure without a kernel: one anywidget that also lives in a page with no network and no Python.

    from flowmap_edu.viz import live
    figure = live.checkerboard()                          # in a notebook: shown as it stands
    Path("flow.html").write_text(live.page(figure))       # for a lecture hall without network

A slider over N moves the points that N jumps make of one noise; those clouds are computed here. Two
sliders for s and t evaluate a small network in the browser. `static/flow.js` draws both, in JupyterLab as
in a page; neither needs Python once the figure stands.

What a notebook keeps of it: JupyterLab shows the widget while its kernel runs; an exported notebook shows
the page's own text, `Live.html()`; paper and whatever runs no scripts show the picture, `Live.png()`.
"""

import base64
import html
import io
import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import traitlets
from IPython.core.getipython import get_ipython
from matplotlib.figure import Figure
from safetensors.torch import load_file
from torch import Tensor, nn

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.nets.mlp import MLP
from flowmap_edu.problems.datasets import shipped_folder
from flowmap_edu.problems.exact import Checkerboard
from flowmap_edu.training import runs
from flowmap_edu.viz.plots import COLOURS

try:
    import anywidget
except ImportError as missing:
    raise ImportError("anywidget is needed here: pip install 'flowmap-edu[notebooks]'") from missing

LIMIT = 2_000_000  # bytes of a page
MOST_POINTS = 160_000  # in all clouds together: 1.28 MB, 1.71 MB as text
MOST_LIVE = 4_000  # points evaluated in the browser
MOST_PARAMETERS = 20_000  # of the network evaluated there
SQUARES = [
    ((i - 2) / 2, (j - 2) / 2, 0.5) for i in range(4) for j in range(4) if (i + j) % 2 == 0
]  # left, bottom, side

FRAGMENT = """<div class="flow-live-page">
<img src="data:image/png;base64,{png}" alt="{alt}" style="max-width: 100%; background: #fff">
<script type="application/json">{content}</script>
<script>
(async (host) => {{
  try {{
    const {{ state, packed, module }} = JSON.parse(host.querySelector("script[type='application/json']").textContent);
    for (const [name, text] of Object.entries(packed)) {{
      try {{
        state[name] = new DataView(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
      }} catch {{ /* damaged: the module says so */ }}
    }}
    const set = (name, value) => {{ state[name] = value; }};
    const model = {{ get: (name) => state[name], set, save_changes() {{}}, on() {{}}, off() {{}} }};
    const url = URL.createObjectURL(new Blob([module], {{ type: "text/javascript" }}));
    const {{ default: figure }} = await import(url);
    URL.revokeObjectURL(url);
    const el = document.createElement("div");
    host.append(el);
    figure.render({{ model, el }});
    if (!el.dataset.error) host.querySelector("img").remove();
  }} catch {{
    host.append("This page does not let the figure move; the picture is what it shows at some numbers of jumps.");
  }}
}})(document.currentScript.parentElement);
</script>
</div>
"""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ background: Canvas; color: CanvasText; font: 16px/1.5 system-ui, sans-serif; max-width: 780px;
  margin: 1.5em auto; padding: 0 1em; }}
h1 {{ font-size: 1.3em; }}
</style>
</head>
<body>
<h1>{title}</h1>
{fragment}</body>
</html>
"""


def clouds(X: FlowMap, x0: Tensor, steps: Iterable[int] = range(1, 17)) -> Tensor:
    """X.sample(x0, N) for every N in `steps`, shape (K, n, 2).

    Args:
        X: a map of the plane.
        x0: draws from the base, shape (n, 2).
        steps: the numbers N of jumps.

    Raises:
        ValueError: if x0 is of another shape or not finite, or X does not map the plane to itself.
    """
    checks.points("x0", x0)
    if x0.ndim != 2 or x0.shape[1] != 2:
        raise ValueError(f"x0 must have shape (n, 2), got {tuple(x0.shape)}")
    of_network = getattr(X.slope, "dim", 2)
    if of_network != 2:
        raise ValueError(f"X must be a map of the plane, its network takes points of {of_network} entries")
    with torch.no_grad():
        one = X.v(0.0, 1.0, x0[:1])
    if one.shape != x0[:1].shape:
        raise ValueError(f"X must be a map of the plane, its slope at one point has shape {tuple(one.shape)}")
    landed = [X.sample(x0, n) for n in steps]
    return torch.stack(landed) if landed else x0.new_zeros(0, len(x0), 2)


def packed(x: Tensor) -> bytes:
    """The entries of x as float32, in order, least byte first."""
    return x.detach().cpu().numpy().astype("<f4").tobytes()


def network(net: nn.Module) -> tuple[dict[str, Any], bytes]:
    """What the browser needs of a `nets.MLP` of the plane: its shape, and its numbers as float32.

    The numbers are the frequencies, then for each layer its matrix row by row and its bias.

    Raises:
        ValueError: if the network is no MLP, is of another dimension, has a layer or an activation that
            flow.js cannot evaluate (the message names it), or more than 20,000 parameters.
    """
    if not isinstance(net, MLP):
        raise ValueError(f"the browser evaluates nets.MLP only, got {type(net).__name__}")
    if net.dim != 2:
        raise ValueError(f"a network of the plane is wanted (dim 2), got dim {net.dim}")
    layers = list(net.body.named_children())
    for at, (name, layer) in enumerate(layers):
        wanted = nn.SiLU if at % 2 else nn.Linear
        if type(layer) is not wanted:
            raise ValueError(
                f"flow.js evaluates linear layers with SiLU in between; body.{name} is {type(layer).__name__}, "
                f"{wanted.__name__} was wanted there"
            )
    linear = [layer for _, layer in layers[::2]]
    numbers = [net.frequencies, *(part for layer in linear for part in (layer.weight, layer.bias))]
    count = sum(part.numel() for part in numbers[1:])
    if count > MOST_PARAMETERS:
        raise ValueError(f"at most {MOST_PARAMETERS} parameters are evaluated in the browser, got {count}")
    shape = {
        "scale": float(net.scale),
        "fourier": 2 * net.frequencies.shape[1],
        "harmonics": len(net.multiples),
        "sizes": [linear[0].in_features, *(layer.out_features for layer in linear)],
    }
    return shape, b"".join(map(packed, numbers))


def has_reader() -> bool:
    """Whether somebody sits before this kernel.

    Not so without a kernel, nor where a program runs the notebook (nbconvert --execute, papermill,
    nbval): they send cells with `allow_stdin` off, because nobody could answer a question.
    """
    kernel = getattr(get_ipython(), "kernel", None)
    return bool(getattr(kernel, "_allow_stdin", kernel is not None))


class Live(anywidget.AnyWidget):
    """Clouds that travel with the number of jumps, and a small network evaluated in the browser.

    Args:
        clouds: where one noise lands after steps[k] jumps, shape (K, n, 2), as `clouds` makes them; at most
            160,000 points in all, so that a page stays below 2 MB.
        steps: the K numbers of jumps, increasing.
        scores: KL64 for each of them, or None for a number without one.
        caption: stands below the left panel: how the scores were measured.
        small: the network for the right panel, a `nets.MLP` of the plane; None for no such panel.
        noise: draws from the base that it carries, shape (m, 2), m at most 4,000.
        note: stands below the right panel: what is known of the small network.
        squares: (left, bottom, side) of squares shaded in both panels.

    Attributes:
        step, s, t: where the sliders stand; in a notebook they follow the reader's hand, and setting them
            moves the sliders.

    The widget opens its connection only where somebody can move it (`has_reader`). A program that
    executes the notebook then stores no widget state beside the page's text, so that an exported
    notebook carries the figure once.

    Raises:
        ValueError: for anything of another shape, not finite, or too large; the message names it.
    """

    _esm = Path(__file__).parent / "static" / "flow.js"

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
        steps = list(steps)
        for n in steps:
            checks.count("a number of steps", n)
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

    def open(self) -> None:
        """Open the connection to the front end, if somebody sits before it."""
        if has_reader():
            super().open()

    def state(self) -> dict[str, Any]:
        """What flow.js reads, by name: the module's model."""
        return {name: getattr(self, name) for name in Live.class_own_traits(sync=True)}

    def alt(self) -> str:
        """The still picture in words."""
        scored = [f"{n} ({score:.3f})" for n, score in zip(self.steps, self.scores, strict=True) if score is not None]
        numbers = ", ".join(scored or map(str, self.steps))
        return f"Clouds of {self.points} points after some numbers of jumps; " + (
            f"number of jumps (KL64): {numbers}" if scored else f"numbers of jumps: {numbers}"
        )

    def png(self, dpi: int = 96) -> bytes:
        """A still picture for paper: the clouds at up to four numbers of jumps, KL64 above each."""
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

    def html(self) -> str:
        """The figure as HTML that needs nothing else: state, module and still picture written into it.

        Raises:
            ValueError: if it would be larger than 2 MB.
        """
        state = self.state()
        raw = {name: state.pop(name) for name, value in list(state.items()) if isinstance(value, bytes)}
        content = {
            "state": state,
            "packed": {name: base64.b64encode(value).decode() for name, value in raw.items()},
            "module": str(self._esm),
        }
        text = FRAGMENT.format(
            png=base64.b64encode(self.png()).decode(),
            alt=html.escape(self.alt()),
            content=json.dumps(content).replace("<", "\\u003c"),  # no "</script>" in it
        )
        if len(text) > LIMIT:
            raise ValueError(
                f"a figure of at most {LIMIT} bytes is wanted, this one has {len(text)}; give fewer points"
            )
        return text

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        """The widget where somebody can move it, and beside it the HTML and the picture that stay in the notebook."""
        data: dict[str, Any] = {"text/plain": self.alt()}
        metadata: dict[str, Any] = {}
        if self.comm is not None and (bundle := super()._repr_mimebundle_(**kwargs)):
            data, metadata = bundle
        data |= {"text/html": self.html(), "image/png": base64.b64encode(self.png()).decode()}
        return data, metadata


def page(figure: Live, title: str = "A flow map, live") -> str:
    """A whole page with the figure in it: one file below 2 MB, for a browser without network.

    Raises:
        ValueError: if it would be larger.
    """
    text = PAGE.format(title=html.escape(title), fragment=figure.html())
    if len(text) > LIMIT:
        raise ValueError(f"a page of at most {LIMIT} bytes is wanted, this one has {len(text)}; give fewer points")
    return text


def small_map() -> tuple[FlowMap, dict[str, Any]]:
    """The shipped small map, distilled from `checkerboard-lsd`, and what was measured of it.

    `data/small-map/make.py` made it. The second part is its small.json: how it was trained, KL64 with
    1,000,000 points of both maps, and the distance sqrt(E |X_small - X_large|^2) of their jumps X_{0,1}.
    """
    folder = shipped_folder() / "small-map"
    about = json.loads((folder / "small.json").read_text())
    net = MLP(**about["net"])
    net.load_state_dict(load_file(folder / "small.safetensors"))
    return FlowMap(net.eval().requires_grad_(False)), about


def checkerboard(points: int = 10_000, live: int = 1_000, seed: int = 0) -> Live:
    """The shipped figure: `checkerboard-lsd` at N = 1, ..., 16, and its small copy. It takes about five seconds.

    Args:
        points: in each of the 16 clouds, at most 10,000.
        live: points carried by the small map.
        seed: of the noise.

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
            f"{about['small']['kl64']:.3f}, that of the map it was taught by {scores[0]:.3f}; their jumps from 0 to 1 "
            f"differ by {about['distance']:.3f} (root mean square)."
        ),
        squares=SQUARES,
    )
