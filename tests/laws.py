"""What must hold of the losses, as functions of a namespace of them: `test_losses` runs them on the real one,
`test_mistakes` on copies with a mistake put in, where at least one must fail.

Nothing here uses `FlowMap`'s derivatives to say what is right: exact maps are known by formula, and
gradients are rebuilt in reverse mode from networks whose frozen part is a deep copy.
"""

import copy
import types

import torch
from scipy import stats
from torch import Tensor, nn

from flowmap_edu import _method, losses, problems, times
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.methods import METHODS

REAL = types.SimpleNamespace(**{**vars(losses), **vars(times), "loss": _method.loss})

GAUSSIANS = [
    problems.Gaussian(0.0, 1.0, 1.0),
    problems.Gaussian(torch.tensor([1.5, -0.7]), 0.3, 0.8),
    problems.Gaussian(torch.tensor([-0.4, 0.2]), 2.0, 0.5),
]
STOPGRADS = {
    "lagrangian": ("none", "semi", "convex"),
    "eulerian": ("none", "convex", "semi", "full"),
    "semigroup": ("none", "convex"),
}


class Net(nn.Module):
    """A small smooth random v for points in the plane, in float64, none of whose derivatives vanishes."""

    def __init__(self, seed: int = 0):
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.body = nn.Sequential(nn.Linear(4, 12), nn.Tanh(), nn.Linear(12, 12), nn.Tanh(), nn.Linear(12, 2))
        self.double()

    def forward(self, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
        return self.body(torch.cat([x, torch.stack([s, t], dim=1)], dim=1))


def jumps(n: int, seed: int = 0, latest: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """Times s <= u <= t in float64, u anywhere between; the first three have s = u = t, s = u, u = t."""
    g = torch.Generator().manual_seed(seed)
    s, u, t = latest * torch.rand(3, n, generator=g, dtype=torch.float64).sort(dim=0).values
    u[0], t[0], u[1], u[2] = s[0], s[0], s[1], t[2]
    return s, u, t


def interpolants(problem: problems.Gaussian | problems.Checkerboard, t: Tensor, seed: int = 1) -> tuple[Tensor, Tensor]:
    """Draws of I_t and dI_t along the straight path, float64, shape (B, 2) each."""
    g = torch.Generator().manual_seed(seed)
    x1 = problem.sample(len(t), generator=g, dtype=torch.float64)[0]
    x0 = problem.sigma * torch.randn(x1.shape, generator=g, dtype=torch.float64)
    return (1 - t[:, None]) * x0 + t[:, None] * x1, x1 - x0


def off_diagonal(losses, X: FlowMap, s: Tensor, u: Tensor, t: Tensor, x: Tensor) -> dict[str, Tensor]:
    """Every off-diagonal loss with every stop-gradient, and both forms of the semigroup, shape (B,) each."""
    out = {}
    for stopgrad in STOPGRADS["lagrangian"]:
        out[f"lagrangian {stopgrad}"] = losses.lagrangian(X, s, t, x, stopgrad=stopgrad)
    for stopgrad in STOPGRADS["eulerian"]:
        out[f"eulerian {stopgrad}"] = losses.eulerian(X, s, t, x, stopgrad=stopgrad)
    for stopgrad in STOPGRADS["semigroup"]:
        for form in (True, False):
            value = losses.semigroup(X, s, u, t, x, stopgrad=stopgrad, velocity_form=form)
            out[f"semigroup {stopgrad} {'v' if form else 'X'}"] = value
    return out


# --- laws: each raises AssertionError (or ValueError) if it is broken ------------------------------


def exact_maps_make_every_loss_vanish(losses) -> None:
    """On the exact Gaussian maps each loss is rounding: below 1e-9 of the speed |b|, as a root."""
    for problem in GAUSSIANS:
        X = FlowMap(problem.v)
        s, u, t = jumps(64)
        x, _ = interpolants(problem, s)
        speed = problem.velocity(s, x).square().sum(1).mean()
        found = off_diagonal(losses, X, s, u, t, x)
        found["diagonal"] = losses.diagonal(X, s, x, problem.velocity(s, x))
        for name, values in found.items():
            assert values.max() < 1e-18 * speed.clamp_min(1), f"{name}: {values.max():.1e} on an exact map"


def exact_teachers_agree(losses) -> None:
    """A teacher that is the exact velocity makes the loss vanish, as a callable and as values."""
    for problem in GAUSSIANS:
        X, b = FlowMap(problem.v), problem.velocity
        s, _, t = jumps(64)
        x, _ = interpolants(problem, s)
        calls = {
            "lagrangian": (losses.lagrangian, b(t, problem.flow_map(s, t, x))),
            "eulerian": (losses.eulerian, b(s, x)),
        }
        for name, (loss, values) in calls.items():
            for stopgrad in STOPGRADS[name]:
                for velocity in (b, values):
                    worst = loss(X, s, t, x, stopgrad=stopgrad, velocity=velocity).max()
                    assert worst < 1e-18 * b(s, x).square().sum(1).mean().clamp_min(1), (
                        f"{name} {stopgrad}: {worst:.1e}"
                    )


def samplewise(f, z: Tensor) -> Tensor:
    """d f / d z in reverse mode, f: (B, ...) -> (B, 2) sample by sample; shape (B, 2, *z.shape[1:])."""
    columns = [torch.autograd.grad(f(z)[:, i].sum(), z, create_graph=True)[0] for i in range(2)]
    return torch.stack(columns, dim=1)


def rebuilt(
    condition: str, stopgrad: str, net: nn.Module, s: Tensor, u: Tensor, t: Tensor, x: Tensor, squared: bool = True
) -> Tensor:
    """The loss written out with reverse-mode derivatives; `frozen` is a deep copy wherever the table says sg."""
    frozen = copy.deepcopy(net).requires_grad_(False)
    s, t, x = (a.detach().clone().requires_grad_() for a in (s, t, x))

    def jump(v, s, t, x):
        return x + (t - s)[:, None] * v(s, t, x)

    if stopgrad == "semi":  # all frozen but the v that stands alone, added with its sign and taken off frozen
        whole = rebuilt(condition, "none", frozen, s, u, t, x, squared=False)
        alone = net(s, t, x) - frozen(s, t, x)
        residual = whole + (alone if condition == "lagrangian" else -alone)
    elif condition == "lagrangian":
        held = frozen if stopgrad == "convex" else net
        residual = samplewise(lambda t: jump(net, s, t, x), t) - held(t, t, jump(held, s, t, x))
    elif condition == "eulerian":
        b = (net if stopgrad == "none" else frozen)(s, s, x)
        pusher = frozen if stopgrad == "full" else net
        gradient = samplewise(lambda x: jump(pusher, s, t, x), x)  # (B, 2, 2)
        residual = samplewise(lambda s: jump(net, s, t, x), s) + (gradient @ b[:, :, None])[:, :, 0]
    else:
        held = frozen if stopgrad == "convex" else net
        h = ((t - u) / (t - s))[:, None]
        residual = net(s, t, x) - (1 - h) * held(s, u, x) - h * held(u, t, jump(held, s, u, x))
    return (residual**2).sum(1) if squared else residual


def apart(n: int = 16) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """s < u < t and x, float64: no degenerate jump, where h is 0/0 in the rebuilt formula."""
    s, u, t = (a[3:] for a in jumps(n + 3, seed=5))
    return s, u, t, torch.randn(n, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(6))


def ours(losses, condition: str, stopgrad: str, net: nn.Module, s: Tensor, u: Tensor, t: Tensor, x: Tensor) -> Tensor:
    """The library's loss at these points, shape (B,)."""
    times = (s, u, t) if condition == "semigroup" else (s, t)
    return getattr(losses, condition)(FlowMap(net), *times, x, stopgrad=stopgrad)


def gradient(loss: Tensor, net: nn.Module) -> Tensor:
    """The gradient of the mean loss with respect to all parameters, one vector."""
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss.mean(), list(net.parameters()), retain_graph=True)])


