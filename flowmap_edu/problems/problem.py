"""What is to be learned: data x1 and base x0, and how to judge a map between them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from flowmap_edu import _checks as checks
from flowmap_edu import _reference
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.interpolant import Interpolant

STEPS = (1, 2, 4, 8, 16)  # the numbers of steps that tables and figures show


class Problem(_reference.Recorded, ABC):
    """Data and base: the one thing that a training asks for its samples. Subclass it to bring your own.

    A subclass sets `shape` and `sigma` and defines `sample`. Its arguments are remembered, so that a run's folder can
    name the problem.

    Attributes:
        shape: of one sample, (D,) for points or (C, H, W) for images.
        sigma: standard deviation of the base N(0, sigma^2 I), in data units.
        classes: how many classes the labels have; 0 without labels.
        from_noise: whether the points of time s lie on a path from Gaussian noise to data; not so for a known equation.
        distance: the number of `evaluate` that is a Fréchet distance, which `--fid-every` follows; None for none.
    """

    shape: tuple[int, ...]
    sigma: float
    classes: int = 0
    from_noise: ClassVar[bool] = True
    distance: ClassVar[str | None] = None

    @abstractmethod
    def sample(self, n: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor | None]:
        """n draws of the data x1, shape (n, *shape), and their labels, int64 of shape (n,); None without classes."""

    def base(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n draws of the base x0 ~ N(0, sigma^2 I), shape (n, *shape).

        Raises:
            ValueError: if n is below 1.
        """
        n = checks.count("n", n)
        return self.sigma * torch.randn(n, *self.shape, generator=generator)

    def path(self, interpolant: Interpolant, t: Tensor, x0: Tensor, x1: Tensor) -> tuple[Tensor, Tensor]:
        """The points of a batch and their slopes, I_t and dI_t; shape (B, *shape) each.

        A problem whose velocity is known may put states and their velocity in the place of them (equations.py).

        Args:
            interpolant: of the training.
            t: times, shape (B,).
            x0, x1: draws of the base and of the data, shape (B, *shape).
        """
        return interpolant(t, x0, x1)

    def digest(self) -> str | None:
        """A hash of data that come from outside, so that a run can tell them apart; None if there are none."""
        return None

    def network(self) -> nn.Module:
        """A network that suits the problem: what is trained where none is named.

        Raises:
            ValueError: if the problem suggests none.
        """
        raise ValueError(f"{type(self).__name__} suggests no network: give one, a module v(s, t, x)")

    def evaluate(
        self,
        X: FlowMap,  # noqa: ARG002
        steps: Sequence[int] = STEPS,  # noqa: ARG002
        *,
        n: int | None = None,  # noqa: ARG002
        seed: int = 0,  # noqa: ARG002
    ) -> list[dict[str, Any]]:
        """How good the map is: a row for each number of steps, name to number; no rows where nothing is known.

        Args:
            X: the map.
            steps: the numbers of steps, at least 1 each.
            n: how many samples are drawn; None for the problem's own number.
            seed: of the noise.
        """
        return []
