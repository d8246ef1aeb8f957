"""The pages of docs/: every Python block runs, top to bottom, in one namespace."""

import re
from pathlib import Path

import pytest
import torch

DOCS = Path(__file__).resolve().parent.parent / "docs"


@pytest.mark.parametrize("page", ["extending.md"])
def test_the_blocks_of_a_page_run(page, tmp_path, monkeypatch, capsys):
    """Each block of a page runs as a reader would paste it; what it prints is finite numbers."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) >= 5
    namespace: dict = {"__name__": "a_reader"}
    for block in blocks:
        exec(compile(block, page, "exec"), namespace)
    assert (tmp_path / "runs" / "ring" / "map.safetensors").is_file()
    assert "nan" not in capsys.readouterr().out
    assert torch.isfinite(namespace["X"].sample(namespace["problem"].base(5), 3)).all()
