"""What `flowmap-edu tutorials` does."""

import argparse
from pathlib import Path

from flowmap_edu.course.handing_out import hand_out


def tutorials(arguments: argparse.Namespace) -> None:
    """flowmap-edu tutorials: the lessons' doing form, without solutions and outputs."""
    folder = Path(arguments.folder).expanduser()
    written = hand_out(folder)
    print(f"{len(written)} lessons are in {folder}. Begin with {written[0].name}: jupyter lab {folder}")
