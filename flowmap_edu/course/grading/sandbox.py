"""The command that starts a submission's process: in bubblewrap where there is one, else bare.

In the sandbox there is no network and no other process. The file system holds the system's programs, this Python and
this library, all read-only; the exercises with the right answers are left out, and so is everything else: home
folders, other submissions, the course. The only place to write is a folder in memory that goes with the process.
"""

import os
import shutil
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flowmap_edu._shipped import shipped_folder

PACKAGE = Path(__file__).resolve().parent.parent.parent
RUNNER = Path(__file__).resolve().parent / "runner.py"
EXERCISES = PACKAGE / "course" / "exercises"
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64")
SETTINGS = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "fonts", "localtime", "passwd", "group")
NONE = "Only Linux has the sandbox that is used here (bubblewrap)."
INSTALL = "bubblewrap was not found: on Debian and Ubuntu, `apt-get install bubblewrap`."
DANGER = (
    "Submissions ran with your rights: they could read your files, the right answers and each other, write files and "
    "use the network."
)


@dataclass(frozen=True)
class Sandbox:
    """How submissions are run: `bwrap` is the program, or "" with the reason why there is none."""

    bwrap: str
    why: str = ""

    @property
    def said(self) -> str:
        """What the report says of it."""
        if self.bwrap:
            return "Each submission ran in bubblewrap: no network, no other files, nothing to write outside its folder."
        return f"NO SANDBOX. {self.why} {DANGER}"

    def command(self, room: int) -> list[str]:
        """The words that start the runner; its folder holds `room` bytes at most."""
        python = [sys.executable, "-P", "-s", str(RUNNER)]
        return [self.bwrap, *words(room), *python] if self.bwrap else python


def find_sandbox() -> Sandbox:
    """The sandbox of this system, tried once; or none, and why."""
    if sys.platform != "linux":
        return Sandbox("", NONE)
    program = shutil.which("bwrap")
    if program is None:
        return Sandbox("", INSTALL)
    trial = [program, *words(2**20), sys.executable, "-c", "print(6 * 7)"]
    done = subprocess.run(trial, capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL)
    if done.stdout.strip() != "42":
        return Sandbox("", f"bubblewrap does not work here: {' '.join(done.stderr.split())[:300]}.")
    return Sandbox(program)


def environment(home: str) -> dict[str, str]:
    """The variables of a submission's process; nothing of the grader's own but where its libraries are."""
    found = {
        "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": home, "TMPDIR": home, "LANG": "C.UTF-8", "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONPATH": str(PACKAGE.parent), "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8:replace",
        "FLOWMAP_EDU_GRADING": "1",
    }  # fmt: skip
    kept = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
    return found | {name: os.environ[name] for name in kept if name in os.environ}


def words(room: int) -> list[str]:
    """bubblewrap's options."""
    out = ["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--hostname", "grading"]
    out += ["--uid", "65534", "--gid", "65534", "--proc", "/proc", "--dev", "/dev"]
    for name in SYSTEM:
        path = Path(name)
        if path.is_symlink():
            out += ["--symlink", os.readlink(path), name]
        elif path.is_dir():
            out += ["--ro-bind", name, name]
    for name in SETTINGS:
        out += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    for path in libraries():
        out += ["--ro-bind", str(path), str(path)]
    for path in secrets():
        out += ["--tmpfs", str(path)]
    for name in ("__init__.py", "cases.py"):
        out += ["--ro-bind", str(EXERCISES / name), str(EXERCISES / name)]
    for path in secrets():
        out += ["--remount-ro", str(path)]
    out += ["--size", str(room), "--tmpfs", "/submission", *font_list(), "--chdir", "/submission"]
    return [*out, "--remount-ro", "/dev", "--remount-ro", "/", "--clearenv", *variables()]


def variables() -> Iterator[str]:
    """The environment as options."""
    for name, value in environment("/submission").items():
        yield from ("--setenv", name, value)


def libraries() -> list[Path]:
    """Python, its libraries and this one: folders outside /usr."""
    places = [sys.prefix, sys.base_prefix, *site.getsitepackages()]
    places += [p for p in sys.path if Path(p).name in ("site-packages", "dist-packages")]
    found = [Path(p) for p in places] + [PACKAGE, shipped_folder()]
    found += [path.resolve() for path in found]
    return sorted({p for p in found if p.is_dir() and not p.is_relative_to("/usr")}, key=lambda p: len(p.parts))


def secrets() -> list[Path]:
    """Folders with right answers, among those that the process would see."""
    roots = {PACKAGE, *(place / "flowmap_edu" for place in libraries())}
    inside = [root / part for root in roots for part in ("course/exercises", "tutorials")]
    return sorted(path for path in inside if path.is_dir())


def font_list() -> list[str]:
    """matplotlib's list of fonts, where there is one: making it takes seconds."""
    try:
        import matplotlib
    except ImportError:
        return []
    cache = Path(matplotlib.get_cachedir())
    found = [
        ("--ro-bind", str(path), f"/submission/.cache/matplotlib/{path.name}") for path in cache.glob("fontlist-*.json")
    ]
    return [word for words in found for word in words]


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for a submission that runs without a sandbox; it is removed with what is in it."""
    return tempfile.TemporaryDirectory(prefix="flowmap-grading-", ignore_cleanup_errors=True)
