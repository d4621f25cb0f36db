"""What all tests share: hypothesis without deadlines, no windows, and the browser."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from benchmarks.chromium import MISSING, find_chromium

ROOT = Path(__file__).resolve().parent.parent

# A machine that is busy must not turn a test red.
settings.register_profile("course", deadline=None, print_blob=True)
settings.load_profile("course")

# Several processes that test at once share the machine: each computes with one thread.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

# Figures are drawn in memory, here and in every kernel that a test starts.
os.environ["MPLBACKEND"] = "Agg"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Count every browser test as slow, so that `make test-fast` needs no browser."""
    for item in items:
        if ROOT / "tests" / "browser" in item.path.parents:
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the folder of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def chromium_path() -> Path:
    """Return the installed Chromium; without one the test is left out, or fails when ``CI=true``."""
    found = find_chromium()
    if found is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(MISSING)
    return found
