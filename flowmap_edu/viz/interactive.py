"""The common part of the interactive figures: controls, a note, and a picture with a caption.

`widgets.py`, `explorers.py` and `loss_explorer.py` build on `Interactive`. It draws the picture of a setting once
and keeps the bytes of the PNG file. When the reader returns to that setting, the stored picture is shown.
"""

import asyncio
import base64
import html
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from flowmap_edu import _checks as checks
from flowmap_edu.viz import standin
from flowmap_edu.viz.controls import RealSlider
from flowmap_edu.viz.reader import has_reader
from flowmap_edu.viz.templates import filled

widgets = checks.extra("ipywidgets", "notebooks")
HTML, HBox, HTMLMath, Layout, VBox = (getattr(widgets, n) for n in ("HTML", "HBox", "HTMLMath", "Layout", "VBox"))
COLOUR = "color: var(--jp-ui-font-color1, inherit)"  # that of JupyterLab's theme, dark or light
PAUSE = 0.05  # seconds without a move, after which settings are drawn ahead
ASLEEP = "The kernel does not answer: run this cell again."


@dataclass(frozen=True)
class View:
    """The picture and the texts for one setting of the controls.

    Attributes:
        png: the picture, the bytes of a PNG file.
        alt: the picture in words, for readers who cannot see it.
        caption: the text below the picture, HTML.
        numbers: the values that the picture and the texts show, by name.
        math: a formula above the picture, TeX between dollar signs.
    """

    png: bytes
    alt: str
    caption: str = ""
    numbers: dict[str, Any] = field(default_factory=dict)
    math: str = ""


class Card(HTML):
    """HTML with large pictures: it is sent to the front end only if a reader is there."""

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """The state that is sent and stored; without a reader it does not hold the HTML."""
        state = super().get_state(*args, **kwargs)
        return state if has_reader() or "value" not in state else state | {"value": ""}


class Interactive(VBox):
    """Controls and a picture that follows them. Without a front end, the still picture `still()` is shown.

    In a notebook that was saved and opened again, the still picture stands in for the figure (`standin`). After a
    restart of the kernel the figure says that it cannot move.

    If a program executes the notebook (`reader.has_reader`), only the still picture is stored. A slider cannot be
    moved on the web or in print, and its state would double the size of the file.

    Args:
        controls: the controls by name; their values, in this order, are a setting.
        draw: the values of a setting -> its View. It is called once for each setting.
        name: the values of a setting -> the setting in a few words, such as "3 jumps".
        ready: settings that are drawn at once, in addition to the first one.
        ahead: the values of a setting -> settings that may be visited next. Where a reader is, the kernel draws them
            while it has nothing else to do, after a move; None: none.
        arrange: called with the name of the control that moved, before the picture is drawn; it may move others.
        still: draws the still picture, the bytes of a PNG file; None: the first picture.
        label: the still picture in words, for readers who cannot see it.

    Attributes:
        controls: as given; set a control's `value` to move it.
        views: setting -> View, for all settings drawn so far.
        view: the view that is shown.
        note: one line: the setting, what is being computed, or an error.

    Raises:
        Exception: any error of `draw` for the settings that are drawn at once; later errors appear in the note.
    """

    def __init__(
        self,
        controls: Mapping[str, Any],
        draw: Callable[..., View],
        name: Callable[..., str],
        *,
        ready: Iterable[tuple[Any, ...]] = (),
        ahead: Callable[..., Iterable[tuple[Any, ...]]] | None = None,
        arrange: Callable[[str], None] | None = None,
        still: Callable[[], bytes] | None = None,
        label: str = "",
    ):
        self.controls, self.draw, self.name, self.arrange = dict(controls), draw, name, arrange
        self.note, self.math, self.card = HTML(), HTMLMath(), Card()
        self.moving, self.label, self.ahead = False, label, ahead
        row = HBox(list(self.controls.values()), layout=Layout(flex_flow="row wrap"))
        super().__init__([row, HTML(asleep()), self.note, self.math, self.card])
        self.add_class("flow-figure")
        self.views: dict[tuple[Any, ...], View] = {key: draw(*key) for key in dict.fromkeys([self.setting, *ready])}
        self.first = self.view = self.views[self.setting]
        self.make_still, self.made = still, b""
        for which, control in self.controls.items():
            control.observe(lambda _, which=which: self.moved(which), names="value")
        self.show()
        self.tell()

    @property
    def setting(self) -> tuple[Any, ...]:
        """The values of the controls."""
        return tuple(control.value for control in self.controls.values())

    def moved(self, which: str) -> None:
        """Respond to a moved control: move the others by `arrange`, then show the new setting once."""
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
        self.plan()

    def plan(self) -> None:
        """Draw a setting ahead as soon as the kernel, an event loop, has nothing else to do."""
        if self.ahead is None or not has_reader():
            return
        try:
            asyncio.get_running_loop().call_later(PAUSE, self.draw_ahead, self.setting)
        except RuntimeError:  # no loop
            return

    def draw_ahead(self, setting: tuple[Any, ...]) -> None:
        """Draw the first of the settings after this one that has no view, unless the reader has moved on; then plan."""
        new = [key for key in self.ahead(*setting) if key not in self.views] if self.ahead is not None else []
        if setting != self.setting or not new:
            return
        try:
            self.views[new[0]] = self.draw(*new[0])
        except Exception:  # it is told when the setting is visited
            return
        self.plan()

    def tell(self) -> None:
        """Tell the sliders that their values are shown; a slider that plays waits for this."""
        for control in self.controls.values():
            if isinstance(control, RealSlider):
                control.shown = control.value

    def show(self) -> None:
        """Show the view of the present setting. If there is none yet, draw it; an error becomes the note."""
        key = self.setting
        if key not in self.views:
            self.note.value = line(f"computing {self.name(*key)} ...")
            try:
                self.views[key] = self.draw(*key)
            except Exception as error:  # the front end would lose the stack trace, or hide the slider
                said = " ".join(str(error).split()) or "no message"
                self.note.value = line(
                    f"{self.name(*key)}: not computed, {type(error).__name__}: {said[:300]}. The picture is unchanged."
                )
                return
        self.view = self.views[key]
        self.math.value = f'<div style="{COLOUR}">{self.view.math}</div>' if self.view.math else ""
        self.card.value = figure_html(self.view)
        self.note.value = line(self.name(*key))

    def still(self) -> bytes:
        """A picture that replaces the slider where nothing moves: the bytes of a PNG file."""
        if not self.made:
            self.made = self.first.png if self.make_still is None else self.make_still()
        return self.made

    def __repr__(self) -> str:
        return "A slider: open this in JupyterLab; .still() is its picture."

    def _repr_mimebundle_(self, **kwargs: Any) -> tuple[dict, dict]:  # type: ignore[override]
        """The still picture, a sentence for a console, and the widget if a reader can move it."""
        bundle = (super()._repr_mimebundle_(**kwargs) or {}) if has_reader() else {}
        bundle |= {"text/plain": repr(self), "image/png": base64.b64encode(self.still()).decode()}
        return bundle, {"image/png": {"alt": self.alt}}

    def _ipython_display_(self) -> None:
        standin.show(self._repr_mimebundle_(), self.alt)

    @property
    def alt(self) -> str:
        """The still picture in words."""
        return self.label or self.first.alt


