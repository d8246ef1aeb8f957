"""flowmap_edu: learn flow maps, from a velocity field to a one-step generative model.

Start with `tutorials/`, or with a shipped map:

    import flowmap_edu, torch
    X = flowmap_edu.load("checkerboard-lsd")
    points = X.sample(torch.randn(1000, 2) / 3**0.5, steps=1)
"""

from flowmap_edu.flow_map import FlowMap
from flowmap_edu.interpolant import Linear, Trigonometric
from flowmap_edu.nets.mlp import MLP
from flowmap_edu.training.loop import Config, fit
from flowmap_edu.training.runs import load, save, shipped

__version__ = "0.1.0"
__all__ = ["MLP", "Config", "FlowMap", "Linear", "Trigonometric", "fit", "load", "save", "shipped"]
