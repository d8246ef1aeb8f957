"""Images end to end: the numbers that judge them, labels, batches, the learned weight, runs and the sheet drawn."""

import json
import math

import laws
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from scipy.linalg import sqrtm
from torch import Tensor, nn

from flowmap_edu import cli, losses, methods, training
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics import classifier, coverage, memorising
from flowmap_edu.metrics import images as image_metrics
from flowmap_edu.nets import UNet
from flowmap_edu.nets.layers import Weight
from flowmap_edu.problems import Digits, Emoji, labelled
from flowmap_edu.recipes import STEPS, Recipe, recipe
from flowmap_edu.recipes import classifier as classifier_training
from flowmap_edu.training import runs
from flowmap_edu.training.loop import loss_of_batch
from flowmap_edu.viz import plots

TRAIN, HELD_OUT = Digits().data(), Digits().data(train=False)
ONE = torch.tensor(1.0)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def digits(method: str = "lsd", sigma: float = 0.5, dropout: float = 0.0, **changes) -> Recipe:
    net = {"dropout": dropout} if dropout else None
    settings = {"steps": 4, "batch": 8, "compile": False, **changes}
    return recipe("digits", method, problem=Digits(sigma=sigma), net=net, **settings)


def batch_of(run: Recipe, seed: int = 0) -> losses.Batch:
    return training.draw_batch(run.problem, run.method, run.training, seeded(seed))


def parts(batch: losses.Batch) -> tuple[losses.Batch, losses.Batch]:
    """The diagonal part alone, and the jumps alone."""
    nothing = batch.changed(lambda x: x[:0])
    return batch._replace(jumps=nothing.jumps), batch._replace(diagonal=nothing.diagonal)


def moved(**changes) -> training.State:
    """A run before its first step, with gains that let times and labels through; its average is the same network."""
    state = training.State(*digits(**changes))
    gains = [p for net in (state.net, state.average) for name, p in net.named_parameters() if name.endswith("gain")]
    for gain in gains:
        nn.init.constant_(gain, 0.5)
    return state


def weights(state: training.State) -> Tensor:
    return torch.cat([p.detach().flatten() for net in (state.net, state.average) for p in net.parameters()])


# --- Fréchet distance ------------------------------------------------------------------------------


class Pixels(nn.Module):
    """The pixels of a 2 x 2 picture are its features, 16 times as large."""

    num_features = 4

    def forward(self, x):
        return 16 * x.flatten(1)


MEANS = torch.tensor([[0.3, -1.0, 0.0, 2.0], [0.0, 0.5, 0.2, 1.5]], dtype=torch.float64)
ROOTS = torch.randn(2, 4, 4, dtype=torch.float64, generator=seeded(5))


def gaussian(k: int, n: int) -> Tensor:
    """n pictures (n, 1, 2, 2) whose features have mean MEANS[k] and covariance ROOTS[k] ROOTS[k]^T, in float64."""
    return (MEANS[k] + torch.randn(n, 4, dtype=torch.float64) @ ROOTS[k].T).view(n, 1, 2, 2) / 16


def closed_form(m1, C1, m2, C2) -> float:
    return float((m1 - m2).square().sum() + torch.trace(C1 + C2)) - 2 * sqrtm((C1 @ C2).numpy()).trace().real


def test_frechet_is_its_closed_form():
    """From the samples' moments, in whatever chunks they come; symmetric, 0 on the diagonal, |d|^2 for a shift."""
    a, b, F = gaussian(0, 37), gaussian(1, 101), image_metrics.frechet
    moments = [f(16 * x.flatten(1)) for x in (a, b) for f in (lambda z: z.mean(0), lambda z: torch.cov(z.T))]
    for found in (F(Pixels(), a, b), F(Pixels(), a, b, chunk=10), F(Pixels(), b, a)):
        assert found == pytest.approx(closed_form(*moments), rel=1e-9)
    assert abs(F(Pixels(), a, a.flip(0))) < 1e-6
    d = torch.tensor([[[3.0, -1.0], [0.5, 2.0]]], dtype=torch.float64)
    assert F(Pixels(), a, a + d / 16) == pytest.approx(float(d.square().sum()), abs=1e-6)


