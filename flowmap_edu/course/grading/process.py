"""One process that runs a submission: watched, and ended when it takes too long or writes too much."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from flowmap_edu.course.grading import sandbox as sandboxes
from flowmap_edu.course.grading.sandbox import Sandbox

LONGEST_LINE, MOST_BYTES, KEPT = 16 * 2**20, 64 * 2**20, 2000
MOST_PRINTED, PRINTED = 100 * 10**6, b"printed"  # bytes; what is put among the lines when there are more
LOADING = 120.0  # seconds that Python and torch may take to start on a busy machine


@dataclass(frozen=True)
class Limits:
    """What a submission may use.

    Attributes:
        seconds: of a cell or a part; three times as long in all.
        memory: in MB, of the process.
        files: in MB, of a file that it writes; four times as much in all, in the sandbox.
    """

    seconds: float = 30.0
    memory: int = 4096
    files: int = 64


@dataclass
class Run:
    """What came of one process: parts' answers, remarks, the step at which it ended (None: it ran to the end)."""

    parts: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    notes: list[str] = field(default_factory=list[str])
    missing: list[str] = field(default_factory=list[str])
    step: int | None = None
    why: str = ""
    spent: float = 0.0
    printed: int = 0
    start: str = ""


class Live:
    """The processes that run now, so that Ctrl-C ends them all."""

    def __init__(self) -> None:
        self.lock, self.found, self.stopped = threading.Lock(), set[subprocess.Popen[bytes]](), False

    def add(self, process: subprocess.Popen[bytes]) -> None:
        """Keep a process; end it if all are to end."""
        with self.lock:
            self.found.add(process)
            if self.stopped:
                end(process)

    def remove(self, process: subprocess.Popen[bytes]) -> None:
        """Forget a process that has ended."""
        with self.lock:
            self.found.discard(process)

    def stop(self) -> None:
        """End all, now and later."""
        with self.lock:
            self.stopped = True
            for process in self.found:
                end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process and what it has started."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        process.kill()


def run(request: dict[str, Any], box: Sandbox, limits: Limits, live: Live, *, total: float) -> Run:
    """Run the steps of a request in a new process.

    Args:
        request: "steps" and "skip", for the runner.
        box: the sandbox.
        limits: of time, memory and files.
        live: where the process is kept while it runs.
        total: seconds that are left for all steps together.
    """
    sizes = {"memory": limits.memory * 2**20, "file": limits.files * 2**20, "processor": int(total + LOADING)}
    words = box.command(4 * limits.files * 2**20)  # one full file leaves room for others
    with contextlib.ExitStack() as stack:
        folder = None if box.bwrap else stack.enter_context(sandboxes.scratch())
        process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=folder,
            env=sandboxes.environment(folder or "/submission"), start_new_session=sys.platform != "win32",
        )  # fmt: skip
        live.add(process)
        try:
            return watched(process, json.dumps({**request, "limits": sizes}).encode(), limits.seconds, total)
        finally:
            end(process)
            process.wait()
            live.remove(process)


def watched(process: subprocess.Popen[bytes], request: bytes, seconds: float, total: float) -> Run:
    """Hand over the request and take what comes back, until the end or a limit."""
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    found, lines, printed = Run(), queue.Queue[bytes | None](), [b"", 0]
    threads = [
        threading.Thread(target=hand_over, args=(process.stdin, request), daemon=True),
        threading.Thread(target=read_lines, args=(process.stdout, lines), daemon=True),
        threading.Thread(target=drain, args=(process.stderr, printed, lines), daemon=True),
    ]
    for thread in threads:
        thread.start()
    left, allowed, latest = total, LOADING, time.monotonic() + total + LOADING
    while True:
        begun = time.monotonic()
        try:
            line = lines.get(timeout=max(0.0, min(allowed, latest - begun)))
        except queue.Empty:
            left -= time.monotonic() - begun
            found.why = "takes too long" if found.step else "does not start"
            break
        spent = time.monotonic() - begun
        allowed -= spent
        if found.step:
            left -= spent
        if line is None:
            found.why = died(process)
            break
        if line is PRINTED:
            found.why = f"prints more than {MOST_PRINTED / 1e6:.0f} MB"
            break
        message = understood(line)
        if message is None:
            found.why = "writes what no answer can be"
            break
        if message.get("done"):
            found.step = None
            break
        if take(found, message):
            allowed = LOADING if message.get("loading") else min(seconds, left)
    end(process)
    for thread, stream in zip(threads, (process.stdin, process.stdout, process.stderr), strict=True):
        thread.join(timeout=5)
        if not thread.is_alive():  # else another process still holds the other end
            with contextlib.suppress(OSError, ValueError):
                stream.close()
    found.spent = total - left
    found.printed, found.start = int(printed[1]), bytes(printed[0]).decode("utf-8", "replace")
    return found


def take(found: Run, message: dict[str, Any]) -> bool:
    """Note what a line says; whether a new step begins with it."""
    if isinstance(message.get("step"), int):
        found.step = message["step"]
        return True
    if message.get("loading"):
        return True
    if isinstance(message.get("note"), str) and len(found.notes) < 30:
        found.notes.append(message["note"][:500])
    if isinstance(message.get("part"), str):
        found.parts.setdefault(message["part"], message)
    if isinstance(message.get("missing"), list) and not found.step:
        found.missing = [str(words)[:200] for words in message["missing"]]
    return False


def understood(line: bytes) -> dict[str, Any] | None:
    """A line of the runner, or None for anything else."""
    try:
        message = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None


def hand_over(stream: IO[bytes], content: bytes) -> None:
    """Write the request and close the stream."""
    with contextlib.suppress(OSError, ValueError):
        stream.write(content)
        stream.close()


def read_lines(stream: IO[bytes], lines: "queue.Queue[bytes | None]") -> None:
    """Put the lines of a stream into a queue; None at its end. What is too long ends in a line that is no JSON."""
    read = 0
    with contextlib.suppress(OSError, ValueError):
        for line in whole_lines(stream):
            read += len(line)
            lines.put(line if read <= MOST_BYTES else b"too much")
            if read > MOST_BYTES:
                break
    lines.put(None)


def whole_lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Lines of a stream, cut where they are too long."""
    while line := stream.readline(LONGEST_LINE):
        yield line


def drain(stream: IO[bytes], kept: list[Any], lines: "queue.Queue[bytes | None]") -> None:
    """Read all that is printed, keep its beginning, and say so when it is too much."""
    told = False
    with contextlib.suppress(OSError, ValueError):
        while block := stream.read1(65536):  # type: ignore[attr-defined]
            kept[0] = (kept[0] + block)[:KEPT]
            kept[1] += len(block)
            if kept[1] > MOST_PRINTED and not told:
                lines.put(PRINTED)
                told = True


def died(process: subprocess.Popen[bytes]) -> str:
    """Why a process ended before its last step."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)
    code = process.returncode
    number = -code if code is not None and code < 0 else (code or 0) - 128
    if number > 0:
        with contextlib.suppress(ValueError):
            return f"ends the process with {signal.Signals(number).name}"
    return f"ends the process with the status {code}"
