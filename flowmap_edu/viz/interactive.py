"""What the interactive figures share: controls, a note, a picture with a caption, and a store of what was drawn.

`widgets.py` and `loss_explorer.py` build on `Interactive`. A picture is drawn once for each setting of the
controls and kept as the bytes of a PNG file, so that a later visit only shows it.
"""

import base64
import html
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.problems.exact import ExactFlow
from flowmap_edu.viz.controls import RealSlider
from flowmap_edu.viz.reader import has_reader

widgets = checks.extra("ipywidgets", "notebooks")
HTML, HBox, HTMLMath, Layout, VBox = (getattr(widgets, n) for n in ("HTML", "HBox", "HTMLMath", "Layout", "VBox"))
Maps = FlowMap | Mapping[str, FlowMap]
COLOUR = "color: var(--jp-ui-font-color1, inherit)"  # the theme's, dark or light


@dataclass(frozen=True)
class View:
    """What one setting of the controls shows.

    Attributes:
        png: the picture, the bytes of a PNG file.
        alt: the picture in words, for a reader who cannot see it.
        caption: what stands beneath it, HTML.
        numbers: what was drawn and written, by name, as numbers and tensors.
        math: a formula, shown above the picture, TeX between dollar signs.
    """

    png: bytes
    alt: str
    caption: str = ""
    numbers: dict[str, Any] = field(default_factory=dict)
    math: str = ""


class Card(HTML):
    """HTML that is sent only to a front end with a reader: the pictures in it are large."""

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """What is sent and stored; without a reader the HTML is left out."""
        state = super().get_state(*args, **kwargs)
        return state if has_reader() or "value" not in state else state | {"value": ""}


class Interactive(VBox):
    """Controls over a picture. Without a front end its `still()` is what one sees.

    So it is, too, where a program executes the notebook (`live.has_reader`): what is stored is then the still
    and no slider, which could not be moved on the web or on paper, and whose state would double the file.

    Args:
        controls: the controls by name; their values, in this order, are a setting.
        draw: a setting's values -> its View. It is called once a setting.
        name: a setting's values -> the setting in a few words, such as "3 jumps".
        ready: settings to draw at once, besides that of the start.
        arrange: called with the name of the control that was moved, before anything is drawn: it may move others.
        still: draws the still picture; None: the picture at the start.
        label: what the picture is for, the accessible name of the still.

    Attributes:
        controls: as given; set a control's `value` to move it.
        views: settings -> the views drawn so far.
        view: the view that is shown.
        note: one line: what is shown, what is being computed, or what went wrong.

    Raises:
        whatever `draw` raises for the settings drawn at once; later errors go into the note.
    """

    def __init__(
        self,
        controls: Mapping[str, Any],
        draw: Callable[..., View],
        name: Callable[..., str],
        *,
        ready: Iterable[tuple[Any, ...]] = (),
        arrange: Callable[[str], None] | None = None,
        still: Callable[[], bytes] | None = None,
        label: str = "",
    ):
        self.controls, self.draw, self.name, self.arrange = dict(controls), draw, name, arrange
        self.note, self.math, self.card = HTML(), HTMLMath(), Card()
        self.moving, self.label = False, label
        row = HBox(list(self.controls.values()), layout=Layout(flex_flow="row wrap"))
        super().__init__([row, self.note, self.math, self.card])
        self.views: dict[tuple[Any, ...], View] = {key: draw(*key) for key in dict.fromkeys([self.setting, *ready])}
        self.first = self.view = self.views[self.setting]
        self.make_still, self.made = still, b""
        for which, control in self.controls.items():
            control.observe(lambda _, which=which: self.moved(which), names="value")
        self.show()
        self.tell()

    @property
    def setting(self) -> tuple[Any, ...]:
        """The controls' values."""
        return tuple(control.value for control in self.controls.values())

    def moved(self, which: str) -> None:
        """A control was moved: let the others follow, then show the new setting, once."""
        if self.moving:
            return
        self.moving = True
        try:
            if self.arrange is not None:
                self.arrange(which)
        finally:
            self.moving = False
        self.show()
        self.tell()

    def tell(self) -> None:
        """Let the sliders know that their values are shown: one that plays goes on only then."""
        for control in self.controls.values():
            if isinstance(control, RealSlider):
                control.shown = control.value

    def show(self) -> None:
        """Show the view of the present setting, drawn now if it never was; an error becomes the note."""
        key = self.setting
        if key not in self.views:
            self.note.value = line(f"computing {self.name(*key)} ...")
            try:
                self.views[key] = self.draw(*key)
            except Exception as error:  # a stack trace would be lost in the front end, or hide the slider
                said = " ".join(str(error).split()) or "no message"
                self.note.value = line(
                    f"{self.name(*key)}: not computed, {type(error).__name__}: {said[:300]}. Shown is what was before."
                )
                return
        self.view = self.views[key]
        self.math.value = f'<div style="{COLOUR}">{self.view.math}</div>' if self.view.math else ""
        self.card.value = figure_html(self.view)
        self.note.value = line(self.name(*key))

    def still(self) -> bytes:
        """A picture that says the same without a slider: the bytes of a PNG file."""
        if not self.made:
            self.made = self.first.png if self.make_still is None else self.make_still()
        return self.made

    def __repr__(self) -> str:
        return "A slider: open this in JupyterLab; .still() is its picture."

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict]:  # type: ignore[override]
        """The widget where a reader can move it, else the still; a sentence for a console."""
        bundle = (super()._repr_mimebundle_(**kwargs) or {}) if has_reader() else {}
        bundle |= {"text/plain": repr(self), "image/png": base64.b64encode(self.still()).decode()}
        return bundle, {"image/png": {"alt": self.label or self.first.alt}}


