"""A run as four objects, and the recipes by name."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn

from flowmap_edu import _checks as checks
from flowmap_edu import _reference
from flowmap_edu.methods import METHODS, Method
from flowmap_edu.problems.problem import Problem
from flowmap_edu.training import Training
from flowmap_edu.training.targets import FEW


class Recipe(NamedTuple):
    """What `fit` takes: fit(*recipe("checkerboard", "lsd", steps=200))."""

    problem: Problem
    net: nn.Module
    method: Method
    training: Training


@dataclass(frozen=True)
class Named:
    """A recipe: a problem, the training that suits it, and what changes from method to method.

    Attributes:
        training: the settings.
        problem: makes the problem; None where the caller brings one.
        net: makes the network of a problem; by default the one that the problem suggests.
        by_condition: settings for the methods of a condition.
        stopgrads: the stop-gradient of a method, where it is not the source's.
    """

    training: Training
    problem: Callable[[], Problem] | None = None
    net: Callable[[Problem], nn.Module] = lambda problem: problem.network()
    by_condition: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    stopgrads: Mapping[str, str] = field(default_factory=dict)


# Where our recipes treat the methods differently: the pairs of times that carry each condition's knowledge to the
# one-step map (times.triangle), and a stop-gradient under which ESD is stable (losses.eulerian).
BY_CONDITION: dict[str, dict[str, Any]] = {
    "eulerian": {"at_zero": 0.0, "at_one": 0.3},
    "semigroup": {"diagonal": 0.5, "at_one": 0.2},
}
STOPGRADS = {"esd": "convex"}


def settings(named: Named, problem: Problem, method: Method, changes: Mapping[str, Any]) -> Training:
    """The recipe's training for a method, with changes; what a method would ignore is left at its default."""
    fields = {f.name: getattr(named.training, f.name) for f in dataclasses.fields(Training)}
    fields |= named.by_condition.get(method.condition, {})
    if method.diagonal is not None:
        fields["diagonal"] = method.diagonal
    if method.times != "triangle" or method.condition == "diagonal":
        fields |= {"at_zero": 0.0, "at_one": 0.0, "denoised": 0.0}
    if problem.classes or not fields["diagonal"] or changes.get("coupling", fields["coupling"]) != "independent":
        fields["stf_batch"] = 0
    if not changes.get("stf_batch", fields["stf_batch"]) or problem.shape[0] > FEW:
        fields["stf_near"] = 0.0
    if changes.get("steps") is not None:
        fields["minutes"] = None
    elif changes.get("minutes") is not None:
        fields["steps"] = None
    unknown = [name for name in changes if name not in fields]
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: no setting of Training; it has {', '.join(fields)}")
    return Training(**fields | dict(changes))


def network(named: Named, problem: Problem, net: nn.Module | Mapping[str, Any] | None, seed: int) -> nn.Module:
    """The network given, or the recipe's with some arguments changed and initial weights drawn from the seed."""
    if isinstance(net, nn.Module):
        return net
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = named.net(problem)
        if net:
            described, _ = _reference.describe(made)
            torch.manual_seed(seed)
            made = _reference.build(described, **net)
    return made


def of_name(name: str, registry: Mapping[str, Named]) -> Named:
    """The recipe of that name."""
    checks.one_of("recipe", name, registry)
    return registry[name]


def compose(
    named: Named,
    method: str | Method = "lsd",
    *,
    problem: Problem | None = None,
    net: nn.Module | Mapping[str, Any] | None = None,
    **changes: Any,
) -> Recipe:
    """The four objects of a recipe; see `recipes.recipe`."""
    if isinstance(method, str):
        checks.one_of("method", method, METHODS)
        stopgrad = named.stopgrads.get(method)
        chosen = METHODS[method] if stopgrad is None else dataclasses.replace(METHODS[method], stopgrad=stopgrad)
    else:
        chosen = method
    if problem is None:
        if named.problem is None:
            raise ValueError("this recipe is for data of your own: give it a problem, such as FromTensor(x)")
        problem = named.problem()
    training = settings(named, problem, chosen, changes)
    return Recipe(problem, network(named, problem, net, training.seed), chosen, training)