def stop_gradients_are_frozen_copies(losses) -> None:
    """Each choice of stop-gradient has the value and the gradient of the formula with a frozen copy."""
    for condition, choices in STOPGRADS.items():
        for stopgrad in choices:
            net = Net()
            found, wanted = (
                ours(losses, condition, stopgrad, net, *apart()),
                rebuilt(condition, stopgrad, net, *apart()),
            )
            torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-14, msg=f"{condition} {stopgrad}: value")
            g, g_wanted = gradient(found, net), gradient(wanted, net)
            gap = (g - g_wanted).norm() / g_wanted.norm()
            assert gap < 1e-10, f"{condition} {stopgrad}: the gradient is off by {gap:.1e} of its length"


def detached_teachers_get_no_gradient(losses) -> None:
    """Where the velocity is detached, no gradient reaches the teacher that gave it, callable or values."""
    teacher = Net(seed=7)
    s, _, t = jumps(16)
    x = torch.randn(16, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(6))
    for name in ("lagrangian", "eulerian"):
        for stopgrad in STOPGRADS[name]:
            for velocity in (lambda t, x: teacher(t, t, x), teacher(s, s, x)):
                loss = getattr(losses, name)(FlowMap(Net()), s, t, x, stopgrad=stopgrad, velocity=velocity)
                reached = torch.autograd.grad(loss.sum(), teacher.body[0].weight, allow_unused=True)[0] is not None
                assert reached == (stopgrad == "none"), f"{name} {stopgrad}: reaches the teacher is {reached}"


