"""The files of static/: HTML with marks to fill in, and JavaScript in several parts."""

import re
from pathlib import Path

STATIC = Path(__file__).parent / "static"


def filled(name: str, **parts: str) -> str:
    """The text of a file of static/, each mark @@part@@ in it replaced by the text of that name.

    Raises:
        KeyError: if the file has a mark that no part is given for.
    """
    text = (STATIC / name).read_text(encoding="utf-8")
    return re.sub(r"@@(\w+)@@", lambda mark: parts[mark.group(1)], text)


def joined(*names: str) -> str:
    """Some files of static/ as the text of one ES module, in this order."""
    return "\n".join((STATIC / name).read_text(encoding="utf-8") for name in names)
