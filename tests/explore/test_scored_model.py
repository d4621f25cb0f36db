from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.data import Dataset
from course_lib.errors import ModelError, UnknownNameError
from course_lib.explore import scored_model
from course_lib.explore.scored_model import ScoredModel, score_model
from course_lib.export.onnx_export import export_onnx


class Fixed(nn.Module):
    """Gives every image the same output."""

    def __init__(self, output: list[float]) -> None:
        super().__init__()
        self.output = nn.Parameter(torch.tensor(output))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.output.expand(len(x), -1)


def test_the_worked_example() -> None:
    images = Dataset("ten", np.zeros((10, 1, 2, 2), np.uint8), np.zeros(10, np.int64), ("a", "b", "c"), 0, 1)
    scores = np.tile([1.0, 0.0, 0.0], (10, 1))
    scores[:2] = [0.0, 1.0, 0.0]
    assert ScoredModel("net", scores, images).accuracy == 0.8


def test_a_module_gives_its_own_scores_and_stays_as_it_was(small_net: nn.Module, small_data: Dataset) -> None:
    small_net.train()
    shares: list[float] = []
    try:
        scored = score_model(small_net, small_data, on_progress=shares.append)
        assert small_net.training
    finally:
        small_net.eval()
    with torch.inference_mode():
        expected = small_net(torch.from_numpy(small_data.inputs())).numpy()
    np.testing.assert_allclose(scored.scores, expected, atol=1e-5)
    assert scored.name == "SmallNet"
    assert scored.scores.flags.f_contiguous
    assert shares == [500 / 600, 1.0]
    assert scored.accuracy == pytest.approx((expected.argmax(1) == small_data.labels).mean())


@pytest.mark.slow
def test_an_onnx_file_gives_the_same_scores(
    small_net: nn.Module, small_data: Dataset, tmp_path: Path
) -> None:
    path = tmp_path / "small.onnx"
    export_onnx(small_net, torch.zeros(1, 1, 8, 8), path)
    scored = score_model(path, small_data)
    assert scored.name == "small.onnx"
    np.testing.assert_allclose(scored.scores, score_model(small_net, small_data).scores, atol=1e-4)


def test_a_module_for_other_images_is_refused_with_the_reason(small_data: Dataset) -> None:
    with pytest.raises(ModelError) as caught:
        score_model(nn.Sequential(nn.Flatten(), nn.Linear(784, 3)), small_data, name="mine")
    sentence = str(caught.value)
    assert sentence.startswith("mine fails on the images of noise, inputs of shape (1, 8, 8) each (mat1 and ")
    assert sentence.endswith("pass a module that takes such images, or images that it takes as dataset.")
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        (
            [1.0, 2.0],
            "mine gives an output of shape (2,) for an image; expected one score for each of the 3 ",
        ),
        ([1.0, float("nan"), 2.0], "mine gives NaN or infinity for 600 of 600 images; expected one score "),
        ([0.5, 0.25, 0.25], "mine gives probabilities, which sum to 1 for every image, but a temperature "),
    ],
)
def test_what_cannot_be_softened_is_refused(output: list[float], sentence: str, small_data: Dataset) -> None:
    with pytest.raises(ModelError) as caught:
        score_model(Fixed(output), small_data, name="mine")
    assert str(caught.value).startswith(sentence)


def test_an_unknown_name_lists_the_zoo(small_data: Dataset) -> None:
    with pytest.raises(
        UnknownNameError, match="no trained model called 'resnet50'; the known ones are compact, depth"
    ):
        score_model("resnet50", small_data)


def test_a_zoo_network_runs_once_for_the_same_images(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[tuple[str, str], bytes] = {}

    def cached(name: str, kind: str, export: Callable[[Any], bytes]) -> bytes:
        if (name, kind) not in kept:
            kept[name, kind] = export(None)
        return kept[name, kind]

    def refuse(*arguments: object) -> None:
        raise AssertionError("runs again")

    monkeypatch.setattr(scored_model, "cached", cached)
    pictures = np.random.default_rng(0).integers(0, 256, (60, 1, 28, 28), np.uint8)
    labels, names = np.zeros(60, np.int64), tuple("abcdefghij")
    images = Dataset("some", pictures, labels, names, 0.3, 0.3)
    first = score_model("tiny", images)
    monkeypatch.setattr(scored_model, "_by_runtime", refuse)
    np.testing.assert_array_equal(score_model("tiny", images).scores, first.scores)
    for other in (Dataset("some", 255 - pictures, labels, names, 0.3, 0.3), replace(images, mean=0.4)):
        with pytest.raises(AssertionError, match="runs again"):
            score_model("tiny", other)
