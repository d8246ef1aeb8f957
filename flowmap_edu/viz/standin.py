"""A widget and the picture that stands in for it once its kernel is gone.

A saved notebook holds the address of a widget, not the widget. When it is opened again JupyterLab writes "Error
displaying widget: model not found" and leaves the other forms of the same output aside. So the still picture is an
output of its own, before the widget. The style that comes with it (`static/still.html`) hides the picture while the
widget lives, and the error when it is dead. Where styles do not reach, both are shown.
"""

import html
from typing import Any

from flowmap_edu import _checks as checks
from flowmap_edu.viz.templates import filled

VIEW = "application/vnd.jupyter.widget-view+json"
display = checks.extra("IPython", "notebooks").display.display


def outputs(bundle: tuple[dict[str, Any], dict[str, Any]], alt: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The outputs for a widget's bundle of data and metadata: its picture and the widget, or only the picture.

    Args:
        bundle: what `_repr_mimebundle_` returns, with the picture under "image/png".
        alt: the picture in words, for readers who cannot see it.
    """
    data, _ = bundle
    if VIEW not in data:
        return [bundle]
    png = data["image/png"]
    picture = {"text/plain": alt, "image/png": png, "text/html": filled("still.html", png=png, alt=html.escape(alt))}
    widget = {mime: value for mime, value in data.items() if mime != "image/png"}
    return [(picture, {"image/png": {"alt": alt}}), (widget, {})]


def show(bundle: tuple[dict[str, Any], dict[str, Any]], alt: str) -> None:
    """Display the `outputs`."""
    for data, metadata in outputs(bundle, alt):
        display(data, metadata=metadata, raw=True)
