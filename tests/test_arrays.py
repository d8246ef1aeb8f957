"""Data of one's own: what an array or a dataset becomes, what is said of bad ones, and how a map of it is judged."""

import warnings

import numpy as np
import pytest
import torch
from torch.utils.data import IterableDataset, TensorDataset

from flowmap_edu import FlowMap, FromDataset, FromTensor, _reference
from flowmap_edu.metrics import memorising
from flowmap_edu.metrics.two_sample import classifier_test, sliced_wasserstein
from flowmap_edu.problems import from_file


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(n: int, *shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, *shape, generator=seeded(seed))


# --- two samples -----------------------------------------------------------------------------------


def test_sliced_wasserstein_is_its_closed_form():
    """A shift c of one set moves every projection by w . c: sqrt(E (w . c)^2) = |c| / sqrt(d); 0 for equal sets."""
    x = normal(500, 5)
    shift = torch.tensor([3.0, 0, 0, 0, 0])
    found = sliced_wasserstein(x, x + shift, directions=4000)
    assert found == pytest.approx(3 / 5**0.5, rel=0.03)
    assert sliced_wasserstein(x, x.flip(0)) < 1e-6
    scaled = sliced_wasserstein(x, 2 * x, directions=4000)  # W_2 of a projection and its double: its deviation
    assert scaled == pytest.approx((x.square().sum(1).mean() / 5).sqrt().item(), rel=0.03)
    assert sliced_wasserstein(x, 2 * x, seed=1) != sliced_wasserstein(x, 2 * x, seed=2)
    assert sliced_wasserstein(x, 2 * x, seed=1) == sliced_wasserstein(x, 2 * x, seed=1)


def test_the_classifier_test_is_chance_for_one_distribution_and_sure_for_two():
    """0.5 within four standard errors of 2 n answers; near 1 for sets far apart; rising with the shift between."""
    x, y = normal(400, 2), normal(400, 2, seed=1)
    same, near, far = (classifier_test(x, y + shift) for shift in (0.0, 1.0, 6.0))
    assert abs(same - 0.5) < 4 * (1 / (8 * 400)) ** 0.5
    assert same < near < far
    assert far > 0.99
    assert classifier_test(x, y + 1.0) == near
    with pytest.raises(ValueError, match="at least ten samples of each set are expected, got 5 and 400"):
        classifier_test(x[:5], y)
    for test in (classifier_test, sliced_wasserstein):
        with pytest.raises(ValueError, match="y must be finite"):
            test(x, y / 0)
        with pytest.raises(ValueError, match=r"must have the same shape, got \(2,\) and \(1,\)"):
            test(x, y[:, :1])


def test_copies_are_near_zero_and_fresh_draws_near_one():
    """The training samples themselves: 0. Half of them moved by noise as large as the data: near 1."""
    train, held_out, fresh = normal(1000, 3), normal(300, 3, seed=1), normal(300, 3, seed=2)
    assert memorising.copies(train[:100], train, held_out) == 0.0
    assert memorising.copies(fresh, train, held_out) == pytest.approx(1.0, abs=0.15)
    assert memorising.copies(train[:300] + 0.01 * fresh, train, held_out) < 0.2
    with pytest.raises(ValueError, match=r"held_out must hold at least one sample"):
        memorising.copies(fresh, train, held_out[:0])


# --- arrays ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1,), (2,), (10,), (3, 8, 8), (5, 7)])
@pytest.mark.parametrize("kind", ["torch", "numpy"])
def test_an_array_of_any_shape_is_a_problem(shape, kind):
    """Samples are rows of the training part; the held-out part is another, fixed by the seed."""
    x = 0.7 * normal(200, *shape) + 0.1
    problem = FromTensor(x if kind == "torch" else x.double().numpy(), seed=3)
    assert problem.shape == shape
    assert problem.sigma == pytest.approx((x - x.mean(0)).square().mean().sqrt().item(), rel=1e-5)
    assert (len(problem.train), len(problem.held_out)) == (180, 20)
    assert torch.equal(FromTensor(x, seed=3).held_out, problem.held_out)
    assert not torch.equal(FromTensor(x, seed=4).held_out, problem.held_out)
    both = torch.cat([problem.train, problem.held_out]).flatten(1)
    assert torch.equal(both.sort(0).values, x.flatten(1).sort(0).values)
    drawn, label = problem.sample(50, seeded())
    assert label is None
    assert not memorising.nearest(drawn, problem.train).any()
    assert problem.base(4000, seeded()).std().item() == pytest.approx(problem.sigma, rel=0.05)


