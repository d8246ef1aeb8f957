"""What the loop asks of a network, which is any module v(s, t, x, **condition)."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from flowmap_edu.flow_map import FlowMap
from flowmap_edu.interpolant import Interpolant
from flowmap_edu.problems.problem import Problem
from flowmap_edu.sample import Sampler

DROPOUT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


def accepts(v: Callable[..., Tensor], name: str) -> bool:
    """Whether v, a function or a network, takes this condition by name."""
    parameters = inspect.signature(v.forward if isinstance(v, nn.Module) else v).parameters
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def has_dropout(net: nn.Module) -> bool:
    """Whether a forward pass in training draws random numbers: by an attribute `dropout` or by torch's layers."""
    share = [m.p if isinstance(m, DROPOUT) else getattr(m, "dropout", 0.0) for m in net.modules()]
    return any(isinstance(p, float) and p > 0 for p in share)


def condition(v: Callable[..., Tensor], label: Tensor | None, dropout: bool | None) -> dict[str, Any]:
    """What v is told of a batch, as far as it can be told: the labels, and, if it is a network, whether to drop."""
    drops = isinstance(v, nn.Module) and accepts(v, "dropout")
    return {"label": label if accepts(v, "label") else None, "dropout": dropout if drops else None}


def on_device(
    net: nn.Module, device: torch.device, sampler: Sampler | None = None, interpolant: Interpolant | None = None
) -> FlowMap:
    """The map of a network that works on a device; what goes in and comes out stays where the caller keeps it."""
    if device.type == "cpu":
        return FlowMap(net, sampler, interpolant)

    def v(s: Tensor, t: Tensor, x: Tensor, **given: Any) -> Tensor:
        """The slope, carried to the device and back."""
        moved = {name: c.to(device) if isinstance(c, Tensor) else c for name, c in given.items()}
        return net(s.to(device), t.to(device), x.to(device), **moved).to(x.device)

    return FlowMap(v, sampler, interpolant)


def tried(net: nn.Module, problem: Problem) -> None:
    """Evaluate the network once on noise of the problem's shape.

    Raises:
        ValueError: if it fails, or returns another shape or type than that of x.
    """
    generator = torch.Generator().manual_seed(0)
    weight = next(net.parameters(), torch.empty(0))
    x = problem.base(2, generator).to(weight.device)
    t = torch.full((2,), 0.5, device=x.device)
    label = torch.tensor([0, problem.classes - 1], device=x.device) if problem.classes else None
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[x.device] if x.device.type == "cuda" else []):
            out = net(t, t, x) if label is None else net(t, t, x, label=label)
    except Exception as error:  # networks raise many kinds for a wrong shape
        given = f"s and t of shape (2,), x of shape {tuple(x.shape)}" + (" and label=" if label is not None else "")
        reason = " ".join(str(error).split())
        raise ValueError(f"{type(net).__name__} does not take {given}: {type(error).__name__}: {reason}") from error
    if not isinstance(out, Tensor) or out.shape != x.shape or not out.is_floating_point():
        came = f"{tuple(out.shape)} {out.dtype}" if isinstance(out, Tensor) else type(out).__name__
        raise ValueError(
            f"{type(net).__name__} must return a floating-point tensor of x's shape {tuple(x.shape)}, got {came}"
        )
