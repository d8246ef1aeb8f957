"""The floor under a training step of an MLP: the time of the matrix products that it cannot do without.

A product of a (rows, inner) matrix with an (inner, columns) one takes 2 rows inner columns operations. Each shape of
product is timed alone, so the floor is at the speed that this machine reaches at the step's own sizes.
torch has two libraries for products (`_product`): the one that the step takes counts.
"""

import functools
import statistics
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import nn

from flowmap_edu import _checks as checks
from flowmap_edu._product import product
from flowmap_edu.methods import Method

# Passes of one sample through the network: (forward, backward). A value and a tangent are a pass each.
ON_THE_DIAGONAL = (1, 1)
PASSES = {
    ("lagrangian", "convex"): (3, 2),  # value and tangent in t, differentiated; the velocity where it lands
    ("eulerian", "convex"): (3, 2),  # value and tangent in (s, x), differentiated; the velocity at the start
    ("eulerian", "full"): (5, 2),  # value and tangent in s, differentiated; the velocity; value and tangent in x
    ("semigroup", "convex"): (3, 1),  # one jump, differentiated; two short jumps
}


class Product(NamedTuple):
    """A product of a (rows, inner) matrix with an (inner, columns) one, `times` times a step on average."""

    rows: int
    inner: int
    columns: int
    times: float

    @property
    def operations(self) -> float:
        """Of all of them in a step."""
        return 2 * self.rows * self.inner * self.columns * self.times


def of_the_gradient(net: nn.Module, method: Method, on: int, off: int) -> list[Product]:
    """The products of the loss and its gradient for `on` samples on the diagonal and `off` jumps.

    A layer's forward pass is one product for a sample. Its backward pass is two: the gradient of the weight, and, but
    for the first layer, that of what came in. All samples of a batch go through a layer in one product.

    Raises:
        ValueError: for a method whose passes are not known here.
    """
    checks.one_of("condition and stopgrad", (method.condition, method.stopgrad), PASSES)
    batch, passes = on + off, (ON_THE_DIAGONAL, PASSES[method.condition, method.stopgrad])
    forward, backward = (sum(n * p[k] for n, p in zip((on, off), passes, strict=True)) / batch for k in (0, 1))
    found = []
    for k, layer in enumerate(m for m in net.modules() if isinstance(m, nn.Linear)):
        found.append(Product(batch, layer.in_features, layer.out_features, forward))
        found.append(Product(layer.out_features, batch, layer.in_features, backward))
        if k:
            found.append(Product(batch, layer.out_features, layer.in_features, backward))
    return found


def of_soap(net: nn.Module, every: int = 10) -> list[Product]:
    """The products of a step of SOAP on the weights of a network.

    For a weight of shape (m, n), whose statistics have the bases (m, m) and (n, n): the gradient is turned into the
    bases, the step out of them, and the statistics take G G^T and G^T G, 6 m n (m + n) operations together; every
    `every`-th step the statistics are multiplied with the bases, 2 (m^3 + n^3). Not counted: the momentum, which can be
    kept in the bases, and the QR decomposition of the new bases.
    """
    found = []
    for p in net.parameters():
        if p.ndim == 2:
            m, n = p.shape
            found += [Product(m, m, n, 2), Product(m, n, n, 2), Product(m, n, m, 1), Product(n, m, n, 1)]
            found += [Product(m, m, m, 1 / every), Product(n, n, n, 1 / every)]
    return found


def operations(products: Sequence[Product]) -> float:
    """Of all products in a step."""
    return sum(p.operations for p in products)


def seconds(products: Sequence[Product], repeats: int = 15) -> float:
    """CPU seconds of all products in a step: each shape is timed alone, median of some repeats by the faster way."""
    times: dict[tuple[int, int, int], float] = {}
    for p in products:
        times[p[:3]] = times.get(p[:3], 0.0) + p.times
    total = 0.0
    for (rows, inner, columns), often in times.items():
        a, b, out = torch.randn(rows, inner), torch.randn(columns, inner), torch.empty(rows, columns)
        ways = (functools.partial(torch.mm, a, b.T, out=out), functools.partial(product, a, b))
        total += often * min(middle(way, repeats) for way in ways)
    return total


def middle(f: Callable[[], object], repeats: int) -> float:
    """CPU seconds of a call, the median of some."""
    f()
    spent = []
    for _ in range(repeats):
        started = time.process_time()
        f()
        spent.append(time.process_time() - started)
    return statistics.median(spent)
