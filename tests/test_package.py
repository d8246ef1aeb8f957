"""The package as it is installed: the wheel and the sdist hold what is needed, and nothing needs the clone."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import flowmap_edu

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {"ot": "pot", "sklearn": "scikit-learn"}  # modules that have another name than their package
CODE = """
import sys
sys.path.insert(0, {site!r})
import flowmap_edu, torch
assert flowmap_edu.__file__.startswith({site!r}), flowmap_edu.__file__
names = flowmap_edu.shipped()
assert len(names) >= 5, names
for name in names:
    X = flowmap_edu.load(name)
    info = flowmap_edu.training.read_metadata(name)
    label = torch.zeros(3, dtype=torch.int64) if info.classes else None
    assert torch.isfinite(X.sample(info.sigma * torch.randn(3, *info.shape), 2, label=label)).all()
x = torch.randn(64, 2)
problem = flowmap_edu.FromTensor(x)
settings = flowmap_edu.Training(steps=2, batch=16)
*_, state = flowmap_edu.fit(problem, problem.network(), flowmap_edu.METHODS["lsd"], settings)
from flowmap_edu.problems import Emoji
assert len(Emoji().data()) == 1691
print("ok")
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Path:
    """A folder with the wheel and the sdist, built by the project's own build backend."""
    out = tmp_path_factory.mktemp("dist")
    call = [sys.executable, "-m", "hatchling", "build", "-d", str(out)]
    subprocess.run(call, cwd=ROOT, check=True, capture_output=True)
    return out


def test_the_wheel_works_without_the_clone(built, tmp_path):
    """Unpacked elsewhere it loads every shipped map, trains, and reads the shipped emoji; it says that it is typed."""
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
        names = archive.namelist()
    assert "flowmap_edu/py.typed" in names
    assert {"flowmap_edu/viz/static/flow.js", "flowmap_edu/viz/static/figure.html"} <= set(names)
    assert "flowmap_edu/_cli/lab/labconfig/default_setting_overrides.json" in names
    assert not [name for name in names if name.endswith((".pt", ".pkl")) or name.startswith(("tests/", "tutorials/"))]
    code = CODE.format(site=str(tmp_path / "site"))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "ok"
    assert wheel.stat().st_size < 12_000_000


def test_the_sdist_holds_what_a_wheel_is_made_of(built, tmp_path):
    """A wheel that is built from the unpacked sdist has the same files as the one from the clone."""
    (sdist,), (wheel,) = built.glob("*.tar.gz"), built.glob("*.whl")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.iterdir()
    again = tmp_path / "again"
    call = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(again)]
    subprocess.run(call, cwd=folder, check=True, capture_output=True)
    (other,) = again.glob("*.whl")
    names = [sorted(zipfile.ZipFile(path).namelist()) for path in (wheel, other)]
    assert names[0] == names[1]
    for needed in ("tutorials/00_start_here.ipynb", "tests/laws.py", "docs/extending.md", "LICENSE", "README.md"):
        assert (folder / needed).is_file(), needed


def test_the_ways_to_install_name_the_same_extras():
    """conda's and make's are the same, README's are these without the tests' tools; pyproject.toml knows them all.

    Whatever the library imports of an extra is brought by a package of that extra.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    table = project["optional-dependencies"]
    conda, make, readme = (
        re.search(r"\.\[([a-z,]+)\]", (ROOT / name).read_text(encoding="utf-8"))[1].split(",")
        for name in ("environment.yml", "Makefile", "README.md")
    )
    assert conda == make == [*readme, "dev"]
    assert set(conda) < set(table)
    asked = set()
    for path in (ROOT / "flowmap_edu").rglob("*.py"):
        asked.update(re.findall(r'\bextra\("(\w+)[\w.]*", "(\w+)"', path.read_text(encoding="utf-8")))
    assert ("mlxtend", "images") in asked
    for module, extra in asked - {("IPython", "notebooks"), ("traitlets", "notebooks")}:  # ipywidgets brings these
        brought = {re.split("[>=\\[]", each)[0].lower() for each in table[extra] + project["dependencies"]}
        assert PACKAGES.get(module, module.replace("_", "-")) in brought, (module, extra)


def test_the_version_stands_in_one_place_and_its_copies_agree():
    """CITATION.cff and the changelog's first heading name the version of _version.py, or the one that it leads to."""
    version = flowmap_edu.__version__.partition(".dev")[0]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {version}\n" in citation
    first = next(line for line in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines() if line[:3] == "## ")
    assert first.split()[1] == version
