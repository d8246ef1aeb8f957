"""The checks of lessons 04 and 04b without one right answer: what obeys the law passes, wrong ones are told apart."""

import time

import pytest
import torch

from flowmap_edu import course
from flowmap_edu.bench import alive


def by_root(n, generator):
    r = torch.rand(2, n, generator=generator)
    return r[1] * r[0].sqrt(), r[0].sqrt()


def by_sorting(n, generator):
    return tuple(torch.rand(2, n, generator=generator).sort(dim=0).values)


def uniform_end(n, generator):
    t = torch.rand(n, generator=generator)
    return t * torch.rand(n, generator=generator), t


def late_end(n, generator):
    t = torch.rand(n, generator=generator) ** (1 / 4)
    return t * torch.rand(n, generator=generator), t


def leaning(n, generator):
    s, t = by_root(n, generator)
    return s * (s / t), t


def fastest(f):
    found = []
    for _ in range(9):
        began = time.process_time()
        f()
        found.append(time.process_time() - began)
    return min(found)


def all_of_them(f):
    began = time.process_time()
    for _ in range(9):
        f()
    return time.process_time() - began


def learn(log_weight, s, t, values, sign=-1, steps=200):
    optimizer = torch.optim.Adam(log_weight.parameters(), lr=0.05)
    for _ in range(steps):
        optimizer.zero_grad()
        w = log_weight(s, t)
        ((sign * w).exp() * values - sign * w).mean().backward()
        optimizer.step()


def gradient(values, net, of=torch.mean, **how):
    found = torch.autograd.grad(of(values), list(net.parameters()), allow_unused=True, **how)
    return torch.cat([part.flatten() for part in found if part is not None])


ALL_WEIGHTS = {"materialize_grads": True}
RIGHT = [
    ("04.1", by_root),
    ("04.1", by_sorting),
    ("04.11", fastest),
    ("04.14", learn),
    ("04b.3", lambda *a: gradient(*a, **ALL_WEIGHTS)),
]
WRONG = [
    ("04.1", uniform_end, "Too many pairs have a small t"),
    ("04.1", late_end, "Too few pairs have a small t"),
    ("04.1", leaning, "not spread evenly"),
    ("04.1", lambda n, generator: by_root(n, generator)[::-1], "0 <= s <= t <= 1"),
    ("04.1", lambda n, generator: by_root(n, None), "One generator gives different numbers"),  # noqa: ARG005
    ("04.1", lambda n, generator: torch.zeros(n, 2), "Two values are wanted"),  # noqa: ARG005
    ("04.11", all_of_them, "time of all calls together"),
    ("04.11", lambda f: all_of_them(f) / 9, "slow first calls count"),
    ("04.11", lambda f: f(), "called 1 times"),
    ("04b.3", lambda *a: gradient(*a, of=torch.sum, **ALL_WEIGHTS), "gradient of the sum"),
    ("04b.3", gradient, "Some weights are missing"),
    ("04b.3", lambda *a: -gradient(*a, **ALL_WEIGHTS), "sign is reversed"),
    ("04b.3", lambda *a: gradient(*a, **ALL_WEIGHTS).norm(), "one number"),
    ("04.14", lambda *_: None, "has not moved"),
    ("04.14", lambda *a: learn(*a, sign=1), "minus the logarithm"),
    ("04.14", lambda *a: learn(*a, steps=10), "too few steps"),
]


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_what_obeys_the_law_passes(name, answer, capsys):
    course.check(name, answer)
    assert capsys.readouterr().out.startswith(f"{name} is right.")


@pytest.mark.parametrize(("name", "answer", "words"), WRONG)
def test_what_breaks_the_law_is_told_how(name, answer, words):
    with pytest.raises(course.CheckError, match=words):
        course.check(name, answer)


def test_the_measure_of_a_loss_with_its_gradient(capsys):
    """All three numbers; a loss without its gradient, or numbers that are missing, are told."""

    def measure(loss, step=lambda loss: loss().mean().backward()):
        return [alive.products(lambda: step(loss)), fastest(lambda: step(loss)), alive.peak_bytes(lambda: step(loss))]

    course.check("04.12", measure)
    assert "04.12 is right" in capsys.readouterr().out
    with pytest.raises(course.CheckError, match="loss alone is measured"):
        course.check("04.12", lambda loss: measure(loss, lambda loss: loss()))
    with pytest.raises(course.CheckError, match="three numbers is wanted"):
        course.check("04.12", lambda loss: measure(loss)[0])
