"""Seeded weights and inputs, and a card to write and read."""

from collections.abc import Iterator

import pytest

from course_lib.architectures import ModelCard
from course_lib.reproducibility import seeded_torch


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Draw the same weights and inputs at every call."""
    with seeded_torch(0):
        yield


@pytest.fixture
def tiny_card() -> ModelCard:
    return ModelCard(
        name="tiny",
        params=9_000,
        macs=1_200_000,
        correct=8_953,
        total=10_000,
        accuracy=0.8953,
        accuracy_low=0.8891,
        accuracy_high=0.9012,
        validation_accuracy=0.9,
        command="python -m course_lib.pipelines.zoo --only tiny",
        seed=1,
        config={"epochs": 3, "seed": 1, "augmentation": {"flip": True}},
        versions={"device": "CPU", "torch": "2.13.0"},
        sha256="ab" * 32,
        size_bytes=40_000,
    )
