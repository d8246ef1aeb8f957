"""The words of the command line as objects: problem, network, method, training."""

import argparse
import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from flowmap_edu import _checks as checks
from flowmap_edu import _reference
from flowmap_edu._cli import values
from flowmap_edu.methods import METHODS, Method
from flowmap_edu.problems import from_file
from flowmap_edu.problems.problem import Problem
from flowmap_edu.recipes import RECIPES, Recipe, recipe, recipe_for
from flowmap_edu.training import Training
from flowmap_edu.training.metadata import CHANGEABLE

PARTS = ("problem", "net", "method")  # --set net.hidden=64 changes the network, --set lr=0.01 the training
BUDGET = ("steps", "minutes")
GIVEN = {"path": "PROBLEM", "labels": "--labels"}  # arguments of from_file that have words of their own


def parse_overrides(words: Sequence[str]) -> dict[str, dict[str, str]]:
    """What `--set NAME=VALUE` changes: "training", "problem", "net" and "method", each name to text.

    Raises:
        ValueError: if a word is not NAME=VALUE, a name is unknown or given twice.
    """
    known = {"training": [f.name for f in dataclasses.fields(Training)]}
    known["method"] = [f.name for f in dataclasses.fields(Method)]
    found: dict[str, dict[str, str]] = {part: {} for part in ("training", *PARTS)}
    for word in words:
        name, equals, text = word.partition("=")
        part, dot, inner = name.partition(".")
        if not (equals and name):
            raise ValueError(f"--set expects NAME=VALUE, got {word!r}")
        if dot:
            checks.one_of("the part in --set PART.NAME=VALUE", part, PARTS)
        part, inner = (part, inner) if dot else ("training", name)
        if part in known:
            checks.one_of("the name in --set" + " method.NAME" * (part == "method"), inner, known[part])
        if inner in found[part]:
            raise ValueError(f"--set {name} is given twice")
        found[part][inner] = text
    return found


def typed(texts: Mapping[str, str], target: Callable[..., Any], part: str = "") -> dict[str, Any]:
    """The texts of --set as values, by the types that a class or a function gives its arguments.

    Raises:
        ValueError: if a text is no value of its type.
    """
    hints = values.hints_of(target)
    return {name: values.value_of(f"{part}{name}", text, hints.get(name, Any)) for name, text in texts.items()}


def trained_by(texts: Mapping[str, str], arguments: argparse.Namespace) -> dict[str, Any]:
    """The settings of the training, from --set and from options of their own.

    Raises:
        ValueError: if a setting is given in both ways.
    """
    rest = {name: text for name, text in texts.items() if name != "interpolant"}
    found = {name: values.value_of(name, text, values.hints_of(Training)[name]) for name, text in rest.items()}
    if (text := texts.get("interpolant")) is not None:
        found["interpolant"] = made(text if ":" in text else f"flowmap_edu.interpolant:{text}", {})
    for name in ("seed", "steps", "minutes"):
        if (value := getattr(arguments, name)) is not None:
            if name in found:
                raise ValueError(f"{name} is given twice: --{name} {value} and --set {name}={texts[name]}")
            found[name] = value
    return {"seed": 0} | found


def changed_training(training: Training, arguments: argparse.Namespace) -> Training:
    """The training of a run that is resumed, with the changes that --set, --steps and --minutes ask for.

    Raises:
        ValueError: for a setting that may not change on the way.
    """
    texts = parse_overrides(arguments.set)
    own = texts.pop("training")
    asked = {name: value for name, value in trained_by(own, arguments).items() if name in own or name in BUDGET}
    parts = [f"{part}.{name}" for part, given in texts.items() for name in given]
    if wrong := [*parts, *(name for name in asked if name not in CHANGEABLE)]:
        raise ValueError(
            f"--resume may change {', '.join(CHANGEABLE)}: another {', '.join(wrong)} would be another run, "
            "so leave it out, or begin one with another --out"
        )
    if asked.get("steps") is not None:
        asked["minutes"] = None
    elif asked.get("minutes") is not None:
        asked["steps"] = None
    return dataclasses.replace(training, **asked)


