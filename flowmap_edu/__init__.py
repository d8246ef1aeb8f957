"""flowmap_edu: learn flow maps, from a velocity field to a one-step generative model.

Start with `tutorials/`, or with a shipped map:

    import flowmap_edu, torch
    X = flowmap_edu.load("checkerboard-lsd")
    points = X.sample(torch.randn(1000, 2) / 3**0.5, steps=1)

or with data of your own:

    problem = flowmap_edu.FromTensor(x)
    for state in flowmap_edu.fit(problem, problem.network(), METHODS["lsd"], Training(steps=5000)):
        print(state.step, state.loss)
"""

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from flowmap_edu._version import __version__ as __version__

if TYPE_CHECKING:
    from flowmap_edu import course, losses, methods, metrics, nets, problems, viz
    from flowmap_edu.flow_map import FlowMap
    from flowmap_edu.interpolant import Linear, Trigonometric
    from flowmap_edu.methods import METHODS, Method
    from flowmap_edu.nets import MLP, UNet
    from flowmap_edu.problems import FromDataset, FromTensor, Problem
    from flowmap_edu.training import Training, fit, load, save, shipped

__all__ = [
    "METHODS",
    "MLP",
    "FlowMap",
    "FromDataset",
    "FromTensor",
    "Linear",
    "Method",
    "Problem",
    "Training",
    "Trigonometric",
    "UNet",
    "course",
    "fit",
    "load",
    "losses",
    "methods",
    "metrics",
    "nets",
    "problems",
    "save",
    "shipped",
    "viz",
]
PLACES = {
    "flow_map": ("FlowMap",),
    "interpolant": ("Linear", "Trigonometric"),
    "methods": ("METHODS", "Method"),
    "nets": ("MLP", "UNet"),
    "problems": ("FromDataset", "FromTensor", "Problem"),
    "training": ("Training", "fit", "load", "save", "shipped"),
}


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    """A name is imported, and torch with it, where it is first used: the command line answers before that."""
    for place, names in PLACES.items():
        if name in names:
            globals()[name] = getattr(importlib.import_module(f"flowmap_edu.{place}"), name)
            return globals()[name]
    spec = None if name.startswith("_") else importlib.util.find_spec(f"flowmap_edu.{name}")
    if spec is not None and spec.origin is not None:
        return importlib.import_module(f"flowmap_edu.{name}")
    raise AttributeError(f"module 'flowmap_edu' has no attribute {name!r}")
