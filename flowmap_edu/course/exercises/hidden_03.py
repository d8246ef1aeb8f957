"""Five maps for lesson 03 whose names are hidden behind letters, and what is said of a diagnosis."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from flowmap_edu.flow_map import FlowMap
from flowmap_edu.problems import Gaussian

__all__ = ["NAMES", "compared", "diagnosed", "gauss", "hidden", "named"]

Slope = Callable[[Tensor, Tensor, Tensor], Tensor]

SHORT, LAST, FIRST = 0.3, 0.6, 0.4  # the longest known jump, the last known time, the first known time
ORDER = (3, 0, 4, 2, 1)  # the places in NAMES of A, B, C, D, E
NAMES = ("one Euler step", "another problem", "short jumps only", "late times unknown", "early times unknown")
SIGNS = {  # what the tables of a map show: said to a reader who gave its name to another map
    "one Euler step": "That map is wrong for jumps between any two different times.",
    "another problem": "That map is the flow map of other data: its residuals say nothing against it.",
    "short jumps only": "For that map, what counts is the length t - s of the jump.",
    "late times unknown": "For that map, what counts is the end time t: look at the columns.",
    "early times unknown": "For that map, what counts is the start time s: look at the rows.",
}


def gauss() -> Gaussian:
    """The problem of the lesson: data N((1, 0.5), 0.4^2 I), noise of the standard deviation 0.8."""
    return Gaussian(mean=torch.tensor([1.0, 0.5]), std=0.4, sigma=0.8)


def named() -> dict[str, FlowMap]:
    """The five maps by name. v is the exact slope of the lesson's problem, and w that of other data."""
    problem, other = gauss(), Gaussian(mean=torch.tensor([0.2, 1.0]), std=0.7, sigma=0.8)
    v, w = problem.v, other.v
    slopes: tuple[Slope, ...] = (
        lambda s, _, x: problem.velocity(s, x),
        lambda s, t, x: w(s, t, x),
        lambda s, t, x: v(s, torch.minimum(t, s + SHORT), x),
        lambda s, t, x: v(s.clamp(max=LAST), t.clamp(max=LAST), x),
        lambda s, t, x: v(s.clamp(min=FIRST), t.clamp(min=FIRST), x),
    )
    return {name: FlowMap(slope) for name, slope in zip(NAMES, slopes, strict=True)}


def compared() -> dict[str, FlowMap]:
    """Four maps: the exact one, two of the five, and the straight line to the right end, v_{s,1} of the exact map."""
    problem, five = gauss(), named()
    return {
        "exact": FlowMap(problem.v),
        "Euler step": five["one Euler step"],
        "another problem": five["another problem"],
        "straight line": FlowMap(lambda s, _, x: problem.v(s, torch.ones_like(s), x)),
    }


def hidden() -> dict[str, FlowMap]:
    """The same five maps by letter, A to E."""
    maps = list(named().values())
    return {letter: maps[k] for letter, k in zip("ABCDE", ORDER, strict=True)}


def diagnosed(answer: object) -> str | None:
    """What is wrong with a diagnosis, a dict from letter to name; None if it is right."""
    if not isinstance(answer, Mapping):
        return f'A dict such as {{"A": "{NAMES[0]}", ...}} is wanted, this is a {type(answer).__name__}.'
    given = {str(letter): name for letter, name in answer.items()}
    if set(given) != set("ABCDE"):
        return "The letters have to be A, B, C, D and E."
    if unknown := [name for name in given.values() if name not in NAMES]:
        return f"{unknown[0]!r} is none of the five names: {', '.join(NAMES)}."
    if len(set(given.values())) < len(NAMES):
        return "Each name belongs to one letter: one of yours stands twice."
    for letter, k in zip("ABCDE", ORDER, strict=True):
        if given[letter] != NAMES[k]:
            return f"{letter} is not {given[letter]!r}. {SIGNS[str(given[letter])]}"
    return None
