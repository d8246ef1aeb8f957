"""Standard output and error of the command line: they outlive their reader, and every console can print them."""

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any

GONE = (errno.EPIPE, errno.EINVAL)  # the reader has closed the pipe; Windows says EINVAL


class Stream:
    """A text stream that drops what is written after its reader has gone (`flowmap-edu ... | head -1`).

    The work goes on: a figure is still drawn, a run is still saved.

    Args:
        stream: the stream that is written to.
    """

    def __init__(self, stream: Any):
        self.stream = stream

    def write(self, text: str) -> int:
        """Write the text."""
        with self.reader_may_be_gone():
            self.stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Hand on what is kept."""
        with self.reader_may_be_gone():
            self.stream.flush()

    @contextlib.contextmanager
    def reader_may_be_gone(self) -> Iterator[None]:
        """After any failure the file behind the stream is the null device, so that Python can close it at the end.

        Raises:
            OSError: if it failed for another reason, such as a full disk.
        """
        try:
            yield
        except OSError as error:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self.stream.fileno())
            os.close(null)
            if error.errno not in GONE:
                raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def streams() -> Iterator[None]:
    """Standard output and error as `Stream`, where a sign that the console does not know is printed as "?".

    A stream that was closed before the start becomes the null device: else the next file that is opened would take
    its number, and whatever torch prints would go into that file.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    out, error = Stream(sys.stdout), Stream(sys.stderr)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):  # type: ignore[type-var]
        yield
