"""Gains by hand and against scipy's paired test, the table, and what cannot be compared."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from course_lib.benchmarking import record_machine
from course_lib.errors import CheckpointError, MeasurementError
from course_lib.pipelines.distillation_records import RunRecord, save_record
from course_lib.pipelines.distillation_result import StudyResult, load_study
from tests.pipelines.study_records import make_record, ship

ALONE = (800, 820, 810)


def make_result(**methods: tuple[int, ...]) -> StudyResult:
    """Return a study: method → right answers of 1,000 images, by seed; later seeds first."""
    records: list[RunRecord] = [
        make_record(method, seed, correct)
        for method, counts in methods.items()
        for seed, correct in reversed(list(enumerate(counts)))
    ]
    return StudyResult(machine=record_machine(), records=tuple(records))


def test_a_gain_by_hand() -> None:
    gain, interval = make_result(response=(810, 850), alone=(800, 820)).gain("response")
    # Differences 0.01 and 0.03: s / √2 = 0.01, and t = tan(0.475 π) for one degree of freedom.
    reach = 0.01 * math.tan(0.475 * math.pi)
    assert gain == pytest.approx(0.02)
    assert tuple(interval) == pytest.approx((0.02 - reach, 0.02 + reach))


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 1000)), min_size=3, max_size=6))
def test_it_is_the_interval_of_scipys_paired_test(pairs: list[tuple[int, int]]) -> None:
    own, alone = zip(*pairs, strict=True)
    _, interval = make_result(response=own, alone=alone).gain("response")
    if len({one - other for one, other in pairs}) > 1:  # scipy gives no interval where nothing varies
        paired = stats.ttest_rel([one / 1000 for one in own], [one / 1000 for one in alone])
        assert tuple(interval) == pytest.approx(tuple(paired.confidence_interval(0.95)), abs=1e-9)


def test_seeds_without_the_lone_student_do_not_count() -> None:
    result = make_result(response=(810, 850, 990), alone=(800, 820))
    assert result.gain("response")[0] == pytest.approx(0.02)
    assert result.accuracies("response") == {0: 0.81, 1: 0.85, 2: 0.99}


def test_only_an_interval_above_0_counts_as_positive() -> None:
    result = make_result(
        mutual=(790, 811, 801), alone=ALONE, decoupled=(840, 861, 849), hints=(801, 840, 809), response=(900,)
    )
    assert result.methods == ("alone", "response", "decoupled", "hints", "mutual")
    assert result.methods_with_positive_interval == ("decoupled",)
    assert result.as_dict()["methods_with_positive_interval"] == ["decoupled"]


def test_the_table_stands_in_the_order_of_the_study() -> None:
    result = make_result(self=(900,), response=(810, 830, 820), alone=ALONE)
    alone, response, born_again = result.table_rows()
    assert alone == {
        "method": "alone",
        "seeds": "3",
        "accuracy": "81.00%",
        "gain on alone": "–",
        "95 % interval": "–",
    }
    assert (response["gain on alone"], response["95 % interval"]) == ("+1.00 points", "+1.00 to +1.00")
    assert (born_again["seeds"], born_again["gain on alone"]) == ("1", "–")
    assert "Student tiny, judged on 1,000 test images; gains are means over the seeds" in str(result)


def test_a_study_is_read_from_its_folder(tmp_path: Path) -> None:
    records = [ship(method, seed, 500 + seed, tmp_path) for seed in (1, 0) for method in ("self", "alone")]
    result = load_study(tmp_path)
    assert sorted(map(repr, result.records)) == sorted(map(repr, records))
    assert [(record.seed, record.method) for record in result.records[:2]] == [(0, "alone"), (0, "self")]
    assert result.machine == replace(record_machine(2), seed=0)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"teacher_sha256": "other"}, "teacher_sha256"),
        ({"training": {"epochs": 400, "seed": 1}, "train_images": 200}, "train_images, training"),
    ],
)
def test_runs_of_other_settings_are_not_compared(tmp_path: Path, change: dict[str, Any], names: str) -> None:
    ship("alone", 0, 500, tmp_path)
    record = ship("response", 1, 500, tmp_path)
    save_record(replace(record, settings={**record.settings, **change}), tmp_path)
    with pytest.raises(CheckpointError) as caught:
        load_study(tmp_path)
    assert str(caught.value) == (
        f"The runs seed0-alone and seed1-response differ in {names}, so that their students cannot be "
        f"compared; delete the record of one of them in {tmp_path} and run the study again."
    )


def test_arm_and_seed_may_differ(tmp_path: Path) -> None:
    for method, seed in (("alone", 0), ("response", 0), ("alone", 1)):
        record = ship(method, seed, 500, tmp_path)
        training = {**record.settings["training"], "seed": seed}
        settings = {**record.settings, "arm": method, "training": training}
        save_record(replace(record, settings=settings), tmp_path)
    assert load_study(tmp_path).methods == ("alone", "response")


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(MeasurementError) as caught:
        load_study(tmp_path)
    assert str(caught.value) == (
        f"There is no record of the distillation study in {tmp_path}; make experiments trains it."
    )
    with pytest.raises(MeasurementError) as caught:
        make_result(response=(1, 2), alone=(1, 2)).gain("mutual")
    assert str(caught.value) == "The study holds no run of 'mutual'; run were alone, response."
    with pytest.raises(MeasurementError, match="got 1 and 1 values; it needs two pairs"):
        make_result(response=(1, 2), alone=(1,)).gain("response")
