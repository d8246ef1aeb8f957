"""Flow maps of known equations: exact maps by formulas and by scipy, losses that vanish there, and training."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from flowmap_edu import METHODS, FlowMap, Training, Trigonometric, fit, losses, metrics, nets, training
from flowmap_edu.problems import equations
from flowmap_edu.problems.equations import Equation

ALL = [equations.Pendulum(), equations.LotkaVolterra(), equations.StiffLinear(), equations.Lorenz()]
by_name = pytest.mark.parametrize("problem", ALL, ids=lambda problem: type(problem).__name__)
STIFF = equations.StiffLinear(20.0, horizon=0.7)


def states(problem: Equation, n: int = 20, seed: int = 0) -> torch.Tensor:
    """n states, float64."""
    return problem.base(n, torch.Generator().manual_seed(seed)).double()


def two_times(n: int, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """s and t, in either order, float64."""
    return tuple(torch.rand(2, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


# --- the exact maps -----------------------------------------------------------------------------------


@by_name
def test_the_flow_is_scipys(problem):
    """Forward over the horizon, and its slope at no distance is the velocity."""
    x = states(problem, 3)
    for start, end in zip(x, problem.flow(0.0, 1.0, x), strict=True):
        found = solve_ivp(
            lambda _, y: problem.rate(torch.from_numpy(y)[None])[0].numpy(),
            (0.0, problem.horizon), start.numpy(), method="DOP853", rtol=1e-11, atol=1e-12,
        )  # fmt: skip
        assert np.abs(found.y[:, -1] - end.numpy()).max() < 1e-7
    assert (problem.v(0.4, 0.4, x) - problem.velocity(0.4, x)).abs().max() < 1e-10


@by_name
def test_the_flow_comes_back_and_composes(problem):
    """In either order of the times, which the solver of the generative flows takes as well."""
    x, (s, t) = states(problem), two_times(20)
    if isinstance(problem, equations.StiffLinear):
        s, t = 0.1 * s, 0.1 * t  # backward it grows as exp(stiffness)
    assert (problem.flow(t, s, problem.flow(s, t, x)) - x).abs().max() < 1e-6
    u = (s + t) / 2
    assert (problem.flow(u, t, problem.flow(s, u, x)) - problem.flow(s, t, x)).abs().max() < 1e-7


def test_a_linear_equation_is_solved_by_a_matrix_exponential():
    """Against scipy's; its eigenvalues are -1 and -20."""
    x = states(STIFF)
    A = STIFF.matrix.numpy()
    assert np.sort(np.linalg.eigvals(A)) == pytest.approx([-20.0, -1.0])
    found = STIFF.flow(0.2, 0.9, x)
    assert np.abs(found.numpy() - x.numpy() @ expm(0.7 * 0.7 * A).T).max() < 1e-12


def test_what_does_not_change_stays():
    """The pendulum's energy, and the number that Lotka and Volterra's orbits keep; Lorenz's volume shrinks."""
    x = states(ALL[0], 50)
    landed = ALL[0].flow(0.0, 1.0, x)
    energies = [y[:, 1] ** 2 / 2 - y[:, 0].cos() for y in (x, landed)]
    assert (energies[0] - energies[1]).abs().max() < 1e-7
    x = states(ALL[1], 50)
    kept = [(y - y.log()).sum(1) for y in (x, ALL[1].flow(0.0, 1.0, x))]
    assert (kept[0] - kept[1]).abs().max() < 1e-7
    lorenz = equations.Lorenz(0.1)
    from flowmap_edu.likelihood import jacobian

    _, J = jacobian(FlowMap(lorenz.v), 0.0, 1.0, states(lorenz, 5))
    assert (torch.linalg.slogdet(J).logabsdet + 0.1 * (10 + 1 + 8 / 3)).abs().max() < 1e-6


def test_the_states_lie_where_the_equation_goes():
    """The pendulum stays within its largest orbit; Lorenz's states are spread as those of one long orbit of scipy's."""
    q, p = ALL[0].states.unbind(1)
    assert (p**2 / 2 - q.cos()).max() < 0.5 - np.cos(2.0) + 1e-4
    assert ALL[1].states.min() > 0
    long = solve_ivp(
        lambda _, y: ALL[3].rate(torch.from_numpy(y)[None])[0].numpy(), (0, 120), [0.5, 0.5, 0.0],
        t_eval=np.linspace(20, 120, 4000), rtol=1e-6, atol=1e-8,
    )  # fmt: skip
    spread = ALL[3].states.double().std(0).numpy()
    assert long.y.std(1) == pytest.approx(spread, rel=0.06)


def test_chaos_has_the_published_exponent():
    """0.906 (Sprott 2003); and the exponents of the linear equation are its eigenvalues: -1 is the largest."""
    lorenz = equations.Lorenz(0.5)
    X = FlowMap(lambda *given: lorenz.v(*given, tolerance=1e-5))
    growth, error = metrics.lyapunov(X, states(lorenz, 400), 4, settle=4)
    assert abs(float(growth) / 0.5 - 0.906) < 4 * float(error) / 0.5
    assert float(error) < 0.02
    growth, error = metrics.lyapunov(FlowMap(STIFF.v), states(STIFF), 3)
    assert float(growth) == pytest.approx(-0.7, abs=1e-4)
    assert float(error) < 1e-4


# --- the losses ---------------------------------------------------------------------------------------


def batch_of(problem: Equation, method: str, n: int = 64) -> losses.Batch:
    """A batch of the library's own drawing, float64."""
    drawn = training.draw_batch(problem, METHODS[method], Training(steps=1, batch=n), torch.Generator().manual_seed(0))
    return drawn.changed(torch.Tensor.double)