def test_frechet_of_two_gaussians_is_the_populations():
    """Within 4 standard errors, by the delta method: dF = 2 d . (dm1 - dm2) + tr (1 - T) dC1 + tr (1 - T^{-1}) dC2.

    T is the matrix of the optimal map from the first to the second: C2 = T C1 T, T = C2 (C1 C2)^{-1/2}.
    """
    n, (C1, C2), d = 20_000, ROOTS @ ROOTS.mT, MEANS[0] - MEANS[1]
    T = C2 @ torch.from_numpy(sqrtm((C1 @ C2).numpy()).real).inverse()
    torch.testing.assert_close(T @ C1 @ T, C2)
    squares = [torch.trace(B @ B) for B in (C1 - T @ C1, C2 - T.inverse() @ C2)]
    error = ((4 * d @ (C1 + C2) @ d + 2 * sum(squares)) / n).sqrt()
    found = image_metrics.frechet(Pixels(), gaussian(0, n), gaussian(1, n))
    assert abs(found - closed_form(MEANS[0], C1, MEANS[1], C2)) < 4 * error


def test_frechet_leaves_the_network_alone_and_refuses_what_does_not_fit():
    net, x = classifier.load(), torch.zeros(3, 1, 8, 8)
    before = {name: (w.dtype, w.clone()) for name, w in net.state_dict().items()}
    image_metrics.frechet(net, TRAIN.values(slice(0, 20)), HELD_OUT.values(slice(0, 20)))
    for name, w in net.state_dict().items():
        assert w.dtype == before[name][0] == torch.float32
        assert torch.equal(w, before[name][1])
    for bad, message in ((x[:1], r"second must be at least two.*\(1, 1, 8, 8\)"), (x[..., 1:], "same shape")):
        with pytest.raises(ValueError, match=message):
            image_metrics.frechet(net, x, bad)


# --- memorised or not ------------------------------------------------------------------------------


def test_nearest_is_the_least_of_all_distances():
    x, among = torch.randn(40, 1, 2, 2), torch.randn(50, 1, 2, 2)
    slow = [min(math.dist(a.flatten(), b.flatten()) for b in among) for a in x]
    torch.testing.assert_close(memorising.nearest(x, among), torch.tensor(slow))
    assert not memorising.nearest(among, among).any()  # a copy is at distance 0, not at a rounding error


def test_memorised_tells_copies_from_fresh_draws():
    """Copies: share 1, distance 0. Draws of the same Gaussian: 1/2 within 4 errors, the rest to 1 when exchanged."""
    train, held_out, x = (torch.randn(n, 1, 2, 2) for n in (4000, 4000, 1000))
    tell = memorising.memorised
    copies = tell(train[:500], train, held_out)
    assert (copies.nearer_to_train, copies.to_train) == (1.0, 0.0)
    assert copies.to_held_out == pytest.approx(memorising.nearest(train[:500], held_out).mean().item())
    there, back, fewer = tell(x, train, held_out), tell(x, held_out, train), tell(x, train, held_out[:2000], seeded())
    assert there.nearer_to_train + back.nearer_to_train == pytest.approx(1.0)
    assert (there.to_train, there.to_held_out) == pytest.approx((back.to_held_out, back.to_train))
    for found, n in ((there, 4000), (fewer, 2000)):  # two pictures that share a neighbour agree: about 1 in n pairs
        assert abs(found.nearer_to_train - 0.5) < 4 * math.sqrt(0.25 * (1 / 1000 + 1 / n))
    assert fewer == tell(x, train, held_out[:2000], seeded()) != tell(x, train, held_out[:2000], seeded(1))
    with pytest.raises(ValueError, match="at least 4000 training samples are wanted, got 1000"):
        tell(x, x, held_out)


# --- the classifier --------------------------------------------------------------------------------


def test_the_shipped_classifier_reads_held_out_digits():
    net, x = classifier.load(), HELD_OUT.values()
    assert (net.read(x) == HELD_OUT.labels).double().mean() >= 0.97
    torch.testing.assert_close(net.logits(x), net(x) @ net.head.weight.T + net.head.bias)
    with pytest.raises(ValueError, match=r"images must have shape \(B, 1, 8, 8\), got \(2, 8, 8\)"):
        net(torch.zeros(2, 8, 8))


def test_in_the_order_of_the_file_the_held_out_digits_are_no_random_part():
    """The end of the file is further from the training digits than the held-out ones of any of three seeds.

    So only a random part says what a perfect map would score.
    """
    file, *seeds = (labelled.Judge(Digits(split=split)).real(397, 0)["real_fd_train"] for split in (None, 0, 1, 2))
    assert file > 1.5 * max(seeds)


