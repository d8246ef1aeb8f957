"""Named configurations, and the figures of the paper that stand beside ours."""

import dataclasses

from flowmap_edu import checks, methods
from flowmap_edu.config import Config

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


def recipe(name: str, method: str = "lsd", **changes: object) -> Config:
    """The named configuration for a method of `methods.METHODS`, with changes to its fields.

    Raises:
        ValueError: for an unknown recipe, method or field value.
    """
    checks.one_of("recipe", name, RECIPES)
    row = methods.method(method)
    if changes.get("steps") is not None:
        changes.setdefault("minutes", None)
    ours = BY_CONDITION[row.condition] | STABLE.get(method, {}) if name in OURS else {}
    theirs = {} if row.diagonal is None else {"diagonal": row.diagonal}
    return dataclasses.replace(RECIPES[name], **({"method": method} | ours | theirs | changes))  # type: ignore[arg-type]
