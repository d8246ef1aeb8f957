"""What the benches of a step say: that it is fit's step, and that the floor's products are those of the step."""

import dataclasses

import pytest
import torch
from torch import nn

from flowmap_edu import methods
from flowmap_edu.bench import floor, step
from flowmap_edu.bench.costs import Operations
from flowmap_edu.recipes import recipe
from flowmap_edu.training import State, fit
from flowmap_edu.training.average import Average
from flowmap_edu.training.loop import loss_of_batch


def small(method="lsd", name="checkerboard", **changes):
    net = {"hidden": 24, "layers": 3, "fourier": 0}
    return recipe(name, method, net=net, **{"steps": 50, "compile": False, "batch": 48} | changes)


@pytest.mark.parametrize("method", step.SELF_DISTILLED)
def test_the_steps_in_parts_are_those_of_fit(method):
    """The same weights and averages after each of six steps, to the bit."""
    parts, states = step.Step(small(method)), fit(*small(method), every=1)
    for _ in range(6):
        parts.take()
        state = next(states)
        for one, other in ((parts.state.net, state.net), (parts.state.average, state.average)):
            for a, b in zip(one.parameters(), other.parameters(), strict=True):
                assert torch.equal(a, b)
    assert all(spent > 0 for spent in parts.spent.values())


def test_a_part_has_its_own_time(monkeypatch):
    """On a clock that goes a second a part: batch, gradient, clip, average; the optimiser without the average."""
    now = [0.0]
    monkeypatch.setattr(step.time, "process_time", lambda: now[0])

    def takes(seconds, f):
        def call(*arguments):
            now[0] += seconds
            return f(*arguments)

        return call

    monkeypatch.setattr(Average, "update", takes(0.5, Average.update))
    parts = step.Step(small())
    parts.gradient = takes(3.0, parts.gradient)
    parts.draw = takes(1.0, parts.draw)
    parts.state.optimizer.register_step_pre_hook(takes(7.0, lambda *_: None))
    assert parts.block(4) == {"batch": 1.0, "loss and gradient": 3.0, "clip": 0.0, "optimiser": 7.0, "average": 0.5}


@pytest.mark.parametrize(
    ("name", "method"), [*(("checkerboard", m) for m in step.SELF_DISTILLED), ("checkerboard-paper", "esd")]
)
def test_the_floors_products_are_those_that_torch_counts(name, method):
    """Of the loss and its gradient, exactly, for layers that take no product with a zero tangent."""
    run = small(method, name, batch=64)
    state = State(*run)
    batch = step.source(state)()
    with Operations() as counted:
        loss_of_batch(state, batch, torch.tensor(1.0)).backward()
    on = run.training.on_diagonal(run.method)
    assert counted.total == pytest.approx(floor.operations(floor.of_the_gradient(state.net, run.method, on, 64 - on)))


def ten_steps(net, take) -> int:
    """The operations of ten steps with new gradients, in which SOAP renews its bases once."""
    with Operations() as counted:
        for _ in range(10):
            for p in net.parameters():
                p.grad = torch.randn_like(p)
            take()
    return counted.total


def test_soaps_products_are_those_of_the_library_without_the_momentums():
    """The library turns the momentum into the bases anew, 2 m n (m + n) a step; ours may, and does not need to."""
    parts = step.Step(small())
    net = parts.state.net
    floors = round(10 * floor.operations(floor.of_soap(net)))
    momentum = 10 * sum(2 * m * n * (m + n) for m, n in (p.shape for p in net.parameters() if p.ndim == 2))
    parts.block(2)  # the first step only begins the statistics
    assert floors <= ten_steps(net, parts.state.take_step) <= floors + momentum
    library = pytest.importorskip("pytorch_optimizer").SOAP(net.parameters(), precondition_frequency=10)
    ten_steps(net, library.step)
    assert ten_steps(net, library.step) == floors + momentum


def test_the_floor_is_the_sum_of_its_products_times(monkeypatch):
    """On a clock that goes a second a product, a product that is needed 2.5 times a step takes 2.5 seconds."""
    clock = iter(range(1000))
    monkeypatch.setattr(floor.time, "process_time", lambda: next(clock))
    products = [floor.Product(3, 4, 5, 2.0), floor.Product(3, 4, 5, 0.5), floor.Product(4, 3, 5, 1.0)]
    assert floor.seconds(products) == 3.5
    assert floor.operations(products) == 2 * 60 * 3.5


def test_a_method_whose_passes_are_not_known_is_refused():
    none = dataclasses.replace(methods.METHODS["lsd"], stopgrad="none")
    with pytest.raises(ValueError, match=r"condition and stopgrad must be .*got \('lagrangian', 'none'\)"):
        floor.of_the_gradient(nn.Linear(2, 2), none, 3, 1)


def test_the_table_divides_the_whole_by_the_floor(monkeypatch):
    rows = [{"whole": w, "floor": 0.004} | dict.fromkeys(step.PARTS, 0.001) for w in (0.008, 0.012, 0.010)]
    monkeypatch.setattr(step, "measured", lambda *_: rows)
    lines = step.table(("lsd",), 3)
    assert lines[2] == "| lsd | 10.00 | 1.00 | 1.00 | 1.00 | 1.00 | 1.00 | 4.00 | 2.50 (2.00 to 3.00) |"
