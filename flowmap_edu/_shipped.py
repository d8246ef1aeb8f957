"""Where the files that come with the library lie."""

from pathlib import Path


def shipped_folder() -> Path:
    """The folder data/ of the checkout, or of the installed package."""
    package = Path(__file__).resolve().parent
    return next((p for p in (package / "data", package.parent / "data") if p.is_dir()), package / "data")
