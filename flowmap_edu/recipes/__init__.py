"""Named runs: what to train, with which network and settings, and the paper's figures beside them."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from flowmap_edu.methods import Method
from flowmap_edu.problems.problem import STEPS, Problem
from flowmap_edu.recipes.checkerboard import CHECKERBOARD, CHECKERBOARD_FINE, CHECKERBOARD_PAPER, POINTS
from flowmap_edu.recipes.images import AFHQ64_PAPER, CELEBA64, CIFAR10, DIGITS, EMOJI, IMAGES, MNIST
from flowmap_edu.recipes.recipe import Named, Recipe, compose, of_name

__all__ = ["RECIPES", "STEPS", "Recipe", "recipe", "recipe_for"]

RECIPES: dict[str, Named] = {
    "checkerboard": CHECKERBOARD,
    "checkerboard-fine": CHECKERBOARD_FINE,
    "checkerboard-paper": CHECKERBOARD_PAPER,
    "points": POINTS,
    "digits": DIGITS,
    "mnist": MNIST,
    "images": IMAGES,
    "emoji": EMOJI,
    "cifar10": CIFAR10,
    "celeba64": CELEBA64,
    "afhq64": AFHQ64_PAPER,
}


def __dir__() -> list[str]:
    return sorted(__all__)


def recipe(
    name: str,
    method: str | Method = "lsd",
    *,
    problem: Problem | None = None,
    net: nn.Module | Mapping[str, Any] | None = None,
    **changes: Any,
) -> Recipe:
    """The four objects of a named run, with changes: fit(*recipe("checkerboard", "esd", steps=200, lr=1e-3)).

    Args:
        name: one of RECIPES; "points" and "images" are for a problem of your own.
        method: a name in METHODS, or a Method.
        problem: None: the recipe's own.
        net: a network, or some arguments of the recipe's own to change, such as {"hidden": 64}.
        changes: settings of `Training`.

    Raises:
        ValueError: for an unknown recipe, method or setting, a value out of its range, or a problem that is missing.
    """
    return compose(of_name(name, RECIPES), method, problem=problem, net=net, **changes)


def recipe_for(problem: Problem) -> str:
    """The recipe for a problem of your own, by the shape of its samples: "points" for (D,), "images" for others."""
    return "points" if len(problem.shape) == 1 else "images"
