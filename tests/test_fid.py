"""FID and KID: the kernel distance, the Inception network and its file, a run's rows, the table beside the paper's."""

import io
import math
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from random_inception import random_inception as with_random_weights
from torch import nn

from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics import classifier, inception
from flowmap_edu.metrics import images as image_metrics
from flowmap_edu.nets import UNet
from flowmap_edu.problems import CelebA64, Digits
from flowmap_edu.problems.images import ImageProblem
from flowmap_edu.recipes import STEPS, paper
from flowmap_edu.recipes.paper import PAPER_FID
from flowmap_edu.sample import sampler


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Projection(nn.Module):
    """Fixed random directions through the pixels; it counts the pictures that it has seen."""

    num_features = 6

    def __init__(self, pixels: int):
        super().__init__()
        self.directions = torch.randn(pixels, 6, generator=seeded(7)) / math.sqrt(pixels)
        self.seen = 0

    def forward(self, x):
        self.seen += len(x)
        return x.flatten(1) @ self.directions


# --- the kernel distance ---------------------------------------------------------------------------


def mmd2(x: np.ndarray, y: np.ndarray) -> float:
    """The formula of the module's docstring, written out pair by pair."""
    m, d = x.shape
    k = lambda a, b: (float(a @ b) / d + 1) ** 3  # noqa: E731
    within = sum(k(z[i], z[j]) for z in (x, y) for i in range(m) for j in range(m) if i != j)
    return within / (m * (m - 1)) - 2 / m**2 * sum(k(a, b) for a in x for b in y)


def images(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, 1, 2, 2, dtype=torch.float64) / 8


class Pixels(nn.Module):
    num_features = 4

    def forward(self, x):
        return 8 * x.flatten(1)


def test_kid_is_its_formula():
    """Over the whole sets, in whatever chunks they come; then over subsets: their mean and their deviation."""
    a, b = images(25), 0.5 / 8 + 1.5 * images(25)
    x, y = (8 * z.flatten(1).numpy() for z in (a, b))
    for found in (image_metrics.kid(Pixels(), a, b, subsets=2), image_metrics.kid(Pixels(), b, a, subset=25, chunk=7)):
        assert found.mean == pytest.approx(mmd2(x, y), rel=1e-9)
        assert found.std < 1e-9
    values = []
    with torch.random.fork_rng():
        torch.manual_seed(4)
        for _ in range(5):
            j, i = (torch.randperm(25)[:10].numpy() for _ in range(2))
            values.append(mmd2(x[i], y[j]))
    found = image_metrics.kid(Pixels(), a, b, subset=10, subsets=5, seed=4)
    assert (found.mean, found.std) == (pytest.approx(np.mean(values)), pytest.approx(np.std(values)))


def test_kid_of_two_halves_of_one_gaussian_scatters_around_zero_as_it_must():
    """Mean 0 and variance (4 / (m (m-1)) + 4 / m^2) E h^2, h the kernel without its means over either argument.

    For x, y ~ N(0, 1_d) and z = x . y / d it is h = 3 z + z^3 + 3 (z^2 - |x|^2/d^2 - |y|^2/d^2 + 1/d), and with the
    moments of Gaussians E h^2 = 9/d + 18 (d+2)/d^3 + 15 (d+2)(d+4)/d^5 + 18 (d+1)/d^3.
    """
    d, m, repeats = 4, 40, 600
    square = 9 / d + 18 * (d + 2) / d**3 + 15 * (d + 2) * (d + 4) / d**5 + 18 * (d + 1) / d**3
    variance = (4 / (m * (m - 1)) + 4 / m**2) * square
    halves = images(repeats, 2, m)
    found = torch.tensor([image_metrics.kid(Pixels(), a, b, subsets=1).mean for a, b in halves])
    assert abs(found.mean()) < 4 * math.sqrt(variance / repeats)
    scaled = found.square() / variance  # its mean is 1, within four standard errors
    assert abs(scaled.mean() - 1) < 4 * scaled.std() / math.sqrt(repeats) < 0.5


