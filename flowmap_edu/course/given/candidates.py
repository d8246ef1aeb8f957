"""Maps X(s, t, x) that assignment 3 gives to its students: some are flow maps, some are not."""

import torch
from torch import Tensor

from flowmap_edu.course.exercise import Made

__all__ = ["Candidate", "candidates", "drawn", "known_to_be_none"]

OF_ALL = ("still", "one step")  # every student gets these two
LETTERS = "ABCDE"


class Candidate:
    """A map X(s, t, x) for points x of shape (B, 2) and times of shape (B,), by the name of its formula."""

    def __init__(self, name: str, k: float):
        self.name, self.k = name, k

    def __call__(self, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
        """Where the points land, shape (B, 2)."""
        s, t, k = s[:, None], t[:, None], self.k
        d = t - s
        if self.name == "still":
            return x + 0 * d
        if self.name == "one step":
            return x - d * k * x**3
        if self.name == "square root":
            return x / (1 + 2 * k * d * x**2).sqrt()
        if self.name == "growing":
            return x * torch.exp(k * (t**2 - s**2))
        if self.name == "growing later":
            return x * torch.exp(k * d**2)
        if self.name == "quotient":
            return x * (1 + k * t) / (1 + k * s)
        if self.name == "line":
            return x * (1 + k * d)
        if self.name == "normal":
            return k * t + ((1 - t) ** 2 + (k * t) ** 2).sqrt() / ((1 - s) ** 2 + (k * s) ** 2).sqrt() * (x - k * s)
        angle = 2 * k * d * (1 + d if self.name == "turning faster" else 1)  # or "turning"
        return angle.cos() * x + angle.sin() * torch.stack([-x[:, 1], x[:, 0]], dim=1)


def drawn(student: int) -> dict[str, Candidate]:
    """The student's five maps by their letters."""
    g = torch.Generator().manual_seed(student)

    def some(names: tuple[str, ...], n: int) -> list[str]:
        return [names[i] for i in torch.randperm(len(names), generator=g)[:n].tolist()]

    flows = 1 + int(torch.randint(2, (1,), generator=g))
    names = [*OF_ALL, *some(("square root", "growing", "quotient", "normal", "turning"), flows)]
    names += some(("growing later", "line", "turning faster"), 5 - len(names))
    factors = (0.4 + 0.4 * torch.rand(5, generator=g, dtype=torch.float64)).tolist()
    order = torch.randperm(5, generator=g).tolist()
    return {letter: Candidate(names[i], k) for letter, i, k in zip(LETTERS, order, factors, strict=True)}


def candidates(student: int) -> list[Candidate]:
    """The student's five maps A, B, C, D and E."""
    return list(drawn(student).values())


def known_to_be_none(student: int) -> Candidate:
    """The student's map F, of which the assignment says that it is no flow map."""
    g = torch.Generator().manual_seed(student + 1)
    return Candidate("one step", 0.4 + 0.4 * float(torch.rand(1, generator=g, dtype=torch.float64)))


def made(name: str, k: float) -> Made:
    """A candidate as an argument of a case."""
    return Made(Candidate, {"name": name, "k": k})