def made(reference: str, texts: Mapping[str, str], part: str = "") -> Any:
    """What "module:name" makes of the texts of --set.

    Raises:
        ValueError: if there is no such name, or it does not take them.
    """
    found = _reference.find(reference)
    if inspect.isabstract(found):
        raise ValueError(f"{reference} is abstract: name a class that can be made")
    return _reference.make(reference, **typed(texts, found, part))


def named_problem(name: str, texts: Mapping[str, str] | None = None, labels: str | None = None) -> Problem:
    """A problem by a recipe's name, by "module:name", or from an array's file; some of its arguments as texts.

    Raises:
        ValueError: if it is none of them, or does not take the arguments.
    """
    texts, from_array = texts or {}, Path(name).suffix.lower() in (".npy", ".csv")
    if labels is not None and not from_array:
        raise ValueError(f"--labels belongs to a file .npy or .csv, it would be ignored with {name!r}")
    if name in RECIPES and (makes := RECIPES[name].problem) is not None:
        problem = makes()
        described, _ = _reference.describe(problem)
        changes = typed(texts, _reference.find(described["import"]), "problem.")
        return _reference.build(described, **changes) if changes else problem
    if name == "gaussian":
        return made("flowmap_edu.problems:Gaussian", texts, "problem.")
    if ":" in name and not Path(name).exists():
        problem = made(name, texts, "problem.")
        if not isinstance(problem, Problem):
            raise ValueError(f"{name} must be a Problem or a function that returns one, got {type(problem).__name__}")
        return problem
    if from_array:
        takes = inspect.signature(from_file).parameters
        for word in texts:
            checks.one_of("the name in --set problem.NAME", word, [key for key in takes if key not in GIVEN])
        changes = typed(texts, from_file, "problem.")
        try:
            return from_file(name, labels, **changes)
        except TypeError as error:  # numpy and torch, for arrays of texts and of objects
            named = name if labels is None else f"{name} or {labels}"
            raise ValueError(f"{named} holds no array of numbers: {error}") from error
    own = ", ".join(key for key, named in RECIPES.items() if named.problem is not None)
    raise ValueError(f"the problem must be one of {own}, gaussian, a file .npy or .csv, or module:name; got {name!r}")


def own_network(reference: str, seed: int, texts: Mapping[str, str]) -> nn.Module:
    """The network that "module:name" makes, its initial weights drawn from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = made(reference, texts, "net.")
    if not isinstance(net, nn.Module):
        raise ValueError(f"{reference} must make a torch module, got {type(net).__name__}")
    return net


def asked_recipe(arguments: argparse.Namespace) -> Recipe:
    """The four objects that the words of `train` name."""
    texts = parse_overrides(arguments.set)
    training = trained_by(texts["training"], arguments)
    changes = typed(texts["method"], Method, "method.")
    if arguments.root is not None:
        if "root" in texts["problem"]:
            raise ValueError("root is given twice: --root and --set problem.root")
        texts["problem"]["root"] = str(Path(arguments.root).expanduser().absolute())
    problem = named_problem(arguments.problem, texts["problem"], arguments.labels)
    own = RECIPES.get(arguments.problem)
    name = arguments.recipe or (arguments.problem if own and own.problem else recipe_for(problem))
    if RECIPES[name].training.minutes is not None and not {"steps", "minutes"} & set(training):
        training["minutes"] = 5.0
    net: nn.Module | dict[str, Any] = {}
    if arguments.net:
        net = own_network(arguments.net, training["seed"], texts["net"])
    elif texts["net"]:
        with torch.random.fork_rng(devices=[]):
            described, _ = _reference.describe(RECIPES[name].net(problem))
        net = typed(texts["net"], _reference.find(described["import"]), "net.")
    method: str | Method = arguments.method or "lsd"
    if changes:
        method = dataclasses.replace(METHODS[arguments.method or "lsd"], **changes)
    return recipe(name, method, problem=problem, net=net, **training)
