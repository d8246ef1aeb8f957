"""This package's docstrings as reStructuredText: formulas in plain text stay what they are."""

import ast
import itertools
import re
import textwrap

SECTIONS = re.compile(r"(Args|Returns|Raises|Attributes|Yields):$")
SPECIAL = re.compile(r"([\\*|_])")
CODE = re.compile(r"(`[^`]+`)")


def escaped(line: str) -> str:
    """A line whose stars, bars, underscores and backslashes are meant as they stand; `name` is code."""
    parts = CODE.split(line)
    return "".join(f"`{part}`" if k % 2 else SPECIAL.sub(r"\\\1", part) for k, part in enumerate(parts))


def indent(line: str) -> int:
    """How far a line is set in."""
    return len(line) - len(line.lstrip())


def translate(_app, _what, _name, _obj, _options, lines: list[str]) -> None:
    """Change the lines of a docstring in place.

    A paragraph that is set in, outside of a section such as Args, is a formula, a table or code: it keeps its lines.
    A line "Source: ..." becomes a paragraph with its first word in bold.
    """
    translated, inside, literal = [], False, False
    for k, line in enumerate(lines):
        if not line.strip():
            translated.append("")
            continue
        if indent(line) == 0:
            inside, literal = bool(SECTIONS.match(line)), False
        elif not inside and not literal and (k == 0 or not lines[k - 1].strip()):
            literal = True
            translated += [f".. code-block:: {language(lines[k:])}", ""]
        if literal or (inside and indent(line) == 0):
            translated.append(line)
        elif inside and indent(line) == 4 and ":" in line:
            translated.append(argument(line))
        elif line.startswith(("Source:", "Sources:")):
            head, _, rest = line.partition(":")
            translated += ["", f"**{head}:**{escaped(rest)}"]
        else:
            translated.append(escaped(line))
    lines[:] = translated


def language(lines: list[str]) -> str:
    """Python if the lines that are set in can be read as such, else plain text."""
    block = itertools.takewhile(lambda line: not line.strip() or indent(line) > 0, lines)
    try:
        ast.parse(textwrap.dedent("\n".join(block)))
    except SyntaxError:
        return "text"
    return "python"


def without_numbers(_app, _what, _name, obj, _skip, _options) -> bool | None:
    """Leave out the fields of a named tuple: the class tells what they are."""
    return True if (getattr(obj, "__doc__", None) or "").startswith("Alias for field number") else None


def argument(line: str) -> str:
    """The first line of an argument: its name stays as it is for napoleon, the rest is escaped."""
    name, _, rest = line.partition(":")
    return f"{name}:{escaped(rest)}" if re.fullmatch(r"[\w, ]+", name.strip()) else escaped(line)
