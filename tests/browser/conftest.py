"""A private JupyterLab on the loopback, and a Chromium under Playwright to look at it.

`make test-browser` runs this folder; plain pytest leaves it out. Pictures of every page go to runs/browser.
"""

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent
SHOTS = REPOSITORY / "runs" / "browser"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"]
FLAGS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
PATIENCE = 30  # seconds, for whatever the browser or the server has to do
WIDGET = re.compile(
    r"\bwidgets\.(step_slider|time_explorer|trajectory_player|loss_explorer|triangle)\(|\blive\.checkerboard\("
)
MISSING_BROWSER = "no chromium is on the path: apt-get install chromium"
MISSING_DRIVER = "playwright is missing: pip install 'flowmap-edu[browser]'"


def missing() -> str:
    """What these tests need and is not there, or nothing."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return MISSING_DRIVER
    return "" if shutil.which("chromium") else MISSING_BROWSER


def pytest_configure():
    if missing():
        pytest.exit(f"the browser tests cannot run: {missing()}", returncode=2)


@dataclass
class Lab:
    """A running JupyterLab: where it is, the folder it shows, its settings."""

    url: str
    token: str
    root: Path
    settings: Path

    def ask(self, path: str, method: str = "GET"):
        request = urllib.request.Request(f"{self.url}{path}?token={self.token}", method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or "null")

    def sessions(self, path: str) -> list[dict]:
        return [session for session in self.ask("/api/sessions") if session["path"] == path]

    def stop(self, path: str) -> None:
        """End a notebook's kernel."""
        for session in self.sessions(path):
            self.ask(f"/api/sessions/{session['id']}", "DELETE")

    def setting(self, plugin: str, values: dict | None) -> None:
        """Override the settings of "extension:plugin", or with None undo that."""
        extension, name = plugin.split(":")
        file = self.settings / extension / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        if values is None:
            file.unlink()
        else:
            file.write_text(json.dumps(values))


def emptied(source: Path, target: Path) -> None:
    """A copy without outputs, so that a number at a cell means: it ran; and without the code after the last figure.

    That all cells run is nbval's part in `make test`, and most of the trainings come after.
    """
    notebook = nbformat.read(source, as_version=4)
    notebook.metadata.pop("widgets", None)
    last = max((k for k, cell in enumerate(notebook.cells) if WIDGET.search(cell.source)), default=-1)
    notebook.cells = [cell for k, cell in enumerate(notebook.cells) if k <= last or cell.cell_type != "code"]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, target)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """JupyterLab with settings, workspaces and notebooks of its own; its kernels train briefly."""
    tmp = tmp_path_factory.mktemp("lab")
    root = tmp / "root"
    (root / "tutorials").mkdir(parents=True)
    for source in (REPOSITORY / "tutorials").glob("*.ipynb"):
        emptied(source, root / "tutorials" / source.name)
    running = Lab(f"http://127.0.0.1:{free_port()}", secrets.token_hex(16), root, tmp / "settings")
    quiet = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
    running.setting("@jupyterlab/apputils-extension:notification", quiet)
    running.setting("@jupyterlab/notebook-extension:tracker", {"windowingMode": "none"})  # every cell is on the page
    folders = {"CONFIG_DIR": "config", "DATA_DIR": "data", "RUNTIME_DIR": "runtime"}
    env = os.environ | {f"JUPYTER_{name}": str(tmp / folder) for name, folder in folders.items()}
    env |= {"JUPYTERLAB_SETTINGS_DIR": str(running.settings), "JUPYTERLAB_WORKSPACES_DIR": str(tmp / "workspaces")}
    env |= {"IPYTHONDIR": str(tmp / "ipython"), "FLOWMAP_EDU_QUICK": "1", "OMP_NUM_THREADS": "1"}
    words = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1"]
    words += [f"--port={running.url.rsplit(':', 1)[1]}", "--ServerApp.port_retries=0"]
    words += [f"--IdentityProvider.token={running.token}", f"--ServerApp.root_dir={root}", "--LabApp.news_url=None"]
    words += ["--LabApp.extension_manager=readonly", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    log = tmp / "lab.log"
    with log.open("w") as out:
        process = subprocess.Popen(words, env=env, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError):
            running.ask("/api")
            break
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.2)
    yield running
    process.terminate()  # the server shuts its kernels down
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()


@pytest.fixture(scope="session")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), headless=True, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Watch:
    """A browser's page, and what went wrong on it."""

    page: object
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def shot(self, name: str, element=None) -> None:
        """Keep a picture of the window, or of one element."""
        SHOTS.mkdir(parents=True, exist_ok=True)
        (element or self.page).screenshot(path=SHOTS / f"{name}.png")


def watched(context) -> Watch:
    page = context.new_page()
    page.set_default_timeout(1000 * PATIENCE)
    watch = Watch(page)
    page.on("console", lambda message: watch.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: watch.errors.append(str(error)))
    page.on("request", lambda request: watch.requests.append(request.url))
    return watch


@pytest.fixture
def watch(chromium):
    """A window of its own; nothing may end up on its console's list of errors."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1000})
    yield watched(context)
    context.close()


@pytest.fixture
def offline(chromium):
    """The same without network."""
    context = chromium.new_context(viewport={"width": 1000, "height": 900})
    context.set_offline(True)
    yield watched(context)
    context.close()
