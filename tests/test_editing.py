"""Editing: filling in against the Gaussian's law and on digits, and the way between two draws of the noise."""

import math

import pytest
import torch

from flowmap_edu import FlowMap, load, problems
from flowmap_edu.problems.rewards import Reward
from flowmap_edu.steering import Seen, between, filled

GAUSSIAN = problems.Gaussian(torch.tensor([0.3, -0.2]), 0.6, 0.8)
G, Y, WIDTH = FlowMap(GAUSSIAN.v), torch.tensor([[0.9, 0.4]], dtype=torch.float64), 0.3
MASKS = {"all": torch.tensor([[1.0, 1.0]]), "one": torch.tensor([[0.0, 1.0]])}
BOTH = torch.ones(1, 2)


class Near(Reward):
    """-|m (x - y)|^2 / (2 w^2)."""

    def __init__(self, mask: torch.Tensor):
        self.mask = mask

    def along(self, d: int, x: torch.Tensor) -> torch.Tensor:
        """The part of one axis."""
        return -self.mask[0, d] * (x - Y[0, d]) ** 2 / (2 * WIDTH**2)


@pytest.mark.parametrize("mask", MASKS.values(), ids=list(MASKS))
def test_what_is_seen_of_a_gaussian_is_worth_log_h(mask):
    """Up to a constant: the exact value function of the reward, by quadrature, has the same differences."""
    x = GAUSSIAN.base(6, torch.Generator().manual_seed(1)).double()
    for s in (0.1, 0.5, 0.9):
        mine = Seen(Y.expand(6, 2), mask.expand(6, 2), 0.8, 0.6, WIDTH)(G, torch.full((6,), s).double(), x)
        gap = mine - GAUSSIAN.value_function(s, x, Near(mask))
        assert (gap - gap[0]).abs().max() < 1e-6  # the quadrature's accuracy


def test_filling_in_samples_the_conditioned_gaussian():
    """The hidden axis keeps its law; the seen one gets the product of two normals. Euler's error falls with steps."""
    n = 20_000
    x0, mask = GAUSSIAN.base(n, torch.Generator().manual_seed(2)).double(), MASKS["one"].expand(n, 2)
    variance = 1 / (1 / 0.36 + 1 / WIDTH**2)
    mean = torch.tensor([0.3, variance * (-0.2 / 0.36 + 0.4 / WIDTH**2)]).double()
    wanted, errors = torch.cat([mean, torch.tensor([0.36, variance]).double()]), []
    for steps in (16, 64):
        x = filled(G, torch.where(mask == 1, Y, math.nan), mask, x0, 0.8, steps=steps, tau=0.6, width=WIDTH)
        errors.append((torch.cat([x.mean(0), x.var(0)]) - wanted).abs().max())
    assert errors[1] < 0.5 * errors[0]
    assert errors[1] < 0.02


def test_half_a_digit_is_filled_in():
    """The hidden half is nearer to the truth than that of a sample of the same class, the seen half is kept."""
    problem, X = problems.Digits(), load("digits-lsd")
    held_out = problem.data(train=False)
    assert held_out.labels is not None
    picture, label = held_out.values()[:40], held_out.labels[:40]
    mask = torch.ones_like(picture)
    mask[:, :, 4:] = 0
    x0 = problem.base(40, torch.Generator().manual_seed(3))
    found = {"filled": filled(X, picture, mask, x0, 0.5, steps=8, label=label), "not": X.sample(x0, 1, label=label)}
    hidden, seen = (
        {name: float((x - picture)[mask == k].square().mean()) for name, x in found.items()} for k in (0, 1)
    )
    assert hidden["filled"] < 0.8 * hidden["not"]
    assert seen["filled"] < 0.1 * seen["not"]


def test_the_way_between_two_draws_stays_in_the_base():
    """Its ends are the two, and the deviation is kept, which the straight line loses."""
    x0, y0 = (0.5 * torch.randn(50_000, 2, generator=torch.Generator().manual_seed(k)).double() for k in (4, 5))
    assert torch.equal(between(x0, y0, 0.0), x0)
    assert (between(x0, y0, 1.0) - y0).abs().max() < 1e-15
    for share in (0.25, 0.5, 0.8):
        assert (between(x0, y0, share).std(0) - 0.5).abs().max() < 4 * 0.5 / math.sqrt(2 * 50_000)


PICTURE = torch.zeros(2, 1, 8, 8)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Seen(Y, torch.ones(2, 2), 0.8), r"mask must be .* shape \(1, 2\), got \(2, 2\)"),
        (lambda: Seen(Y, BOTH / 2, 0.8), "mask must be 1 where the picture is seen"),
        (lambda: Seen(Y * math.nan, BOTH, 0.8), "picture where it is seen must be finite"),
        (lambda: Seen(Y, BOTH, 0.8, width=0.0), "width must be positive"),
        (lambda: Seen(Y, BOTH, 0.8, tau=-1.0), "tau must be positive"),
        (lambda: filled(G, Y, BOTH, torch.zeros(3, 2).double(), 0.8), "must have the same shape"),
        (lambda: filled(G, Y, BOTH, Y, 0.8, steps=0), "steps must be"),
        (lambda: filled(load("digits-lsd"), PICTURE, PICTURE + 1, PICTURE, 0.5), "pass label="),
        (lambda: between(Y, Y[:, :1], 0.5), "must have the same shape"),
        (lambda: between(Y, Y, 1.5), r"share must lie in \[0, 1\]"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
