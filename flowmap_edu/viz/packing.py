"""Clouds of points and a small network, as the bytes that the live figure reads."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from flowmap_edu import _checks as checks
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.nets import MLP

MOST_PARAMETERS = 20_000  # of the network evaluated in the browser


def clouds(X: FlowMap, x0: Tensor, steps: Iterable[int] = range(1, 17)) -> Tensor:
    """X.sample(x0, N) for each N in `steps`, shape (K, n, 2).

    Args:
        X: a map of the plane.
        x0: draws from the base, shape (n, 2).
        steps: the numbers N of jumps.

    Raises:
        ValueError: if x0 is of another shape or not finite, or X does not map the plane to itself.
    """
    checks.points("x0", x0)
    if x0.ndim != 2 or x0.shape[1] != 2:
        raise ValueError(f"x0 must have shape (n, 2), got {tuple(x0.shape)}")
    of_network = getattr(X.slope, "dim", 2)
    if of_network != 2:
        raise ValueError(f"X must be a map of the plane, its network takes points of {of_network} entries")
    with torch.no_grad():
        one = X.v(0.0, 1.0, x0[:1])
    if one.shape != x0[:1].shape:
        raise ValueError(f"X must be a map of the plane, its slope at one point has shape {tuple(one.shape)}")
    landed = [X.sample(x0, n) for n in steps]
    return torch.stack(landed) if landed else x0.new_zeros(0, len(x0), 2)


def packed(x: Tensor) -> bytes:
    """The entries of x in order, as float32 with the lowest byte first."""
    return x.detach().cpu().numpy().astype("<f4").tobytes()


def network(net: nn.Module) -> tuple[dict[str, Any], bytes]:
    """A `nets.MLP` of the plane for the browser: its shape, and its numbers as float32.

    The numbers are the frequencies, then for each layer its matrix row by row and its bias.

    Raises:
        ValueError: if the network is no MLP, has another dimension, has a layer or an activation that the
            browser cannot evaluate (the message names it), or has more than 20,000 parameters.
    """
    if not isinstance(net, MLP):
        raise ValueError(f"the browser evaluates nets.MLP only, got {type(net).__name__}")
    if net.dim != 2:
        raise ValueError(f"a network of the plane is wanted (dim 2), got dim {net.dim}")
    layers = list(net.body.named_children())
    for at, (name, layer) in enumerate(layers):
        wanted = nn.SiLU if at % 2 else nn.Linear
        if not isinstance(layer, wanted):
            raise ValueError(
                f"flow.js evaluates linear layers with SiLU in between; body.{name} is {type(layer).__name__}, "
                f"{wanted.__name__} was wanted there"
            )
    linear = [layer for _, layer in layers if isinstance(layer, nn.Linear)]
    numbers = [net.frequencies, *(part for layer in linear for part in (layer.weight, layer.bias))]
    count = sum(part.numel() for part in numbers[1:])
    if count > MOST_PARAMETERS:
        raise ValueError(f"at most {MOST_PARAMETERS} parameters are evaluated in the browser, got {count}")
    shape = {
        "scale": float(net.scale),
        "fourier": 2 * net.frequencies.shape[1],
        "time_frequencies": len(net.multiples),
        "sizes": [linear[0].in_features, *(layer.out_features for layer in linear)],
    }
    return shape, b"".join(map(packed, numbers))
