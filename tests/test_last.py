"""Which jump makes the KL64: maps that are wrong in the last jump alone, and before it alone."""

import pytest
import torch
from torch import Tensor

from flowmap_edu.bench import last
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics import kl64
from flowmap_edu.problems import Checkerboard

BOARD, N = Checkerboard(), 1000


def wrong(where) -> FlowMap:
    """The exact map, but the identity where a jump's end time is so."""

    def v(s: Tensor, t: Tensor, x: Tensor) -> Tensor:
        return 0 * x if where(t[0]) else BOARD.v(s, t, x)

    return FlowMap(v)


@pytest.mark.parametrize("late", [True, False])
def test_the_jump_that_is_wrong_makes_the_score(late):
    x0 = BOARD.base(N, torch.Generator().manual_seed(0))
    X = wrong(lambda t: (t == 1) == late)
    whole, split, exact_last, only_last = last.replaced(X, 4, x0, BOARD)
    guilty, innocent = (only_last, exact_last) if late else (exact_last, only_last)
    exact = kl64(BOARD.flow_map(0.0, 1.0, x0)).kl
    assert guilty == pytest.approx(whole, abs=0.01)
    assert innocent == pytest.approx(exact, abs=0.01)
    assert whole > exact + 0.03
    if late:  # the jump to 0.97 and the velocity there are right, and the Euler step ends near the exact points
        assert last.after_exact(X, x0, BOARD) == pytest.approx(exact, abs=0.01)
        assert split == pytest.approx(last.after_exact(X, x0, BOARD), abs=0.01)
    else:  # that jump and that velocity are wrong as well
        assert split > exact + 0.03
