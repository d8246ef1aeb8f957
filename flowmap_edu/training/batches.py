"""What one step of training reads: fresh data, noise and times, as a `losses.Batch`."""

import functools

import torch
from torch import Tensor

from flowmap_edu import losses, methods
from flowmap_edu.interpolant import Linear
from flowmap_edu.nets import unet
from flowmap_edu.problems import datasets
from flowmap_edu.training import targets
from flowmap_edu.training.config import PROBLEMS, Config


def base_of(config: Config) -> float:
    """The standard deviation of the run's base."""
    return config.sigma if config.pictures else PROBLEMS[config.problem]().sigma


@functools.lru_cache(maxsize=2)
def pictures_of(problem: str, root: str | None) -> datasets.Images:
    """The training pictures of a data set, kept from one batch to the next.

    Raises:
        ValueError: if they are not there, or are not what the network of that name takes.
    """
    images, sizes = datasets.load(problem, root), unet.CONFIGS[problem]
    side, channels, classes = sizes["size"], sizes.get("channels", 3), sizes.get("classes", 0)
    if images.shape != (channels, side, side):
        wanted = (channels, side, side)
        raise ValueError(f"the network of {problem} takes pictures of shape {wanted}, the data have {images.shape}")
    if classes and classes != images.classes:
        raise ValueError(f"the network of {problem} has {classes} classes, the data have {images.classes}")
    return images


def draw_data(config: Config, n: int, generator: torch.Generator | None) -> tuple[Tensor, Tensor | None]:
    """n draws of the data x1, shape (n, *D), and the class labels that the network is told, if any; -1 where hidden."""
    if config.pictures:
        x1, labels = pictures_of(config.problem, config.root).draw(n, generator)
        if not config.classes or labels is None:
            return x1, None
        if config.unlabelled:
            labels = labels.where(torch.rand(n, generator=generator) >= config.unlabelled, -1)
        return x1, labels
    return PROBLEMS[config.problem]().sample(n, generator=generator), None


def draw_batch(config: Config, generator: torch.Generator | None = None, levels: int = methods.LEVELS) -> losses.Batch:
    """One fresh batch: interpolants and targets on the diagonal, jumps (s, u, r) from I_s off it."""
    interpolant, sigma = Linear(), base_of(config)
    on = round(config.batch * config.diagonal)
    off = config.batch - on
    x1, labels = draw_data(config, config.batch, generator)
    x0 = sigma * torch.randn(x1.shape, generator=generator)
    t = losses.uniform(on, even=config.even, generator=generator)
    sides = {"at_zero": config.at_zero, "at_one": config.at_one}
    s, u, r = methods.draw_times(config.row, off, **sides, even=config.even, levels=levels, generator=generator)
    x_t, target = interpolant(t, x0[:on], x1[:on])
    if config.bank and on:
        data = torch.cat([x1[:on], draw_data(config, config.bank, generator)[0]])
        target = targets.averaged(interpolant, t, x_t, target, data, sigma)
    x_s, dx_s = interpolant(s, x0[on:], x1[on:])
    return losses.Batch(t, x_t, target, s, u, r, x_s, dx_s, labels)
