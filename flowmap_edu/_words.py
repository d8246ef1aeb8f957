"""The words of the command line as objects: problem, network, method, training."""

import argparse
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from flowmap_edu import _checks as checks
from flowmap_edu import _reference
from flowmap_edu.methods import METHODS, Method
from flowmap_edu.problems import Gaussian, from_file
from flowmap_edu.problems.problem import Problem
from flowmap_edu.recipes import RECIPES, Recipe, recipe, recipe_for
from flowmap_edu.training import Training

PARTS = ("problem", "net", "method")  # --set net.hidden=64 changes the network, --set lr=0.01 the training


def value_of(name: str, text: str, kind: str) -> Any:
    """The text of --set as a value of a field's type: words stay words, the rest is JSON."""
    if kind.startswith("str"):
        return text
    try:
        return json.loads(text if text.startswith(("[", '"')) else text.lower())
    except json.JSONDecodeError as error:
        if kind == "any":
            return text
        raise ValueError(f"--set {name} expects a value of type {kind}, got {text!r}") from error


def parse_overrides(words: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What `--set NAME=VALUE` changes: "training", "problem", "net" and "method", each name to value."""
    types = {field.name: getattr(field.type, "__name__", str(field.type)) for field in dataclasses.fields(Training)}
    kinds = {field.name: getattr(field.type, "__name__", str(field.type)) for field in dataclasses.fields(Method)}
    found: dict[str, dict[str, Any]] = {"training": {}, **{part: {} for part in PARTS}}
    for word in words:
        name, equals, text = word.partition("=")
        part, dot, inner = name.partition(".")
        if not equals:
            raise ValueError(f"--set expects NAME=VALUE, got {word!r}")
        if dot:
            checks.one_of("the part in --set PART.NAME=VALUE", part, PARTS)
            if part == "method":
                checks.one_of("the name in --set method.NAME", inner, kinds)
            found[part][inner] = value_of(name, text, kinds[inner] if part == "method" else "any")
        elif name == "interpolant":
            found["training"][name] = _reference.make(text if ":" in text else f"flowmap_edu.interpolant:{text}")
        else:
            checks.one_of("the name in --set", name, types)
            found["training"][name] = value_of(name, text, types[name])
    return found


def named_problem(name: str, arguments: Mapping[str, Any], labels: str | None = None) -> Problem:
    """A problem by a recipe's name, by "module:name", or from an array's file.

    Raises:
        ValueError: if it is none of them, or does not take the arguments.
    """
    if name in RECIPES and (makes := RECIPES[name].problem) is not None:
        made = makes()
        return _reference.build(_reference.describe(made)[0], **arguments) if arguments else made
    if name == "gaussian":
        return Gaussian(**arguments)
    if ":" in name and not Path(name).exists():
        made = _reference.make(name, **arguments)
        if not isinstance(made, Problem):
            raise ValueError(f"{name} must be a Problem or a function that returns one, got {type(made).__name__}")
        return made
    if Path(name).suffix in (".npy", ".csv"):
        return from_file(name, labels, **arguments)
    own = ", ".join(key for key, named in RECIPES.items() if named.problem is not None)
    raise ValueError(f"the problem must be one of {own}, gaussian, a file .npy or .csv, or module:name; got {name!r}")


def own_network(reference: str, seed: int, arguments: Mapping[str, Any]) -> nn.Module:
    """The network that "module:name" makes, its initial weights drawn from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = _reference.make(reference, **arguments)
    if not isinstance(net, nn.Module):
        raise ValueError(f"{reference} must make a torch module, got {type(net).__name__}")
    return net


def asked_recipe(arguments: argparse.Namespace) -> Recipe:
    """The four objects that the words of `train` name."""
    changed = parse_overrides(arguments.set)
    if arguments.root is not None:
        changed["problem"]["root"] = arguments.root
    problem = named_problem(arguments.problem, changed["problem"], arguments.labels)
    own = RECIPES.get(arguments.problem)
    name = arguments.recipe or (arguments.problem if own and own.problem else recipe_for(problem))
    training = {"seed": arguments.seed or 0} | changed["training"]
    for budget in ("steps", "minutes"):
        if getattr(arguments, budget) is not None:
            training[budget] = getattr(arguments, budget)
    checks.one_of("recipe", name, RECIPES)
    if RECIPES[name].training.minutes is not None and not {"steps", "minutes"} & set(training):
        training["minutes"] = 5.0
    net = own_network(arguments.net, training["seed"], changed["net"]) if arguments.net else changed["net"]
    method: str | Method = arguments.method or "lsd"
    if changed["method"]:
        method = dataclasses.replace(METHODS[arguments.method or "lsd"], **changed["method"])
    return recipe(name, method, problem=problem, net=net, **training)
