"""Whether a person can move what a notebook shows."""

from flowmap_edu import _checks as checks

get_ipython = checks.extra("IPython.core.getipython", "notebooks").get_ipython


def has_reader() -> bool:
    """Whether somebody sits before this kernel.

    Not so without a kernel, nor where a program runs the notebook (nbconvert --execute, papermill,
    nbval): they send cells with `allow_stdin` off, because nobody could answer a question.
    """
    kernel = getattr(get_ipython(), "kernel", None)
    return bool(getattr(kernel, "_allow_stdin", kernel is not None))
