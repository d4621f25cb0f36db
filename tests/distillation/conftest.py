"""A teacher that is trained once, and pictures."""

import pytest

from course_lib.training import Examples
from tests.distillation.small_nets import SmallNet, small_examples, trained_teacher


@pytest.fixture(scope="session")
def trained() -> SmallNet:
    """Return the teacher of all tests, which none may change."""
    return trained_teacher()


@pytest.fixture
def train() -> Examples:
    """Return 48 pictures of 3 classes."""
    return small_examples()


@pytest.fixture
def validation() -> Examples:
    """Return 60 others."""
    return small_examples(60, seed=1)
