"""Figures, sliders for notebooks, the live figure and the monitor of long runs."""

import importlib
from typing import TYPE_CHECKING, Any

from flowmap_edu.viz import line, plots, triangles
from flowmap_edu.viz.draw import draw
from flowmap_edu.viz.plots import sheet

if TYPE_CHECKING:
    from flowmap_edu.viz import live, monitor, widgets

__all__ = ["draw", "line", "live", "monitor", "plots", "sheet", "triangles", "widgets"]


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    """Import `widgets`, `live` and `monitor` on first use: the widgets need the extra `notebooks`."""
    if name in ("live", "monitor", "widgets"):
        return importlib.import_module(f"flowmap_edu.viz.{name}")
    raise AttributeError(f"module 'flowmap_edu.viz' has no attribute {name!r}")
