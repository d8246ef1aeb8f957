"""Pairs of noise and data: by optimal transport, by a teacher's flow, and where neither makes sense."""

import itertools
import math

import laws
import pytest
import sources
import torch
from scipy import optimize, stats

from flowmap_edu import METHODS, losses, methods, problems, training
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.recipes import recipe
from flowmap_edu.training import coupling, trajectories
from flowmap_edu.training.trajectories import Trajectories, solved

NET = {"hidden": 16, "layers": 2, "fourier": 8}
CPU = torch.device("cpu")
TEACHER = training.State(*recipe("checkerboard", "fm", steps=1, net=NET)).X


@pytest.fixture(autouse=True)
def small_pool(monkeypatch):
    """Trajectories enough for these tests."""
    monkeypatch.setattr(trajectories, "COUNT", 2048)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(method, **changes):
    return recipe("checkerboard", method, net=NET, **{"steps": 14, "batch": 32, "warmup": 2, **changes})


def pairs(method: str, choice: str, n: int = 256, **maps) -> tuple[torch.Tensor, torch.Tensor]:
    """x0 and x1 of a batch, from x = (1-t) x0 + t x1 and its slope, both parts together."""
    run = small(method, coupling=choice, batch=n, stf_batch=0)
    batch = training.draw_batch(run.problem, run.method, run.training, seeded(), **maps)
    t, x = (torch.cat([getattr(part, name) for part in batch[:2] if len(part.x)]) for name in ("t", "x"))
    on = len(batch.diagonal.t)
    t = torch.cat([t[:on], batch.jumps.s])[:, None]
    dx = torch.cat([part for part in (batch.diagonal.target, batch.jumps.dx) if len(part)])
    return x - t * dx, x + (1 - t) * dx


# --- optimal transport -----------------------------------------------------------------------------


def test_transport_is_the_best_of_all_pairings():
    """Of 6 points all 720 pairings are compared; of 100 the cost is that of another solver."""
    a, b = torch.randn(2, 6, 2, generator=seeded())
    cost = lambda order: (b - a[torch.as_tensor(order)]).square().sum().item()  # noqa: E731
    assert cost(coupling.nearest(a, b)) == pytest.approx(min(map(cost, itertools.permutations(range(6)))))
    a, b = torch.randn(2, 100, 3, 2, 2, generator=seeded(1))
    order = coupling.nearest(a, b)
    assert torch.equal(order.sort().values, torch.arange(100))
    distance = torch.cdist(b.flatten(1), a.flatten(1)).square().numpy()
    wanted = distance[optimize.linear_sum_assignment(distance)].sum()
    assert (b - a[order]).square().sum().item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("method", ["fm", "lsd", "meanflow"])
def test_transport_draws_the_pairs_nearer_and_keeps_both_marginals(method):
    """The same noise and the same data in another order: E|x1 - x0|^2 falls to less than half."""
    (x0, x1), (y0, y1) = pairs(method, "independent"), pairs(method, "transport")
    torch.testing.assert_close(y1, x1, rtol=1e-4, atol=1e-4)
    order = torch.cdist(y0, x0).argmin(1)
    assert torch.equal(order.sort().values, torch.arange(256))
    torch.testing.assert_close(y0, x0[order], rtol=1e-4, atol=1e-4)
    assert (y1 - y0).square().sum(1).mean() < 0.5 * (x1 - x0).square().sum(1).mean()


# --- a teacher's trajectories ----------------------------------------------------------------------


@pytest.mark.parametrize("problem", laws.GAUSSIANS, ids=["standard", "narrow", "wide"])
def test_trajectories_are_the_teachers_flow_up_to_second_order(problem):
    """Every point of the path is the exact map's; the error falls like the square of the step."""
    x0 = problem.sigma * torch.randn(20, 2, dtype=torch.float64, generator=seeded())
    steps, gaps = (128, 256, 512), []
    for n in steps:
        path = solved(problem.velocity, x0, n)
        times = torch.arange(n + 1, dtype=torch.float64) / n
        exact = torch.stack([problem.flow_map(0.0, t, x0) for t in times], 1)
        gaps.append((path - exact).norm(dim=2).max().item())
    assert gaps[-1] < 1e-2
    order = stats.linregress([math.log(1 / n) for n in steps], [math.log(gap) for gap in gaps]).slope
    assert abs(order - 2) < 0.15, (order, gaps)