@pytest.mark.parametrize("kind", [Digits, Emoji])
def test_copies_are_told_from_held_out_images(kind):
    """All training images are copies, 5 % of held-out ones; a share c of copies among them gives c + 0.05 (1 - c)."""
    train, held = (kind().data(part).values() for part in (True, False))
    n = len(held)
    some = train[torch.randperm(len(train), generator=seeded())[:n]]
    for share in (0.0, 0.5, 1.0):
        copies = round(share * n)
        found = memorising.suspects(torch.cat([some[:copies], held[copies:]]), train, held)
        assert abs(found - (share + 0.05 * (1 - share))) < 4 * (0.05 * 0.95 / n) ** 0.5


def test_jittered_pictures_are_moved_by_a_pixel_at_most():
    """What is left after the best of nine moves is the noise, N(0, 0.01); every move comes up."""
    x, moves = HELD_OUT.values(slice(0, 16)), {}
    for dy, dx in torch.cartesian_prod(*[torch.arange(-1, 2)] * 2).tolist():
        i, j = (torch.arange(max(0, -d), min(8, 8 - d)) for d in (dy, dx))
        moves[dy, dx] = torch.full_like(x, -1.0)  # pixel (i, j) shows (i + dy, j + dx), or the background
        moves[dy, dx][:, :, i[:, None], j] = x[:, :, i[:, None] + dy, j + dx]
    best = []
    for k in range(80):
        left = {
            move: (classifier_training.jittered(x, seeded(k)) - y).square().mean().sqrt() for move, y in moves.items()
        }
        best.append(min(left, key=left.__getitem__))
        assert abs(left[best[-1]] - 0.1) < 5 * 0.1 / math.sqrt(2 * x.numel())
    assert set(best) == set(moves)


def test_the_classifier_s_training_is_a_function_of_its_seed_and_learns():
    first, other = classifier_training.train(steps=60), classifier_training.train(steps=1, seed=1)
    state = torch.manual_seed(9).get_state()
    assert torch.equal(classifier_training.train(steps=60).head.weight, first.head.weight)
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.equal(classifier_training.train(steps=1).head.weight, other.head.weight)
    assert (first.read(HELD_OUT.values()) == HELD_OUT.labels).double().mean() > 0.7


# --- labels, batches and their loss ----------------------------------------------------------------


@pytest.mark.usefixtures("float64")
def test_a_condition_is_bound_and_keeps_the_derivatives():
    """For v = k (s + t) x with the label k all derivatives are known; a U-Net's slope is the network's own."""
    s, t, x, w = 0.5 * torch.rand(6), 0.5 + 0.5 * torch.rand(6), torch.randn(6, 2), torch.randn(6, 2)
    k = torch.arange(6)
    X = FlowMap(lambda s, t, x, label: (label * (s + t))[:, None] * x).conditioned(label=k)
    c, c_s, c_t = (z[:, None] for z in (1 + k * (t**2 - s**2), -2 * k * s, 2 * k * t))  # X = c x
    torch.testing.assert_close(X(s, t, x), c * x)
    torch.testing.assert_close(X.partial_t(s, t, x), (c * x, c_t * x))
    torch.testing.assert_close(X.partial_s(s, t, x), (c * x, c_s * x))
    torch.testing.assert_close(X.push(s, t, x, w), (c * x, c * w))
    torch.testing.assert_close(X.eulerian(s, t, x, w), (c * x, c_s * x + c * w))
    net, x = moved().net.double(), torch.randn(6, 1, 8, 8)
    assert torch.equal(FlowMap(net).conditioned(label=k).v(s, t, x), net(s, t, x, k))
    assert not torch.allclose(net(s, t, x, k), net(s, t, x, k.flip(0)), rtol=0.01)


@pytest.mark.parametrize("name", ["lsd", "meanflow"])
def test_the_losses_of_the_two_parts_are_the_loss_of_the_whole(name):
    """To the bit, the diagonal part first."""
    X, method = FlowMap(laws.Net()), methods.METHODS[name]
    batch = batch_of(recipe("checkerboard", name, steps=1, batch=24, stf_batch=0)).changed(lambda x: x.double())
    on, off = (methods.loss(X, part, method) for part in parts(batch))
    assert torch.equal(torch.cat([on, off]), methods.loss(X, batch, method))
    square = losses.diagonal(X, *batch.diagonal[:3])
    torch.testing.assert_close(on, square / (square + 1e-3) if name == "meanflow" else square)


