"""What lessons 02 and 03 rest on: five maps wrong in known places, answers without one right value, torn lines."""

import math
from itertools import permutations

import pytest
import torch

from flowmap_edu.course import forms
from flowmap_edu.course.exercises import answers_02, hidden_03
from flowmap_edu.metrics import residuals
from flowmap_edu.viz import figures_02, figures_03, plots

GRID = torch.linspace(0, 1, 11, dtype=torch.float64)
S, T = GRID[:, None], GRID[None, :]
EXACT = {  # where a map agrees with itself: pairs of times, away from the edges of the region
    "one Euler step": (S == T) & (S < 2),
    "another problem": S <= T,
    "short jumps only": (S <= T) & (T - S < 0.25),
    "late times unknown": (S <= T) & (T < 0.55),
    "early times unknown": (S <= T) & (S > 0.45),
}
WRONG = {
    "one Euler step": T > S + 0.05,
    "another problem": S > 2,
    "short jumps only": T - S > 0.35,
    "late times unknown": (T > 0.65) & (T > S + 0.05),
    "early times unknown": (S < 0.35) & (T > S + 0.05),
}


@pytest.fixture(autouse=True)
def in_double_precision():
    """As in lesson 03."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("name", hidden_03.NAMES)
def test_each_of_the_five_maps_is_wrong_where_it_is_said(name):
    """All three residuals vanish on the pairs of the table in the lesson, and on the others none does."""
    for table in residuals(hidden_03.named()[name], hidden_03.gauss(), times=11, n=32).values():
        assert table[EXACT[name]].abs().max() < 1e-12
        assert not WRONG[name].any() or table[WRONG[name]].min() > 1e-5


def test_the_diagnosis_that_is_right_is_the_only_one():
    """Of all 120 ways to give the names; a hint never holds the right name of its letter."""
    x, s, t = (
        torch.randn(20, 2, generator=torch.Generator().manual_seed(0)),
        torch.full((20,), 0.1),
        torch.full((20,), 0.8),
    )
    named = {name: X(s, t, x) for name, X in hidden_03.named().items()}
    right = {
        letter: next(name for name, y in named.items() if torch.equal(y, X(s, t, x)))
        for letter, X in hidden_03.hidden().items()
    }
    assert hidden_03.diagnosed(right) is None
    for names in permutations(hidden_03.NAMES):
        said = hidden_03.diagnosed(dict(zip("ABCDE", names, strict=True)))
        if list(names) == list(right.values()):
            assert said is None
        else:
            assert right[said[0]] not in said


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ([], "a list"),
        ({"A": "one Euler step"}, "letters"),
        (dict.fromkeys("ABCDE", "x"), "none of the five"),
        (dict.fromkeys("ABCDE", "one Euler step"), "twice"),
    ],
)
def test_a_diagnosis_of_another_kind_is_told(answer, words):
    assert words in hidden_03.diagnosed(answer)


def test_answers_that_have_no_single_right_value():
    """A second slope with the same diagonal, and a training in 60 steps."""
    torch.set_default_dtype(torch.float32)
    assert answers_02.two_slopes(lambda v, s, t, x: v(s, t, x) + (t - s)[:, None] * x.cos()) is None
    assert answers_02.trained(answers_02.simply_trained) is None


def test_a_line_is_cut_where_it_is_torn():
    """One hole between two points that are far apart, and no other change."""
    line = torch.tensor([[[0.0, 0.0], [0.1, 0.0], [0.9, 0.0], [1.0, 0.0]]])
    cut = plots.torn(line)
    holes = cut.isnan().any(-1)
    assert holes.sum() == 1
    assert torch.equal(cut[~holes].unique(dim=0), line[0])
    assert torch.equal(cut[0, 2], line[0, 1])
    assert holes[0, 3]


def test_points_next_to_a_border():
    """On a row of points that belong to two halves: those within six places of the border, of twelve neighbours."""
    x = torch.stack([torch.arange(100.0), torch.zeros(100)], 1)
    border = figures_03.next_to_a_border(x, (x[:, 0] >= 50).double(), neighbours=12)
    assert set(border.nonzero().flatten().tolist()) <= set(range(44, 56))
    assert border[45:55].all()


def test_errors_over_pairs_of_times():
    """Euler's slope is right on the diagonal; "stay" has there the size of the velocity. For a Gaussian."""
    problem = hidden_03.gauss()
    tables = figures_02.errors(problem, [])
    assert (tables["Euler"].diagonal() <= 1e-6).all()
    # E |b_1|^2 = m^2 + d (S'(1) / S(1))^2 S(1)^2 with S'(1) = c
    assert tables["stay"][-1, -1] == pytest.approx(math.sqrt(1 + 0.25 + 2 * 0.4**2), rel=0.1)
    assert tables["stay"][1, 0].isnan()


def test_what_counts_as_written_by_the_reader():
    """A prediction, a comparison over several lines and the signature above a solution count on neither side."""
    source = """# %%
prediction = None
given = 1
course.compare(
    prediction,
    max(given, 2),
)

# %% tags=["solution"]
def f(x):
    ### BEGIN SOLUTION
    return x
    ### END SOLUTION

# %% tags=["figure"]
drawn = 2
"""
    assert forms.written(source) == (1, 2)
