import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from course_lib.errors import ParityError, SettingError
from course_lib.export.parity import check_parity, compare_outputs

SCORES = np.array([[1.0, 2.0], [4.0, 3.0]])


def pairs():
    shape = st.tuples(st.integers(1, 4), st.integers(1, 4))
    values = st.sampled_from([0.0, -0.0, 1.0, 1.0001, -2.0, 1e-6, np.nan, np.inf, -np.inf]) | st.floats(
        width=32
    )
    return shape.flatmap(
        lambda s: st.tuples(*(arrays.arrays(np.float32, s, elements=values) for _ in range(2)))
    )


def test_hand_worked_report():
    report = compare_outputs(SCORES, np.array([[1.0, 2.5], [4.0, 4.5]]))
    # differences [[0, 0.5], [0, 1.5]]; relative 0.5/2 = 0.25 and 1.5/3 = 0.5; row 1 now predicts class 1
    assert (report.max_absolute, report.max_relative) == (1.5, 0.5)
    assert report.worst_index == (1, 1)
    assert (report.reference_value, report.candidate_value) == (3.0, 4.5)
    assert report.argmax_agreement == 0.5
    assert not report.within_tolerance
    assert str(report) == (
        "DIFFER | 2×2 outputs | worst absolute 1.50e+00 | worst relative 5.00e-01 | at [1, 1] "
        "| argmax equal 50.00% | allowed 1e-05 + 0.0001·|reference|"
    )


def test_equal_outputs_agree_even_with_zero_tolerance():
    report = compare_outputs(SCORES, SCORES.copy(), absolute_tolerance=0, relative_tolerance=0)
    assert report.within_tolerance
    assert (report.max_absolute, report.max_relative, report.argmax_agreement) == (0, 0, 1)
    assert str(report).startswith("agree | 2×2 outputs")


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the oracle's own, on infinities
@given(pair=pairs(), atol=st.sampled_from([0, 1e-5, 1.0]), rtol=st.sampled_from([0, 1e-4, 0.5]))
def test_verdict_is_that_of_numpy(pair, atol, rtol):
    reference, candidate = pair
    report = compare_outputs(reference, candidate, absolute_tolerance=atol, relative_tolerance=rtol)
    expected = np.allclose(candidate.astype(float), reference.astype(float), atol=atol, rtol=rtol)
    assert report.within_tolerance == expected


@given(pair=pairs())
def test_worst_index_is_an_element_that_fails(pair):
    reference, candidate = pair
    report = compare_outputs(reference, candidate, absolute_tolerance=0, relative_tolerance=0)
    assume(not report.within_tolerance)
    assert reference[report.worst_index] != candidate[report.worst_index]


def test_the_worst_element_is_judged_by_its_own_tolerance():
    # 1000 against 1000.05 is allowed (0.1), 0 against 0.01 is not, though the difference is smaller
    report = compare_outputs(np.array([[1000.0, 0.0]]), np.array([[1000.05, 0.01]]))
    assert report.worst_index == (0, 1)
    assert report.max_absolute == pytest.approx(0.05)
    assert report.max_relative == np.inf


def test_classes_are_axis_1():
    reference = np.zeros((1, 2, 3))
    reference[0, 0] = 1.0
    candidate = reference.copy()
    candidate[0, :, 2] = [0.0, 1.0]
    assert compare_outputs(reference, candidate).argmax_agreement == pytest.approx(2 / 3)


@pytest.mark.parametrize("value", [2.0, np.float32(1.5)])
def test_scalars_compare(value):
    assert compare_outputs(np.asarray(value), np.asarray(value)).within_tolerance


def test_check_returns_the_report_over_all_batches():
    batches = [SCORES, SCORES[:1], np.tile(SCORES, (3, 1))]
    seen: list[int] = []

    def candidate(batch):
        seen.append(len(batch))
        return batch + 1e-6

    report = check_parity(lambda batch: batch, candidate, batches)
    assert seen == [2, 1, 6]
    assert report.shape == (9, 2)
    assert report.max_absolute == pytest.approx(1e-6)


def test_failure_names_the_worst_difference():
    def candidate(batch):
        return batch + np.array([[0, 0], [0.25, 0]])

    with pytest.raises(ParityError) as caught:
        check_parity(lambda batch: batch, candidate, SCORES)
    assert str(caught.value) == (
        "The candidate's output 4.25 at [1, 0] should be 4: the worst difference is 0.25, allowed is 1e-05 + "
        "0.0001·|reference|, and 100.0% of the predictions agree; convert the model again from its eval "
        "mode, or pass a larger absolute_tolerance if this is what you expect."
    )
    assert check_parity(lambda batch: batch, candidate, SCORES, absolute_tolerance=0.25).within_tolerance


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_fail(wrong):
    candidate = SCORES.copy()
    candidate[0, 1] = wrong
    with pytest.raises(
        ParityError, match=rf"output {wrong} at \[0, 1\] should be 2: the worst difference is"
    ):
        check_parity(lambda batch: batch, lambda batch: candidate, SCORES, absolute_tolerance=1e9)


def test_nan_on_both_sides_fails():
    both = np.array([[np.nan, 1.0]])
    with pytest.raises(ParityError, match=r"output nan at \[0, 0\] should be nan"):
        check_parity(lambda batch: both, lambda batch: both, SCORES)


def test_shapes_must_be_equal():
    with pytest.raises(ParityError) as caught:
        check_parity(lambda batch: batch, lambda batch: batch[:, :1], SCORES)
    assert str(caught.value) == (
        "The reference's output has shape (2, 2) and the candidate's (2, 1); "
        "compare two versions of one model, on the same inputs."
    )


def test_nothing_to_compare():
    with pytest.raises(SettingError, match="no outputs to compare"):
        compare_outputs(SCORES[:0], SCORES[:0])
    with pytest.raises(SettingError, match="no inputs to compare on"):
        check_parity(lambda batch: batch, lambda batch: batch, [])


@pytest.mark.parametrize("tolerance", [-1.0, np.nan])
def test_tolerances_must_be_zero_or_more(tolerance):
    with pytest.raises(SettingError, match="Tolerances must be 0 or more"):
        compare_outputs(SCORES, SCORES, absolute_tolerance=tolerance)