def test_a_batch_of_digits_is_what_its_formulas_say():
    """x_s + (1-s) dI_s = x1 is a training digit under its own label, x_s - s dI_s = x0 has the base's deviation."""
    on, off = batch_of(digits(batch=200, sigma=0.7))[:2]
    time = torch.cat([on.t, off.s])[:, None, None, None]
    x, slope = torch.cat([on.x, off.x]), torch.cat([on.target, off.dx])
    x0, x1 = x - time * slope, x + (1 - time) * slope
    index = torch.cdist(x1.flatten(1), TRAIN.values().flatten(1)).argmin(1)
    assert (TRAIN.values(index) - x1).abs().max() < 1e-5
    assert torch.equal(TRAIN.labels[index], torch.cat([on.label, off.label]))
    assert (len(on.t), len(off.s)) == (150, 50)
    assert abs(x0.std() / 0.7 - 1) < 4 / math.sqrt(2 * x0.numel())
    assert abs(x0.mean()) < 4 * 0.7 / math.sqrt(x0.numel())


def test_the_loss_of_a_batch_reads_each_sample_under_its_own_label():
    """Flow matching and the Lagrangian residual, written out with the network and the labels of each part."""
    state = moved()
    batch = batch_of(digits())
    on, off = batch[:2]
    square = (state.net(on.t, on.t, on.x, on.label) - on.target).square().flatten(1).sum(1)
    jumps = losses.lagrangian(FlowMap(state.net).conditioned(label=off.label), off.s, off.t, off.x)
    torch.testing.assert_close(loss_of_batch(state, batch, ONE), torch.cat([square, jumps]).mean())


def test_the_learned_weight_is_least_at_the_log_of_the_loss():
    """exp(-w) l + w for a constant w, falling before w = log l and rising after; else each sample has its own w."""
    state = moved(weighting=True)
    batch, pair = batch_of(digits()), state.net.log_weight.linear
    plain = loss_of_batch(moved(), batch, ONE).item()

    @torch.no_grad()
    def at(w: float) -> float:
        pair.bias.fill_(w)
        return loss_of_batch(state, batch, ONE).item()

    for w in (-1.0, 0.0, 3.0):
        assert at(w) == pytest.approx(math.exp(-w) * plain + w, rel=1e-5)
    for off, h in ((-0.1, 0.05), (0.1, 0.05)):
        assert (at(math.log(plain) + off + h) > at(math.log(plain) + off - h)) == (off > 0)
    nn.init.normal_(pair.weight)
    net, (on, off) = FlowMap(state.net), batch[:2]
    labels = (on.label, off.label)
    each = [
        methods.loss(net.conditioned(label=label), part, state.method)
        for label, part in zip(labels, parts(batch), strict=True)
    ]
    w = [state.net.log_weight(on.t, on.t), state.net.log_weight(off.s, off.t)]
    wanted = torch.cat([(-b).exp() * a + b for a, b in zip(each, w, strict=True)]).mean()
    torch.testing.assert_close(loss_of_batch(state, batch, ONE), wanted)


# --- training --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["lsd", "esd", "psd-m", "psd-u", "pd"])
def test_digits_train_and_resume_to_the_bit(method):
    """Finite losses; stopped at step 2 and resumed, the same weights; each row of them is of magnitude 1."""
    run, teacher = {"method": method, "weighting": method == "lsd"}, moved().X if method == "pd" else None
    (half, before), (whole, after) = (
        (state.checkpoint(), weights(state)) for state in training.fit(*digits(**run), teacher=teacher, every=2)
    )
    *_, resumed = training.fit(*digits(**run), teacher=teacher, resume=half)
    assert all(math.isfinite(loss) and norm > 0 for _, loss, norm, *_ in whole["history"])
    assert torch.equal(weights(resumed), after)
    assert not torch.equal(before, after)
    for module in resumed.net.modules():
        if isinstance(module, Weight):
            torch.testing.assert_close(module.weight.square().flatten(1).mean(1), torch.ones(len(module.weight)))