def test_kid_is_a_function_of_its_seed_and_leaves_the_generator_alone():
    a, b = images(30), images(30)
    state = torch.get_rng_state()
    first = image_metrics.kid(Pixels(), a, b, subset=10, subsets=3, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    assert image_metrics.kid(Pixels(), a, b, subset=10, subsets=3, seed=1) == first
    assert image_metrics.kid(Pixels(), a, b, subset=10, subsets=3, seed=2) != first
    for bad in (1, 31, 2.5, True):
        with pytest.raises(ValueError, match=f"subset must be a whole number from 2 to 30, .*; got {bad}"):
            image_metrics.kid(Pixels(), a, b, subset=bad)
    with pytest.raises(ValueError, match="features must know their number as num_features; Flatten has None"):
        image_metrics.kid(nn.Flatten(), a, b)


def test_a_reference_gives_both_distances_from_one_pass():
    """Also after other pictures were held before; each picture goes through the network once."""
    net, a, b, c = Projection(4), *(torch.randn(n, 1, 2, 2) / 8 for n in (30, 20, 25))
    reference = image_metrics.Reference(net, a.split(8))
    for x in (b, c):
        reference.hold(x.split(7))
        assert reference.frechet() == pytest.approx(image_metrics.frechet(Projection(4), x, a), rel=1e-6)
        assert reference.kid(seed=3) == pytest.approx(image_metrics.kid(Projection(4), x, a, seed=3), rel=1e-6)
    assert net.seen == 30 + 20 + 25
    for bad in (lambda: reference.hold([a[:1]]), lambda: image_metrics.Reference(net, [])):
        with pytest.raises(ValueError, match=r"at least two images are wanted, got [01]$"):
            bad()


def test_bytes_and_back():
    """All 256 levels come back; what lies between them goes to the nearest, what lies outside to the end."""
    levels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(image_metrics.as_bytes(image_metrics.from_bytes(levels)), levels)
    x = torch.linspace(-1.5, 1.5, 1001)
    off = image_metrics.from_bytes(image_metrics.as_bytes(x)) - x.clamp(-1, 1)
    assert off.abs().max() <= 1 / 255 + 1e-6
    with pytest.raises(ValueError, match="the images must be finite; 1 of 2"):
        image_metrics.as_bytes(torch.tensor([0.0, math.nan]))


# --- the Inception network -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def random_inception(tmp_path_factory):
    """torch-fidelity's network with random weights, and the file that holds them in its own format."""
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    net = with_random_weights(path)
    yield net, path
    path.unlink()


def test_inception_gives_the_features_of_the_network_that_wrote_its_file(random_inception):
    """Pictures in [-1, 1] reach it as the bytes they were; other weights than the published are named as such."""
    (theirs, path), state = random_inception, torch.get_rng_state()
    with pytest.warns(UserWarning, match=r"weights.pth is not the published file: its sha256 begins .*, not 6726825d"):
        ours = inception.inception(path)
    assert torch.equal(torch.get_rng_state(), state)
    pixels = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8, generator=seeded())
    wanted = theirs(pixels)[0]
    assert wanted.shape == (2, ours.num_features)
    assert wanted.abs().mean() > 0.01
    assert not torch.allclose(wanted[0], wanted[1], rtol=0.01)
    assert torch.equal(ours(image_metrics.from_bytes(pixels)), wanted)
    for bad, message in (
        (torch.zeros(2, 1, 8, 8), r"of shape \(B, 3, H, W\), got \(2, 1, 8, 8\) torch.float32"),
        (pixels, r"must be floating-point, .* got \(2, 3, 32, 32\) torch.uint8"),
        (torch.full((1, 3, 8, 8), 1.5), r"must lie in \[-1, 1\], got values in \[1.5, 1.5\]"),
        (torch.full((1, 3, 8, 8), math.nan), r"must be finite; 192 of 192 entries are not"),
    ):
        with pytest.raises(ValueError, match=message):
            ours(bad)


class Harm:
    """A pickle that would run code when it is loaded."""

    def __reduce__(self):
        return exec, ("raise SystemExit('code of the file was run')",)


@pytest.mark.filterwarnings("ignore:.*is not the published file")
def test_files_that_are_no_inception(tmp_path):
    path, wanted = tmp_path / "weights.pth", "wanted are the weights of FID's Inception network: https://"
    torch.save(classifier.load().state_dict(), whole := io.BytesIO())
    torch.save(torch.zeros(3), bare := io.BytesIO())
    refused = "is missing, damaged or not made of tensors alone"
    for content, message in (
        (None, refused),
        (b"", refused),
        (b"no weights", refused),
        (whole.getvalue()[:-2000], refused),
        (pickle.dumps(Harm()), refused),
        (whole.getvalue(), "holds another network"),
        (bare.getvalue(), "holds another network"),
    ):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(ValueError, match=rf"(?s)weights\.pth {message}.*{wanted}"):
            inception.inception(path)


