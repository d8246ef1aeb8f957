"""Run a submission's cells and give back what its answers are; started as a script, in a process of its own.

On standard input comes a request, one JSON. On standard output go lines of JSON: the step that begins, what a step
raised, what a part's answer gave. There is nothing secret here: no right answer, no grade. A submission that writes
such lines itself only says what its answers are.
"""

import builtins
import importlib.util
import json
import linecache
import os
import random
import re
import sys
import types
from pathlib import Path
from typing import Any, TextIO

HERE = Path(__file__).resolve().parent


def neighbour(name: str) -> Any:
    """A file of this folder as a module, without the package around it, which would import torch."""
    spec = importlib.util.spec_from_file_location(f"flowmap_grading_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Runner:
    """The namespace of a notebook, and the way back to the grader."""

    def __init__(self, out: TextIO, wire: Any):
        self.out, self.wire = out, wire
        module = types.ModuleType("__main__")
        module.__dict__["__builtins__"] = builtins
        module.__dict__["display"] = lambda *_, **__: None
        sys.modules["__main__"] = module
        self.names: dict[str, Any] = module.__dict__
        self.seeded = False

    def send(self, **content: Any) -> None:
        """Write one line."""
        self.out.write(json.dumps(content) + "\n")
        self.out.flush()

    def seed(self) -> None:
        """Fix NumPy's random numbers as soon as it is there: a grade is the same twice."""
        numpy = sys.modules.get("numpy")
        if numpy is not None and not self.seeded and hasattr(numpy, "random"):
            numpy.random.seed(0)
            self.seeded = True

    def cell(self, number: int, text: str) -> None:
        """Run a cell; say what it raised."""
        name = f"<cell {number}>"
        try:
            code = compiled(text, name)
            if code is not None:
                exec(code, self.names)
        except BaseException as error:  # SystemExit and KeyboardInterrupt too: a notebook goes on
            self.send(note=f"Code cell {number} {said(error, name)}")

    def part(self, number: int, step: dict[str, Any]) -> None:
        """Give back what the answer of a part gives, on each case or as it is."""
        try:
            self.send(part=step["part"], **self.asked(number, step))
        except NameError as error:
            self.send(part=step["part"], wrong=f"It is not written yet: {error}.")
        except BaseException as error:
            self.send(part=step["part"], wrong=f"It {said(error, '<part>')}")

    def asked(self, number: int, step: dict[str, Any]) -> dict[str, Any]:
        """The value of an answer, or the outcomes of a function."""
        answer = eval(step["answer"], self.names)
        if step["cases"] is None or not callable(answer):
            return {"value": self.wire.encode(answer)}
        self.send(loading=True)
        from flowmap_edu.course.grading import answering

        self.send(step=number)
        return {"outcomes": answering.outcomes(answer, step["cases"], step["gradients"])}


def compiled(text: str, name: str) -> types.CodeType | None:
    """A cell's code; lines for IPython alone are left out, and so is a cell that begins with %%."""
    if text.lstrip().startswith("%%"):
        return None
    try:
        code = compile(text, name, "exec")
    except SyntaxError:
        text = re.sub(r"^(\s*)(?:[%!].*|[\w.]+\?+)$", r"\1pass", text, flags=re.MULTILINE)
        code = compile(text, name, "exec")
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    return code


def said(error: BaseException, name: str) -> str:
    """What an error says, in one line, with the line of the cell that raised it."""
    if isinstance(error, SystemExit):
        return "calls sys.exit: the rest of the cell is left out."
    line = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == name:
            line = trace.tb_lineno
        trace = trace.tb_next
    where = f" in line {line}" if line else ""
    try:
        words = " ".join(str(error).split())[:300]
    except BaseException:
        words = ""
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"imports the package {error.name[:60]}, which is not installed where submissions are graded."
    return f"raises {type(error).__name__}{where}{': ' if words else ''}{words}"


def main() -> None:
    """Read the request, give up what is not needed, run the steps."""
    request = json.load(sys.stdin.buffer)
    out = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what is printed goes where the grader does not look for answers
    limits, wire = neighbour("limits"), neighbour("wire")
    why = limits.no_processes()
    missing = ([why] if why else []) + limits.limit(request["limits"], processes=why is not None)
    random.seed(0)
    runner = Runner(out, wire)
    runner.send(missing=missing)
    for number, step in enumerate(request["steps"], 1):
        if number in request["skip"]:
            continue
        runner.send(step=number)
        runner.seed()
        if "part" in step:
            runner.part(number, step)
        else:
            runner.cell(step["cell"], step["text"])
    runner.send(done=True)
    os._exit(0)


if __name__ == "__main__":
    main()
