"""The samplers against loops written by hand, to the bit; batches cut with their labels; guidance."""

import math

import pytest
import torch
from torch import Tensor, nn

from flowmap_edu import methods, problems, sample, training
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.interpolant import Linear, Trigonometric
from flowmap_edu.recipes import recipe

pytestmark = pytest.mark.usefixtures("float64")
SIGMA = 0.7


class Net(nn.Module):
    """A small smooth random v that notes at which times it is asked."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 2))
        self.requires_grad_(False)
        self.asked: list[tuple[float, float]] = []

    def forward(self, s: Tensor, t: Tensor, x: Tensor) -> Tensor:
        self.asked.append((s[0].item(), t[0].item()))
        return self.body(torch.cat([x, s[:, None], t[:, None]], dim=1))


def labelled(s: Tensor, t: Tensor, x: Tensor, label: Tensor | None = None) -> Tensor:
    """A v that depends on s, t, x and label, by sums and products alone: the same bits in a batch of any size."""
    k = torch.zeros_like(s) if label is None else 1.0 + label
    return (s + 2 * t + k)[:, None] * x * (1 - x / 8) - k[:, None] * k[:, None]


def at(time: float, x: Tensor) -> Tensor:
    """That time for every sample, shape (B,)."""
    return torch.full((len(x),), time, dtype=x.dtype)


# --- the three samplers ----------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_jumps_are_this_loop(steps):
    """x <- x + (t - s) v_{s,t}(x) with s = k/N, t = (k+1)/N: to the bit, in N evaluations; it is what a map does."""
    net, x0 = Net(), torch.randn(9, 2)
    X, x, asked = FlowMap(net), x0, []
    for k in range(steps):
        s, t = at(k / steps, x), at((k + 1) / steps, x)
        asked.append((k / steps, (k + 1) / steps))
        x = x + (t - s)[:, None] * net(s, t, x)
    net.asked.clear()
    assert torch.equal(sample.Jumps()(X, x0, steps), x)
    assert net.asked == asked
    assert torch.equal(X.sample(x0, steps), x)
    assert torch.equal(X.trajectory(x0, steps)[-1], x)


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
def test_euler_is_this_loop(steps):
    """x <- x + (t - s) v_{s,s}(x): to the bit, in N evaluations, all of them on the diagonal."""
    net, x0 = Net(), torch.randn(9, 2)
    x = x0
    for k in range(steps):
        s, t = at(k / steps, x), at((k + 1) / steps, x)
        x = x + (t - s)[:, None] * net(s, s, x)
    net.asked.clear()
    assert torch.equal(FlowMap(net, sample.Euler()).sample(x0, steps), x)
    assert net.asked == [(k / steps, k / steps) for k in range(steps)]


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 6, 7])
def test_segments_are_this_loop(steps):
    """x <- x + (t - s) v_{s,e}(x), e = 1/2 before 1/2 and 1 from there on; two steps are the two jumps."""
    net, x0 = Net(), torch.randn(9, 2)
    x = x0
    for k in range(steps):
        s, t = at(k / steps, x), at((k + 1) / steps, x)
        x = x + (t - s)[:, None] * net(s, at(0.5 if 2 * k < steps else 1.0, x), x)
    net.asked.clear()
    assert torch.equal(FlowMap(net, sample.Segments()).sample(x0, steps), x)
    assert net.asked == [(k / steps, 0.5 if 2 * k < steps else 1.0) for k in range(steps)]
    if steps == 2:
        assert torch.equal(FlowMap(net, sample.Jumps()).sample(x0, 2), x)


@pytest.mark.parametrize("path", [Linear(), Trigonometric()], ids=lambda path: type(path).__name__)
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_restarts_are_this_loop(path, steps):
    """x <- X_{s,1}(a(s) z + b(s) x) with z ~ N(0, sigma^2 I) anew: to the bit, in N evaluations, all with t = 1."""
    net, x0 = Net(), torch.randn(9, 2)
    g = torch.Generator().manual_seed(11)
    x, one = x0 + at(1.0, x0)[:, None] * net(at(0.0, x0), at(1.0, x0), x0), at(1.0, x0)
    for k in range(1, steps):
        s = at(k / steps, x)
        z = SIGMA * torch.randn(9, 2, generator=g)
        if isinstance(path, Linear):
            x = (1 - s)[:, None] * z + s[:, None] * x
        else:
            x = torch.cos(math.pi / 2 * s)[:, None] * z + torch.sin(math.pi / 2 * s)[:, None] * x
        x = x + (one - s)[:, None] * net(s, one, x)
    net.asked.clear()
    found = sample.Restarts(SIGMA, path)(FlowMap(net), x0, steps, torch.Generator().manual_seed(11))
    assert torch.equal(found, x)
    assert net.asked == [(k / steps, 1.0) for k in range(steps)]


def fresh_noise(x0: Tensor, seed: int = 0, **how: int) -> Tensor:
    """The noise z of two restarts: with v = 0 the map is the identity, and the sample is (z + x0) / 2."""
    still = FlowMap(lambda s, t, x: 0 * x, sample.Restarts(SIGMA))  # noqa: ARG005
    return 2 * still.sample(x0, 2, seed=seed, **how) - x0


def test_restarts_draw_noise_of_their_own():
    """N(0, sigma^2), another for each sample and chunk, repeatable by the seed; not x0 though its seed is the same."""
    n = 20_000
    x0 = SIGMA * torch.randn(n, 2, generator=torch.Generator().manual_seed(3))
    z = fresh_noise(x0, seed=3)
    assert abs(z.mean()) < 4 * SIGMA / (2 * n) ** 0.5
    assert abs(z.std() / SIGMA - 1) < 4 / (4 * n) ** 0.5
    assert torch.equal(fresh_noise(x0, seed=3), z)
    for other in (x0, fresh_noise(x0, seed=4), z.roll(8192, 0), z.roll(1, 0), z.flip(1)):
        assert abs(torch.corrcoef(torch.stack([z.flatten(), other.flatten()]))[0, 1]) < 4 / (2 * n) ** 0.5


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("lsd", sample.Jumps()), ("fm", sample.Euler()), ("ct", sample.Restarts(1 / 3**0.5, Trigonometric()))],
)
def test_a_trained_map_draws_by_its_methods_sampler(name, wanted, tmp_path):
    """So does the map read from the run's folder; restarts know the base and the path of the training."""
    net = {"hidden": 8, "layers": 1, "fourier": 0}
    run = recipe("checkerboard", name, steps=1, batch=8, net=net, stf_batch=0, interpolant=Trigonometric())
    *_, state = training.fit(*run)
    training.save(state, tmp_path / "run")
    X, again = state.X, training.load(tmp_path / "run")
    assert X.sampler == again.sampler == wanted
    assert X.sampler.name == methods.METHODS[name].sampler
    x0 = torch.randn(5, 2)
    assert torch.equal(X.sample(x0, 3, seed=2), again.sample(x0, 3, seed=2))


