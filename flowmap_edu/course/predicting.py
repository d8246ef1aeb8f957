"""A prediction beside what was measured."""

import math
from collections.abc import Mapping

__all__ = ["compare"]


def compare(
    prediction: object,
    measured: object,
    *,
    within: float = 0.1,
    too_high: str = "",
    too_low: str = "",
    wrong: Mapping[str, str] | None = None,
) -> None:
    """Print how far a prediction is from what was measured, and what a wrong one would have meant.

    Numbers are compared by |prediction - measured| <= within |measured|; words by being equal, capitals aside.

    Args:
        prediction: what the reader guessed: a number or a word; None: nothing yet.
        measured: the number or word that was found.
        within: the relative distance that counts as right; for a measured 0, the absolute one.
        too_high: what would have to be true for a higher number to be right.
        too_low: the same for a lower one.
        wrong: of each wrong word, what would have to be true for it to be right.

    Raises:
        ValueError: if the prediction is no number where a number was measured, or no word where a word was.
    """
    if prediction is None or prediction is ...:
        print(f"Measured: {said(measured)}. You have made no prediction. Set `prediction` and run both cells again.")
        return
    if isinstance(measured, str):
        if not isinstance(prediction, str):
            raise ValueError(f"the prediction must be a word in quotes, got {prediction!r}")
        guess = prediction.strip().lower()
        right = guess == measured.lower()
        reason = {word.lower(): text for word, text in (wrong or {}).items()}.get(guess, "")
    else:
        number, guessed = as_number(measured, "what was measured"), as_number(prediction, "the prediction")
        right = abs(guessed - number) <= within * (abs(number) or 1.0)
        reason = too_high if guessed > number else too_low
    verdict = "That is close." if right and not isinstance(measured, str) else "Right." if right else ""
    print(
        f"You predicted {said(prediction)}. Measured: {said(measured)}. "
        + (verdict or f"{distance(prediction, measured)} {reason}").strip()
    )


def as_number(value: object, what: str) -> float:
    """A Python float of a number, a truth value or a tensor of one entry."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, RuntimeError):
        raise ValueError(f"{what} must be a number, got {value!r}") from None
    if not math.isfinite(number):
        raise ValueError(f"{what} must be finite, got {number}")
    return number


def said(value: object) -> str:
    """How a value is printed: a number to three digits."""
    return str(value) if isinstance(value, str) else f"{as_number(value, 'the value'):.3g}"


def distance(prediction: object, measured: object) -> str:
    """By how much a number is off, as a share or a factor."""
    if isinstance(measured, str):
        return "It is not."
    guessed, number = as_number(prediction, ""), as_number(measured, "")
    if number == 0 or guessed * number <= 0:
        return "The sign differs." if guessed * number < 0 else f"You were off by {abs(guessed - number):.3g}."
    factor = guessed / number
    if 0.5 <= factor <= 2:
        return f"Your number is {abs(factor - 1):.0%} too {'high' if factor > 1 else 'low'}."
    return f"Your number is {max(factor, 1 / factor):.3g} times too {'high' if factor > 1 else 'low'}."
