"""Whether two sets of samples come from one distribution, told from the samples alone.

The computation is POT's (optimal transport) and scikit-learn's (classifiers), from the extra `evaluation`.
"""

import warnings

import torch
from torch import Tensor

from flowmap_edu import _checks as checks


def pair(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Both sets as (n, d) and (m, d).

    Raises:
        ValueError: if one has fewer than two samples, is not finite, or their shapes differ.
    """
    for name, z in (("x", x), ("y", y)):
        checks.points(name, z)
        checks.finite(name, z)
        if len(z) < 2:
            raise ValueError(f"{name} must hold at least two samples, got shape {tuple(z.shape)}")
    checks.same_shape("a sample of x", x[0], "a sample of y", y[0])
    return x.detach().flatten(1).double(), y.detach().flatten(1).double()


def sliced_wasserstein(x: Tensor, y: Tensor, *, directions: int = 200, seed: int = 0) -> float:
    r"""The sliced Wasserstein distance of order 2 between two sets of samples, in data units.

        sqrt( E_w W_2( {w . x_i}, {w . y_j} )^2 ),   w uniform on the unit sphere

    For two Gaussians that differ by a shift c it is |c| / sqrt(d). It is 0 only for one distribution, but two sets of
    samples of one distribution have a distance above 0: compare with that of real data.

    Args:
        x, y: samples, shape (n, *D) and (m, *D).
        directions: how many w are drawn.
        seed: of the directions.

    Raises:
        ValueError: if a set is too small or not finite, or the shapes differ.
        ImportError: if POT is not installed.

    Source: Rabin, Peyre, Delon & Bernot 2011; Bonneel, Rabin, Peyre & Pfister 2015.
    """
    a, b = pair(x, y)
    directions, seed = checks.count("directions", directions), checks.small_seed(seed)
    ot = checks.extra("ot", "evaluation")
    found = ot.sliced_wasserstein_distance(a.numpy(), b.numpy(), n_projections=directions, seed=seed % 2**32)
    return float(found)


def classifier_test(x: Tensor, y: Tensor, *, seed: int = 0, most: int = 2000) -> float:
    r"""The accuracy with which a classifier tells two sets of samples apart, on samples that it was not trained on.

    0.5 where it cannot, up to the scatter sqrt(1 / (8 n)) of 2 n samples; 1 where it always can. The classifier is
    gradient boosting of trees, in five-fold cross-validation with equally many samples of both sets.

    Args:
        x, y: samples, shape (n, *D) and (m, *D).
        seed: of the choice of samples, the folds and the classifier.
        most: how many of each set are used, at most.

    Raises:
        ValueError: if a set has fewer than ten samples or is not finite, or the shapes differ.
        ImportError: if scikit-learn is not installed.

    Source: Lopez-Paz & Oquab 2017, "Revisiting classifier two-sample tests".
    """
    a, b = pair(x, y)
    most, seed = checks.count("most", most), checks.small_seed(seed)
    n = min(len(a), len(b), most)
    if n < 10:
        raise ValueError(f"at least ten samples of each set are expected, got {len(a)} and {len(b)}, most={most}")
    generator = checks.generator(seed)
    both = torch.cat([z[torch.randperm(len(z), generator=generator)[:n]] for z in (a, b)])
    which = torch.arange(2 * n) // n
    ensemble = checks.extra("sklearn.ensemble", "evaluation")
    selection = checks.extra("sklearn.model_selection", "evaluation")
    classifier = ensemble.HistGradientBoostingClassifier(
        max_iter=100, learning_rate=0.1, max_leaf_nodes=15, early_stopping=False, random_state=seed % 2**32
    )
    folds = selection.StratifiedKFold(5, shuffle=True, random_state=seed % 2**32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn's, about threads and versions of its own parts
        scores = selection.cross_val_score(classifier, both.numpy(), which.numpy(), cv=folds)
    return float(scores.mean())
