"""The course's checks: right answers pass, and each known mistake is told by its own sentence.

Also the two forms of a lesson: what the reader writes is taken out, and put back it gives the lesson again.
"""

import re

import nbformat
import pytest
import torch
from test_notebooks import SOURCES

from flowmap_edu import cli, course
from flowmap_edu.course import checking, forms
from flowmap_edu.course.exercise import Exercise, exercises, find
from flowmap_edu.course.exercises.cases import curved, parameters, points, times
from flowmap_edu.course.handing_out import PAGES

LESSONS = [source.stem.partition("_")[0] for source in SOURCES]
NAMED = re.compile(r'^course\.check\("([^"]+)", (.+)\)', re.MULTILINE)


def known() -> dict[str, Exercise]:
    """Every exercise of every lesson."""
    found = {}
    for lesson in LESSONS:
        try:
            found |= exercises(lesson)
        except ModuleNotFoundError:
            continue
    return found


ALL = known()
ANSWERED = {name: e for name, e in ALL.items() if e.right is not None}
MISTAKES = [(name, words) for name, exercise in ALL.items() for words in exercise.mistakes]


@pytest.mark.parametrize("name", ANSWERED)
def test_a_right_answer_passes(name, capsys):
    """And what it shows is said in one sentence."""
    course.check(name, ANSWERED[name].right)
    assert capsys.readouterr().out == f"{name} is right. {ANSWERED[name].shown}\n"


@pytest.mark.parametrize(("name", "words"), MISTAKES)
def test_a_mistake_is_told_by_its_own_sentence(name, words):
    """No other mistake, and no general remark, is taken for it."""
    with pytest.raises(course.CheckError, match=re.escape(words)):
        course.check(name, ALL[name].mistakes[words])


@pytest.mark.parametrize("name", ALL)
def test_what_is_not_written_is_said(name):
    """A stub and a missing value fail with a message; so does a function that returns nothing."""

    def stub(*_):
        raise NotImplementedError("write this")

    for answer in (None, ..., *([stub] if ALL[name].cases else [])):
        with pytest.raises(course.CheckError, match="not written yet"):
            course.check(name, answer)
    if ALL[name].cases:
        with pytest.raises(course.CheckError, match="returns None"):
            course.check(name, lambda *_: None)


RESIDUAL = "03.1"


def right(X, s, t, x):
    return ALL[RESIDUAL].right(X, s, t, x)


WRONG = {
    "sign is reversed": lambda *a: -right(*a),
    r"0\.5 times what is wanted, everywhere": lambda *a: right(*a) / 2,
    "One value a sample is wanted, not the mean": lambda *a: right(*a).mean(),
    r"shape is \(7, 7, 2\).*t\[:, None\]": lambda X, s, t, x: right(X, s, t, x)[:, None] * torch.ones(7, 7, 1),
    "not finite": lambda *a: right(*a) / 0,
    "changes its argument number 4 in place": lambda X, s, t, x: right(X, s, t, x.add_(1)),
    r"raises RuntimeError in the line `.*matmul": lambda *a: torch.matmul(a[3], a[3]),
    "a float": lambda *_: 3.0,
    "a NumPy array of shape": lambda *a: right(*a).numpy(),
    "wrong in 1 of 7 samples": lambda *a: right(*a) + torch.eye(7, 2).double()[:, :1] * torch.tensor([1.0, 0.5]),
    "A tensor is wanted, this is a tuple": lambda *a: (right(*a),),
}


@pytest.mark.parametrize("words", WRONG)
def test_a_mistake_that_is_not_listed_is_told_by_its_kind(words):
    """Sign, factor, mean, broadcast, NaN, precision, change in place, an error with the reader's line, kind."""
    with torch.no_grad(), pytest.raises(course.CheckError, match=words):
        course.check(RESIDUAL, WRONG[words])


def test_single_precision_is_told_where_more_is_asked():
    exact = Exercise(asks="it", shown="Fine.", right=right, cases=ALL[RESIDUAL].cases, tolerance=1e-9)
    assert "single precision" in str(checking.judged(exact, lambda *a: right(*a).detach().float()))


