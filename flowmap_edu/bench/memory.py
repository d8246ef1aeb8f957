"""The most memory that this process has held."""

import ctypes
import sys
from pathlib import Path


class Counters(ctypes.Structure):
    """Windows' PROCESS_MEMORY_COUNTERS."""

    _fields_ = (  # type: ignore[assignment]
        ("cb", ctypes.c_uint32),
        ("PageFaultCount", ctypes.c_uint32),
        ("PeakWorkingSetSize", ctypes.c_size_t),
        *((f"other{k}", ctypes.c_size_t) for k in range(7)),
    )


def peak_bytes() -> int:
    """The largest resident size of this process so far, in bytes.

    On Linux from the kernel's own record of this program: `resource` also counts what the parent held before it.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        words = dict(line.split(":", 1) for line in status.read_text(encoding="utf-8").splitlines() if ":" in line)
        return 1024 * int(words["VmHWM"].split()[0])
    if sys.platform == "win32":
        return of_windows(ctypes.WinDLL("kernel32"))
    import resource  # not on Windows

    found = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return found if sys.platform == "darwin" else 1024 * found


def of_windows(kernel32: ctypes.CDLL) -> int:
    """The same from Windows' own library.

    Raises:
        OSError: if it does not say.
    """
    counters = Counters()
    counters.cb = ctypes.sizeof(counters)
    kernel32.GetCurrentProcess.restype = ctypes.c_void_p
    kernel32.K32GetProcessMemoryInfo.argtypes = (ctypes.c_void_p, ctypes.POINTER(Counters), ctypes.c_uint32)
    if not kernel32.K32GetProcessMemoryInfo(kernel32.GetCurrentProcess(), ctypes.byref(counters), counters.cb):
        raise OSError("Windows does not say how much memory this process has held")
    return int(counters.PeakWorkingSetSize)
