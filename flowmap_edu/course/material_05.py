"""What lesson 05 measures and does not teach: where in the noise the large distances of a map are."""

from collections.abc import Mapping

import torch
from torch import Tensor

from flowmap_edu.flow_map import FlowMap
from flowmap_edu.problems import Checkerboard

__all__ = ["next_to_seam", "worst_places"]

REACH = 0.05  # of a seam, in the plane of the noise


def next_to_seam(board: Checkerboard, x0: Tensor) -> Tensor:
    """Whether the exact flow carries a neighbour of x0, 0.05 away along an axis, to another square; shape (B,)."""

    def square(x: Tensor) -> Tensor:
        return (2 * board.flow_map(0.0, 1.0, x, tolerance=1e-6)).floor()

    here = square(x0)
    steps = REACH * torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]], dtype=x0.dtype)
    return torch.stack([(square(x0 + step) != here).any(1) for step in steps]).any(0)


@torch.no_grad()
def worst_places(board: Checkerboard, maps: Mapping[str, FlowMap], n: int = 1000, seed: int = 3) -> str:
    """Print where the worst twentieth of one jump's distances start; "lines", "outside" or "everywhere".

    It is "lines" if more than half of them start next to a seam, for every map; else "outside" if more than half start
    where the noise is rare, beyond two standard deviations on an axis.

    Args:
        board: the problem.
        maps: by name.
        n: how many starts are drawn.
        seed: of the starts.
    """
    x0 = board.base(n, torch.Generator().manual_seed(seed)).double()
    truth = board.flow_map(0.0, 1.0, x0)
    places = {"lines": next_to_seam(board, x0), "outside": (x0.abs() > 2 * board.sigma).any(1)}
    print(f"{'starts':<22}{'next to a seam':>16}{'beyond 2 sigma':>16}")
    print(f"{'all':<22}" + "".join(f"{place.double().mean():>16.0%}" for place in places.values()))
    least = dict.fromkeys(places, 1.0)
    for name, X in maps.items():
        off = (X(0.0, 1.0, x0.float()) - truth).norm(dim=1)
        worst = off > off.quantile(0.95)
        found = {place: float(there[worst].double().mean()) for place, there in places.items()}
        print(f"{name + ', worst twentieth':<22}" + "".join(f"{share:>16.0%}" for share in found.values()))
        least = {place: min(least[place], share) for place, share in found.items()}
    return next((place for place, share in least.items() if share > 0.5), "everywhere")
