"""Fitted exponents: those of power laws that are known, and of a training whose work is known."""

import pytest
import torch

from flowmap_edu.bench import growth
from flowmap_edu.bench.floor import operations
from flowmap_edu.bench.step import products


@pytest.mark.parametrize("a", [0.0, 0.5, 1.0, 2.37])
def test_the_exponent_of_a_power_law_is_found(a):
    """Exactly; and from times with ten percent of noise, to a few hundredths."""
    sizes = (128, 256, 512, 1024, 2048)
    seconds = [3e-4 * size**a for size in sizes]
    assert growth.exponent(sizes, seconds) == pytest.approx(a, abs=1e-9)
    noisy = [s * (1 + 0.1 * z) for s, z in zip(seconds, (0.5, -1.0, 0.3, 1.0, -0.6), strict=True)]
    assert growth.exponent(sizes, noisy) == pytest.approx(a, abs=0.06)
    assert growth.exponent(sizes, noisy) != pytest.approx(a, abs=1e-6)


def test_the_exponent_is_the_least_squares_one():
    """As torch's own solution of the same equations."""
    sizes, seconds = [1.0, 2.0, 4.0, 8.0, 16.0], [1.0, 3.0, 3.5, 9.0, 30.0]
    x, y = (torch.tensor(v, dtype=torch.float64).log() for v in (sizes, seconds))
    slope = torch.linalg.lstsq(torch.stack([x, torch.ones_like(x)], 1), y[:, None]).solution[0]
    assert growth.exponent(sizes, seconds) == pytest.approx(slope.item())


def test_fewer_than_four_sizes_are_refused():
    with pytest.raises(ValueError, match="wants four sizes and a time for each, got 3 and 3"):
        growth.exponent([1, 2, 3], [1, 2, 3])
    with pytest.raises(ValueError, match="got 4 and 3"):
        growth.exponent([1, 2, 3, 4], [1, 2, 3])


def test_the_sizes_are_those_of_the_runs():
    """The batch, the layers and the points of each run have the size that it stands for, and nothing else changes."""
    assert all(len(sizes) >= 4 for sizes in growth.SIZES.values())
    for name, sizes in growth.SIZES.items():
        for size in sizes[:2]:
            problem, net, _, training = growth.RUNS[name](size)
            width, dim = net.body[0].out_features, net.body[-1].out_features
            found = {"batch": training.batch, "width": width, "dimension": dim}
            assert found == {"batch": 384, "width": 128, "dimension": 2} | {name.split()[0]: size}
            assert training.stf_batch == (0 if "without" in name else 1024)
            assert problem.shape == (dim,)
    batch, width = (growth.SIZES[name] for name in ("batch", "width"))
    doubled = operations(products(growth.of_width(2 * width[-1]))) / operations(products(growth.of_width(width[-1])))
    assert 4 < doubled < 8  # between the network's square and SOAP's cube
    more = [operations(products(growth.of_batch(b))) for b in (*batch[-2:], 2 * batch[-1])]
    assert more[2] - more[1] == pytest.approx((more[1] - more[0]) * 2)  # a line: SOAP's part does not grow


def test_the_rows_come_from_the_runs(monkeypatch):
    """On clocks that go as the square of the size: exponent 2, the times in milliseconds, each size in its column."""
    asked = []

    def blocks(run, steps, warm):
        asked.append((run.training.batch, steps, warm))
        while True:
            yield 1e-6 * run.training.batch**2

    monkeypatch.setattr(growth.step, "blocks", blocks)
    (line,) = growth.rows({"batch": (100, 200, 400, 800)}, rounds=2, block=3)
    sizes = "batch 100, 200, 400, 800: 10, 40, 160, 640 ms"
    assert line == f"| time of a step ~ batch^a ({sizes}) | a = 2.00 (2.00 to 2.00) |"
    assert asked == [(b, 3, growth.WARM) for b in (100, 200, 400, 800)]


def test_every_size_is_compiled_and_timed():
    """Small ones, for real: times of all sizes in every round, and a larger batch takes longer."""
    sizes = (48, 96, 192, 1920)
    found = growth.times({size: growth.step.default("lsd", batch=size, compile=False) for size in sizes}, 2, 3)
    assert [len(row) for row in found] == [4, 4]
    assert all(row[-1] > row[0] > 0 for row in found)
