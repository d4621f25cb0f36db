import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib.architectures import create_model
from course_lib.benchmarking.macs import profile_layers
from course_lib.pipelines.week01_exercises import (
    check_depthwise_macs,
    check_p95,
    check_pointwise_macs,
    check_speedup,
)


@pytest.mark.parametrize(
    "right",
    [
        lambda samples: np.percentile(samples, 95),
        lambda samples: np.percentile(samples, 95, method="lower"),
        lambda samples: np.percentile(samples, 95, method="nearest"),
        lambda samples: sorted(samples)[int(np.ceil(0.95 * len(samples))) - 1],
    ],
    ids=["interpolated", "lower", "nearest", "nearest rank"],
)
def test_every_usual_definition_of_a_percentile_is_right(right) -> None:
    assert check_p95(right).passed


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (np.mean, "This is the mean."),
        (max, "This is the largest sample"),
        (np.median, "This is the median."),
        (lambda samples: 0.95 * max(samples), "95 % of the largest sample; count samples instead"),
        (lambda samples: samples[int(0.95 * (len(samples) - 1))], "The samples have to be sorted first."),
        (lambda samples: np.percentile(samples, 99), "expected 0.9. Why it matters"),
    ],
)
def test_slips_with_percentiles_are_named(wrong, slip: str) -> None:
    feedback = check_p95(wrong)
    assert feedback.state == "wrong"
    assert slip in feedback.text


def test_the_counts_are_those_of_the_real_layers() -> None:
    profile = profile_layers(create_model("depthwise"), torch.zeros(1, 1, 28, 28))
    macs = {layer.name: layer.macs for layer in profile.layers}
    assert check_depthwise_macs(macs["blocks.1.depthwise.0"]).passed
    assert check_pointwise_macs(macs["blocks.1.pointwise.0"]).passed


def test_the_counts_worked_by_hand() -> None:
    assert check_depthwise_macs(7 * 7 * 32 * 9).text.startswith("14,112 for the MACs")
    assert check_pointwise_macs(7 * 7 * 32 * 64).text.startswith("100,352 for the MACs")


@pytest.mark.parametrize(
    ("check", "answer", "slip"),
    [
        (check_depthwise_macs, 14 * 14 * 32 * 9, "You counted input pixels"),
        (check_depthwise_macs, 7 * 7 * 32 * 32 * 9, "here it sees only its own"),
        (check_depthwise_macs, 2 * 7 * 7 * 32 * 9, "These are FLOPs"),
        (check_depthwise_macs, 32 * 9, "These are the weights"),
        (check_pointwise_macs, 7 * 7 * 32 * 64 * 9, "You took a 3×3 kernel"),
        (check_pointwise_macs, 2 * 7 * 7 * 32 * 64, "These are FLOPs"),
        (check_pointwise_macs, 32 * 64, "These are the weights"),
        (check_pointwise_macs, 14 * 14 * 32 * 64, "You counted 14×14 pixels"),
    ],
)
def test_slips_in_counting_are_named(check, answer: int, slip: str) -> None:
    assert check(answer).state == "wrong"
    assert slip in check(answer).text


def test_amdahl_in_any_form_is_right() -> None:
    assert check_speedup(lambda share, factor: 1 / ((1 - share) + share / factor)).passed
    assert check_speedup(lambda share, factor: factor / (factor - share * (factor - 1))).passed


@given(share=st.floats(0.0, 0.9), factor=st.floats(1.0, 1e3))
def test_amdahl_is_a_sum_of_two_times(share: float, factor: float) -> None:
    # A second definition: run 1 s of work, of which `share` seconds shrink by the factor.
    seconds = np.where(np.arange(1000) < 1000 * share, 1 / factor, 1.0).sum() / 1000
    assert 1 / (1 - share + share / factor) == pytest.approx(1 / seconds, rel=0.02)


@pytest.mark.parametrize(
    ("wrong", "slip"),
    [
        (lambda share, factor: 1 - share + share / factor, "its reciprocal"),
        (lambda share, factor: share * factor, "add up the times of both parts"),
        (lambda share, factor: factor, "forgets the part that stays"),
        (lambda share, factor: 1 / (1 - share), "lets the part vanish"),
    ],
)
def test_slips_with_amdahl_are_named(wrong, slip: str) -> None:
    feedback = check_speedup(wrong)
    assert feedback.state == "wrong"
    assert slip in feedback.text


def test_untouched_exercises_are_open() -> None:
    open_ones = [check_p95(lambda samples: ...), check_speedup(lambda share, factor: ...)]
    open_ones += [check_depthwise_macs(...), check_pointwise_macs(...)]
    assert [feedback.state for feedback in open_ones] == ["open"] * 4