# --- chunks and labels -----------------------------------------------------------------------------


@pytest.mark.parametrize("how", [sample.Jumps(), sample.Euler()], ids=lambda how: how.name)
def test_labels_are_cut_along_with_the_samples(how):
    """10,000 samples go through v as 8,192 and 1,808, each with its own label: the bits of calls of 500."""
    sizes = []

    def v(s, t, x, label):
        sizes.append((len(x), len(label)))
        return labelled(s, t, x, label)

    x0, label = torch.randn(10_000, 2), torch.randint(10, (10_000,))
    x = FlowMap(v, how).sample(x0, 2, label=label)
    assert sizes == [(8192, 8192)] * 2 + [(1808, 1808)] * 2
    single = FlowMap(labelled, how)
    pieces = [single.sample(x0[k : k + 500], 2, label=label[k : k + 500]) for k in range(0, 10_000, 500)]
    assert torch.equal(x, torch.cat(pieces))
    assert not torch.equal(x, single.sample(x0, 2, label=label.roll(1)))


def test_restarts_keep_their_labels():
    """In chunks of 3, two restarts are the hand-written loop with each sample's own label and noise."""
    x0, label = torch.randn(8, 2), torch.randint(10, (8,))
    z = fresh_noise(x0, seed=5, chunk=3)
    x = x0 + labelled(at(0.0, x0), at(1.0, x0), x0, label)
    half = at(0.5, x0)
    x = 0.5 * z + 0.5 * x
    x = x + 0.5 * labelled(half, at(1.0, x0), x, label)
    found = FlowMap(labelled, sample.Restarts(SIGMA)).sample(x0, 2, chunk=3, seed=5, label=label)
    torch.testing.assert_close(found, x, rtol=1e-12, atol=1e-12)


