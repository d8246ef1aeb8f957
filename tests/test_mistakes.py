"""The six mistakes of public flow-map code, each put into the source of the library: some law must fail.

A check that stays green on wrong code proves nothing. So every mistake is a substitution in the text
of the real module, which is then run as a module of its own, and the laws of `laws.py` judge it.
"""

import inspect
import sys
import types
from typing import NamedTuple

import laws
import pytest

from flowmap_edu import _method, losses, times

TARGET_VELOCITY = inspect.getsource(losses.target_velocity)
HEADER, _, BODY = TARGET_VELOCITY.partition("    with torch.set_grad_enabled")


class Mistake(NamedTuple):
    """What is replaced by what in a module, and the laws that must not survive it."""

    name: str
    changes: list[tuple[str, str]]
    breaks: list
    module: types.ModuleType = losses


MISTAKES = [
    Mistake(
        "1: ESD reads the velocity at the end point (t, X_{s,t}(x)) and not at the start (s, x)",
        [("b = target_velocity(X, s, x, velocity", "b = target_velocity(X, t, X(s, t, x), velocity")],
        [laws.exact_maps_make_every_loss_vanish, laws.exact_teachers_agree, laws.stop_gradients_are_frozen_copies],
    ),
    Mistake(
        "2: ESD adds the velocity b where the pushed-forward tangent grad X b belongs (stopgrad 'full')",
        [("pushed = X.push(s, t, x, b)[1]", "pushed = b")],
        [laws.exact_maps_make_every_loss_vanish, laws.exact_teachers_agree, laws.stop_gradients_are_frozen_copies],
    ),
    Mistake(
        "2: ESD adds the velocity b where the pushed-forward tangent grad X b belongs (the others)",
        [("X.eulerian(s, t, x, b, difference=difference)[1]", "X.partial_s(s, t, x)[1] + b")],
        [laws.exact_maps_make_every_loss_vanish, laws.exact_teachers_agree, laws.stop_gradients_are_frozen_copies],
    ),
    Mistake(
        "3: LSD reads the velocity at the start point x and not where the jump lands",
        [("target_velocity(X, t, X_st, velocity", "target_velocity(X, t, x, velocity")],
        [laws.exact_maps_make_every_loss_vanish, laws.exact_teachers_agree, laws.stop_gradients_are_frozen_copies],
    ),
    Mistake(
        "4: PSD swaps the weights h and 1 - h of the two jumps",
        [("(1 - h) * first + h * second", "h * first + (1 - h) * second")],
        [laws.exact_maps_make_every_loss_vanish, laws.stop_gradients_are_frozen_copies],
    ),
    Mistake(
        "5: the velocity is computed with gradient, then assigned under no_grad, which detaches nothing",
        [
            (
                TARGET_VELOCITY,
                HEADER + "    b = X.velocity(t, x) if velocity is None else velocity\n"
                "    b = b(t, x) if callable(b) else b\n"
                "    with torch.no_grad():\n"
                "        target = b\n"
                "    return target\n",
            )
        ],
        [laws.stop_gradients_are_frozen_copies, laws.detached_teachers_get_no_gradient],
    ),
    Mistake(
        "5: PSD's two short jumps are computed with gradient, then assigned under no_grad",
        [
            ('with torch.set_grad_enabled(torch.is_grad_enabled() and stopgrad == "none"):', "if True:"),
            (
                "    residual = one_jump - two_jumps",
                "    with torch.no_grad():\n        target = two_jumps\n    residual = one_jump - target",
            ),
        ],
        [laws.stop_gradients_are_frozen_copies],
    ),
    Mistake(
        "5: ESD's pushed-forward tangent is computed with gradient, then assigned under no_grad",
        [
            (
                "        with torch.no_grad():\n            pushed = X.push(s, t, x, b)[1]\n",
                "        tangent = X.push(s, t, x, b)[1]\n"
                "        with torch.no_grad():\n            pushed = tangent\n",
            )
        ],
        [laws.stop_gradients_are_frozen_copies],
    ),
    Mistake(
        "6: triangle returns the end before the start",
        [("    return s, t\n", "    return t, s\n")],
        [laws.times_are_uniform_on_the_triangle],
        times,
    ),
    Mistake(
        "6: methods.loss hands the end time where the start belongs",
        [("    s, u, t, x, dx, _ = jumps\n", "    t, u, s, x, dx, _ = jumps\n")],
        [laws.the_whole_is_its_parts],
        _method,
    ),
]


def run_source(changes: list[tuple[str, str]], module: types.ModuleType = losses) -> types.SimpleNamespace:
    """What the laws read, a module with the changes made in it; AssertionError unless each applies exactly once."""
    source = inspect.getsource(module)
    for old, new in changes:
        assert source.count(old) == 1, f"found {source.count(old)} times in {module.__name__}, wanted once: {old!r}"
        source = source.replace(old, new)
    fresh = types.ModuleType("a_module_with_a_mistake")
    sys.modules[fresh.__name__] = fresh  # dataclasses look their module up
    try:
        exec(compile(source, fresh.__name__, "exec"), fresh.__dict__)
    finally:
        del sys.modules[fresh.__name__]
    return types.SimpleNamespace(**vars(laws.REAL) | vars(fresh))


UNCHANGED = dict.fromkeys(
    [(losses, law) for law in laws.LAWS] + [(m.module, law) for m in MISTAKES for law in m.breaks]
)


@pytest.mark.parametrize(("module", "law"), UNCHANGED, ids=lambda part: part.__name__)
def test_an_unchanged_copy_obeys_every_law(module, law):
    """The copy itself breaks nothing: what fails below fails because of the mistake."""
    law(run_source([], module))


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name.split(" (")[0][:60])
def test_every_mistake_breaks_its_laws(mistake):
    """Each law named beside the mistake fails on it, and so the mistake cannot come in unseen."""
    wrong = run_source(mistake.changes, mistake.module)
    for law in mistake.breaks:
        with pytest.raises((AssertionError, ValueError)):
            law(wrong)


def test_swapped_weights_are_invisible_at_the_midpoint():
    """Why the laws draw u anywhere: with u halfway (PSD-M) mistake 4 changes nothing."""
    wrong = run_source(next(m.changes for m in MISTAKES if m.name.startswith("4")))
    s, _, t, x = laws.apart()
    net = laws.Net()
    for module_u, differ in (((s + t) / 2, False), (0.3 * s + 0.7 * t, True)):
        right, swapped = (laws.ours(m, "semigroup", "convex", net, s, module_u, t, x) for m in (losses, wrong))
        gap = ((right - swapped).abs() / right).max()
        assert gap > 0.1 if differ else gap < 1e-9