def squared(X, s, t, x, hold=True):
    """|v_{s,t}(x) - v_{s,s}(x)|^2 with the second term held."""
    target = X.velocity(s, x)
    return (X.v(s, t, x) - (target.detach() if hold else target)).square().sum(1)


def with_gradients():
    s, t = times(5)
    return [(curved(), s, t, points(5))]


GRADED = Exercise(
    asks="a loss whose target is held fixed, shape (B,)", shown="Fine.", right=squared, cases=with_gradients,
    parameters=parameters,
    mistakes={"The target still carries a gradient.": lambda *a: squared(*a, hold=False)},
)  # fmt: skip


def test_gradients_are_compared_where_the_value_cannot_tell():
    """A stop-gradient changes no value: a target that is not held, and a loss that is held whole, are both found."""
    assert checking.judged(GRADED, squared) is None
    assert "still carries" in str(checking.judged(GRADED, lambda *a: squared(*a, hold=False)))
    assert "no gradient reaches" in str(checking.judged(GRADED, lambda *a: squared(*a).detach()))
    assert "its gradient is not" in str(
        checking.judged(GRADED, lambda *a: squared(*a).detach() + 2 * (squared(*a) - squared(*a).detach()))
    )


@pytest.mark.parametrize(
    ("mine", "words"),
    [(-2.5, "sign is reversed"), (2.4, "2.4 is not the number"), ("two", "A number is wanted"), (2.5, None)],
)
def test_an_answer_that_is_a_number(mine, words):
    found = checking.judged(Exercise(asks="a number", shown="Fine.", right=2.5), mine)
    assert (words is None and found is None) or words in found


def test_a_check_leaves_the_random_numbers_alone():
    """What comes after a check does not depend on whether it was run."""
    torch.manual_seed(3)
    wanted = torch.rand(2)
    torch.manual_seed(3)
    course.check(RESIDUAL, ALL[RESIDUAL].right)
    assert torch.equal(torch.rand(2), wanted)


@pytest.mark.parametrize("name", ["3", "99.1", "03.99", 3, ""])
def test_an_unknown_exercise_is_an_error(name):
    with pytest.raises(ValueError, match=r"exercise"):
        find(name)


COMPARED = [
    ((None, 0.5), "Measured: 0.5. You have made no prediction."),
    ((0.52, 0.5), "You predicted 0.52. Measured: 0.5. That is close."),
    ((0.75, 0.5), "You predicted 0.75. Measured: 0.5. Your number is 50% too high. HIGH"),
    ((0.1, 0.5), "You predicted 0.1. Measured: 0.5. Your number is 5 times too low. LOW"),
    ((-0.5, 0.5), "You predicted -0.5. Measured: 0.5. The sign differs. LOW"),
    (("Left", "left"), "You predicted Left. Measured: left. Right."),
    (("right", "left"), "You predicted right. Measured: left. It is not. BECAUSE"),
    ((torch.tensor(0.5), 0.5), "You predicted 0.5. Measured: 0.5. That is close."),
]


@pytest.mark.parametrize(("given", "said"), COMPARED)
def test_a_prediction_beside_what_was_measured(given, said, capsys):
    course.compare(*given, too_high="HIGH", too_low="LOW", wrong={"Right": "BECAUSE"})
    assert capsys.readouterr().out.startswith(said)


@pytest.mark.parametrize("given", [("left", 0.5), (3, "left"), (float("nan"), 1.0), ([1, 2], 1.0)])
def test_a_prediction_of_another_kind_is_an_error(given):
    with pytest.raises(ValueError, match="must be"):
        course.compare(*given)


SOURCE = """# %%
def slope(x):
    \"\"\"Twice x.\"\"\"
    ### BEGIN SOLUTION
    y = 2 * x

    return y
    ### END SOLUTION

# %%
### BEGIN SOLUTION
z = slope(3)
### END SOLUTION
"""


