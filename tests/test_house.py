"""The house's own laws, read from its source: which way imports run, how long a file is, what shows under tab.

Each law is a function of the sources, so that a broken one can be shown to be seen.
"""

import ast
import graphlib
import importlib
import inspect
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

import flowmap_edu

HERE = Path(flowmap_edu.__file__).resolve().parent
TESTS = Path(__file__).resolve().parent
LONGEST = 275  # "about 250" lines

FLOORS = (
    "flow_map interpolant losses times methods sample lookahead likelihood divergence nets"
    " _batch _method _weights _checks _numbers _precision _product _reference _shipped _threads _version",
    "metrics",
    "problems steering",
    "training",
    "recipes",
    "viz course bench",
    "cli _cli",
)
FLOOR = {f"flowmap_edu.{place}": k for k, places in enumerate(FLOORS) for place in places.split()}
FLOOR |= {"flowmap_edu": len(FLOORS)}  # the roof: it imports everything, so nothing below may import it

EXTRAS = "matplotlib PIL scipy sklearn tqdm pytorch_optimizer torchmetrics torchvision ipywidgets anywidget pandas ot"
PACKAGES = [
    "flowmap_edu",
    *(f"flowmap_edu.{k}" for k in ("problems", "nets", "metrics", "losses", "methods", "viz", "course")),
]
MORE = ["flowmap_edu.flow_map", "flowmap_edu.interpolant", "flowmap_edu.times", "flowmap_edu.sample"]
DOCUMENTED = [
    *PACKAGES,
    *MORE,
    "flowmap_edu.training",
    "flowmap_edu.recipes",
    "flowmap_edu.steering",
    "flowmap_edu.likelihood",
    "flowmap_edu.divergence",
]
TABLES_THAT_ARE_NOT_OURS = ("sys.modules", "os.environ")


def sources() -> dict[str, str]:
    """The text of every module of the package, by the module's name."""
    found = {}
    for path in sorted(HERE.rglob("*.py")):
        parts = path.relative_to(HERE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return found


SOURCES = sources()


class Import(NamedTuple):
    """One module that another one names in an import, and whether for the types alone."""

    module: str
    for_types: bool


def imports_of(module: str, text: str) -> Iterator[Import]:
    """The package's modules that a module imports, at its top, inside a function or under TYPE_CHECKING."""

    def visit(node: ast.AST, for_types: bool) -> Iterator[Import]:
        if isinstance(node, ast.If) and ast.unparse(node.test).split(".")[-1] == "TYPE_CHECKING":
            for child in node.body:
                yield from visit(child, True)
            for child in node.orelse:
                yield from visit(child, for_types)
            return
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: imports are written in full, not relative to a folder"
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in SOURCES else str(node.module) for name in inner]
        else:
            names = []
            for child in ast.iter_child_nodes(node):
                yield from visit(child, for_types)
        yield from (Import(name, for_types) for name in names if name.split(".")[0] == "flowmap_edu")

    yield from visit(ast.parse(text), False)


def floor(module: str) -> int:
    """The floor of a module, that of its folder."""
    place = ".".join(module.split(".")[:2])
    assert place in FLOOR, f"{module} has no floor: give {place} one in tests/test_house.py and in CONTRIBUTING.md"
    return FLOOR[place]


def upward(texts: dict[str, str]) -> list[str]:
    """Every import that goes to a higher floor."""
    return [
        f"{module} (floor {floor(module)}) imports {found.module} (floor {floor(found.module)})"
        for module, text in texts.items()
        if module != "flowmap_edu"
        for found in imports_of(module, text)
        if floor(found.module) > floor(module)
    ]


def circle(texts: dict[str, str]) -> list[str]:
    """Modules that import each other in a circle, or []. What is imported for its types alone never runs.

    An import from another folder runs that folder's __init__ as well.
    """
    graph: dict[str, set[str]] = {}
    for module, text in texts.items():
        found = {i.module for i in imports_of(module, text) if not i.for_types}
        folders = {name.rpartition(".")[0] for name in found} - {"flowmap_edu", ""}
        graph[module] = found | {folder for folder in folders if not f"{module}.".startswith(f"{folder}.")}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return []


# --- imports ---------------------------------------------------------------------------------------


def test_imports_run_one_way():
    """A file imports from its own floor and from lower ones alone; inside functions and for types too."""
    assert not upward(SOURCES)


def test_no_module_imports_itself_round_a_circle():
    assert not circle(SOURCES)


