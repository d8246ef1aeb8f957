"""The pages' numbers of a GPU are those of the measurement that is kept beside them."""

from pathlib import Path

import pytest

from flowmap_edu.bench import gpu_report
from flowmap_edu.bench.gpu_parts import PRECISIONS
from flowmap_edu.recipes import RECIPES

PAGE = Path(__file__).resolve().parent.parent / "tutorials" / "scaling.md"


def test_the_page_has_the_measured_numbers():
    text = PAGE.read_text(encoding="utf-8")
    assert gpu_report.written(text) == text
    assert gpu_report.measured("machine")[0]["card"] in text


def test_hours_are_steps_times_milliseconds():
    row = gpu_report.fastest("cifar10")
    assert row["ms"] == min(r["ms"] for r in gpu_report.measured("step", recipe="cifar10"))
    assert gpu_report.hours(row) == pytest.approx(400_000 * row["ms"] / 1000 / 3600)
    for name in gpu_report.NAMES:
        for row in gpu_report.measured("step", recipe=name):
            assert row["batch"] == RECIPES[name].training.batch
            assert row.get("fits", row["batch"]) >= row["batch"] // row["parts"]


def test_the_recipes_compute_as_the_pages_say():
    """TF32 with channels last in all three; the errors are ordered: float32, TF32, bfloat16, and derivatives in it."""
    for name in gpu_report.NAMES:
        training = RECIPES[name].training
        assert (training.tf32, training.channels_last, training.precision) == (True, True, "fp32")
    errors = {row["precision"]: row for row in gpu_report.measured("error")}
    assert list(errors) == list(PRECISIONS)
    assert errors["fp32"]["value"] < 1e-5 < errors["tf32"]["value"] < 2e-3 < errors["bf16"]["value"] < 0.02
    assert errors["bf16"]["derivative"] == errors["fp32"]["derivative"]
    assert errors["bf16"]["derivative in bf16"] > 10 * errors["tf32"]["derivative"]
