"""The exact problems against independent mathematics: other quadratures, other solvers, identities, sampling."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial.legendre import leggauss
from scipy.integrate import DOP853, solve_ivp
from torch.func import jvp

from flowmap_edu.flow_map import FlowMap
from flowmap_edu.problems import Checkerboard, Gaussian, GaussianMixture, dop853, truncated
from flowmap_edu.problems.truncated import truncated_normals

BOARD = Checkerboard()
GAUSSIAN = Gaussian(mean=torch.tensor([0.7, -1.2, 0.1]), std=0.3, sigma=0.8)
MIXTURE = GaussianMixture(
    means=torch.tensor([[1.0, 0.0], [-1.0, 0.5], [0.0, -1.0]]),
    stds=torch.tensor([0.1, 0.3, 0.2]),
    weights=torch.tensor([1.0, 2.0, 3.0]),
    sigma=0.7,
)
FLOWS = pytest.mark.parametrize("flow", [GAUSSIAN, MIXTURE, BOARD], ids=["gaussian", "mixture", "board"])


torch.set_num_threads(1)


def points(flow, n, seed=0):
    """Times t and points distributed as I_t, float64: where a network would be asked."""
    g = torch.Generator().manual_seed(seed)
    t = torch.rand(n, generator=g, dtype=torch.float64)
    x0 = flow.sigma * torch.randn(n, flow.dim, generator=g, dtype=torch.float64)
    x1, _ = flow.sample(n, g, dtype=torch.float64)
    return t, (1 - t)[:, None] * x0 + t[:, None] * x1, x1 - x0


def relative(a, b):
    return float(((a - b).norm(dim=-1) / b.norm(dim=-1).clamp(min=1e-3)).max())


# --- the velocity and the density ------------------------------------------------------------------


def board_by_quadrature(t, x, nodes=40, pieces=40):
    """b_t(x) and the density of I_t by integrating the posterior of x1 over each square, no erf in sight.

    Each cell is cut around the point where the Gaussian factor is largest; all sums in logarithms.
    """
    sigma = 1 / math.sqrt(3)
    u, w = leggauss(nodes)
    moments = []
    for coordinate in x:
        k = (1 - t) * sigma
        per_cell = []
        for a in (-1.0, -0.5, 0.0, 0.5):
            b = a + 0.5
            peak = min(max(coordinate / t, a), b)
            slope = abs(t * (coordinate - t * peak)) / k**2  # rate of decay away from the peak
            reach = 60 / max(slope, 1e-300) if slope > 0 else np.inf
            reach = min(reach, 12 * k / t)
            low, high = max(a, peak - reach), min(b, peak + reach)
            knots = np.linspace(low, high, pieces + 1)
            y = (knots[:-1, None] + np.diff(knots)[:, None] * (u + 1) / 2).ravel()
            weight = (np.diff(knots)[:, None] * w / 2).ravel()
            # (x - t y)^2 - (x - t peak)^2, factored so that nothing cancels
            log = -(t * (peak - y)) * (2 * coordinate - t * (y + peak)) / (2 * k**2)
            e = weight * np.exp(log)
            start = -((coordinate - t * peak) ** 2) / (2 * k**2) - math.log(k * math.sqrt(2 * math.pi))
            velocity = (peak - coordinate) / (1 - t) + (e @ (y - peak)) / e.sum() / (1 - t)
            per_cell.append((start + math.log(e.sum()), velocity))
        moments.append(per_cell)
    squares = [(i, j) for i in range(4) for j in range(4) if (i + j) % 2 == 0]
    logs = np.array([moments[0][i][0] + moments[1][j][0] for i, j in squares])
    posterior = np.exp(logs - logs.max())
    b = [sum(p * moments[axis][ij[axis]][1] for p, ij in zip(posterior, squares, strict=True)) for axis in (0, 1)]
    return np.array(b) / posterior.sum(), logs.max() + math.log(posterior.sum()) - math.log(2.0)


@pytest.mark.parametrize("t", [1e-6, 0.0199, 0.02, 0.1, 0.5, 0.9, 0.999])
def test_board_velocity_and_density_against_brute_force(t):
    g = torch.Generator().manual_seed(1)
    x = torch.cat([torch.randn(15, 2, generator=g) * 0.7, 20 * torch.rand(10, 2, generator=g) - 10]).double()
    b, log_rho = BOARD.velocity(t, x), BOARD.log_density(t, x)
    for x_i, b_i, log_i in zip(x.numpy(), b.numpy(), log_rho.numpy(), strict=True):
        b_wanted, log_wanted = board_by_quadrature(t, x_i)
        assert np.linalg.norm(b_i - b_wanted) < 1e-6 * max(np.linalg.norm(b_wanted), 1e-3), (t, x_i)
        assert abs(log_i - log_wanted) < 1e-6 * max(1, abs(log_wanted))


def test_truncated_normals_against_mpmath():
    mpmath = pytest.importorskip("mpmath")
    mpmath.mp.dps = 60
    edges = torch.tensor([900.0, 60.0, 41.0, 39.0, 5.0, 0.7, 0.0, -0.2, -8.0, -45.0, -1e4], dtype=torch.float64)
    log_mass, mean = truncated_normals(edges)
    for k in range(len(edges) - 1):
        low, high = mpmath.mpf(float(edges[k + 1])), mpmath.mpf(float(edges[k]))
        tail = lambda z: mpmath.erfc(z / mpmath.sqrt(2)) / 2  # noqa: E731
        mass = tail(low) - tail(high) if high > 0 else tail(-high) - tail(-low)
        wanted = (mpmath.npdf(low) - mpmath.npdf(high)) / mass
        assert float(log_mass[k]) == pytest.approx(float(mpmath.log(mass)), rel=1e-12, abs=1e-12)
        assert float(mean[k]) == pytest.approx(float(wanted), rel=1e-11)


@pytest.mark.parametrize(
    "edges",
    [
        (1.3, 0.4, -0.2, -1.0, -2.5),  # 0 in an even cell
        (2.0, 1.5, 0.0, -0.5, -3.0),  # 0 on an edge
        (30.0, 22.0, 14.0, 9.0, 3.0),  # all cells in one tail
        (12.0, 7.0, -5.0, -6.0, -36.0),  # 0 in an odd cell; the even ones in both tails
        (-20.0, -20.01, -20.03, -20.06, -20.1),  # narrow cells, far away
    ],
)
def test_two_cells_against_mpmath(edges):
    """P and E[Z | Z in the cells] of both parities, by sums over edges and by logarithms."""
    mpmath = pytest.importorskip("mpmath")
    mpmath.mp.dps = 150
    found = [f(torch.tensor(edges, dtype=torch.float64)) for f in (truncated.two_cells, truncated.log_two_cells)]
    for parity in (0, 1):
        cells = [(edges[k + 1], edges[k]) for k in (parity, parity + 2)]
        upper = lambda z: mpmath.erfc(mpmath.mpf(z) / mpmath.sqrt(2)) / 2  # noqa: E731
        mass = sum(upper(low) - upper(high) for low, high in cells)
        moment = sum(mpmath.npdf(low) - mpmath.npdf(high) for low, high in cells)
        for log_mass, mean in found:
            assert float(log_mass[parity]) == pytest.approx(float(mpmath.log(mass)), rel=1e-12, abs=1e-12)
            assert float(mean[parity]) == pytest.approx(float(moment / mass), rel=1e-11)


@pytest.mark.parametrize("rare", [False, True])
@pytest.mark.parametrize("t", [0.005, truncated.EARLY])
def test_early_and_late_formulas_meet(t, rare):
    """An integral over the cells and a difference of error functions are the same density and the same velocity."""
    x = torch.linspace(-1, 1, 101, dtype=torch.float64) * min(3.0, truncated.NEAR / t)
    time = torch.full_like(x, t)
    late, early = truncated.late_parities(time, x, BOARD.sigma, rare), truncated.early_parities(time, x, BOARD.sigma)
    for a, b in zip(late, early, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def test_a_point_where_no_draw_comes_changes_nothing_for_the_others():
    """With it in the batch all of them are computed by logarithms."""
    t, x, _ = points(BOARD, 400, seed=15)
    far = torch.tensor([[9.0, -4.0]], dtype=torch.float64)  # the log density of it is -4e6 at t = 0.99
    both = torch.cat([t, torch.tensor([0.99], dtype=torch.float64)]), torch.cat([x, far])
    for f in (BOARD.velocity, BOARD.log_density):
        torch.testing.assert_close(f(*both)[:-1], f(t, x), rtol=1e-9, atol=1e-9)
    b_wanted, log_wanted = board_by_quadrature(0.99, far[0].numpy())
    assert BOARD.velocity(*both)[-1].numpy() == pytest.approx(b_wanted, rel=1e-6)
    assert float(BOARD.log_density(*both)[-1]) == pytest.approx(log_wanted, rel=1e-6)


@FLOWS
def test_velocity_is_the_regression_of_dI_on_I(flow):
    """E[(dI - b(I)) g(I)] = 0 for any g: tested with g = 1, I and sin(3 I), within 4.5 standard errors."""
    t, x, dI = points(flow, 100_000)
    residual = dI - flow.velocity(t, x)
    for g in (torch.ones_like(x), x, torch.sin(3 * x), t[:, None] * x.roll(1, -1)):
        product = residual * g
        assert bool((product.mean(0).abs() < 4.5 * product.std(0) / len(x) ** 0.5).all())


@FLOWS
def test_continuity_equation(flow):
    """d/dt log rho + b . grad log rho + div b = 0, by forward-mode derivatives."""
    t, x, _ = points(flow, 300, seed=2)
    t = 0.01 + 0.97 * t
    b = flow.velocity(t, x)
    _, along = jvp(flow.log_density, (t, x), (torch.ones_like(t), b))  # both first terms together
    div = torch.zeros_like(t)
    for axis in torch.eye(flow.dim, dtype=torch.float64):
        div += jvp(lambda x: flow.velocity(t, x), (x,), (axis.expand_as(x),))[1] @ axis
    assert float(((along + div).abs() / (1 + div.abs())).max()) < 1e-7


@FLOWS
@pytest.mark.parametrize("t", [0.0, 0.3, 0.97])
def test_density_integrates_to_one(flow, t):
    """By importance sampling from a wide normal, 4 standard errors; the board on a grid, to 1e-6."""
    if flow is BOARD:
        axis = torch.linspace(-4, 4, 641, dtype=torch.float64)
        x = torch.cartesian_prod(axis, axis)
        total = sum(flow.log_density(t, part).exp().sum() for part in x.split(400_000)) * (axis[1] - axis[0]) ** 2
        assert float(total) == pytest.approx(1, abs=1e-6)
        return
    g = torch.Generator().manual_seed(3)
    x = 1.2 * torch.randn(200_000, flow.dim, generator=g, dtype=torch.float64)
    log_q = -(x**2).sum(-1) / (2 * 1.44) - flow.dim * math.log(1.2 * math.sqrt(2 * math.pi))
    ratio = (flow.log_density(t, x) - log_q).exp()
    assert abs(float(ratio.mean()) - 1) < 4 * float(ratio.std()) / len(x) ** 0.5 + 1e-9


def test_board_density_at_time_one():
    x = torch.tensor([[-0.75, -0.75], [0.25, 0.25], [-0.25, 0.75], [-0.75, -0.25], [1.2, 0.1], [1.0, 1.0]])
    assert BOARD.log_density(1.0, x).tolist() == pytest.approx([math.log(0.5)] * 3 + [-math.inf] * 2 + [math.log(0.5)])
    torch.testing.assert_close(BOARD.velocity(1.0, x[:3]), x[:3])  # inside a square E[x0 | x] = 0


@FLOWS
def test_finite_with_finite_derivatives_at_both_ends_and_on_the_edges(flow):
    axis = torch.tensor([-10.0, -1.0, -0.5, 0.0, 0.25, 0.5, 3.0], dtype=torch.float64)
    x = torch.cartesian_prod(axis, axis) if flow.dim == 2 else axis[:, None].expand(-1, flow.dim)
    for time in (0.0, 1e-9, 0.1, 0.5, 1 - 1e-7, 1.0):
        t = torch.full((len(x),), time, dtype=torch.float64, requires_grad=True)
        y = x.clone().requires_grad_()
        b, db = jvp(flow.velocity, (t, y), (torch.ones_like(t), torch.ones_like(y)))
        grads = torch.autograd.grad(flow.velocity(t, y).sum(), (t, y))
        assert all(bool(torch.isfinite(a).all()) for a in (b, db, *grads)), time


def test_derivative_at_an_edge_is_the_limit():
    """x = 0 lies on an edge of the cells: no one-sided derivative may slip in."""
    x = torch.zeros(1, 2, dtype=torch.float64)
    e = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    for t in (0.05, 0.5, 0.9):
        _, exact = jvp(lambda x, t=t: BOARD.velocity(t, x), (x,), (e,))
        central = (BOARD.velocity(t, x + 1e-5 * e) - BOARD.velocity(t, x - 1e-5 * e)) / 2e-5
        torch.testing.assert_close(exact, central, rtol=1e-5, atol=1e-7)


# --- the flow map ----------------------------------------------------------------------------------


@FLOWS
def test_map_against_an_independent_ode_solver(flow):
    _, x, _ = points(flow, 6, seed=4)
    for s, t in ((0.0, 1.0), (0.2, 0.7), (0.8, 0.1)):
        X = flow.flow_map(s, t, x)
        for x_i, X_i in zip(x, X, strict=True):
            rhs = lambda time, y: flow.velocity(float(time), torch.tensor(y)[None])[0].numpy()  # noqa: E731
            end = min(t, 1 - 1e-8)
            y = solve_ivp(rhs, (s, end), x_i.numpy(), rtol=1e-9, atol=1e-9, method="DOP853").y[:, -1]
            assert np.abs(y - X_i.numpy()).max() < 3e-7
        torch.testing.assert_close(flow.v(s, t, x), (X - x) / (t - s), rtol=1e-9, atol=1e-9)


def test_the_error_of_the_map_is_as_stated():
    """Against a tolerance of 1e-12: at most five times the errors that the docstring of `v` states."""
    x0 = BOARD.sigma * torch.randn(2000, 2, generator=torch.Generator().manual_seed(16), dtype=torch.float64)
    truth = BOARD.flow_map(0.0, 1.0, x0, tolerance=1e-12)
    for tolerance, stated, most in ((1e-9, 2e-8, 1e-6), (1e-6, 2e-6, 1e-4)):
        error = (BOARD.flow_map(0.0, 1.0, x0, tolerance=tolerance) - truth).norm(dim=1)
        assert float(error.square().mean().sqrt()) < 5 * stated
        assert float(error.max()) < 5 * most
    default = BOARD.flow_map(0.0, 1.0, x0)
    assert torch.equal(default, BOARD.flow_map(0.0, 1.0, x0, tolerance=1e-9))
    assert torch.equal(default, x0 + BOARD.v(0.0, 1.0, x0, tolerance=1e-9))


@FLOWS
def test_diagonal_of_v_is_the_velocity(flow):
    t, x, _ = points(flow, 50, seed=5)
    torch.testing.assert_close(flow.v(t, t, x), flow.velocity(t, x), rtol=1e-9, atol=1e-9)


@FLOWS
def test_three_conditions(flow):
    tolerance = 1e-9 if flow is GAUSSIAN else 3e-7
    X = FlowMap(flow.v)
    s, x, _ = points(flow, 25, seed=6)
    s = 0.9 * s
    t = s + (0.98 - s) * torch.rand(25, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    X_st, dX_dt = X.partial_t(s, t, x)
    assert relative(dX_dt, flow.velocity(t, X_st)) < tolerance  # Lagrangian
    b = flow.velocity(s, x)
    _, eulerian = X.eulerian(s, t, x, b)
    _, pushed = X.push(s, t, x, b)
    assert float((eulerian.norm(dim=-1) / (1 + pushed.norm(dim=-1))).max()) < tolerance  # Eulerian
    u = (s + t) / 2
    assert float((X(u, t, X(s, u, x)) - X_st).abs().max()) < tolerance  # semigroup


@FLOWS
def test_lagrangian_condition_at_the_end_of_time(flow):
    x = flow.sigma * torch.randn(10, flow.dim, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    X, dX_dt = FlowMap(flow.v).partial_t(0.0, 1.0, x)
    assert relative(dX_dt, flow.velocity(1.0, X)) < 1e-5


@pytest.mark.parametrize("flow", [MIXTURE, BOARD], ids=["mixture", "board"])
def test_reverse_mode_through_the_map_agrees_with_forward_mode(flow):
    s, x, w = points(flow, 5, seed=14)
    s, t = 0.5 * s, torch.full((5,), 0.8, dtype=torch.float64)
    leaves = [a.clone().requires_grad_() for a in (s, t, x)]
    grads = torch.autograd.grad((flow.flow_map(*leaves) * w).sum(), leaves)
    along = (torch.ones_like(s), torch.full_like(t, 2.0), w.roll(1, 0))
    _, forward = jvp(flow.flow_map, (s, t, x), along)
    backward = sum((g * a).sum() for g, a in zip(grads, along, strict=True))
    assert float(backward) == pytest.approx(float((forward * w).sum()), rel=1e-9)


def test_base_samples_arrive_on_the_board():
    n = 4000
    x0 = BOARD.sigma * torch.randn(n, 2, generator=torch.Generator().manual_seed(10))
    cell = torch.floor(2 * (BOARD.flow_map(0.0, 1.0, x0) + 1)).long()
    white = ((cell >= 0) & (cell < 4)).all(-1) & (cell.sum(-1) % 2 == 0)
    assert float((~white).double().mean()) < 1e-3
    masses = torch.bincount(4 * cell[white, 0] + cell[white, 1], minlength=16)[[0, 2, 5, 7, 8, 10, 13, 15]] / n
    assert float((masses - 1 / 8).abs().max()) < 4 * math.sqrt(1 / 8 * 7 / 8 / n)


def test_map_from_off_the_board_lands_on_its_edge():
    """A point two units outside is drawn in a straight line to the board: the stiff end of the problem."""
    x = torch.tensor([[3.0, 0.75], [-2.0, -0.75], [0.3, 4.0]], dtype=torch.float64)
    X = BOARD.flow_map(0.9, 1.0, x)
    assert float(X.abs().max()) <= 1 + 1e-6
    back = BOARD.flow_map(0.9, 0.5, BOARD.flow_map(0.5, 0.9, x))
    torch.testing.assert_close(back, x, rtol=0, atol=1e-6)


@FLOWS
def test_euler_converges_to_the_map_at_first_order(flow):
    _, x, _ = points(flow, 200, seed=11)
    s, t, errors = 0.1, 0.6, []
    X = flow.flow_map(s, t, x)
    for steps in (64, 128, 256):
        y = x
        for k in range(steps):
            y = y + (t - s) / steps * flow.velocity(s + (t - s) * k / steps, y)
        errors.append(float((y - X).norm(dim=-1).mean()))
    order = -np.polyfit(np.log([64, 128, 256]), np.log(errors), 1)[0]
    assert order == pytest.approx(1, abs=0.1)


TIME = st.floats(0, 1, allow_subnormal=False)


@FLOWS
@settings(max_examples=8, deadline=None)
@given(s=TIME, u=TIME, t=TIME, seed=st.integers(0, 1000), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_map_is_a_semigroup_that_starts_at_the_identity(flow, s, u, t, seed, dtype):
    """In increasing order of times (going back from t = 1 the flow is not determined by the data)."""
    s, u, t = sorted((s, u, t))
    x = (flow.sigma * torch.randn(3, flow.dim, generator=torch.Generator().manual_seed(seed))).to(dtype)
    assert torch.equal(flow.flow_map(s, s, x), x)
    X = flow.flow_map(s, t, x)
    assert (X.shape, X.dtype) == (x.shape, dtype)
    twice = flow.flow_map(u, t, flow.flow_map(s, u, x.double()))
    torch.testing.assert_close(X.double(), twice, rtol=1e-6, atol=1e-6)
    vectors = flow.flow_map(torch.full((3,), s), torch.tensor(t), x.double())
    assert vectors.shape == (3, flow.dim)


# --- the loss that cannot be beaten, samples, bad input ---------------------------------------------


@FLOWS
def test_irreducible_loss_against_monte_carlo(flow):
    t, x, dI = points(flow, 300_000, seed=12)
    loss = (dI - flow.velocity(t, x)).square().sum(-1)
    assert abs(float(loss.mean()) - flow.irreducible_loss()) < 4 * float(loss.std()) / len(x) ** 0.5


def test_irreducible_loss_known_values():
    assert BOARD.irreducible_loss() == pytest.approx(0.97488, abs=5e-6)
    alone = GaussianMixture(GAUSSIAN.mean[None], GAUSSIAN.std, sigma=GAUSSIAN.sigma)
    assert alone.irreducible_loss() == pytest.approx(GAUSSIAN.irreducible_loss(), rel=1e-12)
    twins = GaussianMixture(GAUSSIAN.mean.expand(2, -1), GAUSSIAN.std, sigma=GAUSSIAN.sigma)
    x = torch.randn(20, 3, dtype=torch.float64)
    torch.testing.assert_close(twins.velocity(0.4, x), GAUSSIAN.velocity(0.4, x))
    torch.testing.assert_close(twins.log_density(0.4, x), GAUSSIAN.log_density(0.4, x))


@FLOWS
def test_samples_have_the_right_moments_and_repeat(flow):
    draw = lambda: flow.sample(50_000, torch.Generator().manual_seed(13))[0]  # noqa: E731
    x1 = draw()
    assert torch.equal(x1, draw())
    assert x1.dtype == torch.get_default_dtype()
    assert flow.sample(3, dtype=torch.float64)[0].dtype == torch.float64
    if flow is BOARD:
        mean, second = torch.zeros(2), torch.full((2,), 1 / 3)
        assert bool(torch.isfinite(flow.log_density(1.0, x1)).all())
    elif flow is GAUSSIAN:
        mean, second = flow.mean.float(), (flow.mean**2 + flow.std**2).float()
    else:
        w, m, c = flow.weights[:, None], flow.means, flow.stds[:, None]
        mean, second = (w * m).sum(0).float(), (w * (m**2 + c**2)).sum(0).float()
    assert bool(((x1.mean(0) - mean).abs() < 4.5 * x1.std(0) / len(x1) ** 0.5).all())
    assert bool((((x1**2).mean(0) - second).abs() < 4.5 * (x1**2).std(0) / len(x1) ** 0.5).all())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: BOARD.velocity(0.5, torch.zeros(4, 3)), r"\(B, 2\), got \(4, 3\)"),
        (lambda: BOARD.velocity(0.5, torch.zeros(2)), "x must be"),
        (lambda: BOARD.velocity(1.5, torch.zeros(4, 2)), r"t must lie in \[0, 1\]"),
        (lambda: BOARD.v(torch.tensor([-0.1]), 0.5, torch.zeros(1, 2)), r"s must lie in \[0, 1\]"),
        (lambda: BOARD.flow_map(0.1, torch.zeros(3), torch.zeros(4, 2)), r"t must be a number or have shape \(4,\)"),
        (lambda: BOARD.log_density(0.5, torch.full((1, 2), math.nan)), "x must be finite"),
        (
            lambda: BOARD.flow_map(0.0, 1.0, torch.zeros(4, 2), tolerance=0.0),
            "tolerance must be at least 1e-12, got 0.0",
        ),
        (lambda: GAUSSIAN.v(0.0, 1.0, torch.zeros(4, 3), tolerance=-1), "tolerance must be at least 1e-12, got -1"),
        (lambda: BOARD.sample(0)[0], "n must be"),
        (lambda: Gaussian(std=0.0), "std must be finite and positive"),
        (lambda: Gaussian(mean=torch.zeros(3), dim=2), r"mean must be a number or have shape \(2,\)"),
        (lambda: GaussianMixture(torch.zeros(2), 1.0), r"means must have shape \(K, D\)"),
        (lambda: GaussianMixture(torch.zeros(2, 2), torch.ones(3)), r"stds must be a number or have shape \(2,\)"),
        (lambda: GaussianMixture(torch.zeros(2, 2), 1.0, torch.tensor([1.0, -1.0])), "weights must be finite"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_solver_s_coefficients_are_scipy_s():
    """Nodes, stages, weights and both error estimates, to the bit."""
    rows = np.zeros((12, 12))
    for k, row in enumerate(dop853.A):
        rows[k, :k] = row
    assert np.array_equal(rows, DOP853.A[:12, :12])
    for found, wanted in (
        (dop853.C, DOP853.C[:12]),
        (dop853.B, DOP853.B),
        (dop853.E3, DOP853.E3),
        (dop853.E5, DOP853.E5),
    ):
        assert np.array_equal(found, wanted)
