"""Nothing is asked of a machine that Windows and macOS do not have."""

import ast
import ctypes
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

import flowmap_edu
from flowmap_edu.bench import memory
from flowmap_edu.training import loop
from flowmap_edu.training.distributed import device_of

HERE = Path(flowmap_edu.__file__).resolve().parent
SOURCES = {str(path.relative_to(HERE)): path.read_text(encoding="utf-8") for path in sorted(HERE.rglob("*.py"))}
POSIX = ("resource", "fcntl", "pwd", "grp", "termios", "tty", "pty", "syslog", "readline")

CHILD = """
import importlib, pkgutil, sys, warnings
warnings.simplefilter("ignore")
import torch, numpy, safetensors.torch, matplotlib.pyplot, tqdm, anywidget, ipywidgets, sklearn.datasets
sys.modules.update(dict.fromkeys({names!r}))
import flowmap_edu
names = [m.name for m in pkgutil.walk_packages(flowmap_edu.__path__, "flowmap_edu.")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def test_every_module_is_imported_without_posix():
    """With the modules hidden that Windows has not."""
    words = [sys.executable, "-c", CHILD.format(names=POSIX)]
    done = subprocess.run(words, cwd=HERE.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= len(SOURCES) - 1


def calls(text: str) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]


def without_encoding(text: str) -> list[str]:
    """Calls that read or write text in an encoding that the machine chooses."""
    found = []
    for call in calls(text):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else ast.unparse(call.func)
        if name not in ("open", "read_text", "write_text", "fdopen") or any(k.arg == "encoding" for k in call.keywords):
            continue
        mode = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        of = ast.unparse(call.func).split(".")[0]
        if of in ("tarfile", "pillow", "os", "super()") or (name == "open" and any("b" in m for m in mode[-1:])):
            continue
        found.append(ast.unparse(call))
    return found


def test_text_is_utf8_whatever_the_machine_says():
    assert {name: found for name, text in SOURCES.items() if (found := without_encoding(text))} == {}
    assert without_encoding("path.read_text()\nopen(p)\npath.open('a')\npath.write_text('x')") != []
    assert len(without_encoding("path.read_text()\nopen(p)\npath.open('a')\npath.write_text('x')")) == 4
    assert not without_encoding("path.open('wb')\nopen(p, encoding='utf-8')\npath.read_bytes()")


def programs(text: str) -> list[str]:
    """The first word of every list that begins a process, or the name of the variable that holds the list."""
    found, lists = [], {}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List) and node.value.elts:
            lists[ast.unparse(node.targets[0])] = ast.unparse(node.value.elts[0])
    for call in calls(text):
        if ast.unparse(call.func) in (
            "subprocess.run",
            "subprocess.Popen",
            "subprocess.call",
            "subprocess.check_output",
        ):
            first = call.args[0]
            word = ast.unparse(first.elts[0]) if isinstance(first, ast.List) else lists.get(ast.unparse(first), "")
            found.append(word or ast.unparse(first))
        assert ast.unparse(call.func) not in ("os.system", "os.popen", "os.fork", "os.execv"), ast.unparse(call)
    return found


def test_every_process_is_python_itself():
    """No name of a program is looked up: what is started is sys.executable, and the sandbox where there is one."""
    found = {name: words for name, text in SOURCES.items() if (words := programs(text))}
    words = {word for names in found.values() for word in names}
    assert set(found) >= {"_cli/demo.py", "bench/comparison.py"}
    # `words` of demo.lab is tested in test_command_line; bubblewrap is looked up, on Linux alone (test_grading)
    assert found.pop("course/grading/sandbox.py") == ["program"]
    assert words - {"program"} <= {"sys.executable", "words"}, found
    assert programs("subprocess.run(['python', 'x'])") == ["'python'"]


def test_memory_from_windows_own_library():
    """The largest working set that K32GetProcessMemoryInfo writes; an error where it refuses."""

    class Function:
        def __init__(self, answer):
            self.answer = answer

        def __call__(self, *words):
            return self.answer(*words)

    def fill(process, pointer, size):
        counters = pointer._obj
        assert (process, size) == (7, ctypes.sizeof(memory.Counters))
        counters.PeakWorkingSetSize = 123_456_789
        return 1

    class Kernel:
        GetCurrentProcess = Function(lambda: 7)
        K32GetProcessMemoryInfo = Function(fill)

    assert ctypes.sizeof(memory.Counters) == 8 + 8 * ctypes.sizeof(ctypes.c_size_t)
    assert memory.of_windows(Kernel) == 123_456_789
    Kernel.K32GetProcessMemoryInfo = Function(lambda *_: 0)
    with pytest.raises(OSError, match="Windows does not say"):
        memory.of_windows(Kernel)


def test_peak_memory_grows_with_what_is_held():
    before = memory.peak_bytes()
    held = torch.ones(before // 4)
    assert memory.peak_bytes() > before + held.nbytes / 2


@pytest.mark.parametrize("name", ["mps", "mps:0"])
def test_mps_is_refused_with_the_reason(name):
    with pytest.raises(
        ValueError, match=r"is refused: forward-mode derivatives are untested on it, and it has no float64"
    ):
        device_of(name)


def test_compile_that_refuses_when_it_is_called(monkeypatch):
    """As on a Python that torch does not compile for yet: training goes on, and says so once."""

    def refuse(*_, **__):
        raise RuntimeError("torch.compile is not supported on Python 3.99")

    monkeypatch.setattr(torch, "compile", refuse)
    double = loop.compiled(lambda x: 2 * x)
    with pytest.warns(UserWarning, match=r"goes on without it, slower: torch.compile is not supported on Python 3.99"):
        assert double(torch.ones(1)).item() == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert double(torch.ones(1)).item() == 2


def test_torch_s_warnings_of_itself_do_not_reach_the_user():
    """Derivatives and a training in a fresh process, with every warning an error."""
    code = """
import torch, flowmap_edu
x = torch.randn(8, 2)
flowmap_edu.load("checkerboard-lsd").partial_t(0.0, 0.7, x)
p = flowmap_edu.FromTensor(torch.randn(100, 2))
list(flowmap_edu.fit(p, p.network(), flowmap_edu.METHODS["lsd"], flowmap_edu.Training(steps=2, batch=16)))
"""
    words = [sys.executable, "-W", "error::FutureWarning", "-c", code]
    done = subprocess.run(words, cwd=HERE.parent, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
