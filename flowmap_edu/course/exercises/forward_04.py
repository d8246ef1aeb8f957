"""Forward mode through a few layers, by torch and by wrong rules: what lesson 04's answer is compared with."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from flowmap_edu.course.exercises.cases import points

Layers = Sequence[nn.Module]


def layers() -> list[tuple[Layers, Tensor, Tensor]]:
    """(layers, z, dz): three linear layers with SiLU between them."""
    g = torch.Generator().manual_seed(3)
    made: list[nn.Module] = []
    for i, o in ((4, 6), (6, 5), (5, 2)):
        layer = nn.Linear(i, o, dtype=torch.float64)
        for p in layer.parameters():
            p.data = torch.randn(p.shape, generator=g, dtype=torch.float64)
        made += [layer, nn.SiLU()]
    return [(made[:-1], points(7, 4), points(7, 4, seed=2))]


def forward_mode(net: Layers, z: Tensor, dz: Tensor) -> tuple[Tensor, Tensor]:
    """Value and derivative, by torch itself."""
    return torch.func.jvp(nn.Sequential(*net), (z,), (dz,))  # type: ignore[attr-defined,return-value]


def passed(
    linear: Callable[[nn.Linear, Tensor], Tensor], silu: Callable[[Tensor, Tensor], Tensor]
) -> Callable[[Layers, Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Forward mode with these rules for the derivative of each layer."""

    def f(net: Layers, z: Tensor, dz: Tensor) -> tuple[Tensor, Tensor]:
        for layer in net:
            dz = linear(layer, dz) if isinstance(layer, nn.Linear) else silu(z, dz)
            z = layer(z)
        return z, dz

    return f


def slope(z: Tensor) -> Tensor:
    """The derivative of SiLU."""
    return z.sigmoid() + z * z.sigmoid() * (1 - z.sigmoid())


def product(layer: nn.Linear, dz: Tensor) -> Tensor:
    """W dz."""
    return dz @ layer.weight.T


def after_the_layer(net: Layers, z: Tensor, dz: Tensor) -> tuple[Tensor, Tensor]:
    """The slope of SiLU is taken where the value has come out."""
    for layer in net:
        z = layer(z)
        dz = product(layer, dz) if isinstance(layer, nn.Linear) else slope(z) * dz
    return z, dz


FORWARD = {
    "The derivative gets the bias of a linear layer. A constant has no speed.": passed(
        lambda layer, dz: layer(dz), lambda z, dz: slope(z) * dz
    ),
    "SiLU is applied to the derivative. The derivative is multiplied by the slope of SiLU.": passed(
        product, lambda _, dz: nn.functional.silu(dz)
    ),
    "The derivative passes SiLU unchanged.": passed(product, lambda _, dz: dz),
    "That is the slope of the sigmoid. SiLU(z) is z sigmoid(z).": passed(
        product, lambda z, dz: z.sigmoid() * (1 - z.sigmoid()) * dz
    ),
    "The slope of SiLU is taken at its output. It has to be taken where the value went in.": after_the_layer,
    "Only the first half of the product rule is there: z sigmoid(z) has two factors that move.": passed(
        product, lambda z, dz: z.sigmoid() * dz
    ),
}


def quotient(f: Callable[[Tensor], Tensor], z: Tensor, dz: Tensor, step: float) -> Tensor:
    """(f(z + step dz) - f(z - step dz)) / (2 step)."""
    return (f(torch.add(z, dz, alpha=step)) - f(torch.sub(z, dz, alpha=step))) / (2 * step)


def steps() -> list[tuple[Callable[[Tensor], Tensor], Tensor, Tensor, float]]:
    """(f, z, dz, step)."""
    net, z, dz = layers()[0]
    return [(nn.Sequential(*net), z, dz, 0.01)]


QUOTIENTS = {
    "This is the quotient of one side. The formula has f on both sides of z.": (
        lambda f, z, dz, step: (f(z + step * dz) - f(z)) / step
    ),
    "The two values lie 2 steps apart, and the difference is divided by one.": (
        lambda f, z, dz, step: 2 * quotient(f, z, dz, step)
    ),
    "The difference is not divided by the step.": lambda f, z, dz, step: quotient(f, z, dz, step) * step,
    "All entries of z are moved alike. They move along dz.": (
        lambda f, z, _, step: quotient(f, z, torch.ones_like(z), step)
    ),
}
