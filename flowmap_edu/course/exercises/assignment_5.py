"""The parts of assignment 5: a known method as a row of the table, the method drawn by the student's number."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from flowmap_edu.course.exercise import Exercise, Made
from flowmap_edu.course.exercises.cases import curved, parameters
from flowmap_edu.course.exercises.sources import LOSSES, MISTAKES
from flowmap_edu.course.given.drawn_method import NAMES, jumps, own
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.losses import Batch, Diagonal, Jumps
from flowmap_edu.methods import METHODS, Method, loss

ROWS = {
    "mean flow": replace(METHODS["meanflow"], weight="one"),
    "consistency training": replace(METHODS["ct-discrete"], weight="landing"),
    "shortcut model": METHODS["shortcut"],
}
OTHER = {  # the same row with one choice changed, and what is said of it
    "mean flow": {
        "That is the row of the Eulerian self-distillation: the source reads the sample's own slope.": {
            "velocity": "self"
        },
        "The source holds the whole target, and u itself learns: the leading term alone.": {"stopgrad": "convex"},
        "The source trains all pairs of times, not those that end at the data alone.": {"times": "to one"},
        "Nothing is held here. The source has sg.": {"stopgrad": "none"},
    },
    "consistency training": {
        "No teacher is read: that is consistency distillation.": {"velocity": "teacher", "stages": 1},
        "The source compares neighbours on a grid of times.": {"times": "to one", "middle": "half"},
        "The second point of the source lies on the sample's own path: whose slope is that?": {"velocity": "self"},
        "Nothing is held here. The source has sg.": {"stopgrad": "none"},
    },
    "shortcut model": {
        "The source's steps are self-made: its first step reads no sample.": {"velocity": "sample"},
        "The source has steps of lengths 1, 1/2, 1/4, ..., not of all lengths.": {"times": "triangle"},
        "Nothing is held here. The source has sg.": {"stopgrad": "none"},
        "No teacher is read here: that is progressive distillation.": {"velocity": "teacher", "stages": 1},
    },
}


def choices(row: Method) -> list[str]:
    """What of a row is asked for."""
    return [row.condition, row.velocity, row.stopgrad, row.times]


def by_row(
    X: FlowMap, s: Tensor, u: Tensor, t: Tensor, x0: Tensor, x1: Tensor, row: Method, weight: Tensor | float = 1.0
) -> Tensor:
    """The loss of a row at the jumps, shape (B,)."""
    x = (1 - s)[:, None] * x0 + s[:, None] * x1
    batch = Batch(Diagonal(s[:0], x[:0], x[:0]), Jumps(s, u, t, x, x1 - x0))
    return weight * loss(X, batch, row)


def cases(name: str, seed: int) -> list[tuple[Made | Tensor, ...]]:
    """Two batches; in the first B = 2, so that times that meet the coordinates are not noticed."""
    return [(Made(curved, {"seed": seed}), *jumps(name, n, 10 * seed + n)) for n in (2, 6)]


def alignment(student: int) -> tuple[float, float, float]:
    """Of the gradients with and without stop-gradient: the cosine, the inner product, the ratio of the lengths."""
    name, X, batch = own(student)
    gradients: list[Tensor] = []
    for mistake in ("", "hold"):
        value = LOSSES[name](X, *batch, mistake).mean()
        gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(value, parameters(X))]))
    held, full = gradients
    return float(held @ full / held.norm() / full.norm()), float(held @ full), float(full.norm() / held.norm())


def rows_told(name: str) -> dict[str, Callable[..., Any]]:
    """What is said of a loss that a wrong row gives."""
    row = ROWS[name]
    known: dict[str, Callable[..., Any]] = {
        "The value is right, but nothing is held: look at the stopgrad of your row.": partial(
            by_row, row=replace(row, stopgrad="none")
        ),
        "It is a mean over the batch. One value a sample is wanted.": lambda *case: by_row(*case, row=row).mean(),
        "The sample's slope has the wrong sign: dx is x1 - x0.": lambda X, s, u, t, x0, x1: loss(
            X,
            Batch(
                Diagonal(s[:0], x0[:0], x0[:0]),
                Jumps(s, u, t, (1 - s)[:, None] * x0 + s[:, None] * x1, x0 - x1),
            ),
            row,
        ),
        "The points are those of the time t. A jump starts at I_s.": lambda X, s, u, t, x0, x1: loss(
            X,
            Batch(
                Diagonal(s[:0], x0[:0], x0[:0]),
                Jumps(s, u, t, (1 - t)[:, None] * x0 + t[:, None] * x1, x1 - x0),
            ),
            row,
        ),
        "Noise and data are exchanged: time 0 is noise here.": lambda X, s, u, t, x0, x1: by_row(
            X, s, u, t, x1, x0, row=row
        ),
    }
    if name == "shortcut model":  # which reads no slope
        del known["The sample's slope has the wrong sign: dx is x1 - x0."]
    if name == "consistency training":
        known["The weight of your row is not that of the source: look at the words before part 3."] = partial(
            by_row, row=replace(row, weight="one")
        )
    if name == "mean flow":
        known["The weight of your row is not that of the source: look at the words before part 3."] = partial(
            by_row, row=METHODS["meanflow"]
        )
    return known


def exercises(student: int, seed: int) -> dict[str, Exercise]:
    """The autograded parts, by name."""
    name = NAMES[student % 3]
    row, cosine = ROWS[name], alignment(student)
    angle = torch.tensor(cosine[0]).acos()
    return {
        "a5.2": Exercise(
            asks=f"the source's loss of the {name}, one value a sample, shape (B,)",
            shown="That is the loss of the publication, made of the map's own v.",
            right=partial(by_row, row=row),
            cases=lambda: cases(name, seed),
            parameters=parameters,
            mistakes={words: partial(LOSSES[name], mistake=m) for words, m in MISTAKES[name].items()},
        ),
        "a5.3": Exercise(
            asks="condition, velocity, stopgrad and times of your row",
            shown="Four choices are the whole difference to the row you began with, up to a weight.",
            right=choices(row),
            mistakes={words: choices(replace(row, **changed)) for words, changed in OTHER[name].items()},
        ),
        "a5.4": Exercise(
            asks="the loss of your row, one value a sample, shape (B,)",
            shown="The row gives the publication's loss, and its gradient too.",
            right=LOSSES[name],
            cases=lambda: cases(name, seed),
            parameters=parameters,
            mistakes=rows_told(name),
        ),
        "a5.5": Exercise(
            asks="the cosine of the angle between the gradients with and without sg, a number between -1 and 1",
            shown="The stop-gradient is a part of the method: without it the gradient points elsewhere.",
            right=cosine[0],
            mistakes={
                "That is the inner product. Divide it by both lengths.": cosine[1],
                "That is the angle. Its cosine is asked for.": float(angle),
                "That is the angle in degrees. Its cosine is asked for.": float(angle.rad2deg()),
                "That is the ratio of the lengths.": cosine[2],
                "The two gradients differ: was sg left out in one of them?": 1.0,
            },
            tolerance=1e-3,
        ),
    }
