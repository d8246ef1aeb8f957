"""The most memory that this process has held."""

import sys
from pathlib import Path


def peak_bytes() -> int:
    """The largest resident size of this process so far, in bytes.

    On Linux from the kernel's own record of this program: `resource` also counts what the parent held before it.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        words = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        return 1024 * int(words["VmHWM"].split()[0])
    import resource  # not on Windows

    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else 1024 * found
