"""What must hold of lesson 04's answers that have no single right value: a random draw, a timing, a training."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from flowmap_edu.nets import LogWeight


def uniform_on_the_triangle(pairs: Callable[..., Any]) -> str | None:
    """The law of a pair: P(t <= a) = a^2, and s / t is uniform whatever t is."""
    given = pairs(40_000, torch.Generator().manual_seed(0))
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        return "Two values are wanted, s and t."
    s, t = given
    if not isinstance(s, Tensor) or s.shape != (40_000,) or not isinstance(t, Tensor) or t.shape != (40_000,):
        return "s and t are to have the shape (n,) each."
    if (s > t).any() or s.min() < 0 or t.max() > 1:
        return "Some pairs do not have 0 <= s <= t <= 1."
    if torch.equal(*(pairs(4, torch.Generator().manual_seed(seed))[1] for seed in (1, 2))):
        return "Two generators give the same numbers: hand `generator` to torch.rand."
    if not torch.equal(*(pairs(4, torch.Generator().manual_seed(1))[1] for _ in range(2))):
        return "One generator gives different numbers: hand `generator` to torch.rand."
    if (t <= 0.5).double().mean() > 0.27:
        return "Too many pairs have a small t. Look at the area of the part of the triangle below t = 0.5."
    if (t <= 0.5).double().mean() < 0.23:
        return "Too few pairs have a small t. Look at the area of the part of the triangle below t = 0.5."
    for where in (t <= 0.5, t > 0.5):
        if ((s / t)[where] - torch.rand(int(where.sum()))).mean().abs() > 0.02:
            return "Given t, s is not spread evenly between 0 and t."
    return None


def slow_at_first(seconds: Callable[..., Any]) -> str | None:
    """The best of nine, on a function whose calls are counted and not timed alone."""
    calls: list[float] = []

    def f() -> None:
        began = time.process_time()
        calls.append(began)
        while time.process_time() - began < (0.06 if len(calls) < 4 else 0.003):
            pass

    found = seconds(f)
    if len(calls) != 9:
        return f"f is to be called nine times; it was called {len(calls)} times."
    if not isinstance(found, float):
        return "One number is wanted: the seconds of the fastest call."
    if found > 0.15:
        return "That is the time of all calls together. The time of the fastest call is wanted."
    if found > 0.015:
        return "The slow first calls count in that number. The time of the fastest call is wanted."
    return None if found > 0.002 else "That is less than the fastest call took."


def least(learn: Callable[..., Any]) -> str | None:
    """A weight that has learned makes the mean of exp(-w) l + w nearly as small as it can be: 1 + E w*."""
    g = torch.Generator().manual_seed(5)
    t = torch.rand(4000, generator=g).sqrt()
    s = t * torch.rand(4000, generator=g)
    expected = 3 * (t - s) - 2  # the logarithm of the loss's mean
    values = expected.exp() * torch.empty(4000).exponential_(generator=g)
    w = LogWeight()
    learn(w, s, t, values)
    if all(bool((p == 0).all()) for p in w.linear.parameters()):
        return "The weight has not moved: is there a step of the optimizer on log_weight.parameters()?"
    with torch.no_grad():
        found = w(s, t)
    if (found - expected).square().mean() < 0.02:
        return None
    if (found + expected).square().mean() < 0.05:
        return "What was learned is minus the logarithm of the loss: look at the sign in the exponent."
    off = (found - expected).square().mean().sqrt()
    return f"What was learned is {off:.2g} away from the logarithm of the mean loss: too few steps, or another loss."


def measured(measure: Callable[..., Any]) -> str | None:
    """Products, seconds and bytes of a loss and its gradient, on one layer whose products are known."""
    layer, z = torch.nn.Linear(8, 16, bias=False), torch.randn(10, 8)
    found = measure(lambda: layer(z).square().sum(1))
    if not isinstance(found, (list, tuple)) or len(found) != 3:
        return "A list of three numbers is wanted: products, seconds, bytes."
    products, seconds, size = found
    one = 2 * 10 * 8 * 16
    if products == one:
        return "The loss alone is measured. Its mean has to be differentiated too, by backward()."
    if products != 2 * one:
        return (
            f"One layer makes 2 products here, one for the value and one for the gradient; counted: {products / one:g}."
        )
    if not 0 < seconds < 1:
        return "The second number is to be the time in seconds, by your function `seconds`."
    return None if size >= 640 else "The third number is to be the bytes, by alive.peak_bytes."