def asleep() -> str:
    """A line that is shown while no kernel answers: ipywidgets marks a widget without a connection by a class."""
    style = ".flow-asleep { display: none } .jupyter-widgets-disconnected .flow-asleep { display: block }"
    return f'<style>{style}</style><div role="alert" class="flow-asleep" style="{COLOUR}">{ASLEEP}</div>'


def line(text: str) -> str:
    """A line of plain text as HTML in the colour of the theme. A screen reader reads it out when it changes."""
    return f'<div role="status" style="{COLOUR}">{html.escape(text)}</div>'


def figure_html(view: View) -> str:
    """A view as HTML: its picture on a white card, the picture in words for screen readers, and its caption.

    It uses <img>, because the Image of ipywidgets has no alternative text and its tooltip stops the front end.
    """
    width, height = struct.unpack(">II", view.png[16:24])
    return filled(
        "view.html",
        colour=COLOUR,
        png=base64.b64encode(view.png).decode(),
        alt=html.escape(view.alt),
        width=str(width),
        height=str(height),
        caption=view.caption,
    )


def table(rows: Mapping[str, Mapping[str, str]], corner: str = "") -> str:
    """Rows of cells, name -> column -> text, as an HTML table with marked heads, for screen readers."""
    columns = list(dict.fromkeys(column for cells in rows.values() for column in cells))
    pad = 'style="padding: 0 1.2em 0 0; text-align: left"'

    def cells(texts: Iterable[str], tag: str) -> str:
        return "".join(f"<{tag} {pad}>{html.escape(text)}</{tag}>" for text in texts)

    body = "".join(
        f'<tr><th scope="row" {pad}>{html.escape(name)}</th>{cells((row.get(c, "") for c in columns), "td")}</tr>'
        for name, row in rows.items()
    )
    return f'<table style="{COLOUR}"><tr>{cells([corner, *columns], "th")}</tr>{body}</table>'


def neighbours(low: int, high: int) -> Callable[[int], list[tuple[int]]]:
    """For `ahead` of a slider over low, ..., high: the next number, then the one before."""
    return lambda n: [(k,) for k in (n + 1, n - 1) if low <= k <= high]


def jumps(n: int) -> str:
    """The number of jumps in words: "1 jump", "3 jumps"."""
    return f"{n} jump{'s' * (n > 1)}"
