"""What a trained map reaches, as rows of a table: KL64 on the checkerboard, Fréchet and kernel distance on pictures."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from flowmap_edu import _checks as checks
from flowmap_edu import methods
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics.exactness import kl64, map_error
from flowmap_edu.problems import datasets
from flowmap_edu.recipes.named import PAPER_FID, STEPS
from flowmap_edu.training.config import PROBLEMS, Config
from flowmap_edu.training.loop import base_of, pictures_of

CHUNK = 250  # pictures that are drawn, and whose features are computed, at a time
TITLES = {"cifar10": "CIFAR-10", "celeba64": "CelebA-64", "afhq64": "AFHQ-64"}


def base_noise(n: int, config: Config, seed: int) -> Tensor:
    """n draws of x0, shape (n, *D)."""
    checks.count("the number of points", n)
    shape = pictures_of(config.problem, config.root).shape if config.pictures else (PROBLEMS[config.problem]().dim,)
    return base_of(config) * torch.randn(n, *shape, generator=torch.Generator().manual_seed(seed))


def classes_in_turn(config: Config, n: int) -> Tensor | None:
    """The classes 0, 1, 2, ... in turn, shape (n,); None for a network without classes."""
    return torch.arange(n) % config.classes if config.classes else None


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
    from flowmap_edu import image_metrics  # torchmetrics is in the extra `images`
    from flowmap_edu.metrics import classifier

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


def in_parts(parts: Iterable[Tensor], n: int, label: str) -> Iterable[Tensor]:
    """The parts of n pictures, with a progress bar where somebody looks."""
    total, quiet = -(-n // CHUNK), not sys.stderr.isatty()
    return tqdm(parts, desc=label, total=total, unit=f" x {CHUNK} pictures", leave=False, disable=quiet)


def drawn(
    X: FlowMap, config: Config, steps: int, n: int, seed: int, device: str | torch.device = "cpu"
) -> Iterator[Tensor]:
    """n pictures of the model in parts of 250 (the last may be smaller), (B, C, H, W), as a file would keep them.

    That is, cut off at -1 and 1 and rounded to 8 bits. Their classes are those of training pictures drawn at random.
    """
    data, row, sigma = pictures_of(config.problem, config.root), config.row, base_of(config)
    generator = torch.Generator().manual_seed(seed)
    for start in range(0, n, CHUNK):
        size = min(CHUNK, n - start)
        index = torch.randint(len(data), (size,), generator=generator)
        x0 = (sigma * torch.randn(size, *data.shape, generator=generator)).to(device)
        fresh = int(torch.randint(2**62, (), generator=generator))  # the noise added on the way is each part's own
        given = X.given(data.labels[index].to(device)) if config.classes and data.labels is not None else X
        x = methods.sample(given, row, x0, steps, sigma=sigma, seed=fresh)
        yield datasets.from_bytes(datasets.as_bytes(x))


def real(data: datasets.Images, index: Tensor | None = None) -> Iterator[Tensor]:
    """Real pictures, those at `index` or all, in parts of 250."""
    for part in (torch.arange(len(data)) if index is None else index).split(CHUNK):
        yield data.values(part)


def judge(problem: str, weights: str | None = None) -> tuple[nn.Module, str]:
    """The network whose features judge a data set's pictures, and what their Fréchet distance is called.

    Our own small classifier for the digits and the emoji; otherwise, or with a file of its weights, Inception.

    Raises:
        ValueError: as `inception.inception`.
    """
    from flowmap_edu.metrics import classifier, inception

    if problem in classifier.KNOWN and not weights:
        return classifier.load(problem=problem), f"FD-{problem}"
    return inception.inception(weights), "FID"


def fid_rows(
    X: FlowMap,
    config: Config,
    steps: Sequence[int],
    seed: int,
    *,
    features: nn.Module,
    n: int = 10_000,
    reference: datasets.Images | None = None,
    label: str = "",
    device: str | torch.device = "cpu",
) -> list[dict[str, Any]]:
    """Fréchet and kernel distance of n drawn pictures to the training pictures, for each number of steps.

    The reference is the training part and not the held-out one, as everybody's FID is: that rewards copies too,
    which `image_metrics.memorised` tells. The Fréchet distance depends on n; it is too large for small n, so compare
    at one n only. `floor` is that of as many real held-out pictures, at most all of them, to the same reference: what
    a perfect model would be near (None if there is one picture only; where they are fewer than n, it is larger for
    that alone). The kernel distance has no such bias.

    Args:
        X: the run's map; with classes, the one that still wants them given.
        seed: of the noise, the classes and the subsets.
        features: as in `image_metrics.frechet`: `inception.inception()`, `classifier.load()`, any other.
        n: how many pictures, at least 2.
        reference: None: all training pictures, not mirrored.
        device: where X computes.

    Returns:
        rows with the keys steps, fid, kid, n and floor.

    Raises:
        ValueError: if the run is not on pictures, the reference has others, or a number is too small; or as `features`
            and `datasets.load` do.
    """
    if not config.pictures:
        raise ValueError(f"FID is defined for pictures, this run is on {config.problem!r}")
    checks.count("n", n)
    checks.at_least("n", n, 2)
    bar = in_turn(steps, label)
    from flowmap_edu import image_metrics  # torchmetrics is in the extra `images`

    data = pictures_of(config.problem, config.root)
    reference = data if reference is None else reference
    if reference.shape != data.shape:
        raise ValueError(f"the reference must have pictures of shape {data.shape}, got {reference.shape}")
    target = image_metrics.Reference(features, in_parts(real(reference), len(reference), "reference"))
    held_out = datasets.load(config.problem, config.root, train=False)
    some = torch.randperm(len(held_out), generator=torch.Generator().manual_seed(seed))[:n]
    floor = None
    if len(some) >= 2:
        floor = target.hold(in_parts(real(held_out, some), len(some), "held-out pictures")).frechet()
    rows = []
    for count in bar:
        parts = in_parts(drawn(X, config, count, n, seed, device), n, f"{count} step{'s' * (count > 1)}")
        fid, kid = target.hold(parts).frechet(), target.kid(seed=seed).mean
        rows.append({"steps": count, "fid": fid, "kid": kid, "n": n, "floor": floor})
    return rows


def fid_table(
    problem: str, method: str, rows: Sequence[dict[str, Any]], steps: Sequence[int] = STEPS, name: str = "FID"
) -> str:
    """Our rows (`fid_rows`) of one method, beside all that the paper has for that data set, as text.

    Each line says whose it is. Where we have no row, the line that is ours says "not run by us". For a data set that
    the paper does not have there are our figures alone.

    Args:
        rows: may be empty.
        name: what the figures are called; "FID" is for the features of the Inception network alone.

    Raises:
        ValueError: for an unknown data set or method, or a number of steps below 1.
    """
    checks.one_of("problem", problem, datasets.DATASETS)
    methods.method(method)
    for k in steps:
        checks.count("steps", k)
    paper, ours = PAPER_FID.get(problem, {}), {row["steps"]: f"{row['fid']:.2f}" for row in rows}

    def line(first: str, whose: str, cells: Iterable[str]) -> str:
        return f"{first:<15} {whose:<6}" + "".join(f"{cell:>15}" for cell in cells)

    title = TITLES.get(problem, problem)
    lines = [f"{name} on {title}", line("method", "whose", [f"{k} step{'s' * (k > 1)}" for k in steps])]
    for key in dict.fromkeys([*paper, method]):
        lines.append(
            line(key, "ours", [ours.get(k, "not run by us") if key == method else "not run by us" for k in steps])
        )
        if key in paper:
            printed: dict[int, str] = {k: f"{fid:.2f}" for k, fid in zip(STEPS, paper[key], strict=True)}
            lines.append(line(key, "paper", [printed.get(k, "not printed") for k in steps]))
    if rows:
        floor = "none" if rows[0]["floor"] is None else f"{rows[0]['floor']:.2f}"
        lines.append(f"ours: {rows[0]['n']:,} pictures to the reference; floor, of real held-out pictures: {floor}")
    if paper:
        lines.append("paper: as printed on its project page (arXiv 2505.18825), which does not say how many pictures")
    else:
        lines.append(f"The paper has no figures on {title}.")
    return "\n".join(lines)


def paper_table() -> str:
    """All nine rows of FID that the paper's project page prints, as text; none of them was run by us."""
    return "\n\n".join(fid_table(problem, next(iter(paper)), []) for problem, paper in PAPER_FID.items())
