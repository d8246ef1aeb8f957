"""Sliders and menus that have a name for screen readers and take keys: the browser's own, in a label.

A screen reader says no more than "slider" or "button" of ipywidgets' sliders and player, and in JupyterLab
the arrow keys leave its menus for the next cell.
"""

from collections.abc import Sequence
from pathlib import Path

try:
    import anywidget
    import traitlets
except ImportError as missing:
    raise ImportError("anywidget is needed here: pip install 'flowmap-edu[notebooks]'") from missing


class RealSlider(anywidget.AnyWidget):
    """A slider over min, min + step, ..., max.

    Attributes:
        value: where it stands; a value beyond an end is moved to that end.
        min, max, step: its range, fixed once it is shown.
        description: its name, beside it and for screen readers.
        continuous_update: whether the value follows a drag, or comes at its end.
        interval: milliseconds between two steps where a button plays it; 0: there is no button.
        shown: the last value whose picture stands; playing waits for it.
    """

    _esm = Path(__file__).parent / "static" / "slider.js"

    min = traitlets.Float(0.0).tag(sync=True)
    max = traitlets.Float(1.0).tag(sync=True)
    step = traitlets.Float(0.05).tag(sync=True)
    value = traitlets.Float(0.0).tag(sync=True)
    description = traitlets.Unicode().tag(sync=True)
    continuous_update = traitlets.Bool(True).tag(sync=True)
    interval = traitlets.Int(0).tag(sync=True)
    shown = traitlets.Float(0.0).tag(sync=True)

    @traitlets.validate("value")
    def inside(self, proposal: traitlets.Bunch) -> float:
        """The value, or the end that it lies beyond."""
        return max(self.min, min(self.max, proposal["value"]))


class WholeSlider(RealSlider):
    """A slider over whole numbers."""

    min = traitlets.Int(0).tag(sync=True)
    max = traitlets.Int(1).tag(sync=True)
    step = traitlets.Int(1).tag(sync=True)
    value = traitlets.Int(0).tag(sync=True)


class Menu(anywidget.AnyWidget):
    """A choice of one text among some.

    Attributes:
        value: the choice; one that is not among the options is refused with a TraitError.
        options: the texts. New ones without the present value choose the first of them.
        description: its name, beside it and for screen readers.
    """

    _esm = Path(__file__).parent / "static" / "menu.js"

    options = traitlets.List(traitlets.Unicode(), minlen=1).tag(sync=True)
    value = traitlets.Unicode().tag(sync=True)
    description = traitlets.Unicode().tag(sync=True)

    def __init__(self, options: Sequence[str], value: str | None = None, description: str = ""):
        options = list(options)
        super().__init__(options=options, value=options[0] if value is None else value, description=description)

    @traitlets.validate("value")
    def among(self, proposal: traitlets.Bunch) -> str:
        """The value, if it is among the options."""
        if proposal["value"] not in self.options:
            raise traitlets.TraitError(f"one of {', '.join(self.options)} is wanted, got {proposal['value']!r}")
        return proposal["value"]

    @traitlets.observe("options")
    def options_changed(self, _: traitlets.Bunch) -> None:
        """Keep the value, or take the first."""
        if self.value not in self.options:
            self.value = self.options[0]
