"""`make bench`: its tables go between the marks of docs/results.md, and its trainings are the ones named there."""

import re
from pathlib import Path

import benchmark
import pytest

from flowmap_edu.bench import step

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results.md"


def test_every_table_has_its_marks():
    """A pair each, in order; the curve and what benchmark_images writes aside."""
    text = RESULTS.read_text(encoding="utf-8")
    marks = re.findall(r"<!-- (/?)bench:(\w+) -->", text)
    assert [name for end, name in marks[::2]] == [name for end, name in marks[1::2]]
    assert {end for end, _ in marks[::2]} == {""}
    assert {end for end, _ in marks[1::2]} == {"/"}
    ours = {name for made in benchmark.tables(1).values() for name in made}
    assert ours - {name for _, name in marks} <= {"curve"}
    assert {name for _, name in marks} - ours == {
        "digits", "layouts", "mnist", "mnist_networks", "mnist_shipped", "mnist_bias",
    }  # fmt: skip


def test_a_table_replaces_what_was_between_its_marks(tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text("a\n<!-- bench:one -->\nold\n<!-- /bench:one -->\nb\n<!-- bench:two -->\n<!-- /bench:two -->\n")
    benchmark.write_table({"one": ["new", "rows"], "two": [], "three": ["nowhere"]}, readme)
    text = "a\n<!-- bench:one -->\nnew\nrows\n<!-- /bench:one -->\nb\n<!-- bench:two -->\n<!-- /bench:two -->\n"
    assert readme.read_text() == text
    assert "README.md has no marks for three" in capsys.readouterr().out


def test_all_four_methods_have_the_same_three_budgets():
    """30, 120 and 600 CPU seconds, as the rows' names say, and 600 of the fine recipe; the paper's has steps."""
    of = {"checkerboard": (0.5, 2.0, 10.0), "checkerboard-fine": (10.0,)}
    found = {name: task for name, task in benchmark.TRAININGS.items() if task.minutes is not None}
    assert {(task.recipe, task.method, task.minutes) for task in found.values()} == {
        (recipe, method, minutes) for recipe in of for method in step.SELF_DISTILLED for minutes in of[recipe]
    }
    for name, task in found.items():
        which = "" if task.recipe == "checkerboard" else f", {task.recipe}"
        assert name == f"{task.method.upper()}, {60 * task.minutes:.0f} CPU-s{which}"
    (other,) = [task for task in benchmark.TRAININGS.values() if task.minutes is None]
    assert (other.recipe, other.steps) == ("checkerboard-paper", 4000)


def test_quality_takes_the_median_over_the_seeds(monkeypatch):
    """Of three seeds whose KL64 are 1, 2 and 3 thousandths: the middle one, with the range."""

    def made(_, seed):
        rows = [{"steps": n, "kl64": 0.001 * (seed + 1), "floor": 0.002} for n in benchmark.STEPS]
        return {"cpu_seconds": 100.0 + seed, "rows": rows}

    monkeypatch.setattr(benchmark, "one_training", made)
    lines = benchmark.quality(1)
    cell = "0.0020 (0.0010 to 0.0030)"
    assert f"| LSD, 600 CPU-s (3 seeds) | 102 | {' | '.join([cell] * 5)} |" in lines
    assert any(line.startswith("| LSD, the paper's recipe") and "(1 seed) | 100 | 0.0010 |" in line for line in lines)


def test_an_unknown_part_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["benchmark.py", "--only", "speed"])
    with pytest.raises(SystemExit):
        benchmark.main()
    assert "invalid choice: 'speed'" in capsys.readouterr().err
