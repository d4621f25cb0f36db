"""Seeded weights and inputs, a card to write and read, and torchvision as an oracle."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import nn

from course_lib.architectures import ModelCard
from course_lib.benchmarking.macs import profile_layers
from course_lib.data.torchvision_import import import_torchvision
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


@pytest.fixture
def same_as_torchvision() -> Callable[..., None]:
    """Return a check: ours has torchvision's parameters, MACs and, with its weights, scores."""

    def check(ours: nn.Module, name: str, side: int = 224, **settings: Any) -> None:
        import_torchvision()
        from torchvision.models import get_model

        theirs = get_model(name, weights=None, **settings).eval()
        pairs = list(zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True))
        assert [mine.shape for (_, mine), _ in pairs] == [other.shape for _, (_, other) in pairs]
        # Statistics at random, so that a norm in the wrong place or with another epsilon would be seen.
        for module in theirs.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean, -0.2, 0.2)
                nn.init.uniform_(module.running_var, 0.01, 1.5)
        ours.load_state_dict({key: other for (key, _), (_, other) in pairs})
        picture = torch.randn(1, 3, side, side)
        with torch.no_grad():
            expected = theirs(picture)
            torch.testing.assert_close(ours.eval()(picture), expected, rtol=1e-4, atol=1e-5)
        assert expected.std() > 1e-4
        mine, other = (profile_layers(model, picture) for model in (ours, theirs))
        assert (mine.macs, mine.params) == (other.macs, other.params)

    return check