@pytest.mark.parametrize(
    ("module", "line", "seen"),
    [
        (
            "metrics.errors",
            "from flowmap_edu.training import fit",
            r"errors \(floor 1\) imports .*training \(floor 3\)",
        ),
        ("losses", "def f():\n    from flowmap_edu.problems import Gaussian", r"losses \(floor 0\) imports .*problems"),
        (
            "sample",
            "if TYPE_CHECKING:\n    from flowmap_edu import viz",
            r"sample \(floor 0\) imports .*viz \(floor 5\)",
        ),
        ("training.loop", "import flowmap_edu.viz.plots as plots", r"loop \(floor 3\) imports flowmap_edu.viz.plots"),
        ("recipes", "from flowmap_edu import load", r"recipes \(floor 4\) imports flowmap_edu \(floor 7\)"),
        ("viz.live", "import flowmap_edu._cli.words", r"live \(floor 5\) imports flowmap_edu._cli.words \(floor 6\)"),
    ],
)
def test_an_import_that_goes_up_is_seen(module, line, seen):
    """Each put into a real module's source in memory."""
    module = f"flowmap_edu.{module}"
    found = upward(SOURCES | {module: f"{SOURCES[module]}\n{line}\n"})
    assert len(found) == 1
    assert re.search(seen, found[0])


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("interpolant", "from flowmap_edu.flow_map import FlowMap"),
        ("times", "def f():\n    from flowmap_edu import methods"),
        ("training.state", "from flowmap_edu.training import Training"),
        ("problems.problem", "import flowmap_edu.problems.gaussian"),
        ("_reference", "from flowmap_edu import nets"),
    ],
)
def test_a_circle_is_seen(module, line):
    module = f"flowmap_edu.{module}"
    assert module in circle(SOURCES | {module: f"{SOURCES[module]}\n{line}\n"})


# --- files and names -------------------------------------------------------------------------------


def test_no_file_is_long():
    """One idea a file: about 250 lines at most."""
    lengths = {module: len(text.splitlines()) for module, text in SOURCES.items()}
    assert {module: n for module, n in lengths.items() if n > LONGEST} == {}


def branches_on_kind(text: str) -> list[str]:
    """Calls isinstance(..., UNet), and the name `pictures`, wherever it is said."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
            kinds = {ast.unparse(kind).split(".")[-1] for kind in ast.walk(node.args[1]) if hasattr(kind, "ctx")}
            found += [ast.unparse(node)] * ("UNet" in kinds)
        said = (getattr(node, field, None) for field in ("id", "attr", "arg", "name", "asname"))
        found += [f"line {getattr(node, 'lineno', '?')}: pictures" for name in said if name == "pictures"]
    return found


def test_nothing_branches_on_the_kind_of_data():
    """No network or problem is asked whether it is one of images: an object answers for itself."""
    assert {module: found for module, text in SOURCES.items() if (found := branches_on_kind(text))} == {}


@pytest.mark.parametrize(
    "line",
    [
        "isinstance(net, UNet)",
        "isinstance(net, (MLP, nets.UNet))",
        "isinstance(net, MLP | UNet)",
        "problem.pictures",
        "pictures = 3",
        "def f(pictures): ...",
        "f(pictures=True)",
        "def pictures(): ...",
        "from a import pictures",
    ],
)
def test_a_branch_on_the_kind_of_data_is_seen(line):
    assert branches_on_kind(line)
    assert not branches_on_kind(line.replace("UNet", "Module").replace("pictures", "images"))


def patched_tables(text: str) -> list[str]:
    """Where a test changes a table of the library: by monkeypatch, by an item or by a method of dict."""
    found = []
    for node in ast.walk(ast.parse(text)):
        table = None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of, what = node.func.value, node.func.attr
            if what in ("setitem", "delitem"):
                table = ast.unparse(node.args[0])
            elif what in ("update", "pop", "popitem", "setdefault", "clear") or ast.unparse(node.func) == "patch.dict":
                of = node.args[0] if what == "dict" else of
                table = ast.unparse(of) if ast.unparse(of).split(".")[-1].isupper() else None
        elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            table = ast.unparse(node.value) if ast.unparse(node.value).split(".")[-1].isupper() else None
        if table is not None and table not in TABLES_THAT_ARE_NOT_OURS:
            found.append(ast.unparse(node))
    return found


def test_no_test_changes_a_table_of_the_library():
    """A method, a recipe or a sampler of one's own is an object that is handed over."""
    texts = {path.name: path.read_text(encoding="utf-8") for path in sorted(TESTS.rglob("*.py"))}
    assert {name: found for name, text in texts.items() if (found := patched_tables(text))} == {}


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        ('monkeypatch.setitem(methods.METHODS, "mine", mine)', True),
        ('monkeypatch.delitem(RECIPES, "digits")', True),
        ('methods.METHODS["mine"] = mine', True),
        ('del RECIPES["digits"]', True),
        ("sample.SAMPLERS.update(heun=heun)", True),
        ('patch.dict(METHODS, {"mine": mine})', True),
        ("monkeypatch.setitem(sys.modules, 'scipy', None)", False),
        ("monkeypatch.setitem(os.environ, 'HOME', here)", False),
        ("found['lsd'] = METHODS['lsd']", False),
        ("settings.update(lr=1.0)", False),
    ],
)
def test_a_changed_table_is_seen(line, seen):
    assert bool(patched_tables(line)) == seen