def test_labels_stay_with_their_samples():
    """Each drawn sample has its own label; the network of the problem is told as many classes."""
    x = torch.arange(60.0).reshape(20, 3).repeat(5, 1) / 60
    labels = (torch.arange(100) % 20) % 4
    problem = FromTensor(x, labels)
    drawn, label = problem.sample(200, seeded())
    row = (drawn[:, 0] * 20).round().long()
    assert torch.equal(label, row % 4)
    assert problem.classes == problem.network().classes == 4
    assert FromTensor(normal(64, 1, 8, 8).clamp(-1, 1), torch.arange(64) % 3).network().classes == 3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: FromTensor([[1.0]]), "x must be a torch tensor or a numpy array, got list"),
        (
            lambda: FromTensor(torch.zeros(20, 2, dtype=torch.uint8)),
            "got torch.uint8; for bytes of images take x / 127.5",
        ),
        (lambda: FromTensor(torch.zeros(20, 2).long()), "must be floating-point, got torch.int64"),
        (lambda: FromTensor(torch.randn(20)), r"x must have shape \(n, \*D\), .*got \(20,\)"),
        (lambda: FromTensor(torch.randn(9, 2)), r"at least 10 samples, got shape \(9, 2\)"),
        (lambda: FromTensor(torch.randn(20, 2) / torch.tensor([1.0, 0.0])), r"20 of 40 entries are not, .* \(0, 1\)"),
        (lambda: FromTensor(torch.ones(20, 2)), "all samples are equal"),
        (lambda: FromTensor(torch.randn(20, 2), torch.zeros(19)), r"labels must have shape \(20,\).*got \(19,\)"),
        (lambda: FromTensor(torch.randn(20, 2), torch.full((20,), 0.5)), "labels must be whole numbers from 0 on"),
        (lambda: FromTensor(torch.randn(20, 2), torch.full((20,), -1)), "labels must be whole numbers from 0 on"),
        (lambda: FromTensor(torch.randn(20, 2), sigma=-1.0), "sigma must be positive, got -1.0"),
        (lambda: FromTensor(torch.randn(20, 2), held_out=1.0), r"held_out must be a share in \[0, 1\), got 1.0"),
        (lambda: FromTensor(torch.randn(20, 3, 7, 7)).network(), r"no network is suggested for .*\(3, 7, 7\)"),
        (lambda: FromDataset(iter([1])), "must have a length and items by number, got list_iterator"),
        (lambda: FromDataset(TensorDataset(torch.randn(5, 2))), "at least 10 items, got 5"),
        (lambda: FromDataset(TensorDataset(torch.randn(20, 2)), classes=2), "the dataset's have no label"),
        (
            lambda: FromDataset(TensorDataset(torch.randn(20, 2), torch.arange(20)), classes=2),
            r"labels must lie in 0..1, got 19",
        ),
        (lambda: FromDataset(["a"] * 20), "an item must be a floating-point sample"),
        (lambda: from_file("nowhere.npy"), "nowhere.npy is missing or holds no array of numbers"),
    ],
)
def test_what_cannot_work_is_named(call, message):
    """Each a ValueError that says what came and what to do."""
    with pytest.raises(ValueError, match=message):
        call()


class Stream(IterableDataset):
    """Items without numbers."""

    def __iter__(self):
        yield torch.zeros(2)


