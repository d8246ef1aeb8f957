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
from typing import TYPE_CHECKING, Any

from flowmap_edu import losses, methods, metrics, nets, problems
from flowmap_edu._version import __version__ as __version__
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.interpolant import Linear, Trigonometric
from flowmap_edu.methods import METHODS, Method
from flowmap_edu.nets import MLP, UNet
from flowmap_edu.problems import FromDataset, FromTensor, Problem
from flowmap_edu.training import Training, fit, load, save, shipped

if TYPE_CHECKING:
    from flowmap_edu import viz

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


def __dir__() -> list[str]:
    return sorted(__all__)


def __getattr__(name: str) -> Any:
    """Figures need matplotlib: viz is imported where it is first used."""
    if name == "viz":
        return importlib.import_module("flowmap_edu.viz")
    raise AttributeError(f"module 'flowmap_edu' has no attribute {name!r}")