def test_dropout_is_for_the_diagonal_part_of_the_network_in_training():
    """Off the diagonal and in the averaged map there is none; with it a run is still a function of its seed."""
    state = moved(dropout=0.5)
    assert isinstance(state.net, UNet)
    on, off = parts(batch_of(digits()))
    first, again = ([loss_of_batch(state, part, ONE).item() for part in (on, off)] for _ in range(2))
    assert first[0] != again[0]
    jumps = off.jumps
    still = FlowMap(state.net.eval()).conditioned(label=jumps.label)
    wanted = losses.lagrangian(still, jumps.s, jumps.t, jumps.x).mean().item()
    assert first[1] == again[1] == pytest.approx(wanted, rel=1e-6)
    x0, X = torch.randn(4, 1, 8, 8), state.X.conditioned(label=torch.arange(4))
    assert torch.equal(X.sample(x0, 1), X.sample(x0, 1))
    (half, _), (_, after) = (
        (state.checkpoint(), weights(state)) for state in training.fit(*digits(dropout=0.5), every=2)
    )
    torch.manual_seed(8)
    *_, resumed = training.fit(*digits(dropout=0.5), resume=half)
    assert torch.equal(weights(resumed), after)


def test_learning_rate_falls_as_an_inverse_square_root():
    """A tenth of lr at the first of ten steps, lr until step 100, then lr sqrt(100 / step): half of it at step 400."""
    settings = training.Training(steps=1000, warmup=10, lr=2.0, decay="sqrt", decay_from=100)
    for step, wanted in ((1, 0.2), (5, 1.0), (10, 2.0), (60, 2.0), (100, 2.0), (400, 1.0), (900, 2 / 3)):
        assert 2.0 * settings.learning_rate(step - 1, 1000) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"precision": "fp16"}, "precision must be one of 'fp32', 'bf16'; got 'fp16'"),
        ({"label_dropout": 1.5}, r"label_dropout must lie in \[0, 1\], got 1.5"),
        ({"second_ema": -0.1}, r"second_ema must lie in \[0, 1\], got -0.1"),
        ({"accumulate": 0}, "accumulate must be a whole number of at least 1, got 0"),
        ({"accumulate": 4}, "a batch of 8, 6 on the diagonal and 2 off it, cannot be cut into 4 equal parts"),
        ({"sigma": 0.0}, "sigma must be positive, got 0.0"),
        ({"sigma": math.nan}, "sigma must be positive, got nan"),
        ({"decay": "sqrt", "decay_from": 0}, "decay_from must be a whole number of at least 1, got 0"),
        ({"decay": "step"}, "decay must be one of 'cosine', 'linear', 'sqrt', 'none'; got 'step'"),
    ],
)
def test_bad_configuration(change, message):
    with pytest.raises(ValueError, match=message):
        training.State(*digits(**change))


# --- runs and figures ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The folder of a run with a random map, and its state."""
    state = moved(seed=3, sigma=0.6)
    runs.save(state, out := tmp_path_factory.mktemp("runs") / "digits")
    return out, state


def test_a_saved_map_comes_back_to_the_bit_and_its_pictures_are_written(saved, tmp_path, capsys):
    """`sample` writes X's images, class after class, as they are or as one sheet, and overwrites nothing."""
    (out, state), x0, labels = saved, 0.6 * torch.randn(12, 1, 8, 8, generator=seeded(4)), torch.arange(12) % 10
    wanted = state.X.sample(x0, 2, label=labels)
    assert torch.equal(runs.load(out).sample(x0, 2, label=labels), wanted)
    words = ["sample", str(out), "--steps", "2", "--images", "12", "--seed", "4", "--out"]
    for name in ("a.npy", "a.png"):
        assert cli.main([*words, str(tmp_path / name)]) == 0
    assert np.array_equal(np.load(tmp_path / "a.npy"), wanted.numpy())
    drawn = plt.imread(tmp_path / "a.png")[..., 0]  # 3 rows of 4, one white line around each
    assert drawn.shape == (3 * 9 + 1, 4 * 9 + 1)
    assert np.allclose(drawn[10:18, 19:27], (wanted[6, 0].clamp(-1, 1) + 1) / 2, atol=1 / 250)
    for name, message in (("a.png", "is already there"), ("a.csv", "ending of --out must be one of '.npy', '.png'")):
        assert cli.main([*words, str(tmp_path / name)]) == 2
        assert message in capsys.readouterr().err


