"""A run's config.json, format 2: problem and network as importable names and arguments, method and training whole.

    {"format": 2, "steps_done": 34000, "steps": 34000, "cpu_seconds": 491.1, "teacher": null,
     "problem": {"import": "flowmap_edu.problems:Checkerboard", "arguments": {}},
     "shape": [2], "sigma": 0.577, "classes": 0,
     "network": {"import": "flowmap_edu.nets:MLP", "arguments": {"dim": 2, ...}},
     "method": {"title": ..., "condition": ..., ...}, "training": {"steps": 34000, "batch": 384, ...}}

Format 1 is read as well: format1.py translates it.
"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from flowmap_edu import _reference
from flowmap_edu.interpolant import Interpolant
from flowmap_edu.methods import Method
from flowmap_edu.problems.problem import Problem
from flowmap_edu.training import format1
from flowmap_edu.training.training import Training

FORMAT = 2


@dataclass(frozen=True)
class RunInfo:
    """What a run's folder says of it.

    Attributes:
        folder: where it lies.
        header: the whole of config.json: steps_done, steps, cpu_seconds, teacher and the rest.
        method, training: as they were.
        shape, sigma, classes: of the problem, known without making it.
    """

    folder: Path
    header: dict[str, Any]
    method: Method
    training: Training

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one sample."""
        return tuple(self.header["shape"])

    @property
    def sigma(self) -> float:
        """Standard deviation of the base."""
        return self.header["sigma"]

    @property
    def classes(self) -> int:
        """How many classes the labels have; 0 without labels."""
        return self.header["classes"]

    def tensors(self) -> dict[str, Tensor]:
        """The arrays among the problem's arguments.

        Raises:
            ValueError: if their file is damaged.
        """
        path = self.folder / "tensors.safetensors"
        try:
            return load_file(path) if path.is_file() else {}
        except (OSError, SafetensorError) as error:
            raise ValueError(f"{path} is damaged: {error}") from error

    def problem(self) -> Problem:
        """The problem, made anew.

        Raises:
            ValueError: if its module is gone, or the folder cannot say how it is made.
        """
        return self.made("problem", Problem)

    def network(self) -> nn.Module:
        """The network, made anew, with weights that mean nothing yet; torch's global generator stays where it is.

        Raises:
            ValueError: if its module is gone, or the folder cannot say how it is made.
        """
        with torch.random.fork_rng(devices=[]):
            return self.made("network", nn.Module)

    def made(self, what: str, kind: type) -> Any:
        """The problem or the network, made anew and checked to be one."""
        try:
            made = _reference.build(self.header[what], self.tensors())
        except ValueError as error:
            hand = "net=" if what == "network" else "problem="
            raise ValueError(f"the {what} of {self.folder}: {error}. Or give it yourself, as {hand}") from error
        if not isinstance(made, kind):
            raise ValueError(f"the {what} of {self.folder} is a {type(made).__name__}; a {kind.__name__} is expected")
        return made


def settings(value: Any) -> dict[str, Any]:
    """A Method or a Training as JSON."""
    found = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    return {k: _reference.describe(v)[0] if isinstance(v, Interpolant) else v for k, v in found.items()}


def document(
    problem: Problem, net: nn.Module, method: Method, training: Training, teacher: str | None = None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The four objects as config.json says them, and the tensors that it names."""
    about, tensors = _reference.describe(problem, "problem")
    network, more = _reference.describe(net, "network")
    return {
        "format": FORMAT, "teacher": teacher, "problem": about, "shape": list(problem.shape), "sigma": problem.sigma,
        "classes": problem.classes, "network": network, "method": settings(method), "training": settings(training),
    }, tensors | more  # fmt: skip


def parsed(content: Any, folder: Path) -> RunInfo:
    """config.json's content, read as format 2 or 1.

    Raises:
        ValueError: if it is of another format, or not a run's.
    """
    path = folder / "config.json"
    if not isinstance(content, dict) or "format" not in content:
        raise ValueError(f"{path} is not a run's configuration: it has no format")
    if content["format"] not in (1, FORMAT):
        raise ValueError(f"{path} has format {content['format']!r}, this library reads formats 1 and {FORMAT}")
    try:
        header = format1.translated(content) if content["format"] == 1 else content
        training = dict(header["training"])
        if isinstance(training.get("interpolant"), dict):
            training["interpolant"] = _reference.build(training["interpolant"])
        info = RunInfo(folder, header, Method(**header["method"]), Training(**training))
        _ = info.shape, float(info.sigma), int(info.classes), header["problem"]["import"], header["network"]["import"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} was written by another version of this library, or damaged: {error}") from error
    return info


def differences(info: RunInfo, problem: Problem, net: nn.Module, method: Method, training: Training) -> list[str]:
    """Where a run's four objects differ from these, each as "training.lr: 0.003 there, 0.1 asked"."""
    asked, _ = document(problem, net, method, training)
    there = {"problem": info.header["problem"], "network": info.header["network"]}
    there |= {"method": settings(info.method), "training": settings(info.training)}
    out = []
    for what, said in there.items():
        flat = {**said, **(said.get("arguments") or {})} if what in ("problem", "network") else said
        want = (
            {**asked[what], **(asked[what].get("arguments") or {})} if what in ("problem", "network") else asked[what]
        )
        for name in dict.fromkeys([*flat, *want]):
            if name not in ("arguments", "why") and flat.get(name) != want.get(name):
                out.append(f"{what}.{name}: {flat.get(name)!r} there, {want.get(name)!r} asked")
    return out
