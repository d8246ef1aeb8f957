"""Sliders and menus that have a name for screen readers and that the keyboard moves: the browser's own, in a label.

A screen reader calls the sliders and the player of ipywidgets only "slider" or "button". In JupyterLab the arrow
keys do not choose in the menus of ipywidgets: they go to the next cell.
"""

from collections.abc import Sequence
from pathlib import Path

try:
    import anywidget
    import traitlets
except ImportError as missing:
    raise ImportError(
        f"{missing.name or 'anywidget'} is needed here: pip install 'flowmap-edu[notebooks]'"
    ) from missing


class RealSlider(anywidget.AnyWidget):
    """A slider over min, min + step, ..., max.

    Attributes:
        value: the position; a value beyond an end becomes that end.
        min, max, step: the range; it cannot change after the slider is shown.
        description: the name, printed next to the slider and read by screen readers.
        continuous_update: True: the value changes during a drag; False: at the end of the drag.
        interval: milliseconds between two steps when the "Play" button is pressed; 0: there is no button.
        shown: the last value whose picture is drawn; "Play" waits for it.
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
        """The value, moved into [min, max]."""
        return max(self.min, min(self.max, proposal["value"]))


class WholeSlider(RealSlider):
    """A slider over whole numbers."""

    min = traitlets.Int(0).tag(sync=True)
    max = traitlets.Int(1).tag(sync=True)
    step = traitlets.Int(1).tag(sync=True)
    value = traitlets.Int(0).tag(sync=True)


class Menu(anywidget.AnyWidget):
    """A choice of one text from several.

    Attributes:
        value: the chosen text; a text that is no option raises TraitError.
        options: the texts. If new options do not hold the present value, the first of them is chosen.
        description: the name, printed next to the menu and read by screen readers.
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
        """The value, if it is one of the options."""
        if proposal["value"] not in self.options:
            raise traitlets.TraitError(f"one of {', '.join(self.options)} is wanted, got {proposal['value']!r}")
        return proposal["value"]

    @traitlets.observe("options")
    def options_changed(self, _: traitlets.Bunch) -> None:
        """Keep the value if it is still an option, otherwise take the first option."""
        if self.value not in self.options:
            self.value = self.options[0]
