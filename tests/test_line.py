"""The problem on the line against quadrature, quantiles and scipy's ODE solver; its figures against its mathematics."""

import math

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgba
from scipy import integrate, stats

from flowmap_edu import FlowMap, losses, problems
from flowmap_edu.metrics.errors import residuals_at
from flowmap_edu.viz import line, plane

matplotlib.use("Agg")
PROBLEM = problems.two_modes()
EXACT = FlowMap(PROBLEM.v)
EULER = FlowMap(lambda s, t, x: PROBLEM.velocity(s, x))  # noqa: ARG005  # one Euler step
MEANS, STD, SIGMA = (-1.0, 1.0), 0.1, 0.6
TIMES = [0.0, 0.1, 0.4, 0.75, 0.95]
pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values)[:, None]


def spread(t: float) -> float:
    return math.hypot((1 - t) * SIGMA, t * STD)


def share_below(t: float, x: np.ndarray | float):
    """P(I_t <= x), from scipy's normal distribution."""
    return sum(stats.norm.cdf(x, m * t, spread(t)) / 2 for m in MEANS)


def drawn(ax, label: str):
    """The one line whose name begins so."""
    (found,) = [artist for artist in ax.get_lines() if str(artist.get_label()).startswith(label)]
    return found


def arrows(ax, colour: str) -> list[np.ndarray]:
    """end - start, in data units, of every arrow of that colour."""
    marks = [a for a in ax.texts if getattr(a, "arrow_patch", None) is not None]
    same = [a for a in marks if a.arrow_patch.get_edgecolor() == to_rgba(colour)]
    return [np.subtract(a.xy, a.xyann) for a in same]


# --- the problem -----------------------------------------------------------------------------------