def test_without_a_network_it_says_where_the_file_is_to_be_had(tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", unreachable)
    with pytest.raises(
        ValueError, match=r"no route to host.*fetch https.*6726825d.pth .* weights=, or put it at .*pth"
    ):
        inception.inception()


def test_of_several_processes_one_fetches_the_weights(tmp_path, monkeypatch):
    """Eight come at once, as under torchrun: the file is fetched once, and all of them get it whole."""
    fetched = []

    def slow(url: str, path: str, **_) -> None:
        fetched.append(url)
        time.sleep(0.2)
        Path(path).write_bytes(b"weights")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", slow)
    with ThreadPoolExecutor(8) as pool:
        found = [*pool.map(lambda _: inception.fetched_inception().read_bytes(), range(8))]
    assert found == [b"weights"] * 8
    assert fetched == [inception.INCEPTION_URL]


# --- the rows of a run -----------------------------------------------------------------------------


def tiny(problem) -> FlowMap:
    """A small U-Net for a data set, with gains that let times and labels through."""
    net = UNet(problem.shape[-1], problem.shape[0], width=8, multipliers=(1,), classes=problem.classes).eval()
    for name, p in net.named_parameters():
        if name.endswith("gain"):
            nn.init.constant_(p, 0.5)
    return FlowMap(net)


def parts_by_hand(X: FlowMap, problem, steps: int, n: int, seed: int) -> torch.Tensor:
    """The images of `evaluate`, drawn without its code: classes, noise and fresh noise of each 250 in turn."""
    data, generator, out = problem.data(), seeded(seed), []
    while sum(map(len, out)) < n:
        size = min(250, n - sum(map(len, out)))
        index = torch.randint(len(data), (size,), generator=generator)
        x = problem.sigma * torch.randn(size, *data.shape, generator=generator)
        torch.randint(2**62, (), generator=generator)
        label = None if data.labels is None else data.labels[index]
        with torch.no_grad():
            for k in range(steps):
                x = X(k / steps, (k + 1) / steps, x, label=label)
        out.append((x.clamp(-1, 1).add(1).mul(127.5).round() / 127.5) - 1)
    return torch.cat(out)


class Plain(Digits):
    """The digits, judged as every other data set is."""

    evaluate = ImageProblem.evaluate


def test_evaluate_images_with_classes():
    """The distances of the same images made by hand to the training ones; the floor is that of held-out ones."""
    problem, net, seed = Plain(sigma=0.8), Projection(64), 5
    X = tiny(problem)
    train, held_out = (problem.data(part).values() for part in (True, False))
    rows = problem.evaluate(X, [1, 2], seed=seed, features=net, n=260)
    assert net.seen == 1400 + 260 + 2 * 260
    some = held_out[torch.randperm(397, generator=seeded(seed))[:260]]
    floor = image_metrics.frechet(net, some, train)
    for row, steps in zip(rows, (1, 2), strict=True):
        x = parts_by_hand(X, problem, steps, 260, seed)
        fid, kid = image_metrics.frechet(net, x, train), image_metrics.kid(net, x, train, seed=seed).mean
        unseen = image_metrics.frechet(net, x, some)
        wanted = {"steps": steps, "fid": fid, "fid_held_out": unseen, "kid": kid}
        assert row == pytest.approx(wanted | {"n": 260, "floor": floor, "n_held_out": 260}, rel=1e-4)
    assert rows[0]["fid"] > 2 * floor
    for change, message in (
        ({"n": 1}, "n must be at least 2, got 1"),
        ({"n": 2.5}, "n must be a whole number"),
        ({"steps": [0]}, "steps must be a whole number of at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            problem.evaluate(**{"X": X, "steps": [1], "features": net, "n": 4} | change)


class Unlabelled(CelebA64):
    """Forty small images of noise, and one that is held out."""

    size = (3, 8, 8)

    def place(self):
        """No folder."""

    def read(self, _, train: bool):
        """The images of a part."""
        n = 40 if train else 1
        return torch.randint(256, (n, 3, 8, 8), dtype=torch.uint8, generator=seeded(int(train))), None


def test_evaluate_images_without_classes():
    """X is v(s, t, x) itself; one held-out image gives no floor."""
    problem, net = Unlabelled(), Projection(192)
    X = tiny(problem)
    (row,) = problem.evaluate(X, [3], seed=2, features=net, n=30)
    x, train = parts_by_hand(X, problem, 3, 30, 2), problem.data().values()
    assert row["fid"] == pytest.approx(image_metrics.frechet(net, x, train), rel=1e-4)
    assert row["kid"] == pytest.approx(image_metrics.kid(net, x, train, seed=2).mean, rel=1e-4)
    assert (row["floor"], row["fid_held_out"]) == (None, None)


def test_the_noise_added_on_the_way_is_fresh():
    """With restarts no part of the images gets the noise of another, or that which it began with."""
    problem, at = Digits(), []

    def v(s, t, x, label):  # noqa: ARG001
        at.append(x)
        return -x / (1 - s).clamp_min(0.1)[:, None, None, None]  # lands at 0: the second x is z / 2 alone

    list(problem.drawn(FlowMap(v, sampler("restarts", problem.sigma)), 2, 300, 0))
    first, z, last, again = at[0], 2 * at[1], at[2], 2 * at[3]
    for a, b in ((first[:50], z[:50]), (z[:50], again), (last, again)):
        assert abs((a * b).mean()) < 5 * problem.sigma**2 / math.sqrt(a.numel())
    assert z.std() == pytest.approx(problem.sigma, rel=0.05)


# --- beside the paper ------------------------------------------------------------------------------


def of(text: str) -> list[tuple[str, str, list[str]]]:
    """The lines of a table that say whose they are: method, whose, cells."""
    lines = [line for line in text.splitlines() if line[16:22].strip() in ("ours", "paper") and line[0] != " "]
    return [(x[:15].strip(), x[16:22].strip(), [x[k : k + 15].strip() for k in range(22, len(x), 15)]) for x in lines]


def test_the_papers_figures_stand_in_the_papers_lines_alone():
    text = paper.paper_table()
    tables = dict(zip(PAPER_FID, text.split("\n\n"), strict=True))
    assert text.count("not run by us") == 9 * len(STEPS)
    for problem, table in tables.items():
        assert [(method, whose) for method, whose, _ in of(table)] == [
            (method, whose) for method in PAPER_FID[problem] for whose in ("ours", "paper")
        ]
        for method, whose, found in of(table):
            wanted = [f"{x:.2f}" for x in PAPER_FID[problem][method]]
            assert found == (wanted if whose == "paper" else ["not run by us"] * 5)
    for rows in PAPER_FID.values():  # what the page says of its figures
        assert all(lsd < min(m, u) for lsd, m, u in zip(*rows.values(), strict=True))


@pytest.mark.parametrize("method", ["psd-m", "meanflow"])
def test_our_rows_stand_in_our_lines_alone(method):
    """Where a number of steps was not run it says so; a method that the paper lacks has no line of its."""
    rows = [{"steps": k, "fid": 1000.25 + k, "kid": 0.1, "n": 5000, "floor": 2.5} for k in (1, 4)]
    text = paper.fid_table("cifar10", method, rows, (1, 2, 4, 3))
    lines = {(name, whose): found for name, whose, found in of(text)}
    assert lines.pop((method, "ours")) == ["1001.25", "not run by us", "1004.25", "not run by us"]
    for (name, whose), found in lines.items():
        printed = [f"{PAPER_FID['cifar10'][name][k]:.2f}" for k in range(3)]
        assert found == ([*printed, "not printed"] if whose == "paper" else ["not run by us"] * 4)
    assert len(lines) == (5 if method == "psd-m" else 6)
    assert "ours: 5,000 images to the reference; floor, of real held-out images: 2.50" in text


def test_a_data_set_that_the_paper_lacks_has_our_figures_alone():
    row = {"steps": 2, "fid": 12.5, "kid": 0.1, "n": 100, "floor": None}
    text = paper.fid_table("emoji", "lsd", [row], (1, 2), name="FD")
    assert of(text) == [("lsd", "ours", ["not run by us", "12.50"])]
    assert text.startswith("FD on emoji")
    assert "floor, of real held-out images: none" in text
    assert "The paper has no figures on emoji." in text