def line(text: str) -> str:
    """A line of plain text as HTML in the theme's colour, which a screen reader announces when it changes."""
    return f'<div role="status" style="{COLOUR}">{html.escape(text)}</div>'


def figure_html(view: View) -> str:
    """A view as HTML: its picture on a white card, with words for a reader who cannot see it, and its caption.

    ipywidgets' own Image has no alternative text, and its tooltip stops the front end; so an <img> it is.
    """
    width, height = struct.unpack(">II", view.png[16:24])
    source = f"data:image/png;base64,{base64.b64encode(view.png).decode()}"
    return (
        f'<figure style="margin: 0; {COLOUR}"><img src="{source}" alt="{html.escape(view.alt)}" width="{width}"'
        f' height="{height}" decoding="sync" style="background: white; max-width: 100%; height: auto">'
        f"<figcaption>{view.caption}</figcaption></figure>"
    )


def table(rows: Mapping[str, Mapping[str, str]], corner: str = "") -> str:
    """Rows of cells, name -> column -> text, as an HTML table that a screen reader can walk through."""
    columns = list(dict.fromkeys(column for cells in rows.values() for column in cells))
    pad = 'style="padding: 0 1.2em 0 0; text-align: left"'

    def cells(texts: Iterable[str], tag: str) -> str:
        return "".join(f"<{tag} {pad}>{html.escape(text)}</{tag}>" for text in texts)

    body = "".join(
        f'<tr><th scope="row" {pad}>{html.escape(name)}</th>{cells((row.get(c, "") for c in columns), "td")}</tr>'
        for name, row in rows.items()
    )
    return f'<table style="{COLOUR}"><tr>{cells([corner, *columns], "th")}</tr>{body}</table>'


def named(maps: Maps, x: Tensor, label: Tensor | None = None) -> dict[str, FlowMap]:
    """One map or several by name, as a dict; each was tried on two points of x, with their labels if there are any.

    Raises:
        ValueError: if there is no map, one is no FlowMap, or one does not take points of x's shape.
    """
    maps = {"the map": maps} if isinstance(maps, FlowMap) else maps
    if not isinstance(maps, Mapping) or not maps:
        came = "an empty one" if isinstance(maps, (Mapping, list, tuple)) and not maps else type(maps).__name__
        raise ValueError(f"maps must be a FlowMap or a dict name -> FlowMap with at least one, got {came}")
    for name, X in maps.items():
        if not isinstance(X, FlowMap):
            raise ValueError(f"maps must hold FlowMaps, got {type(X).__name__} under {name!r}")
        two = x[:2]
        try:
            with torch.no_grad():
                came = tuple(X(0.0, 1.0, two, label=None if label is None else label[:2]).shape)
        except Exception as error:  # networks raise many kinds for a wrong shape
            reason = " ".join(str(error).split())
            raise ValueError(f"{name} does not take points of shape {tuple(two.shape[1:])}: {reason}") from error
        if came != tuple(two.shape):
            raise ValueError(f"{name} must return the shape of its points, {tuple(two.shape)}, got {came}")
    return {str(name): X for name, X in maps.items()}


def noise(x0: Tensor, shapes: str, dims: Sequence[int]) -> Tensor:
    """x0, checked: at least one finite point, with as many axes as one of `dims`, points of the plane if two.

    Raises:
        ValueError: otherwise; `shapes` says what was wanted.
    """
    checks.points("x0", x0)
    if x0.ndim not in dims or (x0.ndim == 2 and x0.shape[1] != 2):
        raise ValueError(f"x0 must have shape {shapes}, got {tuple(x0.shape)}")
    if not len(x0):
        raise ValueError(f"x0 must hold at least one point, got shape {tuple(x0.shape)}")
    checks.finite("x0", x0)
    return x0.detach()


def reference(exact: ExactFlow | None) -> ExactFlow | None:
    """An exact problem of the plane, or None; ValueError for anything else."""
    if exact is not None and not (isinstance(exact, ExactFlow) and exact.dim == 2):
        came = f"dim = {exact.dim}" if isinstance(exact, ExactFlow) else type(exact).__name__
        raise ValueError(f"exact must be a problem in the plane, such as problems.Checkerboard(), got {came}")
    return exact


def jumps(n: int) -> str:
    """The number of jumps in words: "1 jump", "3 jumps"."""
    return f"{n} jump{'s' * (n > 1)}"