def test_train_digits_on_the_command_line(tmp_path):
    """It trains the recipe of that name; the folder says by which seed the digits are parted."""
    assert cli.main(["train", "digits", "--method", "psd-m", "--steps", "1", "--out", str(tmp_path / "run")]) == 0
    info, run = runs.read_metadata(tmp_path / "run"), recipe("digits", "psd-m", steps=1)
    assert (info.method, info.training) == (run.method, run.training)
    assert info.header["problem"] == {"import": "flowmap_edu.problems:Digits", "arguments": {"split": 0}}
    *_, state = training.fit(*run)
    x, labels = torch.randn(4, 1, 8, 8), torch.arange(4)
    assert torch.equal(runs.load(tmp_path / "run").v(0.2, 0.7, x, label=labels), state.X.v(0.2, 0.7, x, label=labels))


def test_evaluate_prints_and_writes_what_the_metrics_say(saved, tmp_path, monkeypatch, capsys):
    """Means over three draws of as many digits as are held out, and what real ones score; the figure shows the map."""
    (out, state), sheet, real = saved, [], plots.images
    monkeypatch.setattr(plots, "images", lambda ax, x: sheet.append(x) or real(ax, x))
    words = ["--steps", "2", "--seed", "5", "--figure", str(tmp_path / "digits.png")]
    assert cli.main(["evaluate", str(out), *words]) == 0
    first, heads, line, _ = capsys.readouterr().out.splitlines()
    report, X, features = json.loads((out / "evaluation.json").read_text()), state.X, classifier.load()
    train, held_out = TRAIN.values(), HELD_OUT.values()
    found: dict[str, list[float]] = {}
    for k in range(3):
        x, labels = labelled.drawn(Digits(sigma=0.6), X, 2, len(held_out), 5000 + k)
        assert len(x) == 397
        with torch.no_grad():
            among = coverage.precision_recall(features(x), features(held_out))
        one = {"fd_train": image_metrics.frechet(features, x, train)}
        one |= {"fd_held_out": image_metrics.frechet(features, x, held_out)}
        one |= {"labels": (features.read(x) == labels).double().mean().item()}
        one |= {"copied": memorising.suspects(x, train, held_out), **among._asdict()}
        for name, value in one.items():
            found.setdefault(name, []).append(value)
    wanted = {name: sum(values) / 3 for name, values in found.items()}
    (row,) = report["rows"]
    assert {name: row[name] for name in wanted} == pytest.approx(wanted, rel=1e-4)
    assert (row["n"], row["draws"], row["steps"]) == (397, 3, 2)
    assert row["real_fd_train"] == pytest.approx(image_metrics.frechet(features, held_out, train), rel=1e-4)
    assert row["real_labels"] == (features.read(held_out) == HELD_OUT.labels).double().mean().item()
    assert (report["n"], report["seed"]) == (None, 5)
    assert report["map"] == runs.read_metadata(out).digests["map.safetensors"]
    assert first.endswith("lsd on Digits")
    assert heads.split() == list(row)
    assert line.split()[:2] == ["2", f"{row['fd_train']:.4g}"]
    noise = 0.6 * torch.randn(20, 1, 8, 8, generator=seeded(1))
    for n, shown in zip(STEPS, sheet[0], strict=True):
        torch.testing.assert_close(shown, X.sample(noise, n, label=torch.arange(20) % 10))
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("channels", [1, 3])
def test_images_lie_where_they_belong(channels):
    """Pixel (a, b) of image (i, j) at (1 + i (H + 1) + a, 1 + j (W + 1) + b), from black at -1 to white at 1."""
    x = 3 * torch.rand(2, 3, channels, 4, 5) - 1.5
    image = plots.images(Figure().subplots(), x)
    drawn = torch.tensor(image.get_array().data)  # (11, 19, 3)
    assert (image.origin, tuple(drawn.shape)) == ("upper", (11, 19, 3))
    for i, j, c, a, b in torch.cartesian_prod(*map(torch.arange, (2, 3, 3, 4, 5))).tolist():
        at = (1 + i * 5 + a, 1 + j * 6 + b, c)
        pixel = x[i, j, c % channels, a, b].item()
        assert drawn[at] == pytest.approx(min(1, max(0, (1 + pixel) / 2)), abs=1e-6)
        drawn[at] = 1.0
    assert bool((drawn == 1).all())  # all else is white
    with pytest.raises(ValueError, match=r"images must have shape \(rows, columns, 1 or 3, H, W\), got \(2, 3, 2, "):
        plots.images(Figure().subplots(), torch.zeros(2, 3, 2, 4, 5))
