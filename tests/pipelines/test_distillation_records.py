"""Records come back as they were, damage is noticed, and the shipped study is whole."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from course_lib.architectures import create_model
from course_lib.architectures.checkpoints import save_checkpoint
from course_lib.benchmarking import record_machine
from course_lib.errors import CheckpointError
from course_lib.pipelines.distillation_arms import ARMS
from course_lib.pipelines.distillation_records import (
    RECORDED,
    load_records,
    load_student,
    save_record,
)
from course_lib.pipelines.distillation_study import SEEDS, TRAINING, is_finished, make_config
from course_lib.reproducibility import seeded_torch
from tests.distillation.small_nets import same_weights
from tests.pipelines.study_records import make_record, ship


@given(st.integers(0, 1000), st.sampled_from(list(ARMS)))
def test_a_record_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, seed: int, method: str
) -> None:
    folder = tmp_path_factory.mktemp("records")
    record = make_record(method, seed, 870)
    save_record(record, folder)
    (path,) = folder.iterdir()
    assert path.name == f"seed{seed}-{method}.json"
    assert load_records(folder) == (record,)
    assert path.read_text().count("\n") == 1
    assert (record.accuracy, record.validation_accuracy) == (0.87, 0.81)
    assert record.machine_record().summary() == record_machine(2, seed).summary()


def test_a_student_comes_back_with_its_weights(tmp_path: Path) -> None:
    record = ship("response", 4, 100, tmp_path)
    with seeded_torch(4):
        expected = create_model("tiny").eval()
    student = load_student(record, tmp_path)
    assert same_weights(student, expected)
    assert not student.training
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "seed4-response.json",
        "seed4-response.safetensors",
    ]


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_other_weights_than_those_of_the_record_are_refused(tmp_path: Path, damage: str) -> None:
    record = ship("response", 4, 100, tmp_path)
    path = tmp_path / "seed4-response.safetensors"
    path.unlink()
    if damage == "changed":
        save_checkpoint(create_model("tiny"), path)
    with pytest.raises(CheckpointError) as caught:
        load_student(record, tmp_path)
    assert str(caught.value) == (
        "The weights seed4-response.safetensors are missing or differ from the SHA-256 in their record; "
        "restore them with: git checkout -- course_lib/pipelines/recorded"
    )


@pytest.mark.parametrize("content", ["", "[1]", '{"method": "alone"}', "{"])
def test_a_damaged_record_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "seed0-alone.json"
    path.write_text(content)
    with pytest.raises(CheckpointError) as caught:
        load_records(tmp_path)
    assert str(caught.value) == (
        "The record seed0-alone.json of the distillation study is damaged; delete it, and the study trains "
        "this student again."
    )


def test_a_record_holds_plain_values(tmp_path: Path) -> None:
    ship("alone", 0, 100, tmp_path)
    content = json.loads((tmp_path / "seed0-alone.json").read_text())
    assert content["soft_losses"] == [1.5, 1.25]
    assert content["machine"]["versions"]["torch"] == torch.__version__


def test_the_shipped_study_is_whole_and_of_todays_settings() -> None:
    found = {(record.method, record.seed) for record in load_records(RECORDED)}
    assert found == {(method, seed) for method in ARMS for seed in SEEDS}
    assert len(SEEDS) >= 5
    for record in load_records(RECORDED):
        assert is_finished(record.method, make_config(TRAINING, record.seed), RECORDED)
        assert len(record.hard_losses) == len(record.soft_losses) == TRAINING.epochs
        assert record.total == record.settings["train_images"] == 10_000
        load_student(record, RECORDED)
    assert sum(path.stat().st_size for path in RECORDED.iterdir()) < 2_000_000