@pytest.mark.parametrize("t", TIMES)
def test_density_and_velocity_are_integrals_over_x1(t):
    """p_t(x) = int p_1(x1) N(x; t x1, (1-t)^2 sigma^2) dx1, and b_t(x) the mean of (x1 - x) / (1 - t), by scipy."""

    def joint(x1: float, x: float) -> float:
        p1 = sum(stats.norm.pdf(x1, m, STD) / 2 for m in MEANS)
        return p1 * stats.norm.pdf(x, t * x1, (1 - t) * SIGMA)

    for x in (-1.1, -0.2, 0.05, 0.6):
        marks = sorted({-1.0, 1.0, *(np.clip(x / t, -1.9, 1.9) + a * (1 - t) for a in (-1, 0, 1) if t > 0)})
        how = {"args": (x,), "points": marks, "limit": 400, "epsabs": 0, "epsrel": 1e-11}
        mass = integrate.quad(joint, -2, 2, **how)[0]
        rate = integrate.quad(lambda x1, x: joint(x1, x) * (x1 - x) / (1 - t), -2, 2, **how)[0]
        assert PROBLEM.log_density(t, column(x)).item() == pytest.approx(math.log(mass), abs=1e-8)
        assert PROBLEM.velocity(t, column(x)).item() == pytest.approx(rate / mass, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize(("s", "t"), [(0.0, 1.0), (0.0, 0.3), (0.2, 0.9), (0.5, 0.7), (0.6, 1.0), (0.9, 0.2)])
def test_the_map_keeps_the_share_of_mass_below_a_point(s, t):
    """On the line no path passes another one: P(I_t <= X_{s,t}(x)) = P(I_s <= x)."""
    x = np.array([-0.9, -0.4, -0.1, 0.02, 0.15, 0.8]) * (1.0 if s < 0.8 else 0.2) + (1.0 if s > 0.8 else 0.0)
    landed = PROBLEM.flow_map(s, t, torch.tensor(x)[:, None])[:, 0].numpy()
    assert np.abs(share_below(t, landed) - share_below(s, x)).max() < 1e-7
    assert np.abs(landed - x).max() > 0.05


def test_the_map_is_where_scipy_carries_the_points():
    """solve_ivp with the two modes' own velocity, written by hand with tanh."""

    def velocity(t: float, x: np.ndarray) -> np.ndarray:
        S2 = spread(t) ** 2
        return ((t * STD**2 - (1 - t) * SIGMA**2) * x + (1 - t) * SIGMA**2 * np.tanh(t * x / S2)) / S2

    x = np.array([-1.2, -0.3, 0.01, 0.5])
    way = integrate.solve_ivp(velocity, (0, 1), x, rtol=1e-11, atol=1e-12, method="DOP853")
    landed = PROBLEM.flow_map(0.0, 1.0, torch.tensor(x)[:, None])[:, 0].numpy()
    assert np.abs(landed - way.y[:, -1]).max() < 1e-6


def test_the_map_tears_at_zero():
    """0 stays; its neighbours land at 0.7 on their sides; the slope at 0 is p_0(0) / p_1(0), about 10^21."""
    assert PROBLEM.flow_map(0.0, 1.0, column(0.0)).item() == 0
    low, high = PROBLEM.flow_map(0.0, 1.0, column(-1e-3, 1e-3))[:, 0].tolist()
    assert low == pytest.approx(-high)
    assert high - low == pytest.approx(1.4, abs=0.01)
    slope = (PROBLEM.log_density(0.0, column(0.0)) - PROBLEM.log_density(1.0, column(0.0))).item() / math.log(10)
    assert 20.5 < slope < 21.5


# --- figures ---------------------------------------------------------------------------------------


def test_the_background_is_the_density():
    """The image's numbers are p_t(x); each column, an instant, integrates to 1."""
    ax = line.density(PROBLEM)
    (image,) = ax.images
    left, right, bottom, top = image.get_extent()
    p = np.asarray(image.get_array())
    x, t = np.linspace(bottom, top, p.shape[0]), np.linspace(left, right, p.shape[1])
    assert (left, right) == (0, 1)
    assert np.trapezoid(p, x, axis=0) == pytest.approx(np.ones(len(t)), abs=0.01)
    for k in (0, 60, 140):
        wanted = sum(stats.norm.pdf(x, m * t[k], spread(t[k])) / 2 for m in MEANS)
        assert np.abs(p[:, k] - wanted).max() < 1e-6 * wanted.max()


def test_crossing_lines_join_independent_pairs():
    """x0 has the base's spread, x1 the modes'; they are not correlated, and about half of the pairs cross 0."""
    ax = line.crossing(PROBLEM, 4000)
    ends = np.array(ax.collections[0].get_segments())  # (n, 2, 2)
    assert (ends[:, 0, 0] == 0).all()
    assert (ends[:, 1, 0] == 1).all()
    x0, x1 = ends[:, :, 1].T
    assert x0.std() == pytest.approx(SIGMA, rel=0.05)
    assert np.abs(x1).mean() == pytest.approx(1, abs=0.01)
    assert abs(np.corrcoef(x0, x1)[0, 1]) < 0.05
    assert (x0 * x1 < 0).mean() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(("t", "x"), [(0.4, 0.2), (0.0, 0.5), (0.7, -0.3), (0.97, 0.9)])
def test_the_mean_of_the_slopes_is_the_velocity(t, x):
    """The arrow has the slope b_t(x); every line passes through (t, x), and their own mean is near to it."""
    ax = line.mean_velocity(PROBLEM, t, x, n=400)
    (found,) = arrows(ax, plane.VELOCITY)
    velocity = PROBLEM.velocity(t, column(x)).item()
    assert found[1] / found[0] == pytest.approx(velocity, abs=1e-6)
    ends = np.array(ax.collections[0].get_segments())[:, :, 1]
    assert (1 - t) * ends[:, 0] + t * ends[:, 1] == pytest.approx(np.full(400, x), abs=1e-9)
    assert (ends[:, 1] - ends[:, 0]).mean() == pytest.approx(velocity, abs=0.01)


def test_paths_are_those_of_the_flow():
    """Every drawn point is X_{0,t}(start), and no path passes another one."""
    starts = torch.tensor([-1.0, -0.3, -0.05, 0.02, 0.6])
    ax = line.paths(PROBLEM.velocity, starts)
    ways = np.array(ax.collections[0].get_segments())  # (B, steps + 1, 2)
    assert (ways[:, :, 0] == ways[0, :, 0]).all()
    for k in (0, 50, 120, 200):
        wanted = PROBLEM.flow_map(0.0, float(ways[0, k, 0]), starts[:, None])[:, 0].numpy()
        assert np.abs(ways[:, k, 1] - wanted).max() < 1e-4
    assert (np.diff(ways[:, :, 1], axis=0) > 0).all()


def test_a_chord_ends_on_the_path_and_has_the_average_slope():
    s, t, x = 0.2, 0.9, 0.15
    ax = line.chord(EXACT, s, t, x)
    ends, way = drawn(ax, "chord").get_xydata(), drawn(ax, "path").get_xydata()
    landed = PROBLEM.flow_map(s, t, column(x)).item()
    assert ends == pytest.approx(np.array([[s, x], [t, landed]]), abs=1e-9)
    assert way[[0, -1]] == pytest.approx(ends, abs=1e-9)
    slope = (landed - x) / (t - s)
    assert slope == pytest.approx(PROBLEM.v(s, t, column(x)).item())
    assert f"= {slope:.2f}" in drawn(ax, "chord").get_label()
    middle = PROBLEM.flow_map(s, float(way[50, 0]), column(x)).item()
    assert way[50, 1] == pytest.approx(middle, abs=1e-8)


def test_shrinking_chords_become_the_tangent():
    """The slope of a chord differs from b_s(x) by a multiple of t - s, which halves with t - s."""
    s, x, lengths = 0.4, 0.1, [0.02, 0.01, 0.005, 0.0025]
    ax = line.tangent(EXACT, s, [s + h for h in lengths], x)
    (found,) = arrows(ax, plane.VELOCITY)
    velocity = PROBLEM.velocity(s, column(x)).item()
    assert found[1] / found[0] == pytest.approx(velocity)
    ends = [drawn(ax, f"t - s = {h:.2g}:").get_xydata() for h in lengths]
    away = [np.divide(*(b - a)[::-1]) - velocity for a, b in ends]
    ratios = np.array(away[:-1]) / away[1:]
    assert ratios == pytest.approx(np.full(3, 2.0), abs=0.1)


def test_a_tear_is_not_joined():
    """The exact line has one gap, around 0; a smooth map has none; the values are the map's."""
    ax = line.tear({"exact": EXACT, "one Euler step": EULER})
    exact, euler = (drawn(ax, name).get_xydata() for name in ("exact", "one Euler step"))
    (gap,) = np.flatnonzero(np.isnan(exact[:, 1]))
    assert abs(exact[gap, 0]) < 0.01
    assert np.isfinite(euler).all()
    some = exact[[3, 300, 500]]
    assert some[:, 1] == pytest.approx(PROBLEM.flow_map(0.0, 1.0, column(*some[:, 0]))[:, 0].numpy(), abs=1e-8)


@pytest.mark.parametrize("X", [EXACT, EULER], ids=["exact", "euler"])
@pytest.mark.parametrize(("s", "t", "x"), [(0.2, 0.8, 0.3), (0.3, 1.0, -0.2)])
def test_gaps_are_the_residuals(X, s, t, x):
    """Each drawn gap, divided by the step where one is taken, is the residual of `metrics`; 0 for the exact map."""
    step = 0.1
    ax = line.gestures(X, s, (s + t) / 2, t, x, step=step)
    wanted = {k: v.sqrt().item() for k, v in residuals_at(X, *torch.tensor([[s], [t]]), column(x)).items()}
    for name, length in (("Lagrangian", step), ("Eulerian", step), ("semigroup", 1.0)):
        bar = drawn(ax, f"{name} gap").get_xydata()
        residual = wanted[name.lower()]
        assert abs(bar[1, 1] - bar[0, 1]) / length == pytest.approx(residual, abs=1e-9)
        assert f"residual {residual:.2f}" in drawn(ax, f"{name} gap").get_label()
        assert residual < 1e-5 if X is EXACT else residual > 0.05
    assert ax.get_xlim()[1] > t + step


def test_the_semigroups_gap_is_measured_through_any_stop():
    s, u, t, x = 0.1, 0.25, 0.9, 0.2
    ax = line.gestures(EULER, s, u, t, x, which=["semigroup"])
    assert not [a for a in ax.get_lines() if "Euler" in str(a.get_label())]
    times = torch.tensor([[s], [u], [t]])
    wanted = losses.semigroup(EULER, *times, column(x), stopgrad="none", velocity_form=False).sqrt().item()
    low, high = drawn(ax, "semigroup gap").get_ydata()
    assert abs(high - low) == pytest.approx(wanted)
    stop = drawn(ax, "a stop").get_xydata()[1]
    assert stop == pytest.approx(np.array([u, EULER(s, u, column(x)).item()]))


def test_figures_share_axes_and_hide_nothing():
    """Several calls on one pair of axes; the legend lies below the axes and its words do not touch each other."""
    figure, ax = plt.subplots(figsize=(4.5, 5), layout="constrained")
    assert line.density(PROBLEM, ax) is ax
    assert line.gestures(EULER, 0.2, 0.5, 0.8, 0.3, ax) is ax
    figure.canvas.draw()
    legend = ax.get_legend()
    below = ax.xaxis.get_tightbbox().y0
    boxes = [text.get_window_extent() for text in legend.get_texts()]
    assert len(boxes) == 8
    assert max(box.y1 for box in boxes) < below
    assert min(box.y0 for box in boxes) > 0
    assert all(box.x1 < figure.bbox.width for box in boxes)
    assert not any(a.overlaps(b) for k, a in enumerate(boxes) for b in boxes[:k])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: line.density(problems.Checkerboard()), "problem on the line.*got dim = 2"),
        (lambda: line.crossing(EXACT), "problem on the line.*got FlowMap"),
        (lambda: line.mean_velocity(PROBLEM, 1.0, 0.5), "t must be below 1"),
        (lambda: line.chord(EXACT, 0.6, 0.5, 0.0), "s <= t is wanted"),
        (lambda: line.chord(EXACT, 0.6, 0.7, math.nan), "x must be a finite number"),
        (lambda: line.tangent(EXACT, 0.4, [], 0.0), "at least one end time"),
        (lambda: line.tangent(EXACT, 0.4, [0.3, 0.6], 0.0), "s <= the first of ts is wanted"),
        (lambda: line.tear({}), "at least one FlowMap"),
        (lambda: line.gestures(EXACT, 0.4, 0.3, 0.6, 0.0), "s <= u is wanted"),
        (lambda: line.gestures(EXACT, 0.1, 0.3, 0.6, 0.0, which=["parabolic"]), "which must be one of"),
        (lambda: line.paths(PROBLEM.velocity, [math.inf]), "starts must be finite"),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
