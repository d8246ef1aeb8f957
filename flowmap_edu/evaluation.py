"""What a trained map reaches, as rows of a table: KL64 on the checkerboard, Fréchet distance on the digits."""

import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from flowmap_edu import checks, datasets, methods
from flowmap_edu.config import PROBLEMS, Config
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics import kl64, map_error
from flowmap_edu.training import base_of, pictures_of


def base_noise(n: int, config: Config, seed: int) -> Tensor:
    """n draws of x0, shape (n, *D)."""
    checks.count("the number of points", n)
    shape = pictures_of(config.problem, config.root).shape if config.pictures else (PROBLEMS[config.problem]().dim,)
    return base_of(config) * torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))


def in_turn(steps: Sequence[int], label: str) -> Any:
    """The numbers of steps, one after the other, with a progress bar where somebody looks."""
    for n in steps:
        checks.count("steps", n)
    return tqdm(steps, desc=label, unit="row", leave=False, disable=not sys.stderr.isatty())


def kl_rows(
    X: FlowMap, config: Config, steps: Sequence[int], points: int, seed: int, label: str = ""
) -> list[dict[str, Any]]:
    """KL64, leak, floor and distance to the exact map (None without jumps) for each number of steps.

    Raises:
        ValueError: if the run is not on the checkerboard, or a number is below 1.
    """
    if config.problem != "checkerboard":
        raise ValueError(f"KL64 is defined for the checkerboard, this run is on {config.problem!r}")
    rows, x0, reference = [], base_noise(points, config, seed), PROBLEMS[config.problem]()
    for n in in_turn(steps, label):
        found = kl64(methods.sample(X, config.row, x0, n, sigma=reference.sigma, seed=seed))
        jumps = not (config.row.renoises and n > 1) and config.row.condition != "diagonal"
        error = map_error(X, reference, steps=n, n=1024) if jumps else None
        rows.append({"steps": n, "kl64": found.kl, "leak": found.leak, "floor": found.floor, "map_error": error})
    return rows


def digit_samples(X: FlowMap, config: Config, steps: int, seed: int) -> tuple[Tensor, Tensor]:
    """As many digits as there are to train on, with the same labels; shape (1400, 1, 8, 8) in [-1, 1], and (1400,)."""
    labels = datasets.load("digits").labels
    assert labels is not None
    x0 = base_noise(len(labels), config, seed)
    x = methods.sample(X.given(labels), config.row, x0, steps, sigma=base_of(config), seed=seed)
    return x.clamp(-1, 1), labels


def digit_rows(X: FlowMap, config: Config, steps: Sequence[int], seed: int, label: str = "") -> list[dict[str, float]]:
    """FD-digits to the held-out digits, labels read back, and what is memorised, for each number of steps.

    `floor` is the distance of the training digits themselves to the held-out ones, which are the end of the
    file and not a random part of it.

    Raises:
        ValueError: if the run is not on the digits, or a number of steps is below 1.
    """
    if config.problem != "digits":
        raise ValueError(f"FD-digits is defined for the digits, this run is on {config.problem!r}")
    from flowmap_edu import classifier, image_metrics  # torchmetrics is in the extra `images`

    features = classifier.load()
    train, held_out = (datasets.load("digits", train=part).values() for part in (True, False))
    floor = image_metrics.frechet(features, train, held_out)
    rows = []
    for n in in_turn(steps, label):
        x, labels = digit_samples(X, config, n, seed)
        near = image_metrics.memorised(x, train, held_out, torch.Generator().manual_seed(seed))
        right = (features.read(x) == labels).double().mean().item()
        distance = image_metrics.frechet(features, x, held_out)
        rows.append({"steps": n, "fd": distance, "floor": floor, "labels": right, **near._asdict()})
    return rows