def times_are_uniform_on_the_triangle(losses) -> None:
    """s <= t, t^2 and s/t are independent and uniform: Kolmogorov-Smirnov and the moments."""
    n = 4000
    s, t = losses.triangle(n, generator=torch.Generator().manual_seed(0))
    assert bool((s <= t).all()), "s > t"
    assert bool((s >= 0).all())
    assert bool((t <= 1).all())
    for name, r in (("t^2", t**2), ("s/t", s / t)):
        p = stats.kstest(r.numpy(), "uniform").pvalue
        assert p > 1e-3, f"{name} is not uniform (p = {p:.1e})"
    correlation = stats.pearsonr((t**2).numpy(), (s / t).numpy())
    assert correlation.pvalue > 1e-3, f"t^2 and s/t are correlated: {correlation.statistic:.3f}"
    moments = {"t": (t, 2 / 3), "s": (s, 1 / 3), "s t": (s * t, 1 / 4), "s^2": (s**2, 1 / 6), "t^2": (t**2, 1 / 2)}
    for name, (value, mean) in moments.items():
        error = value.std() / n**0.5
        assert abs(value.mean() - mean) < 4 * error, f"E {name} = {value.mean():.4f}, not {mean:.4f}"


def the_whole_is_its_parts(losses) -> None:
    """methods.loss is the diagonal loss, then the method's own loss with its recommended stop-gradient."""
    net = Net()
    X = FlowMap(net)
    g = torch.Generator().manual_seed(3)
    s, u, r = jumps(8)
    x = torch.randn(3, 8, 2, dtype=torch.float64, generator=g)
    t = torch.rand(8, dtype=torch.float64, generator=g)
    batch = losses.Batch(losses.Diagonal(t, x[0], x[1]), losses.Jumps(s, u, r, x[2]))
    wanted = {
        "lsd": losses.lagrangian(X, s, r, x[2], stopgrad="convex"),
        "esd": losses.eulerian(X, s, r, x[2], stopgrad="full"),
        "psd-m": losses.semigroup(X, s, u, r, x[2], stopgrad="convex"),
        "psd-u": losses.semigroup(X, s, u, r, x[2], stopgrad="convex"),
    }
    assert set(wanted) == {name for name, m in METHODS.items() if m.source == METHODS["lsd"].source}
    for name, off in wanted.items():
        whole = losses.loss(X, batch, METHODS[name])
        parts = torch.cat([losses.diagonal(X, t, x[0], x[1]), off])
        assert torch.equal(whole, parts), name
        gap = gradient(whole, net) - gradient(parts, net)
        assert gap.abs().max() < 1e-14, f"{name}: the gradient is not that of the parts"


LAWS = [
    exact_maps_make_every_loss_vanish,
    exact_teachers_agree,
    stop_gradients_are_frozen_copies,
    detached_teachers_get_no_gradient,
    times_are_uniform_on_the_triangle,
    the_whole_is_its_parts,
]