def test_what_is_no_tensor_of_samples_is_not_cut():
    """A switch or a tensor of no dimension goes to every chunk as it is; None is not handed on."""
    told = []

    def v(s, t, x, **condition):  # noqa: ARG001
        told.append(condition)
        return x

    FlowMap(v).sample(torch.randn(5, 2), 1, chunk=2, dropout=False, strength=torch.tensor(2.0), label=None)
    assert told == [{"dropout": False, "strength": torch.tensor(2.0)}] * 3


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ({"label": torch.zeros(4, dtype=torch.int64)}, r"label must have one entry a sample, 5; got shape \(4,\)"),
        ({"label": torch.zeros(1, 5)}, r"label must have one entry a sample, 5; got shape \(1, 5\)"),
        ({"text": torch.zeros(6, 3)}, r"text must have one entry a sample, 5; got shape \(6, 3\)"),
    ],
)
def test_a_condition_of_another_length_is_named(condition, says):
    with pytest.raises(ValueError, match=says):
        FlowMap(lambda s, t, x, **told: x).sample(torch.zeros(5, 2), 1, **condition)  # noqa: ARG005


def test_a_map_of_noise_alone_jumps_once():
    """X_{0,1}(x0), whatever the number of steps; that number is still checked."""
    x0, problem = torch.randn(20, 2, dtype=torch.float64), problems.Gaussian(0.3, 1.0, 0.5)
    X = FlowMap(problem.v, sample.sampler("once"))
    for steps in (1, 2, 16):
        torch.testing.assert_close(X.sample(x0, steps), problem.flow_map(0.0, 1.0, x0))
    assert problem.map_error(X, 1, 50) < 1e-9
    assert problem.map_error(X, 2, 50) is None
    with pytest.raises(ValueError, match=r"steps .*at least 1, got 0"):
        X.sampler(X, x0, 0)


def test_an_unknown_sampler_is_named():
    assert sample.sampler("restarts", 0.5) == sample.Restarts(0.5, Linear())
    with pytest.raises(
        ValueError, match=r"sampler must be one of 'jumps', 'once', 'euler', 'segments', 'restarts'; got 'heun'"
    ):
        sample.sampler("heun")


# --- guidance --------------------------------------------------------------------------------------

LABEL = torch.tensor([0, 3, 1, -1, 2])


def points() -> tuple[Tensor, Tensor, Tensor]:
    """s <= t and x, five of each."""
    s, t = torch.rand(2, 5).sort(dim=0).values
    return s, t, torch.randn(5, 2)


def test_guidance_of_scale_one_is_the_map_and_of_scale_zero_the_unlabelled_one():
    """Both as slopes and as samples; a hidden label (-1) is what it is at any scale."""
    X = FlowMap(labelled)
    (s, t, x), hidden = points(), torch.full((5,), -1)
    for scale, label in ((1.0, LABEL), (0.0, hidden)):
        G = sample.guided(X, scale)
        torch.testing.assert_close(G.v(s, t, x, label=LABEL), X.v(s, t, x, label=label), rtol=1e-13, atol=1e-13)
        found, wanted = G.sample(x, 2, label=LABEL), X.sample(x, 2, label=label)
        torch.testing.assert_close(found, wanted, rtol=1e-11, atol=1e-11)
    strong = sample.guided(X, 5.0).v(s, t, x, label=LABEL)
    assert torch.equal(strong[3], X.v(s, t, x, label=LABEL)[3])
    assert (strong - X.v(s, t, x, label=LABEL))[LABEL >= 0].abs().min() > 1e-3


