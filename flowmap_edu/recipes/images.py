"""Images: the digits on two cores, the paper's three data sets on GPUs, and CIFAR-10's road at a size for a CPU."""

import functools
from typing import Any

from flowmap_edu.problems.image_sets import AFHQ64, CelebA64, Cifar10, Digits, Emoji
from flowmap_edu.problems.mnist import Mnist
from flowmap_edu.recipes.recipe import BY_CONDITION, STOPGRADS, Named
from flowmap_edu.training import Training

# Plain Adam, and our shares of jumps on the sides of the triangle.
SMALL = Training(minutes=10.0, batch=128, diagonal=0.75, lr=1e-2, clip=1.0, at_zero=0.25)
DIGITS = Named(SMALL, Digits, by_condition=BY_CONDITION, stopgrads=STOPGRADS)
# Labels are hidden at times, so that guidance at sampling works.
MNIST = Named(
    Training(minutes=10.0, batch=256, diagonal=0.75, lr=1e-3, clip=1.0, at_zero=0.25, label_dropout=0.1),
    functools.partial(Mnist, split=0), by_condition=BY_CONDITION, stopgrads=STOPGRADS,
)  # fmt: skip
IMAGES = Named(SMALL, by_condition=BY_CONDITION, stopgrads=STOPGRADS)  # images of your own

# The paper's images, as its public configurations state them: the learned weight, RAdam at 1e-2 with an inverse square
# root after 35,000 steps, two averages, plain times. Batch and steps differ from set to set.
PAPER: dict[str, Any] = {
    "diagonal": 0.75, "optimizer": "radam", "lr": 1e-2, "decay": "sqrt", "decay_from": 35_000, "clip": 1.0, "warmup": 1,
    "ema": 0.9999, "second_ema": 0.999, "weighting": True, "stratified": False,
}  # fmt: skip
# How a GPU computes them, our choice: times and errors stand in tutorials/scaling.md.
GPU: dict[str, Any] = {"tf32": True, "channels_last": True}
CIFAR10 = Named(Training(batch=512, steps=400_000, **PAPER, **GPU), functools.partial(Cifar10, labels=False))
CELEBA64 = Named(Training(batch=512, steps=400_000, **PAPER, **GPU), CelebA64)
AFHQ64_PAPER = Named(Training(batch=256, steps=800_000, **PAPER, **GPU), functools.partial(AFHQ64, labels=False))
# Its settings on emoji, with a smaller network, fewer and smaller batches.
EMOJI = Named(Training(batch=64, steps=400, **dict(PAPER, ema=0.999, second_ema=None)), Emoji)
