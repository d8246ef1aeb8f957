"""How a training loop is judged: by the gradient that stands in the parameters at the moment of each step."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

STEPS = 6


class Watched(torch.optim.SGD):
    """An optimiser that keeps the gradient it is given at each step."""

    def __init__(self, net: nn.Module):
        super().__init__(net.parameters(), lr=0.05)
        self.used: list[Tensor | None] = []

    def step(self, closure: Any = None) -> Any:  # type: ignore[override]
        """A step of gradient descent; None is kept where there is no gradient."""
        grads = [p.grad for group in self.param_groups for p in group["params"]]
        self.used.append(None if any(g is None for g in grads) else torch.cat([g.flatten() for g in grads]).clone())
        return super().step(closure)


def loop_judged(train: Callable[..., Any]) -> str | None:
    """What is wrong with train(net, optimizer, loss, steps), or None."""
    net = nn.Linear(2, 1, dtype=torch.float64)
    optimizer, true, values = Watched(net), list[Tensor](), list[float]()
    x = torch.randn(64, 2, dtype=torch.float64)

    def loss(given: nn.Module) -> Tensor:
        value = (given(x + 0.1 * torch.randn_like(x)) - x.sum(1, keepdim=True)).square().mean()
        grads = torch.autograd.grad(value, list(given.parameters()), retain_graph=True)
        true.append(torch.cat([g.flatten() for g in grads]))
        values.append(value.item())
        return value

    history = train(net, optimizer, loss, STEPS)
    if history is None:
        return "It returns None: is there a `return`?"
    return steps_judged(optimizer.used, true) or history_judged(history, values)


def steps_judged(used: list[Tensor | None], true: list[Tensor]) -> str | None:
    """Whether each step had the gradient of its own loss."""
    if not used:
        return "The optimizer makes no step: the weights do not change."
    if len(true) != STEPS or len(used) != STEPS:
        return f"{STEPS} steps are wanted, each with one loss; there were {len(used)} steps and {len(true)} losses."
    if any(g is None for g in used):
        return (
            "A step is made where there is no gradient: `backward` comes before it, and nothing erases it in between."
        )
    grads = [g for g in used if g is not None]
    if all(torch.allclose(g, own) for g, own in zip(grads, true, strict=True)):
        return None
    if not any(g.any() for g in grads):
        return "The gradient is erased before the step uses it."
    if torch.allclose(grads[1], true[0] + true[1]):
        return "Gradients add up from step to step: the old one has to be erased before `backward`."
    if torch.allclose(grads[1], true[0]):
        return "Each step uses the gradient of the step before it."
    return "At some step the gradient is not that of the step's own loss."


def history_judged(history: Any, values: list[float]) -> str | None:
    """Whether the losses are returned as numbers, one a step."""
    if not isinstance(history, list) or len(history) != STEPS:
        return f"A list of {STEPS} losses is wanted."
    if any(isinstance(value, Tensor) and value.requires_grad for value in history):
        return "The list holds tensors with their graphs, which fill the memory. `.item()` makes a number of each."
    if any(abs(float(a) - b) > 1e-9 for a, b in zip(history, values, strict=True)):
        return "The list does not hold the loss of each step, in order."
    return None
