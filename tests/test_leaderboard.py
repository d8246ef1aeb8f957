"""The leaderboard: maps are placed by the problem's own number; what cannot be placed is named, and no code is run."""

import json
import shutil
import sys

import pytest
from safetensors.torch import load_file, save_file

import flowmap_edu
from flowmap_edu import METHODS, MLP, Training, cli
from flowmap_edu.course.leaderboard import leaderboard, table
from flowmap_edu.problems import Checkerboard, Gaussian

N = 5000


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A folder with a map that was trained for three steps."""
    folder = tmp_path_factory.mktemp("run") / "map"
    *_, state = flowmap_edu.fit(Checkerboard(), MLP(2, 16), METHODS["lsd"], Training(steps=3, batch=16))
    flowmap_edu.save(state, folder)
    return folder


def handed_in(run, folder):
    """A copy of the run as a student's submission."""
    shutil.copytree(run, folder)
    return folder


def changed(folder, **changes):
    """Change config.json of a submission."""
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(content | changes))


def reweighted(folder, change):
    """Change the weights of a submission; config.json then lists another file, so its hashes go."""
    held = load_file(folder / "map.safetensors")
    save_file({name: change(w) for name, w in held.items()}, folder / "map.safetensors")
    changed(folder, files={})


def placed(folder, **how):
    """The leaderboard's lines by student."""
    return {one.student: one for one in leaderboard(folder, n=N, **how)}


def test_maps_are_placed_by_the_problems_number(run, tmp_path):
    """A shipped map comes before one of three steps, with the KL64 of the problem's own evaluate."""
    handed_in(run, tmp_path / "bob" / "deeper" / "run")
    shutil.copytree(flowmap_edu.training.reading.folder_of("checkerboard-lsd"), tmp_path / "ada")
    found = leaderboard(tmp_path, n=N, minutes=60)
    assert [one.student for one in found] == ["ada", "bob"]
    for one, X in zip(found, (flowmap_edu.load("checkerboard-lsd"), flowmap_edu.load(run)), strict=True):
        assert one.score == Checkerboard().evaluate(X, steps=(1,), n=N)[0]["kl64"]
    assert table(found).splitlines()[1].startswith(f"1,ada,{found[0].score:.4f},")
    assert leaderboard(tmp_path, n=N, minutes=60) == found
    late = placed(tmp_path)["ada"]
    assert late.score is None
    assert "60 are allowed" in late.remark


def test_what_is_no_map_is_named(run, tmp_path):
    """And the others are placed all the same."""
    handed_in(run, tmp_path / "ok")
    reweighted(handed_in(run, tmp_path / "nan"), lambda w: w * float("nan"))
    (handed_in(run, tmp_path / "junk") / "map.safetensors").write_bytes(b"no map")
    changed(tmp_path / "junk", files={})
    (handed_in(run, tmp_path / "swapped") / "map.safetensors").write_bytes(b"other")
    (tmp_path / "empty").mkdir()
    (handed_in(run, tmp_path / "no json") / "config.json").write_text("{")
    (handed_in(run, tmp_path / "lost") / "map.safetensors").unlink()
    (handed_in(run, tmp_path / "large") / "map.safetensors").write_bytes(bytes(9 * 10**6))
    changed(handed_in(run, tmp_path / "images"), shape=[1, 8, 8])
    changed(handed_in(run, tmp_path / "wide"), network={"import": "flowmap_edu.nets:MLP", "arguments": {"dim": 10**9}})
    handed_in(run, tmp_path / "two" / "one")
    handed_in(run, tmp_path / "two" / "other")
    link = handed_in(run, tmp_path / "link")
    (link / "map.safetensors").unlink()
    (link / "map.safetensors").symlink_to(tmp_path / "ok" / "map.safetensors")
    found = placed(tmp_path)
    said = {
        "nan": "finite", "junk": "damaged", "swapped": "not the file", "empty": "holds 0 folders",
        "no json": "no JSON", "lost": "is missing", "large": "9000000 bytes", "images": "samples of shape (1, 8, 8)",
        "two": "holds 2 folders", "link": "is a link", "wide": "the network of",
    }  # fmt: skip
    for student, words in said.items():
        assert found[student].score is None, student
        assert words in found[student].remark, (student, found[student].remark)
    assert found["ok"].score is not None
    assert str(tmp_path) not in table(list(found.values()))