def test_guidance_is_linear_in_its_scale():
    """The slope, and the map's derivative in t, at scale g are (1 - g) times those at 0 plus g times those at 1."""
    X = FlowMap(labelled)
    s, t, x = points()
    of = {
        "slope": lambda g: sample.guided(X, g).v(s, t, x, label=LABEL),
        "partial_t": lambda g: sample.guided(X, g).partial_t(s, t, x, label=LABEL)[1],
        "velocity": lambda g: sample.guided(X, g).velocity(t, x, label=LABEL),
    }
    for name, f in of.items():
        none, one = f(0.0), f(1.0)
        assert (one - none).abs().max() > 1, name
        for g in (-1.5, 0.3, 2.0, 7.0):
            torch.testing.assert_close(f(g), (1 - g) * none + g * one, rtol=1e-12, atol=1e-12, msg=name)


def test_guiding_the_velocities_of_two_classes_is_bayes_rule():
    """Half of the data is N(m_0, c^2), half N(m_1, c^2): guidance adds (scale - 1) w(t) grad log p(label | x).

    On the straight path b_t(x) = x / t + w(t) grad log p_t(x) with w(t) = (1-t)^2 sigma^2 / t + (1-t) sigma^2, so a
    combination of velocities is one of scores. p(label | x) is written out here from the two densities.
    """
    m, c, scale = torch.tensor([[1.0, 0.5], [-0.8, 0.3]]), 0.4, 2.5
    t, x = 0.2 + 0.6 * torch.rand(6), torch.randn(6, 2).requires_grad_()
    label = torch.tensor([0, 1, 0, 1, 1, 0])
    both = problems.GaussianMixture(m, c, sigma=SIGMA)
    alone = [problems.Gaussian(mean, c, SIGMA) for mean in m]

    def v(s, t, x, label):  # noqa: ARG001
        known = torch.where((label == 0)[:, None], *(one.velocity(t, x) for one in alone))
        return torch.where((label < 0)[:, None], both.velocity(t, x), known)

    spread = (t * c) ** 2 + ((1 - t) * SIGMA) ** 2
    log_p = torch.stack([-((x - t[:, None] * mean) ** 2).sum(1) / (2 * spread) for mean in m], dim=1).log_softmax(1)
    pull = torch.autograd.grad(log_p.gather(1, label[:, None]).sum(), x)[0]
    x = x.detach()
    w = ((1 - t) ** 2 * SIGMA**2 / t + (1 - t) * SIGMA**2)[:, None]
    X = FlowMap(v)
    wanted = X.velocity(t, x, label=label) + (scale - 1) * w * pull
    found = sample.guided(X, scale).velocity(t, x, label=label)
    assert (w * pull).abs().max() > 0.1
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-9)


def test_a_guided_map_draws_as_the_map_does():
    """It keeps the sampler and the path, and takes two evaluations for each of the map's."""
    calls = []

    def v(s, t, x, label):
        calls.append(label.tolist())
        return labelled(s, t, x, label)

    X = FlowMap(v, sample.Euler(), Trigonometric())
    G = sample.guided(X, 3.0)
    assert (G.sampler, G.interpolant) == (X.sampler, X.interpolant)
    x0 = torch.randn(5, 2)
    x = x0
    for k in range(3):
        s = at(k / 3, x)
        without, known = (labelled(s, s, x, label) for label in (torch.full((5,), -1), LABEL))
        x = x + (at((k + 1) / 3, x) - s)[:, None] * (without + 3.0 * (known - without))
    assert torch.equal(G.sample(x0, 3, label=LABEL), x)
    assert calls == [LABEL.tolist(), [-1] * 5] * 3


@pytest.mark.parametrize("call", ["v", "map", "sample", "label=None"])
def test_guidance_without_a_label_is_refused(call):
    G, x = sample.guided(FlowMap(labelled), 2.0), torch.zeros(3, 2)
    calls = {
        "v": lambda: G.v(0.0, 1.0, x),
        "map": lambda: G(0.0, 1.0, x),
        "sample": lambda: G.sample(x, 1),
        "label=None": lambda: G.sample(x, 1, label=None),
    }
    with pytest.raises(ValueError, match=r"guidance needs labels: pass label="):
        calls[call]()
