"""What a process forbids itself before it runs a submission: forks, memory, files, processor time.

This file imports nothing but the standard library, and is used where there is no sandbox too.
"""

import contextlib
import ctypes
import platform
import struct
import sys
from collections.abc import Mapping

LOAD, EQUAL, AND, RETURN = 0x20, 0x15, 0x45, 0x06  # instructions of a seccomp filter: ld, jeq, jset, ret
ALLOW, ERROR = 0x7FFF0000, 0x00050000
LIBRARIES = 8 * 2**30  # addresses that libraries take without using memory: torch's own are 3 GB
EPERM, ENOSYS, THREAD = 1, 38, 0x10000
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38
# the architecture's code in the kernel, its number of clone, and the calls that are refused: fork and vfork; shmget and
# memfd_create, whose memory no limit counts; unshare, setns and mount. clone3 is 435 everywhere.
CALLS = {
    "x86_64": (0xC000003E, 56, (57, 58, 29, 319, 272, 308, 165)),
    "aarch64": (0xC00000B7, 220, (194, 279, 97, 268, 40)),
}


def filter_program(machine: str) -> bytes:
    """The seccomp filter: threads can be made, processes cannot; a list of (code, jump if, jump else, value).

    clone is allowed with CLONE_THREAD. clone3 hides its flags in memory, so it is said not to exist; the C library
    then calls clone. Calls of another architecture are refused.
    """
    architecture, clone, refused = CALLS[machine]
    program = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, architecture), (RETURN, 0, 0, ERROR | EPERM), (LOAD, 0, 0, 0)]
    if machine == "x86_64":  # the numbers of the x32 calls have this bit
        program += [(AND, 0, 1, 0x40000000), (RETURN, 0, 0, ERROR | EPERM)]
    for number in refused:
        program += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ERROR | EPERM)]
    program += [(EQUAL, 0, 1, 435), (RETURN, 0, 0, ERROR | ENOSYS)]
    program += [(EQUAL, 0, 3, clone), (LOAD, 0, 0, 16), (AND, 1, 0, THREAD), (RETURN, 0, 0, ERROR | EPERM)]
    program += [(RETURN, 0, 0, ALLOW)]
    return b"".join(struct.pack("HBBI", *line) for line in program)


def no_processes() -> str | None:
    """Let this process start threads and no other process; why that is not possible, or None."""
    if sys.platform != "linux" or platform.machine() not in CALLS:
        return f"processes cannot be forbidden on {platform.system()} {platform.machine()}"
    libc = ctypes.CDLL(None, use_errno=True)
    program = filter_program(platform.machine())
    lines = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(lines))
    words = ctypes.create_string_buffer(fprog, len(fprog))
    zero = ctypes.c_ulong(0)
    libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(9), zero, zero, zero)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero) or libc.prctl(
        PR_SET_SECCOMP, ctypes.c_ulong(2), ctypes.c_ulong(ctypes.addressof(words)), zero, zero
    ):
        return f"processes cannot be forbidden: error {ctypes.get_errno()} of the kernel"
    return None


def limit(sizes: Mapping[str, int], *, processes: bool) -> list[str]:
    """Set the limits; what could not be set, in words.

    Args:
        sizes: "memory" and "file" in bytes, "processor" in seconds.
        processes: whether their number is to be limited too, where they could not be forbidden.
    """
    missing: list[str] = []
    try:
        import resource
    except ImportError:
        return ["memory, files and processor time are not limited on this system"]
    wanted = {
        "memory": (resource.RLIMIT_DATA, sizes["memory"]),
        "addresses": (resource.RLIMIT_AS, sizes["memory"] + LIBRARIES),
        "files": (resource.RLIMIT_FSIZE, sizes["file"]),
        "processor time": (resource.RLIMIT_CPU, sizes["processor"]), "core dumps": (resource.RLIMIT_CORE, 0),
        "open files": (resource.RLIMIT_NOFILE, 256),
    }  # fmt: skip
    if processes:
        wanted["processes"] = (resource.RLIMIT_NPROC, 0)  # no more of this user; it does not hold for root
    for name, (which, most) in wanted.items():
        try:
            resource.setrlimit(which, (most, most))
        except (ValueError, OSError):
            missing.append(f"{name} could not be limited")
    with contextlib.suppress(AttributeError, ValueError, OSError):
        import signal

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file that grows too large is an OSError, not the end
    return missing
