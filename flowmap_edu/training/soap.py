r"""SOAP: Adam in the eigenbasis of Shampoo's two preconditioners.

For a weight W of shape (m, n) with gradient G, at step k:

    L <- beta2 L + (1 - beta2) G G^T,   R <- beta2 R + (1 - beta2) G^T G        (m, m) and (n, n)
    Q_L, Q_R: their eigenvectors, renewed every few steps by one step of orthogonal iteration
    G' = Q_L^T G Q_R,   M <- beta1 M + (1 - beta1) G',   V <- beta2 V + (1 - beta2) G'^2
    W <- W - lr (sqrt(1 - beta2^k) / (1 - beta1^k)) Q_L [M / (sqrt(V) + eps)] Q_R^T

Weights of one shape are stacked, (K, m, n): a network has many equal layers, and one batched product is faster than
many small ones. The momentum M stays in the eigenbasis, which saves products. The updates are those of the published
implementation, to rounding (tests/test_soap.py).
Source: Vyas et al. 2024, "SOAP: Improving and Stabilizing Shampoo using Adam", arXiv 2409.11321.
"""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

EPSILON = 1e-8


class SOAP(torch.optim.Optimizer):
    """The update above for weights with two axes or more, all but the first flattened; Adam for vectors.

    The first step only starts the statistics, as in the published implementation.

    Args:
        parameters: what is trained.
        lr: the learning rate.
        betas: beta1 of the momentum, beta2 of all second moments.
        renewed: steps between renewals of the eigenvectors.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        betas: tuple[float, float] = (0.95, 0.95),
        renewed: int = 10,
    ):
        super().__init__(parameters, {"lr": lr, "betas": betas, "renewed": renewed})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for same in by_shape(group["params"]):
                self.update(same, group)

    def update(self, same: list[Tensor], group: dict[str, Any]) -> None:
        """Move parameters of one shape. What is remembered of all of them stands under the first."""
        (beta1, beta2), state, G = group["betas"], self.state[same[0]], stacked([p.grad for p in same])  # type: ignore[misc]
        if not state:
            begin(state, G, beta2)
            return
        state["step"] += 1
        k = int(state["step"])
        rate = group["lr"] * (1 - beta2**k) ** 0.5 / (1 - beta1**k)
        change = moved(G, state["M"], state["V"], state.get("Q_L"), state.get("Q_R"), beta1, beta2)
        if "L" in state:
            state["L"] = torch.baddbmm(state["L"], G, G.mT, beta=beta2, alpha=1 - beta2)
            state["R"] = torch.baddbmm(state["R"], G.mT, G, beta=beta2, alpha=1 - beta2)
            if k % group["renewed"] == 0:
                renew(state)
        for p, part in zip(same, unstacked(change, same), strict=True):
            p.add_(part, alpha=-rate)


def by_shape(parameters: list[Tensor]) -> list[list[Tensor]]:
    """The parameters that have a gradient, those of one shape together; all vectors are one group."""
    groups: dict[Any, list[Tensor]] = {}
    for p in parameters:
        if p.grad is not None:
            groups.setdefault(p.shape if p.ndim > 1 else 1, []).append(p)
    return list(groups.values())


def stacked(same: list[Tensor]) -> Tensor:
    """Weights of one shape as (K, m, n); vectors one after the other."""
    return torch.stack(same).flatten(2) if same[0].ndim > 1 else torch.cat([p.flatten() for p in same])


def unstacked(stack: Tensor, same: list[Tensor]) -> list[Tensor]:
    """`stacked` undone."""
    rows = stack.unbind() if same[0].ndim > 1 else stack.split([p.numel() for p in same])
    return [row.view_as(p) for row, p in zip(rows, same, strict=True)]


def begin(state: dict[str, Any], G: Tensor, beta2: float) -> None:
    """The statistics after the first gradient, and their eigenvectors, the largest eigenvalue's first."""
    state |= {"step": torch.tensor(0), "M": torch.zeros_like(G), "V": torch.zeros_like(G)}
    if G.ndim > 1:
        state |= {"L": (1 - beta2) * G @ G.mT, "R": (1 - beta2) * G.mT @ G}
        state |= {f"Q_{side}": torch.linalg.eigh(state[side])[1].flip(-1).contiguous() for side in "LR"}


def moved(
    G: Tensor, M: Tensor, V: Tensor, Q_L: Tensor | None, Q_R: Tensor | None, beta1: float, beta2: float
) -> Tensor:
    """Update the moments M and V in place; return the direction of the step, of the shape of G."""
    turned = G if Q_L is None or Q_R is None else Q_L.mT @ G @ Q_R
    M.lerp_(turned, 1 - beta1)
    V.mul_(beta2).addcmul_(turned, turned, value=1 - beta2)
    change = M / V.sqrt().add_(EPSILON)
    return change if Q_L is None or Q_R is None else Q_L @ change @ Q_R.mT


def renew(state: dict[str, Any]) -> None:
    """One step of orthogonal iteration, Q <- qr(L Q), columns by falling eigenvalue; M is turned into the new basis.

    The second moments V cannot be turned, since squares are not linear: they only follow their columns' order.
    """
    M = state["Q_L"] @ state["M"] @ state["Q_R"].mT
    for side, axis in (("L", 1), ("R", 2)):
        Q = state[f"Q_{side}"]
        image = state[side] @ Q
        order = (Q * image).sum(1).argsort(dim=1, descending=True)  # (K, n), by Rayleigh quotient
        rows = order[:, :, None] if axis == 1 else order[:, None, :]
        state["V"] = state["V"].gather(axis, rows.expand_as(state["V"]))
        state[f"Q_{side}"] = torch.linalg.qr(image.gather(2, order[:, None, :].expand_as(image)))[0]
    state["M"] = state["Q_L"].mT @ M @ state["Q_R"]
