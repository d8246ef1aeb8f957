"""Named configurations, and the figures of the paper that stand beside ours."""

import dataclasses
from typing import Any

from flowmap_edu import _checks as checks
from flowmap_edu import methods
from flowmap_edu.training.config import Config

STEPS = (1, 2, 4, 8, 16)  # numbers of jumps that the tables show

RECIPES = {
    # Ours, for a CPU: small network, small batches, many steps, and the ingredients named in Config.
    "checkerboard": Config(minutes=10.0),
    # The paper's choices for the plane, without ours; only the batch is cut to 1,024 to suit a CPU.
    "checkerboard-paper": Config(
        minutes=10.0, hidden=512, layers=4, activation="gelu", batch=1024, diagonal=0.75, optimizer="radam", lr=1e-3,
        decay="none", fourier=0, harmonics=0, even=False, at_zero=0.0, bank=0,
    ),
    # The digits, on two cores: plain Adam, and our shares of pairs on the sides of the triangle.
    "digits": Config(
        problem="digits", minutes=10.0, batch=128, diagonal=0.75, optimizer="adam", lr=1e-2, clip=1.0, at_zero=0.25,
        bank=0, sigma=0.5,
    ),
}  # fmt: skip
# The paper's pictures, as its public configurations state them, on GPUs: the learned weight, RAdam at 1e-2 with an
# inverse square root after 35,000 steps, two averages, plain times. Batch and steps differ from set to set.
PICTURES: dict[str, Any] = {
    "diagonal": 0.75, "optimizer": "radam", "lr": 1e-2, "decay": "sqrt", "decay_from": 35_000, "clip": 1.0,
    "warmup": 1, "ema": 0.9999, "second_ema": 0.999, "weighting": True, "sigma": 0.5, "even": False, "at_zero": 0.0,
    "bank": 0,
}  # fmt: skip
RECIPES |= {
    "cifar10": Config(problem="cifar10", batch=512, steps=400_000, **PICTURES),
    "celeba64": Config(problem="celeba64", batch=512, steps=400_000, **PICTURES),
    "afhq64": Config(problem="afhq64", batch=256, steps=800_000, **PICTURES),
    # CIFAR-10's road at a size that two cores can walk: its settings, a smaller network, fewer and smaller batches.
    "emoji": Config(problem="emoji", batch=64, steps=400, **PICTURES | {"ema": 0.999, "second_ema": None}),
}
CPU_RECIPES = ("checkerboard", "checkerboard-paper", "digits")  # budgeted in minutes
OURS = ("checkerboard", "digits")  # those that treat the methods differently, as follows

# Where our recipe treats the methods differently: the pairs of times that carry each condition's knowledge to the
# one-step map (losses.sample_times), and a stop-gradient under which ESD is stable (losses.eulerian).
BY_CONDITION: dict[str, dict[str, object]] = {
    "diagonal": {},
    "lagrangian": {},
    "eulerian": {"at_zero": 0.0, "at_one": 0.3},
    "semigroup": {"diagonal": 0.5, "at_one": 0.2},
}
STABLE = {"esd": {"stopgrad": "convex"}}

# KL divergence on the checkerboard, as printed on the paper's project page. The paper's estimator is
# not published there, so these stand beside KL64 as context and are not comparable to the last digit.
PAPER_KL = {
    "lsd": (0.0864, 0.0765, 0.0708, 0.0699, 0.0710),
    "esd": (0.0983, 0.0921, 0.0834, 0.0816, 0.0751),
    "psd-m": (0.1456, 0.0891, 0.0812, 0.0717, 0.0689),
    "psd-u": (0.1113, 0.1067, 0.0747, 0.0727, 0.0679),
}

# FID on the paper's three sets of pictures, as printed there. The page does not say how many pictures it took.
PAPER_FID = {
    "cifar10": {
        "lsd": (8.10, 4.37, 3.34, 3.33, 3.57),
        "psd-m": (12.81, 8.43, 5.96, 5.07, 4.64),
        "psd-u": (13.61, 7.95, 6.03, 5.32, 5.16),
    },
    "celeba64": {
        "lsd": (12.22, 5.74, 3.18, 2.18, 1.96),
        "psd-m": (19.64, 11.75, 7.89, 6.06, 5.09),
        "psd-u": (18.81, 11.02, 7.47, 6.00, 5.63),
    },
    "afhq64": {
        "lsd": (11.19, 7.78, 7.00, 5.89, 5.61),
        "psd-m": (18.86, 14.75, 14.40, 13.26, 11.07),
        "psd-u": (14.50, 10.73, 10.99, 12.02, 11.47),
    },
}


def recipe(name: str, method: str = "lsd", **changes: object) -> Config:
    """The named configuration for a method of `methods.METHODS`, with changes to its fields.

    Raises:
        ValueError: for an unknown recipe, method or field value.
    """
    checks.one_of("recipe", name, RECIPES)
    row = methods.method(method)
    if changes.get("steps") is not None:
        changes.setdefault("minutes", None)
    elif changes.get("minutes") is not None:
        changes.setdefault("steps", None)
    ours = BY_CONDITION[row.condition] | STABLE.get(method, {}) if name in OURS else {}
    theirs = {} if row.diagonal is None else {"diagonal": row.diagonal}
    return dataclasses.replace(RECIPES[name], **({"method": method} | ours | theirs | changes))  # type: ignore[arg-type]