def test_reflow_pairs_are_the_teachers_ends():
    """x1 of every pair is where the teacher's flow carries its x0; both marginals are right; a seed fixes the pool."""
    problem = laws.GAUSSIANS[1]
    pool = Trajectories(problem, FlowMap(problem.v), 0, CPU, ends_only=True)
    x0, x1 = pool.ends(pool.draw(500, seeded()))
    torch.testing.assert_close(x1, problem.flow_map(0.0, 1.0, x0), rtol=0, atol=2e-3)
    x0, x1 = pool.points.unbind(1)
    assert (x0.mean(0).norm() / problem.sigma, x0.std() / problem.sigma) == pytest.approx((0, 1), abs=0.1)
    wanted = problem.sample(2048, seeded())[0]
    assert (x1.mean(0) - wanted.mean(0)).norm() < 6 * wanted.std() / 2048**0.5
    assert x1.std().item() == pytest.approx(wanted.std().item(), rel=0.05)
    other = Trajectories(problem, FlowMap(problem.v), 1, CPU, ends_only=True)
    assert not torch.equal(other.points, pool.points)
    again = Trajectories(problem, FlowMap(problem.v), 0, CPU, ends_only=False)
    assert torch.equal(again.points[:, [0, -1]], pool.points)


@pytest.mark.parametrize("method", ["fm", "meanflow"])
def test_a_batch_of_reflow_pairs_is_of_the_pool(method):
    """Rectified flow, and mean flow on its pairs: x0 and x1 of each sample belong to one trajectory."""
    run = small(method, coupling="reflow", stf_batch=0)
    pool = training.State(*run, TEACHER).batches.trajectories
    x0, x1 = pairs(method, "reflow", trajectories=pool)
    where = torch.cdist(x0, pool.points[:, 0]).argmin(1)
    torch.testing.assert_close(x0, pool.points[where, 0], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(x1, pool.points[where, 1], rtol=1e-4, atol=1e-4)
    assert len(where.unique()) > 200


def test_rectified_flow_is_flow_matching_on_the_pairs():
    """Liu, Gong & Liu 2022: |(x1 - x0) - v(x_t, t)|^2 with x1 = ODE[teacher](x0); its gradient, in float64."""
    problem, net = laws.GAUSSIANS[2], laws.Net()
    x0 = problem.sigma * torch.randn(16, 2, dtype=torch.float64, generator=seeded())
    x1, t = solved(problem.velocity, x0)[:, -1], torch.rand(16, dtype=torch.float64, generator=seeded())
    x = (1 - t[:, None]) * x0 + t[:, None] * x1
    empty = losses.Jumps(*(a[:0] for a in (t, t, t, x, x)))
    ours = methods.loss(FlowMap(net), losses.Batch(losses.Diagonal(t, x, x1 - x0), empty), METHODS["fm"])
    gap = laws.gradient(ours, net) - laws.gradient(sources.flow_matching(net, t, x0, x1), net)
    assert gap.norm() < 1e-10 * laws.gradient(ours, net).norm()


def test_points_on_a_trajectory_and_their_chords():
    """A batch of mid-training: x + (1 - s) dx is the trajectory's end, and x its point at s."""
    run = small("cmt", batch=64)
    state = training.State(*run, TEACHER)
    pool = state.batches.trajectories
    s, _, t, x, dx, _ = state.batches.next()[0].jumps
    ends = x + (1 - s)[:, None] * dx
    where = torch.cdist(ends, pool.points[:, -1]).argmin(1)
    torch.testing.assert_close(ends, pool.points[where, -1], rtol=1e-4, atol=1e-4)
    assert torch.equal(x, pool.points[where, (64 * s).long()])
    assert bool((t == 1).all())
    assert len(s.unique()) > 20


# --- what does not go together ---------------------------------------------------------------------


@pytest.mark.parametrize("choice", ["transport", "reflow"])
@pytest.mark.parametrize(
    ("method", "changes", "why"),
    [
        ("lsd", {"stf_batch": 16}, "stf_batch averages over all x1 .* independent pairs; got"),
        ("lmd", {}, "reads a teacher, whose velocity is that of the teacher's own pairs"),
        ("ct", {}, "is sampled by restarts, whose new noise is paired with nothing"),
        ("fm", {"problem": problems.FromTensor(torch.randn(50, 2), torch.randint(3, (50,)))}, "a label would be"),
    ],
)
def test_a_coupling_is_refused_where_it_makes_no_sense(choice, method, changes, why):
    run = recipe("points" if "problem" in changes else "checkerboard", method, steps=2, coupling=choice, **changes)
    with pytest.raises(ValueError, match=f"coupling must be 'independent', since .*{why}.* {choice!r}"):
        training.State(*run, TEACHER)


def test_what_a_coupling_lacks_is_named():
    with pytest.raises(ValueError, match=r"coupling must be one of .*'transport', 'reflow'; got 'nearest'"):
        training.Training(steps=1, coupling="nearest")
    with pytest.raises(ValueError, match=r"flow matching with coupling='reflow' reads a teacher, got none"):
        training.State(*small("fm", coupling="reflow"))
    with pytest.raises(ValueError, match=r"with coupling='transport' reads no teacher"):
        training.State(*small("fm", coupling="transport"), TEACHER)
    run = small("cmt")
    with pytest.raises(ValueError, match="draws from a teacher's trajectories here, got none"):
        training.draw_batch(run.problem, run.method, run.training)
    labelled = problems.FromTensor(torch.randn(50, 2), torch.randint(3, (50,)))
    with pytest.raises(ValueError, match="draws trajectories without labels"):
        training.State(*recipe("points", "cmt", problem=labelled, steps=2), TEACHER)
    with pytest.raises(ValueError, match=r"another velocity than its teacher: diagonal must be 0, got 16 of 32"):
        training.State(*small("cmt", diagonal=0.5), TEACHER)
    assert small("lsd", coupling="transport").training.stf_batch == 0  # the recipe leaves the averaged target out


# --- training --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "choice"), [("fm", "transport"), ("lsd", "transport"), ("fm", "reflow"), ("meanflow", "reflow")]
)
def test_a_coupled_run_trains_and_resumes_to_the_bit(method, choice):
    run, teacher = lambda: small(method, coupling=choice), TEACHER if choice == "reflow" else None
    whole = [state.checkpoint() for state in training.fit(*run(), teacher=teacher, every=8)]
    *_, resumed = training.fit(*run(), teacher=teacher, every=8, resume=whole[0])
    assert math.isfinite(resumed.loss)
    for key, weights in whole[-1]["net"].items():
        assert torch.equal(weights, resumed.net.state_dict()[key]), key
    assert resumed.X.sample(resumed.problem.base(7), 2).isfinite().all()


@pytest.mark.parametrize("method", ["fmm", "freeflow", "cmt", "ctm"])
def test_the_loss_falls(method):
    """From the first twentieth to the last, and one jump leads near; the teacher is the Gaussian's exact velocity."""
    problem = problems.Gaussian(torch.tensor([1.5, -0.7]), 0.3, 0.8)
    run = recipe("points", method, problem=problem, net=NET, steps=400, batch=64, warmup=10, compile=False, stf_batch=0)
    teacher = FlowMap(problem.v) if METHODS[method].needs_teacher else None
    *_, state = training.fit(*run, teacher=teacher, every=20)
    first, last = state.history[0][1], state.history[-1][1]
    assert last < 0.5 * first, (first, last)
    x0 = problem.base(500, seeded())
    wanted = problem.flow_map(0.0, 1.0, x0)
    assert state.X.sampler.name == METHODS[method].sampler
    assert (state.X.sample(x0, 1) - wanted).norm(dim=1).mean() < 0.3 * (x0 - wanted).norm(dim=1).mean()
