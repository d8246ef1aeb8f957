"""Costs: counted operations against formulas, and the page that states them against itself."""

import dataclasses
import re
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from flowmap_edu.bench import costs
from flowmap_edu.flow_map import directional
from flowmap_edu.problems import Cifar10, Digits
from flowmap_edu.recipes import RECIPES

PAGE = Path(__file__).resolve().parent.parent / "tutorials" / "scaling.md"


def test_operations_are_two_a_multiplication():
    """A product (B, n) (n, m) takes 2 B n m; a k x k convolution 2 B H W c_in c_out k^2; backward twice as much."""
    x, w = torch.randn(5, 7, requires_grad=True), torch.randn(7, 11, requires_grad=True)
    with costs.Operations() as forward:
        y = x @ w
    with costs.Operations() as backward:
        y.sum().backward()
    assert (forward.total, backward.total) == (2 * 5 * 7 * 11, 2 * 2 * 5 * 7 * 11)
    with costs.Operations() as convolution:
        F.conv2d(torch.randn(2, 3, 8, 8), torch.randn(4, 3, 3, 3), padding=1)
    assert convolution.total == 2 * 2 * 8 * 8 * 3 * 4 * 9


def test_a_derivative_costs_a_second_pass():
    """Of the digits' network: jvp in t is value and tangent, but for the first layers, which see no time."""
    net, x, t = Digits().network(), torch.randn(3, 1, 8, 8), torch.rand(3)
    labels = torch.arange(3)
    with torch.no_grad(), costs.Operations() as plain:
        net(t, t, x, labels)
    with torch.no_grad(), costs.Operations() as both:
        directional(lambda t: net(t, t, x, labels), (t,), (torch.ones(3),))
    assert 1.9 < both.total / plain.total <= 2.0


def test_a_step_costs_its_parts():
    """On the diagonal three passes, off it seven (2 forward, 4 backward, 1 for the target): 4 for a sample."""
    counted = dataclasses.replace(costs.counted("digits"), samples=10 * 128)
    assert 3.7 < counted.step / counted.forward < 4.1
    assert counted.parameters == sum(p.numel() for p in Digits().network().parameters())
    with pytest.raises(ValueError, match=r"costs are counted for images, the samples of 'checkerboard'"):
        costs.counted("checkerboard")


def test_the_page_is_what_its_own_numbers_give():
    """Samples are the recipe's, a sample is four passes; CIFAR-10's pass is counted anew."""
    table = PAGE.read_text().split("<!-- costs -->")[1].split("<!-- /costs -->")[0]
    rows = [re.split(r"\s*\|\s*", line.strip("| ")) for line in table.strip().splitlines()[2:]]
    assert [row[0] for row in rows] == ["cifar10", "celeba64", "afhq64"]
    for name, parameters, samples, forward, step, _, state in rows:
        config, number = RECIPES[name].training, lambda text: float(re.sub(r"[^\d.]", "", text))
        assert number(samples) == round(config.batch * config.steps / 1e6)
        assert number(state) == pytest.approx(6 * 4 * number(parameters) / 1e3, abs=0.01)
        assert 3.9 < number(step) / number(forward) < 4.1
    net = Cifar10(labels=False).network()
    with torch.no_grad(), costs.Operations() as one_pass:
        net(torch.zeros(1), torch.ones(1), torch.randn(1, 3, 32, 32))
    assert rows[0][3] == f"{one_pass.total / 1e9:.2f} G"
    assert rows[0][1] == f"{sum(p.numel() for p in net.parameters()) / 1e6:.2f} M"