def test_a_stream_is_refused():
    """A dataset without a length has no held-out part."""
    with pytest.raises(ValueError, match="must have a length and items by number, got Stream"):
        FromDataset(Stream())


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        (normal(50, 3) * torch.tensor([1.0, 0.0, 1.0]), {}, "columns 1 are constant"),
        (normal(50, 2) * torch.tensor([1.0, 30.0]), {}, "the columns' deviations run from .*: standardise"),
        (normal(50, 2) + 9, {}, "a column's mean is more than 3 of its deviations away from 0"),
        (normal(50, 2), {"sigma": 9.0}, "sigma is 9, the data's deviation"),
    ],
)
def test_what_may_work_badly_is_warned_of(x, options, message):
    """A warning that says what to do; well-scaled data get none."""
    with pytest.warns(UserWarning, match=message):
        FromTensor(x, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        FromTensor(normal(50, 2))


def test_a_dataset_gives_what_its_array_gives():
    """The same split and, from one generator, the same samples and labels."""
    x, y = normal(100, 2), torch.arange(100) % 3
    array, dataset = FromTensor(x, y, seed=5), FromDataset(TensorDataset(x, y), classes=3, seed=5)
    for a, b in zip(array.sample(30, seeded()), dataset.sample(30, seeded()), strict=True):
        assert torch.equal(a, b)
    held, labels = dataset.some(100, False, seeded())
    assert torch.equal(held.sort(0).values, array.held_out.sort(0).values)
    assert len(labels) == 10
    plain = FromDataset([row for row in x], seed=5)  # noqa: C416
    assert torch.equal(plain.sample(30, seeded())[0], array.sample(30, seeded())[0])


def test_files_are_arrays(tmp_path):
    """.npy, and .csv with a head or without; the path is kept whole, so that the problem is made again elsewhere."""
    x = normal(40, 3)
    np.save(tmp_path / "x.npy", x.numpy())
    np.save(tmp_path / "y.npy", (torch.arange(40) % 2).numpy())
    np.savetxt(tmp_path / "plain.csv", x.numpy(), delimiter=",")
    np.savetxt(tmp_path / "head.csv", x.numpy(), delimiter=",", header="a,b,c")
    (tmp_path / "words.csv").write_text("a,b,c\n" + (tmp_path / "plain.csv").read_text())
    wanted = FromTensor(x).train
    for name in ("x.npy", "plain.csv", "head.csv", "words.csv"):
        torch.testing.assert_close(from_file(tmp_path / name).train, wanted)
    labelled = from_file(tmp_path / "x.npy", tmp_path / "y.npy", held_out=0.2)
    described, tensors = _reference.describe(labelled)
    again = _reference.build(described)
    assert tensors == {}
    assert torch.equal(again.train, labelled.train)
    assert torch.equal(again.train_labels, labelled.train_labels)


def test_an_array_is_written_whole_and_a_dataset_is_not():
    """A FromTensor is made again from its record and tensors; of a FromDataset the record says why it cannot be."""
    problem = FromTensor(normal(40, 2), torch.arange(40) % 2, sigma=0.8, seed=2)
    described, tensors = _reference.describe(problem, "problem")
    assert set(tensors) == {"problem.x", "problem.labels"}
    again = _reference.build(described, tensors)
    assert torch.equal(again.train, problem.train)
    assert (again.sigma, again.classes) == (0.8, 2)
    described, _ = _reference.describe(FromDataset(TensorDataset(normal(40, 2))))
    with pytest.raises(ValueError, match=r"FromDataset cannot be made again .* is a TensorDataset"):
        _reference.build(described)


# --- judging ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("labelled", [False, True])
def test_evaluate_tells_a_right_map_from_a_wrong_one_and_from_a_copier(labelled):
    """On N(0, 1) the identity gives the right samples and agrees with itself; a shift agrees with itself alone."""
    x = normal(2000, 2)
    problem = FromTensor(x, torch.arange(2000) % 2 if labelled else None, held_out=0.3)

    def copy(s, t, x, **_):  # noqa: ARG001
        goal = problem.train[(x[:, None] - problem.train).square().sum(2).argmin(1)]
        return (goal - x) / (1 - s).clamp_min(1e-3)[:, None]

    still = FlowMap(lambda s, t, x, **_: 0 * x)  # noqa: ARG005
    right = problem.evaluate(still, [1, 4], n=200)
    wrong = problem.evaluate(FlowMap(lambda s, t, x, **_: torch.ones_like(x)), [1], n=200)[0]  # noqa: ARG005
    copier = problem.evaluate(FlowMap(copy), [1], n=200)[0]
    assert [row["steps"] for row in right] == [1, 4]
    assert right[0]["wasserstein"] < 2 * right[0]["wasserstein_real"]
    assert abs(right[0]["classifier"] - 0.5) < 0.08
    assert right[0]["copies"] == pytest.approx(1.0, abs=0.2)
    assert right[0]["gap"] == right[0]["lagrangian"] == right[0]["semigroup"] == 0.0
    assert wrong["wasserstein"] == pytest.approx(1.0, abs=0.15)
    assert wrong["classifier"] > 0.7
    assert wrong["gap"] < 1e-5
    assert wrong["diagonal"] > right[0]["diagonal"] + 1.5  # |1|^2 summed over two entries
    assert copier["copies"] < 0.01
    assert problem.evaluate(still, [1, 4], n=200) == right


def test_without_held_out_samples_only_the_map_is_judged():
    """What needs them is None, the rest is there; a number of steps below 1 is refused."""
    problem = FromTensor(normal(100, 2), held_out=0.0)
    (row,) = problem.evaluate(FlowMap(lambda s, t, x: 0 * x), [2], n=50)  # noqa: ARG005
    assert {name for name, value in row.items() if value is None} == {
        "wasserstein", "wasserstein_real", "classifier", "classifier_real", "copies", "diagonal",
    }  # fmt: skip
    assert row["gap"] == 0.0
    with pytest.raises(ValueError, match="steps must be a whole number of at least 1, got 0"):
        problem.evaluate(FlowMap(lambda s, t, x: 0 * x), [0], n=50)  # noqa: ARG005
