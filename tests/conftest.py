"""Settings of the whole test set: one thread, repeatable draws, float64 where a test asks for it."""

import pytest
import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("repeatable", deadline=None, derandomize=True, max_examples=20)
settings.load_profile("repeatable")


@pytest.fixture(autouse=True)
def _seeded():
    """Every test starts from the same random state and leaves no trace in it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


@pytest.fixture
def float64():
    """New tensors are float64 while the test runs."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)
