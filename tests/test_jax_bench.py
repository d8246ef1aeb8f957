"""The comparison with JAX: it refuses gradients that differ, and says so where there is no JAX."""

import benchmark_jax
import pytest
import torch

from flowmap_edu.bench.step import SELF_DISTILLED

SMALL = {"net": {"hidden": 16, "layers": 2}, "batch": 32, "compile": False}


def test_gradients_that_differ_are_refused():
    """|ours - theirs| / |theirs| over all weights together, 1e-4 at most."""
    theirs = [torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])]
    assert benchmark_jax.difference([theirs[0], theirs[1] + 2.5e-4], theirs) == pytest.approx(5e-5, rel=1e-2)
    with pytest.raises(ValueError, match=r"torch and JAX differ by 2.0e-04, at most 1e-04"):
        benchmark_jax.difference([theirs[0], theirs[1] + 1e-3], theirs)
    with pytest.raises(ValueError, match="differ by nan"):
        benchmark_jax.difference([theirs[0], theirs[1] * torch.nan], theirs)


def test_without_jax_the_row_says_so(monkeypatch):
    monkeypatch.setattr(benchmark_jax, "installed", lambda: False)
    assert benchmark_jax.rows() == ["| loss and gradient beside jitted JAX | not measured: jax is not installed |"]


@pytest.mark.parametrize("method", SELF_DISTILLED)
def test_the_formulas_in_jax_are_ours(method):
    """The same gradients of a small network: of every method, to rounding."""
    pytest.importorskip("jax", reason="JAX is optional")
    ratios, found = benchmark_jax.beside(method, 2, **SMALL)
    assert found < 1e-5
    assert min(ratios) > 0


def test_a_pair_is_the_ratio_of_the_two_times(monkeypatch):
    """On a clock that ours moves by six and JAX's by four; the first three pairs only warm."""
    now, calls = [0.0], []

    def takes(seconds):
        def call():
            now[0] += seconds
            calls.append(seconds)

        return call

    monkeypatch.setattr(benchmark_jax.time, "process_time", lambda: now[0])
    assert benchmark_jax.paired(takes(6.0), takes(4.0), 2) == [1.5, 1.5]
    assert calls == [6.0, 4.0] * 5
