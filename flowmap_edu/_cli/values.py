"""Words as values: the numbers of an option, and the text of `--set NAME=VALUE` by the type of what it sets."""

import argparse
import json
import math
import types
import typing
from collections.abc import Callable
from typing import Any

LARGEST = 2**63 - 1  # whole numbers: what 64 bits hold, which torch wants of a seed
FAR = 1e30  # real numbers: float32 ends near 3e38, and squares are taken


def whole(text: str, least: int = -LARGEST, most: int = LARGEST) -> int:
    """A whole number from `least` to `most`, by default one that 64 bits hold.

    Raises:
        ValueError: for anything else.
    """
    wanted = "a whole number" + (f" of at least {least}" if least > -LARGEST else "")
    try:
        value = int(text)
    except ValueError:
        raise ValueError(f"must be {wanted}, got {shown(text)}") from None
    if value < least:
        raise ValueError(f"must be {wanted}, got {shown(value)}")
    if value > most:
        limit = "2**63 - 1" if most == LARGEST else most
        raise ValueError(f"must be a whole number of at most {limit}, got {shown(value)}")
    return value


def real(text: str) -> float:
    """A finite number, at most 1e30 in size.

    Raises:
        ValueError: for anything else.
    """
    try:
        value = float(text)
    except ValueError:
        raise ValueError(f"must be a number, got {shown(text)}") from None
    if not abs(value) <= FAR:
        raise ValueError(f"must be a finite number, at most {FAR:g} in size; got {value}")
    return value


def positive(text: str) -> float:
    """A finite number above 0."""
    if (value := real(text)) <= 0:
        raise ValueError(f"must be positive, got {value}")
    return value


def not_negative(text: str) -> float:
    """A finite number of at least 0."""
    if (value := real(text)) < 0:
        raise ValueError(f"must be at least 0, got {value}")
    return value


def shown(value: object) -> str:
    """A value for a message, cut off where it is long."""
    text = repr(value) if isinstance(value, str) else f"{value}"
    return text if len(text) <= 60 else f"{text[:57]}..."


def option(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """The same reader for argparse, which shows the message of this kind of error alone."""

    def typed(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return typed


count = option(lambda text: whole(text, 1))
at_least_two = option(lambda text: whole(text, 2))
seed = option(lambda text: whole(text, 0))
threads = option(lambda text: whole(text, 1, 1024))  # more than that, and starting them fails
port = option(lambda text: whole(text, 1, 65535))
label = option(whole)
minutes = option(positive)
seconds = option(not_negative)
number = option(real)


def truth(text: str) -> bool:
    """true or false."""
    known = {"true": True, "false": False}
    if text.lower() not in known:
        raise ValueError("neither true nor false")
    return known[text.lower()]


def free(text: str) -> Any:
    """A value whose type is not known: JSON where it is some, else the text itself.

    Raises:
        ValueError: for a number that is not finite.
    """
    try:
        found = json.loads(text if text.startswith(("[", "{", '"')) else text.lower(), parse_constant=float)
    except json.JSONDecodeError:
        return text
    except (RecursionError, ValueError):
        raise ValueError(f"must be a value, got {shown(text)}") from None
    inside: list[Any] = [found]
    while inside:
        value = inside.pop()
        inside += value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
        if isinstance(value, (int, float)) and not (math.isfinite(value) and abs(value) <= LARGEST):
            raise ValueError(f"must hold finite numbers of at most 64 bits, got {shown(text)}")
    return found


def sequence(text: str, inner: Any) -> list[Any]:
    """A list in JSON whose entries have the type `inner`; Any for numbers."""
    found = free(text)
    if not isinstance(found, list):
        raise ValueError("no list")
    kind = (int, float) if inner in (Any, float) else inner
    if not all(isinstance(value, kind) and not isinstance(value, bool) for value in found):
        raise ValueError("an entry of another type")
    return found


def members(hint: Any) -> list[Any]:
    """The types of a union, or the one type; the same on every Python, whatever it calls a union."""
    return list(typing.get_args(hint)) if typing.get_origin(hint) in (typing.Union, types.UnionType) else [hint]


READERS: dict[type, tuple[str, Callable[[str], Any]]] = {  # in the order in which a union is tried
    bool: ("true or false", truth),
    int: ("a whole number", whole),
    float: ("a finite number", real),
    str: ("a text", str),
}


def value_of(name: str, text: str, hint: Any) -> Any:
    """The text of `--set NAME=VALUE` as a value of the type that NAME has.

    Raises:
        ValueError: if it is no such value; with what is wanted.
    """
    kinds, wanted = members(hint), list[str]()
    if not text:
        raise ValueError(f"--set {name} must be NAME=VALUE, got no value")
    if type(None) in kinds and text.lower() in ("null", "none"):
        return None
    readers = {kind: READERS[kind] for kind in READERS if kind in kinds}
    for kind in kinds:
        of = typing.get_origin(kind) or kind
        if of is Any or not isinstance(of, type):
            readers[object] = ("a value", free)
        elif of not in READERS and of is not type(None) and hasattr(of, "__getitem__"):  # sequences and tensors
            inner = (typing.get_args(kind) or (Any,))[0]
            readers[of] = ("a list such as [1, 2]", lambda text, inner=inner: sequence(text, inner))
    for words, read in readers.values():
        try:
            return read(text)
        except ValueError as error:
            wanted.append(words)
            if str(error).startswith("must") and len(readers) == 1:
                raise ValueError(f"--set {name} {error}") from None
    wanted += ["null"] if type(None) in kinds else []
    raise ValueError(f"--set {name} must be {' or '.join(wanted) or 'left out'}, got {shown(text)}")


def hints_of(target: Callable[..., Any]) -> dict[str, Any]:
    """The types of what a class or a function takes; nothing where they cannot be read."""
    try:
        return typing.get_type_hints(target.__init__ if isinstance(target, type) else target)
    except Exception:  # a name that a user's file does not have, in a type that is text
        return {}
