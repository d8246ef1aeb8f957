"""Every command of a lesson is one that `flowmap-edu` accepts, with settings that the run would accept."""

import dataclasses
import re
import shlex
from pathlib import Path

import pytest

from flowmap_edu import METHODS, cli
from flowmap_edu._cli import words
from flowmap_edu.recipes import RECIPES

TUTORIALS = Path(__file__).resolve().parent.parent / "tutorials"
SCALING = TUTORIALS / "scaling.md"
MACHINES = 2  # of the cluster's script
START = re.compile(r"(?:torchrun (?P<launch>[^\n]*?) -m flowmap_edu\.cli|flowmap-edu) (?=[a-z]+ )")


def commands(path: Path) -> list[tuple[str, list[str]]]:
    """The commands of a text: what launches each, and its words; continued lines are joined."""
    text = path.read_text()
    if path.suffix == ".py":
        text = re.sub(r"^# ?", "", text, flags=re.MULTILINE)
    for name, value in re.findall(r'^(run|out)="?(.*?)"?$', text, flags=re.MULTILINE):  # of a script for a cluster
        text = text.replace(f'"${name}"', value).replace(f"${name} ", f"{value} ")
    found = []
    for match in START.finditer(joined := re.sub(r"\\\n\s*", " ", text)):
        quoted = match.start() > 0 and joined[match.start() - 1] == "`"
        rest = joined[match.end() :]
        line = rest.split("`")[0] if quoted else rest.split("\n")[0]
        found.append((match["launch"] or "", shlex.split(line, comments=True)))
    return found


OF_LESSONS = [(p.name, *one) for p in [*sorted(TUTORIALS.glob("*.py")), SCALING] for one in commands(p)]


def processes(launch: str) -> int:
    """How many torchrun starts."""
    words = launch.split()
    if not words:
        return 1
    return int(words[words.index("--nproc-per-node") + 1]) * (MACHINES if "--nnodes" in words else 1)


def test_the_long_commands_are_found_whole():
    """Lesson 09's: one GPU, eight, a trial, resuming and evaluating; scaling.md's, with its cluster."""
    of_scaling = [(launch, line) for name, launch, line in OF_LESSONS if name == SCALING.name]
    assert [processes(launch) for launch, line in of_scaling if line[0] == "train"].count(16) == 1
    assert {"cifar10", "celeba64"} == {line[1] for _, line in of_scaling if line[0] == "train" and line[1][0] != "-"}
    assert all("weighting=false" in line for _, line in of_scaling if line[:2] == ["train", "cifar10"])
    of_09 = [(launch, line) for name, launch, line in OF_LESSONS if name.startswith("09")]
    assert [line[0] for _, line in of_09] == ["train", "train", "train", "train", "evaluate"]
    assert [launch for launch, _ in of_09].count("--nproc-per-node 8") == 1
    assert all("--save-seconds" in line for _, line in of_09 if "runs/cifar10" in line and line[0] == "train")
    fresh = [line for _, line in of_09 if line[:2] == ["train", "cifar10"]]
    assert len(fresh) == 2
    assert all("weighting=false" in line for line in fresh)  # lesson 10 shows that the weight can fail


@pytest.mark.parametrize(("name", "launch", "line"), OF_LESSONS, ids=lambda x: x if isinstance(x, str) else " ".join(x))
def test_a_command_is_accepted(name, launch, line):  # noqa: ARG001
    """It parses; the settings of a training belong to one, and its batch can be cut as it says."""
    arguments = cli.parser(line).parse_args(line)
    if arguments.command == "train" and not arguments.resume:
        changes = words.trained_by(words.parse_overrides(arguments.set)["training"], arguments)
        training = dataclasses.replace(RECIPES[arguments.problem].training, **changes)
        training.check_parts(METHODS[arguments.method or "lsd"], processes(launch))  # raises where it cannot be cut


def test_a_wrong_command_is_refused():
    """The parser that accepts them is a judge: a word that does not exist is refused."""
    with pytest.raises(ValueError, match="--grid-evry"):
        cli.parser(["train"]).parse_args(["train", "cifar10", "--out", "a", "--grid-evry", "3"])
