"""Checks of the arguments that the interactive figures share: maps, noise and an exact problem."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.problems.exact import ExactFlow

Maps = FlowMap | Mapping[str, FlowMap]


def named(maps: Maps, x: Tensor, label: Tensor | None = None) -> dict[str, FlowMap]:
    """One map or several by name, as a dict; each is tried on two points of x, with their labels if there are any.

    Raises:
        ValueError: if there is no map, one is no FlowMap, or one does not take points of the shape of x.
    """
    maps = {"the map": maps} if isinstance(maps, FlowMap) else maps
    if not isinstance(maps, Mapping) or not maps:
        came = "an empty one" if isinstance(maps, (Mapping, list, tuple)) and not maps else type(maps).__name__
        raise ValueError(f"maps must be a FlowMap or a dict name -> FlowMap with at least one, got {came}")
    for name, X in maps.items():
        if not isinstance(X, FlowMap):
            raise ValueError(f"maps must hold FlowMaps, got {type(X).__name__} under {name!r}")
        two = x[:2]
        try:
            with torch.no_grad():
                came = tuple(X(0.0, 1.0, two, label=None if label is None else label[:2]).shape)
        except Exception as error:  # networks raise many kinds for a wrong shape
            reason = " ".join(str(error).split())
            raise ValueError(f"{name} does not take points of shape {tuple(two.shape[1:])}: {reason}") from error
        if came != tuple(two.shape):
            raise ValueError(f"{name} must return the shape of its points, {tuple(two.shape)}, got {came}")
    return {str(name): X for name, X in maps.items()}


def noise(x0: Tensor, shapes: str, dims: Sequence[int]) -> Tensor:
    """x0 after a check: at least one finite sample, the number of axes in `dims`, and points of the plane if two axes.

    Raises:
        ValueError: if x0 is anything else; the message holds `shapes`, the shapes that are expected.
    """
    checks.points("x0", x0)
    if x0.ndim not in dims or (x0.ndim == 2 and x0.shape[1] != 2):
        raise ValueError(f"x0 must have shape {shapes}, got {tuple(x0.shape)}")
    if not len(x0):
        raise ValueError(f"x0 must hold at least one point, got shape {tuple(x0.shape)}")
    checks.finite("x0", x0)
    return x0.detach()


def reference(exact: ExactFlow | None) -> ExactFlow | None:
    """An exact problem of the plane, or None.

    Raises:
        ValueError: if exact is anything else.
    """
    if exact is not None and not (isinstance(exact, ExactFlow) and exact.dim == 2):
        came = f"dim = {exact.dim}" if isinstance(exact, ExactFlow) else type(exact).__name__
        raise ValueError(f"exact must be a problem in the plane, such as problems.Checkerboard(), got {came}")
    return exact
