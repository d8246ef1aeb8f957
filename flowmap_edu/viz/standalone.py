"""A widget that also lives without a kernel: as HTML that holds its state and its JavaScript, and as a picture."""

import base64
import html
import json
from typing import Any, ClassVar

from flowmap_edu import _checks as checks
from flowmap_edu.viz import standin
from flowmap_edu.viz.reader import has_reader
from flowmap_edu.viz.templates import filled

anywidget = checks.extra("anywidget", "notebooks")

LIMIT = 2_000_000  # bytes of a page


class Standalone(anywidget.AnyWidget):
    """A widget with its JavaScript, a still picture `png()` and its words `alt()`.

    The widget connects to the front end only if a reader can move it (`has_reader`). A program that executes
    the notebook then stores the page's text and no widget state, so an exported notebook holds the figure once.

    Attributes:
        script: the text of its JavaScript, one module; a subclass gives it to anywidget as `_esm` too.
    """

    script: ClassVar[str]

    def alt(self) -> str:
        """The still picture in words, for readers who cannot see it."""
        raise NotImplementedError

    def png(self, dpi: int = 96) -> bytes:
        """A still picture for print, a PNG file."""
        raise NotImplementedError

    def open(self) -> None:
        """Connect to the front end, if a reader can move the figure."""
        if has_reader():
            super().open()

    def state(self) -> dict[str, Any]:
        """The values that the JavaScript reads, by name."""
        of_every_widget = anywidget.AnyWidget.class_traits(sync=True)
        own = [name for name in self.traits(sync=True) if name not in of_every_widget and not name.startswith("_")]
        return {name: getattr(self, name) for name in own}

    def html(self) -> str:
        """The figure as HTML that needs no other file: it holds state, module and still picture.

        Raises:
            ValueError: if it would be larger than 2 MB.
        """
        state = self.state()
        raw = {name: state.pop(name) for name, value in list(state.items()) if isinstance(value, bytes)}
        content = {
            "state": state,
            "packed": {name: base64.b64encode(value).decode() for name, value in raw.items()},
            "module": self.script,
        }
        text = filled(
            "figure.html",
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
        """The HTML and the picture that a notebook stores, and the widget if a reader can move it."""
        data: dict[str, Any] = {"text/plain": self.alt()}
        metadata: dict[str, Any] = {}
        if self.comm is not None and (bundle := super()._repr_mimebundle_(**kwargs)):
            data, metadata = bundle
        data |= {"text/html": self.html(), "image/png": base64.b64encode(self.png()).decode()}
        return data, metadata | {"image/png": {"alt": self.alt()}}

    def _ipython_display_(self) -> None:
        standin.show(self._repr_mimebundle_(), self.alt())


def page(figure: Standalone, title: str = "A flow map, live") -> str:
    """A whole page that shows the figure in a browser without network: the text of one file below 2 MB.

    Raises:
        ValueError: if it would be larger.
    """
    text = filled("page.html", title=html.escape(title), fragment=figure.html())
    if len(text) > LIMIT:
        raise ValueError(f"a page of at most {LIMIT} bytes is wanted, this one has {len(text)}; give fewer points")
    return text
