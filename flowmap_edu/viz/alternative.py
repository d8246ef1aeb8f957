"""Figures in words, for readers who cannot see them: kept with each picture that a notebook stores."""

import importlib
from collections.abc import Callable
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure


def plain(text: str) -> str:
    """A label without the marks of its mathematics, on one line."""
    return " ".join(text.replace("$", "").replace("\\", "").split())


def panel(ax: Axes) -> str:
    """One pair of axes in words: its title, what its axes show, and the names in its legend."""
    title = next((t for t in (ax.get_title(place) for place in ("left", "center", "right")) if t), "")
    said = [plain(title)] if title else []
    if ax.axison:
        said += [f"{name}: {plain(label)}" for name, label in (("x", ax.get_xlabel()), ("y", ax.get_ylabel())) if label]
    legend = ax.get_legend()
    names = [plain(text.get_text()) for text in legend.get_texts()] if legend else []
    return ", ".join(said + ([f"with {', '.join(names)}"] if names else []))


def words(figure: Figure) -> str:
    """A figure in words: its title, then each panel."""
    heads = [plain(text) for text in (figure.get_suptitle(), figure.get_supxlabel(), figure.get_supylabel()) if text]
    panels = [text for text in map(panel, figure.axes) if text]
    return "Figure. " + ". ".join([*heads, *panels])


def keep_with_pictures() -> None:
    """From now on a notebook stores the words of a figure with its picture, where nbconvert looks for them."""
    if "inline" not in matplotlib.get_backend():
        return
    importlib.import_module("matplotlib_inline.backend_inline")  # tells IPython how figures become pictures
    shell: Any = importlib.import_module("IPython").get_ipython()
    if shell is None:
        return
    formatter = shell.display_formatter.formatters["image/png"]
    drawn = formatter.type_printers.get(Figure)
    if drawn is not None and not hasattr(drawn, "words"):
        formatter.for_type(Figure, with_words(drawn))


def with_words(drawn: Callable[[Figure], Any]) -> Callable[[Figure], Any]:
    """A formatter of figures that gives their words as metadata as well."""

    def described(figure: Figure) -> Any:
        data = drawn(figure)
        data, metadata = data if isinstance(data, tuple) else (data, {})
        return None if data is None else (data, {**metadata, "alt": words(figure)})

    described.words = True  # type: ignore[attr-defined]
    return described
