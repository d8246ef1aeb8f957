"""Numbers that say how good a map is.

KL64, binned_kl and errors are for what is known exactly; residuals, the semigroup gap and folding need no truth.
Distances of images are in `metrics.images`, two-sample numbers in `metrics.two_sample`, copies of training data in
`metrics.memorising`.
"""

from flowmap_edu.metrics.binned import binned_kl
from flowmap_edu.metrics.errors import at_time, map_error, residuals, semigroup_gap
from flowmap_edu.metrics.folding import folding
from flowmap_edu.metrics.kl import KL64, floor64, kl64
from flowmap_edu.metrics.lyapunov import lyapunov

__all__ = [
    "KL64", "at_time", "binned_kl", "floor64", "folding", "kl64", "lyapunov", "map_error", "residuals", "semigroup_gap",
]  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
