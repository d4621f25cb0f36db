"""The benchmark on a study made by hand: what is judged again, and what would be noticed."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import distillation
from benchmarks.cli import table_rows
from course_lib.architectures import list_zoo, load_card, load_pretrained
from course_lib.data import load_dataset
from course_lib.pipelines.distillation_records import load_records, save_record
from course_lib.training import Examples, predict
from tests.pipelines.study_records import ship

COUNT = 100
KEYS = {"methods_with_positive_interval", "compression", "kept_fraction", "equal_to_recorded"}


@pytest.fixture
def test_images(monkeypatch: pytest.MonkeyPatch) -> Examples:
    """Let the benchmark see few images, and no trained small student; return the images."""
    dataset = load_dataset("fashion-mnist", "test")
    examples = Examples(dataset.inputs(slice(COUNT)), dataset.labels[:COUNT])
    monkeypatch.setattr(distillation, "load_examples", lambda split: examples)
    monkeypatch.setattr(distillation.torch, "set_num_threads", lambda threads: None)
    monkeypatch.setattr(distillation, "list_zoo", lambda: ["residual", "tiny"])
    return examples


@pytest.fixture
def small_student(monkeypatch: pytest.MonkeyPatch, test_images: Examples) -> None:
    """Let "tiny" be the small student, with cards that say how many of the few images are right."""
    monkeypatch.setattr(distillation, "STUDENT", "tiny")
    cards = {
        name: replace(
            load_card(name),
            correct=distillation.count_correct(load_pretrained(name), test_images),
            total=COUNT,
        )
        for name in ("tiny", "residual")
    }
    monkeypatch.setattr(distillation, "load_card", cards.__getitem__)


@pytest.fixture
def folder(tmp_path: Path, test_images: Examples) -> Path:
    """Return the folder of a study whose counts are those of its students."""
    for seed in (0, 1):
        for method in ("alone", "response"):
            record = ship(method, seed, 0, tmp_path, COUNT)
            scores = predict(distillation.load_student(record, tmp_path), test_images.inputs)
            correct = int((scores.argmax(1) == test_images.labels).sum())
            save_record(replace(record, correct=correct), tmp_path)
    return tmp_path


def measure(folder: Path, quick: bool = False) -> dict[str, Any]:
    return json.loads(json.dumps(distillation.measure(quick, folder), allow_nan=False))


def test_students_as_recorded(folder: Path, small_student: None) -> None:
    found = measure(folder)
    assert set(found) >= KEYS
    assert found["equal_to_recorded"] is True
    assert (found["students"], found["students_judged"]) == (4, 4)
    # Students of one seed are one and the same here.
    assert found["gain_response_pt"] == 0
    assert found["gain_response_pt_interval"] == [0, 0]
    assert (found["methods_with_positive_interval"], found["positive_intervals"]) == ([], 0)


def test_without_the_small_student_nothing_reads_as_equal(folder: Path) -> None:
    found = measure(folder)
    assert (found["compression"], found["kept_fraction"]) == (None, None)
    assert found["equal_to_recorded"] is None
    verdicts = {row["figure"]: row[""] for row in table_rows(found, distillation.TARGETS)}
    for name in ("compression", "kept_fraction", "equal_to_recorded"):
        assert verdicts[name] == "missed"


def test_gains_are_those_of_the_students_not_of_the_records(folder: Path) -> None:
    for record in load_records(folder):
        if record.method == "response":
            save_record(replace(record, correct=record.correct + 20), folder)
    found = measure(folder)
    assert found["equal_to_recorded"] is False  # with or without the small student
    assert found["gain_response_pt"] == 0


def test_the_quick_run_judges_the_first_seed(folder: Path, small_student: None) -> None:
    for record in load_records(folder):
        if (record.method, record.seed) == ("response", 1):
            save_record(replace(record, correct=record.correct + 20), folder)
    found = measure(folder, quick=True)
    assert found["equal_to_recorded"] is True
    assert (found["students"], found["students_judged"]) == (4, 2)
    assert found["gain_response_pt"] == pytest.approx(10)


def test_the_small_student_beside_its_teacher(test_images: Examples, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distillation, "STUDENT", "tiny")
    found, as_recorded = distillation.against_teacher(test_images)
    correct = {
        name: int((predict(load_pretrained(name), test_images.inputs).argmax(1) == test_images.labels).sum())
        for name in ("tiny", "residual")
    }
    assert found["compression"] == pytest.approx(load_card("residual").params / load_card("tiny").params)
    assert found["kept_fraction"] == pytest.approx(correct["tiny"] / correct["residual"])
    assert found["student_accuracy"] == correct["tiny"] / COUNT
    low, high = found["teacher_accuracy_interval"]
    assert low <= found["teacher_accuracy"] <= high
    # Of few images, so not the counts of the cards.
    assert as_recorded is False


def test_the_targets_are_figures(folder: Path) -> None:
    assert set(distillation.TARGETS) <= set(measure(folder))


@pytest.mark.slow
def test_the_shipped_students_are_as_recorded() -> None:
    found = distillation.measure(quick=True)
    # None where the small student is not in the zoo, and so was not compared.
    assert found["equal_to_recorded"] is (True if distillation.STUDENT in list_zoo() else None)
    assert found["positive_intervals"] >= 2
    assert found["students"] >= 45
