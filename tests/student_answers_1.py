# ruff: noqa: ARG005  students' functions do not use all that they are given
"""Answers to assignment 1 as students write them: right ones, and wrong ones with what is said of them."""

import math

import torch
from torch.func import jvp
from torch.special import ndtr

SIGMA = 1 / math.sqrt(3)


def path(t, x0, x1, factor=math.pi / 2):
    """The curved path, with the speed of its angle."""
    a, b = torch.cos(math.pi / 2 * t)[:, None], torch.sin(math.pi / 2 * t)[:, None]
    return a * x0 + b * x1, factor * (a * x1 - b * x0)


def path_by_jvp(t, x0, x1):
    return jvp(lambda t: path(t, x0, x1)[0], (t,), (torch.ones_like(t),))


def path_looped(t, x0, x1):
    found = [path(t[k : k + 1], x0[k : k + 1], x1[k : k + 1]) for k in range(len(t))]
    return torch.cat([one for one, _ in found]), torch.cat([two for _, two in found])


def velocity(t, x, away=True, time=None, sigma=SIGMA, share=None):
    """By the masses and means of a normal distribution that is cut off."""
    centre, s = x / t[:, None], ((1 - t) * sigma / t)[:, None]
    mass, mean = [], []
    for start in (-1.0, 0.0):
        low, high = (start - centre) / s, (start + 1 - centre) / s
        mass.append(ndtr(high) - ndtr(low))
        peak = torch.exp(-high.square() / 2) - torch.exp(-low.square() / 2)
        mean.append(centre - s * peak / math.sqrt(2 * math.pi) / mass[-1])
    weight = torch.stack([m.prod(1, keepdim=True) if share is None else share(m) for m in mass])
    data = (weight * torch.stack(mean)).sum(0) / weight.sum(0)
    return (data - x if away else data) / (1 - t if time is None else time(t))[:, None]


def velocity_by_score(t, x):
    """x / t + (1 - t) / t sigma^2 grad log p_t(x), with the gradient by autograd."""
    x = x.clone().requires_grad_()
    s = ((1 - t) * SIGMA)[:, None]
    low = [(t[:, None] * start - x) / s for start in (-1.0, 0.0)]
    p = sum((ndtr(edge + t[:, None] / s) - ndtr(edge)).prod(1) for edge in low)
    (score,) = torch.autograd.grad(p.log().sum(), x)
    return (x / t[:, None] + ((1 - t) / t)[:, None] * SIGMA**2 * score).detach()


RIGHT = {
    "a1.2": [path, path_by_jvp, path_looped],
    "a1.3": [velocity, velocity_by_score],
}
WRONG = {
    "a1.2": [
        (lambda t, x0, x1: path(t, x0, x1, factor=1.0), "lacks the factor pi / 2"),
        (lambda t, x0, x1: path(t, x1, x0), "Time runs from data to noise"),
        (lambda t, x0, x1: ((1 - t)[:, None] * x0 + t[:, None] * x1, x1 - x0), "That is the straight path"),
        (lambda t, x0, x1: path(t, x0, x1)[0], "2 values are wanted"),
        (lambda t, x0, x1: torch.stack(path(t, x0, x1)), "2 values are wanted"),
        (lambda t, x0, x1: (torch.cos(math.pi / 2 * t) * x0, x1), "The times meet|RuntimeError|Value 1 of 2"),
        (lambda t, x0, x1: (path(t, x0, x1)[0], -path(t, x0, x1)[1]), "Value 2 of 2: The sign is reversed"),
        (lambda t, x0, x1: tuple(v.half().double() for v in path(t, x0, x1)), "The value is wrong"),
    ],
    "a1.3": [
        (lambda t, x: velocity(t, x, away=False, time=torch.ones_like), "That is E"),
        (lambda t, x: velocity(t, x, time=torch.ones_like), "The division by 1 - t is missing"),
        (lambda t, x: velocity(t, x, time=lambda t: t), "It is divided by t"),
        (lambda t, x: velocity(t, x, share=lambda m: m), "Each coordinate has a weight"),
        (lambda t, x: velocity(t, x, share=lambda m: torch.ones_like(m[:, :1])), "Both squares have the same weight"),
        (lambda t, x: velocity(t, x, sigma=1.0), "The value is wrong"),
        (lambda t, x: velocity(t, x).mean(0), "The shape is"),
        (lambda t, x: (velocity(t, x) + 2e-5).float(), "single precision"),
    ],
    "a1.4": [
        (lambda right: 1 - right, "the other square"),
        (lambda right: 0.5, "before x is known"),
        (lambda right: right + 0.01, "is not the number"),
        (lambda right: (right, 1 - right), "A number is wanted"),
        (lambda right: torch.tensor([right, right]), "A number is wanted"),
    ],
    "a1.5": [
        (lambda right: 1 - right, "the share which the velocity explains"),
        (lambda right: math.sqrt(right), "the root of the share"),
        (lambda right: right / (1 - right), "the ratio of what is not explained"),
        (lambda right: 0.123, "is not the number"),
        (lambda right: "a half", "A number is wanted"),
    ],
}
