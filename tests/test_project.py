"""Assignment 6 from the form to the leaderboard: the start is in the form and runs, and two maps are placed."""

import csv
from dataclasses import replace

import pytest
import torch

import flowmap_edu
from flowmap_edu import cli, course
from flowmap_edu.course.assignment import load
from flowmap_edu.problems import Checkerboard

N = 5000


def run_cells(cells, student):
    """What is defined after a student has set the number and run all cells; the names of the cells that raise."""
    names, raised = {}, []
    for cell in cells:
        if cell.code:
            text = f"STUDENT = {student}" if cell.id == "a6-student" else cell.text
            try:
                exec(text, names)
            except NotImplementedError:
                raised.append(cell.id)
            except course.CheckError:
                raised.append(cell.id)
    return names, raised


def test_the_form_holds_its_start(capsys):
    """Problem, budget, network and method are there before anything is written, and they train."""
    assignment = load("a6")
    names, raised = run_cells(assignment.form(), 5)
    assert raised == ["a6-2"]
    assert names["TRAIN"] is False
    problem, net, method, training = names["start"](3)
    assert isinstance(problem, Checkerboard)
    assert (training.minutes, names["MINUTES"], names["POINTS"]) == (1.0, 1.0, 200_000)
    assert method is flowmap_edu.METHODS["lsd"]
    assert torch.equal(next(net.parameters()), next(names["start"](3)[1].parameters()))
    names["POINTS"] = N
    names["trained"]((problem, net, method, replace(training, minutes=None, steps=3)))
    assert "3 steps of training" in capsys.readouterr().out
    with pytest.raises(NotImplementedError):
        names["my_run"](0)
    locked = {cell.id for cell in assignment.cells if cell.mark.get("locked")}
    assert {"a6-setup", "a6-start", "a6-train"} <= locked


def test_two_submissions_go_onto_one_leaderboard(tmp_path):
    """The start and the model solution, each trained for a few steps and saved as the notebook does."""
    names, raised = run_cells(load("a6").cells, 7)
    assert raised == []
    for student, run, steps in (("ada", names["start"], 5), ("bob", names["my_run"], 60)):
        *most, training = run(seed=0)
        *_, state = flowmap_edu.fit(*most, replace(training, minutes=None, steps=steps))
        flowmap_edu.save(state, tmp_path / "maps" / student / "map")
    board = tmp_path / "board.csv"
    words = ["course", "leaderboard", str(tmp_path / "maps"), "--samples", str(N), "--out", str(board)]
    assert cli.main(words) == 0
    with board.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["place"], row["student"], row["remark"]) for row in rows] == [("1", "bob", ""), ("2", "ada", "")]
    for row in rows:
        X = flowmap_edu.load(tmp_path / "maps" / row["student"] / "map")
        assert row["kl64"] == f"{Checkerboard().evaluate(X, steps=(1,), n=N)[0]['kl64']:.4f}"
