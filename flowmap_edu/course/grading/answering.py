"""Ask a function on the cases that the grader sent; runs where the submission runs."""

import warnings
from collections.abc import Callable
from typing import Any

import torch

from flowmap_edu.course.asking import outcome
from flowmap_edu.course.exercises.cases import parameters
from flowmap_edu.course.grading.wire import decode, encode


def outcomes(answer: Callable[..., Any], cases: list[Any], gradients: bool) -> list[dict[str, Any]]:
    """For each case the value and the gradients, or what went wrong, as JSON."""
    found: list[dict[str, Any]] = []
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in cases:
            torch.manual_seed(0)
            got = outcome(answer, tuple(decode(a, make=True) for a in case), parameters if gradients else None)
            if isinstance(got, str):
                return [*found, {"wrong": got}]
            found.append({"value": encode(got.value), "gradients": [encode(g) for g in got.gradients]})
    return found
