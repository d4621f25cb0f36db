"""Versions whose scores are known beforehand: every figure can be counted by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.errors import DataError, UnknownNameError
from course_lib.pipelines.accuracy_comparison import compare_accuracy
from course_lib.quantization.models.advice import advise_paired
from course_lib.training.evaluate import Examples, accuracy

EXAMPLES = Examples(np.eye(4, dtype=np.float32)[[0, 1, 2, 3] * 300], np.array([0, 1, 2, 3] * 300))


def same(inputs: np.ndarray) -> np.ndarray:
    return 2 * inputs


def noisy(inputs: np.ndarray) -> np.ndarray:
    return 2 * inputs - np.float32(0.2)


def one_lost(inputs: np.ndarray) -> np.ndarray:
    scores = 2 * inputs
    scores[inputs[:, 3] == 1] = [2, 0, 0, 0]
    return scores


def test_accuracy_drop_and_ratio_by_hand() -> None:
    compared = compare_accuracy({"lost": one_lost, "float": same, "noisy": noisy}, EXAMPLES, baseline="float")
    assert list(compared.versions) == ["float", "lost", "noisy"]
    assert [version.accuracy for version in compared.versions.values()] == [1.0, 0.75, 1.0]
    assert [version.drop_pt for version in compared.versions.values()] == [0.0, 25.0, 0.0]
    assert compared["float"].sqnr_db == math.inf
    # Signal 4 in one of four scores, noise 0.04 in each: 10 · log10(4 / 0.16) = 13.98
    assert compared["noisy"].sqnr_db == pytest.approx(13.979, abs=1e-3)
    assert compared["lost"].advice.train


def test_the_interval_is_that_of_the_paired_advice() -> None:
    compared = compare_accuracy(
        {"lost": one_lost, "float": same}, EXAMPLES, baseline="float", threshold_pt=30
    )
    right = one_lost(EXAMPLES.inputs).argmax(1) == EXAMPLES.labels
    assert compared["lost"].advice == advise_paired(np.ones(1200, bool), right, threshold_pt=30)
    assert not compared["lost"].advice.train


def test_modules_and_functions_are_versions_alike() -> None:
    torch.manual_seed(0)
    module = nn.Linear(4, 4)
    weight = module.weight.detach().numpy()

    def by_hand(inputs: np.ndarray) -> np.ndarray:
        return inputs @ weight.T + module.bias.detach().numpy()

    compared = compare_accuracy({"module": module, "by hand": by_hand}, EXAMPLES, baseline="module")
    assert compared["module"].accuracy == accuracy(module, EXAMPLES)
    assert compared["by hand"].drop_pt == 0
    assert compared["by hand"].sqnr_db > 100


def test_the_table_says_what_it_is_compared_with() -> None:
    text = str(compare_accuracy({"float": same, "lost": one_lost}, EXAMPLES, baseline="float"))
    assert "| float   | 100.00%  | baseline       | –" in text
    assert "| lost    | 75.00%   | 25.00 " in text
    assert "Measured on 1,200 images." in text


def test_bad_input_is_explained() -> None:
    with pytest.raises(UnknownNameError, match="no version called 'int8'"):
        compare_accuracy({"float": same}, EXAMPLES, baseline="int8")
    with pytest.raises(DataError, match="There are no images to compare versions on"):
        compare_accuracy(
            {"float": same}, Examples(EXAMPLES.inputs[:0], EXAMPLES.labels[:0]), baseline="float"
        )
    with pytest.raises(DataError, match=r"'short' gives scores of shape \(1200, 3\) and the baseline"):
        compare_accuracy({"float": same, "short": lambda inputs: inputs[:, :3]}, EXAMPLES, baseline="float")
    with pytest.raises(UnknownNameError, match="no version called 'other'"):
        compare_accuracy({"float": same}, EXAMPLES, baseline="float")["other"]
