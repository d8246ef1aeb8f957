"""What lesson 05 measures: where in the noise the exact map of the board is torn."""

import torch

from flowmap_edu import FlowMap, problems
from flowmap_edu.course import material_05 as material

BOARD = problems.Checkerboard()


def test_starts_next_to_a_seam():
    """y = -x is a seam: the board is its own mirror image there, and no white square lies on it."""
    on_line = torch.tensor([[0.01, 0.0], [0.3, -0.28], [-0.5, 0.52]], dtype=torch.float64)
    centres = torch.tensor([[-0.75, -0.75], [0.25, 0.25], [0.75, -0.25]], dtype=torch.float64)
    starts = BOARD.flow_map(0.999, 0.0, centres)
    assert material.next_to_seam(BOARD, on_line).all()
    assert not material.next_to_seam(BOARD, starts).any()


def test_the_places_of_the_worst_are_named(capsys):
    """A map that is wrong on seams alone, one that is wrong far out alone, and one that is off everywhere."""

    def wrong(where):
        def v(s, t, x):
            slope = BOARD.v(s, t, x.double())
            return (slope + 0.3 * torch.as_tensor(where(x.double())).double()[:, None]).to(x.dtype)

        return {"map": FlowMap(v)}

    assert material.worst_places(BOARD, wrong(lambda x: material.next_to_seam(BOARD, x)), n=300) == "lines"
    assert material.worst_places(BOARD, wrong(lambda x: x.norm(dim=1) ** 3), n=300) == "outside"
    assert material.worst_places(BOARD, wrong(lambda x: torch.cos(99 * x[:, 0])), n=300) == "everywhere"
    assert "next to a seam" in capsys.readouterr().out
