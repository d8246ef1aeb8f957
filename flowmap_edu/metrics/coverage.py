"""Precision and recall: whether samples lie among real ones, and whether real ones lie among samples.

Around each real image is a ball that reaches to its third nearest real neighbour, in features. Precision is the share
of samples inside such a ball. Recall is the share of real images inside the same balls around the samples. A Fréchet
distance mixes the two; here samples that are good but alike have high precision and low recall. Both depend on the
numbers of images, so what real images score with the same numbers belongs beside them.

The computation is torch-fidelity's, which is maintained and already computes FID's features here; torchmetrics has
none, and the package prdc (density and coverage) has had no release since 2020.
Source: Kynkäänniemi et al. 2019, arXiv 1904.06991.
"""

from typing import NamedTuple

from torch import Tensor

from flowmap_edu import _checks as checks


class PrecisionRecall(NamedTuple):
    """Two shares in [0, 1]."""

    precision: float
    recall: float


def precision_recall(samples: Tensor, real: Tensor, neighbours: int = 3) -> PrecisionRecall:
    """Precision and recall of samples, from the features of both sets.

    Args:
        samples, real: features, shape (N, F) and (M, F), more rows than neighbours in each.
        neighbours: how many a ball holds.

    Raises:
        ValueError: if a set is too small or not finite, or the numbers of features differ.
        ImportError: without torch-fidelity.
    """
    neighbours = checks.count("neighbours", neighbours)
    for name, features in (("samples", samples), ("real", real)):
        checks.points(name, features)
        checks.finite(name, features)
        if features.ndim != 2 or len(features) <= neighbours:
            raise ValueError(f"{name} must be more than {neighbours} rows (N, F), got shape {tuple(features.shape)}")
    checks.same_shape("a row of samples", samples[0], "a row of real", real[0])
    found = checks.extra("torch_fidelity.metric_prc", "images").prc_features_to_metric(
        samples, real, prc_neighborhood=neighbours, prc_batch_size=10_000, save_cpu_ram=False, verbose=False
    )
    return PrecisionRecall(found["precision"], found["recall"])