def test_the_targets_are_the_velocity():
    """Of the diagonal, and at the jumps' starts; all points are states."""
    diagonal, jumps = batch_of(STIFF, "lsd")[:2]
    assert torch.allclose(diagonal.target, STIFF.velocity(0.0, diagonal.x), atol=1e-5)
    assert torch.allclose(jumps.dx, STIFF.velocity(0.0, jumps.x), atol=1e-5)
    assert torch.cat([diagonal.x, jumps.x]).abs().max() <= 1


@pytest.mark.parametrize("method", ["fm", "lsd", "esd", "psd-m", "psd-u", "meanflow", "imf", "ct"])
def test_every_loss_vanishes_at_the_exact_map(method):
    """In closed form, for methods with their own velocity and with the sample's slope, which is the velocity here."""
    if method == "fm":
        batch = training.draw_batch(STIFF, METHODS["fm"], Training(steps=1, batch=64, diagonal=1.0))
        batch = batch.changed(torch.Tensor.double)
    else:
        batch = batch_of(STIFF, method)
    chosen = dataclasses.replace(METHODS[method], weight="one")
    from flowmap_edu import methods

    batch = batch._replace(
        diagonal=batch.diagonal._replace(target=STIFF.velocity(0.0, batch.diagonal.x)),
        jumps=batch.jumps._replace(dx=STIFF.velocity(0.0, batch.jumps.x)),
    )
    assert methods.loss(FlowMap(STIFF.v), batch, chosen).abs().max() < 1e-16
    wrong = FlowMap(lambda s, t, x: 1.1 * STIFF.v(s, t, x))
    assert methods.loss(wrong, batch, chosen).mean() > 1e-3


class Scaled(torch.nn.Module):
    """The exact slope times a number to be learned; 1 is right."""

    def __init__(self, start: float):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(start, dtype=torch.float64))

    def forward(self, s: torch.Tensor, t: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        """factor v."""
        return self.factor * STIFF.v(s, t, x)


@pytest.mark.parametrize("method", ["lsd", "psd-m"])
@pytest.mark.parametrize("start", [0.8, 1.2])
def test_the_gradient_points_to_the_exact_map(method, start):
    """Too small a slope is made larger, too large a one smaller: by the diagonal and by the residual with a teacher."""
    from flowmap_edu import methods

    net, batch = Scaled(start), batch_of(STIFF, method)
    methods.loss(FlowMap(net), batch, METHODS[method]).mean().backward()
    assert net.factor.grad.sign() == torch.sign(torch.tensor(start - 1))
    net.factor.grad = None
    s, _, t, x = batch.jumps[:4]
    losses.lagrangian(FlowMap(net), s, t, x, velocity=STIFF.velocity).mean().backward()
    assert net.factor.grad.sign() == torch.sign(torch.tensor(start - 1))


@pytest.mark.parametrize("kind", [equations.Pendulum, equations.LotkaVolterra])
def test_a_short_training_learns_it(kind):
    """The residual against the known velocity falls to a fifth, and the error of one jump falls with it."""
    torch.manual_seed(0)
    problem = kind(1.0)
    net = nets.MLP(2, hidden=32, layers=2, scale=problem.sigma, fourier=0)
    x, (s, t) = states(problem, 200).float(), [z.float().sort().values for z in two_times(200)]
    s, t = torch.minimum(s, t), torch.maximum(s, t)

    def residual() -> float:
        return losses.lagrangian(FlowMap(net), s, t, x, velocity=problem.velocity).mean().item()

    before, far = residual(), problem.error(FlowMap(net))
    *_, state = fit(
        problem, net, METHODS["lsd"], Training(steps=200, batch=128, optimizer="soap", lr=5e-3, warmup=20, ema=0.9)
    )
    assert residual() < before / 5
    row = problem.evaluate(state.X, [1, 4])
    assert [r["steps"] for r in row] == [1, 4]
    assert row[0]["map_error"] < 0.7 * far


# --- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: equations.Pendulum(0.0), "horizon must be positive"),
        (lambda: equations.StiffLinear(-1.0), "stiffness must be positive"),
        (lambda: ALL[0].v(0.0, 1.0, torch.zeros(2, 3)), r"x must have shape \(B, 2\), got \(2, 3\)"),
        (lambda: ALL[0].flow(0.0, 1.5, torch.zeros(2, 2)), r"t must lie in \[0, 1\]"),
        (lambda: metrics.map_error(FlowMap(ALL[0].v), ALL[0]), "exact flow_map"),
        (lambda: metrics.residuals(FlowMap(ALL[0].v), ALL[0]), "path from Gaussian noise to data, Pendulum has none"),
        (lambda: metrics.at_time(ALL[3], 0.5, 9, torch.Generator()), "Lorenz has none: .* Take problem.evaluate"),
        (lambda: metrics.lyapunov(FlowMap(ALL[0].v), torch.zeros(1, 2), 3), "at least 2 points"),
        (lambda: started("lsd", stf_batch=64), "stf_batch would be ignored, since this problem has points of its own"),
        (lambda: started("lsd", coupling="transport"), "coupling would be ignored"),
        (lambda: started("lsd", interpolant=Trigonometric()), "interpolant would be ignored"),
        (lambda: started("ct-discrete"), "have no points of its own"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def started(method: str, **settings: object) -> None:
    """A training's first step."""
    next(fit(ALL[0], ALL[0].network(), METHODS[method], Training(steps=1, **settings)))


def test_a_run_names_its_equation():
    """Its arguments are in the run's description."""
    from flowmap_edu import _reference

    told, _ = _reference.describe(STIFF)
    assert told["arguments"] == {"stiffness": 20.0, "horizon": 0.7}
    assert torch.equal(_reference.build(told, {}).matrix, STIFF.matrix)
