"""How noise x0 and data x1 are paired before a path is drawn between them: a choice beside that of the method.

    independent   x0 and x1 know nothing of each other
    transport     those of one step, or of one share of it, are paired so that the sum of |x1 - x0|^2 is least
    reflow        x1 is where a frozen teacher's flow carries x0 (trajectories.py)

Flow matching and every method built on it holds for any pairing with the right two marginals. It changes I_t between
the ends, and so the flow that is learned: pairs that lie nearer together make it straighter.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from flowmap_edu import _checks as checks
from flowmap_edu.methods import Method
from flowmap_edu.problems.problem import Problem

if TYPE_CHECKING:
    from flowmap_edu.training.training import Training

COUPLINGS = ("independent", "transport", "reflow")


def nearest(x0: Tensor, x1: Tensor) -> Tensor:
    """The order of x0, shape (B,), in which the sum of |x1 - x0|^2 over the pairs is least; both (B, *D).

    Raises:
        ImportError: if POT is not installed.

    Source: Pooladian et al. 2023, arXiv 2304.14772; Tong et al. 2023, arXiv 2302.00482.
    """
    ot = checks.extra("ot", "evaluation")
    cost = torch.cdist(x1.flatten(1).double(), x0.flatten(1).double()).square()
    plan = ot.emd([], [], cost.numpy(), numItermax=10_000_000)  # of equal weights: a permutation over B
    return torch.from_numpy(plan).argmax(1)


def reads_trajectories(method: Method, training: "Training") -> bool:
    """Whether a run draws from trajectories of a teacher."""
    return training.coupling == "reflow" or method.points == "trajectory"


def refuse(problem: Problem, method: Method, training: "Training") -> None:
    """Refuse a coupling that the run's other choices contradict.

    Raises:
        ValueError: with what contradicts it.
    """
    if method.points == "trajectory" and problem.classes:
        raise ValueError(f"{method.title} draws trajectories without labels: take a problem without labels")
    if method.points == "trajectory" and (on := training.on_diagonal(method)):
        raise ValueError(
            f"{method.title} draws no data, and the straight path between a trajectory's ends has another velocity "
            f"than its teacher: diagonal must be 0, got {on} of {training.batch} samples on it"
        )
    if training.coupling == "independent":
        return
    why = {
        "stf_batch averages over all x1 that could have led to I_t, which takes independent pairs": training.stf_batch,
        "a label would be paired with noise, which knows no label when samples are drawn": problem.classes,
        f"{method.title} reads a teacher, whose velocity is that of the teacher's own pairs": method.needs_teacher,
        f"{method.title} is sampled by restarts, whose new noise is paired with nothing": method.sampler == "restarts",
    }
    for reason, here in why.items():
        if here:
            raise ValueError(f"coupling must be 'independent', since {reason}; got {training.coupling!r}")