@pytest.mark.parametrize("place", ["network", "training", "nested"])
@pytest.mark.parametrize("name", ["os:system", "flowmap_edu.nets:recorded", "evil:Net", "flowmap_edu.nets:MLP.forward"])
def test_no_code_of_a_submission_is_run(run, tmp_path, monkeypatch, place, name):
    """Neither a module beside the map nor a function of Python's own."""
    folder = handed_in(run, tmp_path / "eve")
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'harm')!r}, 'w')")
    monkeypatch.chdir(tmp_path)
    content = json.loads((folder / "config.json").read_text())
    bad = {"import": name, "arguments": {"command": f"touch {tmp_path / 'harm'}"}}
    if place == "network":
        content["network"] = bad
    elif place == "training":
        content["training"]["interpolant"] = bad
    else:
        content["network"]["arguments"]["hidden"] = [bad]
    changed(folder, **content)
    found = placed(tmp_path)["eve"]
    assert found.score is None
    assert "which is not run" in found.remark
    assert not (tmp_path / "harm").exists()
    assert "evil" not in sys.modules


def test_copies_are_named(run, tmp_path):
    """By the hash of the map's file, in both lines."""
    for student in ("ada", "bob", "cem"):
        handed_in(run, tmp_path / student)
    reweighted(tmp_path / "cem", lambda w: w * 1.01)
    found = placed(tmp_path)
    assert (found["ada"].remark, found["bob"].remark) == ("the same file as bob", "the same file as ada")
    assert found["cem"].remark == ""
    assert found["ada"].score == found["bob"].score != found["cem"].score


def test_the_lecturer_sets_the_problem(run, tmp_path):
    """Another problem, another number; one that its evaluate does not give is named."""
    handed_in(run, tmp_path / "ada")
    gaussian = Gaussian(dim=2)
    score = gaussian.evaluate(flowmap_edu.load(run), steps=(2,), n=N)[0]["map_error"]
    assert placed(tmp_path, problem=gaussian, by="map_error", steps=2)["ada"].score == score
    assert "not 'kl64'" in placed(tmp_path, problem=gaussian)["ada"].remark


def test_the_command(run, tmp_path, capsys):
    """Prints CSV, writes it into a new file alone; bad words are errors."""
    handed_in(run, tmp_path / "in" / "=ada")
    words = ["course", "leaderboard", str(tmp_path / "in"), "--samples", str(N), "--out", str(tmp_path / "board.csv")]
    assert cli.main(words) == 0
    text = capsys.readouterr().out
    assert text == (tmp_path / "board.csv").read_text()
    assert text.splitlines()[0] == "place,student,kl64,cpu_seconds,remark"
    assert text.splitlines()[1].startswith("1,'=ada,")
    assert cli.main(words) == 2
    assert "already there" in capsys.readouterr().err
    assert cli.main(["course", "forms", str(tmp_path / "new"), "--steps", "2"]) == 2
    assert "would be ignored" in capsys.readouterr().err
    (tmp_path / "none").mkdir()
    assert cli.main(["course", "leaderboard", str(tmp_path / "none")]) == 2
    assert "a folder for each student" in capsys.readouterr().err


def test_forms_are_not_written_beside_the_solutions(tmp_path, capsys):
    """Forms and sources in one folder would be handed out together."""
    (tmp_path / "ps" / "source").mkdir(parents=True)
    assert cli.main(["course", "forms", str(tmp_path / "ps")]) == 2
    assert "holds source/ with the solutions" in capsys.readouterr().err
    assert cli.main(["course", "forms", str(tmp_path / "handout")]) == 0
    assert len(list((tmp_path / "handout").glob("*.ipynb"))) == 6