def test_solutions_are_taken_out_and_put_back():
    """At their own indentation; what is put back is the source without its marks."""
    stubs = forms.doing(SOURCE)
    assert '    raise NotImplementedError("write this")  # about 2 lines\n' in stubs
    assert '\nraise NotImplementedError("write this")  # about 1 line\n' in stubs
    assert "2 * x" not in stubs
    assert "SOLUTION" not in stubs
    without = "".join(line for line in SOURCE.splitlines(keepends=True) if "SOLUTION" not in line)
    assert forms.put_back(stubs, forms.blocks(SOURCE)) == without
    assert forms.written(SOURCE) == (3, 4)


@pytest.mark.parametrize("text", ["### BEGIN SOLUTION\n", "### END SOLUTION\n", 2 * "### BEGIN SOLUTION\n"])
def test_marks_that_do_not_match_are_an_error(text):
    with pytest.raises(ValueError, match="solution"):
        forms.doing(text)


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_the_doing_form_of_a_lesson_has_the_solutions_places(source):
    """Every check has an exercise and every exercise a check; no solution is left; put back, the lesson is whole."""
    text = source.read_text(encoding="utf-8")
    stubs, solutions = forms.doing(text), forms.blocks(text)
    without = "".join(line for line in text.splitlines(keepends=True) if line.strip() not in (forms.BEGIN, forms.END))
    without = without.replace(' tags=["solution"]', "")
    assert forms.put_back(stubs, solutions) == without
    lesson = source.stem.partition("_")[0]
    assert sorted({name for name, _ in NAMED.findall(text)}) == sorted(n for n in ALL if n.startswith(f"{lesson}."))
    for solution in solutions:
        assert solution.strip() not in stubs


def test_the_lessons_are_handed_out(tmp_path, capsys):
    """`flowmap-edu tutorials DIR` writes every lesson, no solution and no output, and never over a file."""
    out = tmp_path / "course"
    assert cli.main(["tutorials", str(out)]) == 0
    assert f"{len(SOURCES)} lessons are in {out}" in capsys.readouterr().out
    for source in SOURCES:
        notebook = nbformat.read(out / f"{source.stem}.ipynb", as_version=4)
        assert not any(cell.get("outputs") for cell in notebook.cells)
        text = "\n".join(cell.source for cell in notebook.cells)
        assert "SOLUTION" not in text
        assert text.count("raise NotImplementedError") == len(forms.blocks(source.read_text(encoding="utf-8")))
    for path in out.iterdir():
        texts = [path.read_text(encoding="utf-8")]
        if path.suffix == ".ipynb":
            texts = [cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "markdown"]
        for target in re.findall(r"\]\((?!https?://|#|attachment:)([^)#\s]+)", "\n".join(texts)):
            assert (out / target).exists(), f"{path.name} links to {target}"
    (out / "README.md").unlink()
    before = {path: path.read_bytes() for path in out.iterdir()}
    assert cli.main(["tutorials", str(out)]) == 2
    assert "nothing is overwritten" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in out.iterdir()} == before


def test_the_wheel_brings_every_lesson():
    """pyproject.toml names each source: the command works where there is no clone."""
    text = (SOURCES[0].parent.parent / "pyproject.toml").read_text(encoding="utf-8")
    pages = [path.name for path in SOURCES[0].parent.glob("*.md")]
    for name in [*(source.name for source in SOURCES), *(page for page in pages if page in PAGES)]:
        assert f'"tutorials/{name}" = "flowmap_edu/tutorials/{name}"' in text


@pytest.mark.parametrize("source", [path for path in SOURCES if "01" <= path.stem[:2] <= "08"], ids=lambda p: p.stem)
def test_the_reader_writes_half_of_a_lesson(source):
    """Of the lines that count, see `forms.written`; and before the results there are predictions."""
    text = source.read_text(encoding="utf-8")
    mine, every = forms.written(text)
    assert 2 * mine >= every > 40
    assert text.count("= None  #") >= 3
    assert text.count("course.compare(") >= 3
