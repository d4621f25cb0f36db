"""What the tuner reports from made-up measurements, and one real search."""

import json

import numpy as np
import pytest

from course_lib.benchmarking.compare import LatencyComparison, Ratio
from course_lib.benchmarking.intervals import Interval
from course_lib.benchmarking.latency import LatencyResult
from course_lib.benchmarking.machine import record_machine
from course_lib.errors import ModelError, SettingError
from course_lib.pipelines.ort_search import Refusal, Trial
from course_lib.pipelines.ort_settings import DEFAULT, SessionSetting
from course_lib.pipelines.ort_tuner import Tuning, compare_with_default, tune_session
from tests.runtimes.conftest import build_model

CONTENT = build_model().SerializeToString()
BATCH = np.array([[1, 1, 5]], np.float32)
SETTING = SessionSetting(threads=1)


def made(value: float, low: float, high: float) -> Tuning:
    machine = record_machine()
    results = {
        name: LatencyResult(samples_ms=(p50,) * 30, machine=machine, name=name, items_per_call=1, warmup=0)
        for name, p50 in (("default", 1.0), ("candidate", value))
    }
    found = Ratio(value, Interval(low, high, 0.95))
    ratios = {"default": Ratio(1.0, Interval(1.0, 1.0, 0.95)), "candidate": found}
    confirmation = LatencyComparison(machine=machine, baseline="default", results=results, ratios=ratios)
    return Tuning(
        machine=machine,
        batch_shape=(1, 3),
        candidate=SETTING,
        confirmation=confirmation,
        trials=(Trial(SETTING, 8, found), Trial(SETTING, 16, found)),
        refused=(Refusal(SessionSetting("off"), "It differs."),),
    )


def test_a_winner_that_is_faster_beyond_noise_is_taken() -> None:
    tuning = made(0.8, 0.75, 0.9)
    assert not tuning.kept_default
    assert tuning.best == SETTING
    assert tuning.ratio.value == 0.8
    assert tuning.gain == 1.25
    notes = tuning.notes()
    assert notes[0] == "The best of 1 settings has 0.800 (0.750–0.900) of the default's latency: threads=1."
    assert notes[1] == "Left out: optimization='off' (It differs.)"
    assert [row["setting"] for row in tuning.table_rows()] == ["default", "threads=1"]
    assert json.loads(json.dumps(tuning.as_dict()))["gain"] == 1.25


@pytest.mark.parametrize(("value", "low", "high"), [(0.95, 0.9, 1.01), (1.0, 0.9, 1.0), (1.2, 1.1, 1.3)])
def test_otherwise_the_default_stays(value: float, low: float, high: float) -> None:
    tuning = made(value, low, high)
    assert tuning.kept_default
    assert tuning.best == DEFAULT
    assert tuning.ratio.value == tuning.gain == 1
    assert tuning.notes()[0].startswith("None of 1 settings is faster than the default beyond noise:")
    assert tuning.notes()[0].endswith("of the default's latency; the default stays.")


@pytest.mark.slow
def test_a_real_search() -> None:
    told = []
    tuning = tune_session(
        CONTENT, BATCH, max_threads=1, rounds=6, confirmation_rounds=30, on_progress=told.append
    )
    assert [progress.done for progress in told] == list(range(len(told)))
    assert {progress.total for progress in told} == {len(told)}
    assert told[-1].stage == "confirmation"
    assert tuning.refused == ()
    assert tuning.candidate in {trial.setting for trial in tuning.trials}
    assert len(tuning.confirmation.results["default"].samples_ms) == 30
    assert tuning.best.load(CONTENT, BATCH).run(BATCH).tolist() == [[3.0, 7.0]]
    assert tuning.gain >= 1


def test_comparing_with_the_default_is_in_fresh_rounds() -> None:
    compared = compare_with_default(CONTENT, BATCH, SETTING, 6)
    assert list(compared.ratios) == ["default", "candidate"]


def test_what_a_progress_callback_raises_ends_the_search() -> None:
    def stop(progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune_session(CONTENT, BATCH, on_progress=stop)


def test_bad_input() -> None:
    with pytest.raises(SettingError, match="max_threads"):
        tune_session(CONTENT, BATCH, max_threads=0)
    with pytest.raises(SettingError, match="rounds"):
        tune_session(CONTENT, BATCH, rounds=5)
    with pytest.raises(ModelError, match="is not an ONNX model or is cut short"):
        tune_session(b"hello", BATCH)
    with pytest.raises(ModelError, match="the batch has shape"):
        tune_session(CONTENT, np.ones((1, 4), np.float32))
