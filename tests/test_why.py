"""The script behind docs/why_mean_flow_fails.md: its quick parts, and that the page shows what it prints."""

import importlib.util
import re
import sys
from pathlib import Path

import pytest
import torch

from flowmap_edu import FlowMap, problems

DOCS = Path(__file__).resolve().parent.parent / "docs"


@pytest.fixture(scope="module")
def why():
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("why_mean_flow_fails", DOCS / "why_mean_flow_fails.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.mark.parametrize(
    ("dtype", "unit", "wide", "end"),
    [
        (torch.float16, 255.0, False, 1),
        (torch.float16, 255.0, True, None),
        (torch.bfloat16, 255.0, False, None),
        (torch.float16, 1.0, False, None),
    ],
)
def test_it_is_the_square_that_leaves_the_range_of_float16(why, dtype, unit, wide, end):
    """Data up to 255 fail at the first step; with the loss in float32, in bfloat16 or up to 1 they do not."""
    assert why.meanflow_in(dtype, unit, seed=0, steps=2, wide=wide) == end


def test_the_density_of_a_one_step_map_is_its_determinants(why):
    """For the exact map of a Gaussian the formula is the density at the landing point."""
    gauss = problems.Gaussian(mean=0.4, std=0.3, sigma=0.8)
    X, x0 = FlowMap(gauss.v), gauss.base(50, torch.Generator().manual_seed(0)).double()
    log_p, det = why.log_density(X, x0, gauss)
    assert (det > 0).all()
    assert torch.allclose(log_p, gauss.log_density(1.0, X(0.0, 1.0, x0)), atol=1e-10)


def test_forward_mode_goes_through_attention_by_its_formula(why):
    """Not through the fused kernel of this version of torch: when it does, the page is to be mended."""
    assert (why.attention(fused=True), why.attention(fused=False)) == ("NotImplementedError", "works")


def test_a_range_is_said_with_its_median(why):
    assert why.said([0.3, 0.1, 0.2], 1) == "0.2 [0.1, 0.3]"


def test_the_page_has_a_block_of_what_each_part_prints(why):
    """Five parts, five blocks with numbers."""
    page = (DOCS / "why_mean_flow_fails.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```text\n(.*?)```", page, flags=re.DOTALL)
    assert len(blocks) == len(why.PARTS)
    assert all(len(re.findall(r"\d\.\d", block)) > 3 for block in blocks)
