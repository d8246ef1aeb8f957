"""The Fréchet distance of several processes is that of one, to the bit: they divide the parts, the first gathers them.

torchrun starts two processes (gloo) once, as a user would.
"""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from flowmap_edu import cli
from flowmap_edu.flow_map import FlowMap
from flowmap_edu.metrics.inception import Inception
from flowmap_edu.problems import Emoji
from flowmap_edu.training import distributed, runs

TORCHRUN = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
TRAIN = "train emoji --steps 2 --every 1 --fid-every 1 --fid-images 600"
SMALL = ["batch=16", "shares=2", "compile=false", *(f"net.{k}" for k in ("width=8", "multipliers=[1,2]", "blocks=1"))]
TINY = [f"--set {setting}" for setting in [*SMALL, "net.attention=[16]"]]


class Small(nn.Module):
    """In place of torch-fidelity's network: bytes to six numbers an image; it counts what it has seen."""

    def __init__(self, fails: bool = False):
        super().__init__()
        self.directions = nn.Parameter(torch.randn(3072, 6, generator=torch.Generator().manual_seed(0)))
        self.seen, self.fails = 0, fails

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor]:
        """The features, in a tuple as torch-fidelity gives them."""
        if self.fails:
            raise ValueError(f"process {distributed.rank()} cannot")
        self.seen += len(pixels)
        return (pixels.float().flatten(1) / 5000 @ self.directions,)


def measured(small: Small, spread) -> list[dict]:
    """The rows of a map that moves every image a little."""
    net = Inception(small)
    net.num_features = 6
    X = FlowMap(lambda s, t, x, label: x + label[:, None, None, None] / 10)  # noqa: ARG005
    return Emoji().evaluate(X, [1, 2], n=600, features=net, spread=spread)


def said_by(small: Small) -> str:
    """What a measurement raises."""
    try:
        measured(small, distributed.divided)
    except ValueError as error:
        return str(error)
    return ""


@pytest.fixture(scope="module")
def two(tmp_path_factory) -> tuple[Path, list[dict]]:
    """The folder of a run of two processes, and what both of them found."""
    out = tmp_path_factory.mktemp("two")
    call = [*TORCHRUN, str(Path(__file__).resolve()), str(out)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    environment["FLOWMAP_EDU_CACHE"] = str(out / "cache")
    done = subprocess.run(call, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return out, torch.load(out / "found.pt", weights_only=True)


def test_what_a_training_logs_is_the_distance_that_one_process_finds(two):
    """A row at each step; the last is the saved map's, to the bit."""
    out, _ = two
    logged = [*csv.reader((out / "run" / "fid.csv").read_text().splitlines())]
    assert [row[0] for row in logged] == ["1", "2"]
    (row,) = Emoji().evaluate(runs.load(out / "run"), [1], n=600)
    assert float(logged[1][1]) == row["fid"]


def test_two_processes_compute_half_of_the_parts_each(two, monkeypatch, tmp_path):
    """1,691 training images in 7 parts, 187 held out in one, 600 drawn in 3, twice; then only what is drawn is new."""
    monkeypatch.setenv("FLOWMAP_EDU_CACHE", str(tmp_path))
    small = Small()
    rows = measured(small, map_of_jobs)
    assert small.seen == 1691 + 187 + 2 * 600
    first, second = two[1]
    assert first["rows"] == first["again"] == rows
    assert second["rows"] == second["again"] == []
    assert first["seen"] == [3 * 250 + 191 + 187 + 2 * 350, 2 * 350]
    assert second["seen"] == [3 * 250 + 2 * 250, 2 * 250]


def map_of_jobs(jobs):
    """One process does them all."""
    return [job() for job in jobs]


def test_an_error_in_one_process_stops_both(two):
    assert [found["said"] for found in two[1]] == ["process 1 cannot"] * 2


if __name__ == "__main__":  # one of two processes
    out = Path(sys.argv[1])
    with distributed.process_group(torch.device("cpu")):
        assert distributed.world() == 2
        words = [*TRAIN.split(), *" ".join(TINY).split(), "--out", str(out / "run")]
        assert cli.main(words) == 0
        small = Small()
        found: dict = {"rows": measured(small, distributed.divided), "seen": [small.seen]}
        found["again"] = measured(small, distributed.divided)
        found["seen"].append(small.seen - found["seen"][0])
        found["said"] = said_by(Small(fails=distributed.rank() == 1))
        both = [None, None]
        torch.distributed.all_gather_object(both, found)
        if distributed.rank() == 0:
            torch.save(both, out / "found.pt")
        torch.distributed.barrier()  # no process leaves while another one still talks to it
    sys.stdout.flush()
    os._exit(0)  # the work is done and saved; gloo's threads sometimes abort a process while Python closes