# --- what a user meets -----------------------------------------------------------------------------

CHILD = """
import json, sys, warnings
warnings.simplefilter("ignore")
sys.modules.update(dict.fromkeys({extras!r}))
import torch, numpy, safetensors.torch
before = {{name.partition(".")[0] for name in sys.modules}}
import flowmap_edu
new = {{name.partition(".")[0] for name in sys.modules}} - before - set(sys.stdlib_module_names)
shown = {{"flowmap_edu": dir(flowmap_edu)}}
for name in flowmap_edu.__all__:
    if name != "viz":
        thing = getattr(flowmap_edu, name)
        if type(thing) is type(sys):
            shown[thing.__name__] = dir(thing)
x = flowmap_edu.load("checkerboard-lsd").sample(torch.randn(4, 2), steps=2)
problem = flowmap_edu.FromTensor(torch.randn(400, 2))
training = flowmap_edu.Training(steps=2, batch=16)
*_, state = flowmap_edu.fit(problem, problem.network(), flowmap_edu.METHODS["lsd"], training)
finite = bool(torch.isfinite(x).all() and torch.isfinite(state.X.sample(problem.base(4), steps=1)).all())
print(json.dumps({{"new": sorted(new), "shown": shown, "finite": finite}}))
"""


@pytest.fixture(scope="module")
def child() -> dict:
    """What a fresh process reports that imports the library without any of its extras, trains and samples."""
    words = [sys.executable, "-c", CHILD.format(extras=EXTRAS.split())]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_torch_numpy_and_safetensors_are_enough(child):
    """Without any extra the library is imported, draws from a shipped map and trains; it brings no other module."""
    assert child["new"] == ["flowmap_edu"]
    assert child["finite"]


def test_only_public_names_show_under_tab(child):
    """dir() of the library and of its packages is their __all__, and every name in it is there."""
    for name in PACKAGES:
        module = importlib.import_module(name)
        wanted = sorted(module.__all__)
        assert dir(module) == wanted, name
        assert child["shown"].get(name, wanted) == wanted, name
        assert len(set(wanted)) == len(wanted), name
    assert set(child["shown"]) == set(PACKAGES) - {"flowmap_edu.viz"}


def docstring(module: str, name: str) -> str | None:
    """The docstring of a public name, None for a constant; a module's is read without importing it."""
    if f"{module}.{name}" in SOURCES and not callable(vars(importlib.import_module(module)).get(name)):
        return ast.get_docstring(ast.parse(SOURCES[f"{module}.{name}"])) or ""
    thing = getattr(importlib.import_module(module), name)
    if isinstance(thing, ModuleType):
        return thing.__doc__ or ""
    if not (inspect.isclass(thing) or inspect.isroutine(thing)):
        return None
    doc = inspect.cleandoc(thing.__doc__ or "")
    return "" if doc.startswith(f"{name}(") else doc  # what dataclass and NamedTuple write is no sentence


def is_a_sentence(doc: str) -> bool:
    """Whether a docstring begins with two words or more up to a full stop, or up to the colon before a formula."""
    head = re.split(r"(?:^|\n)\s*(?:Args|Attributes|Returns|Raises|Yields):", doc)[0]
    return re.match(r"\W*\w+\W+\w.*?[.:](\s|$)", head, re.DOTALL) is not None


@pytest.mark.parametrize("module", DOCUMENTED)
def test_every_public_name_says_what_it_is(module):
    """Every public class, function and module has a docstring of a sentence at least."""
    docs = {name: docstring(module, name) for name in importlib.import_module(module).__all__}
    assert [name for name, doc in docs.items() if doc is not None and not is_a_sentence(doc)] == []


def test_a_missing_sentence_is_seen(monkeypatch):
    """No text, a single word, a list of arguments; and what Python writes for a dataclass without a docstring."""
    assert not any(is_a_sentence(doc) for doc in ("", "Jumps.", "s, t, x", "Args:\n    s: the time."))
    assert is_a_sentence("The path: I_t = x.")
    assert docstring("flowmap_edu.methods", "METHODS") is None
    assert is_a_sentence(docstring("flowmap_edu.methods", "Method") or "")
    monkeypatch.setattr(flowmap_edu.Method, "__doc__", "Method(title: str, condition: str)")
    assert docstring("flowmap_edu.methods", "Method") == ""
