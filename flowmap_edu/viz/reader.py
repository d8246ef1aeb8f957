"""Whether a reader can move a widget in this notebook."""

from flowmap_edu import _checks as checks

get_ipython = checks.extra("IPython", "notebooks").get_ipython


def has_reader() -> bool:
    """Whether a person uses this kernel.

    False without a kernel, and false if a program executes the notebook (nbconvert --execute, papermill, nbval).
    Such a program sends cells with `allow_stdin` off, because it cannot answer a question.
    """
    kernel = getattr(get_ipython(), "kernel", None)
    return bool(getattr(kernel, "_allow_stdin", kernel is not None))
