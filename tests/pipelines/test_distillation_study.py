"""The study with a few images: its order, what it records, and how it goes on after a stop."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from course_lib.architectures import create_model, load_pretrained
from course_lib.data import load_dataset
from course_lib.distillation.config import DistillationConfig
from course_lib.distillation.response import Response
from course_lib.distillation.trainer import distill
from course_lib.errors import CheckpointError, UnknownNameError
from course_lib.pipelines import distillation_study as study
from course_lib.pipelines.distillation_records import load_records, load_student
from course_lib.reproducibility import seeded_torch
from course_lib.training import Augmentation, TrainingConfig, predict
from tests.distillation.small_nets import same_weights

TRAINING = TrainingConfig(epochs=2, batch_size=20, averaging=0.3, augmentation=Augmentation(max_shift=1))
COUNT = 60

pytestmark = pytest.mark.filterwarnings("ignore::course_lib.distillation.guards.DistillationWarning")


def run(folder: Path, methods: list[str], seeds: tuple[int, ...] = (0, 1), **settings: Any) -> Any:
    places = {"output": folder / "records", "folder": folder / "states"}
    return study.run_study(methods, seeds, **{**places, "training": TRAINING, "count": COUNT, **settings})


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of the runs that are trained from here on."""
    names: list[str] = []

    def watched(method: str, config: DistillationConfig, *arguments: Any) -> Any:
        names.append(f"{config.training.seed} {method}")
        return train_student(method, config, *arguments)

    train_student = study.train_student
    monkeypatch.setattr(study, "train_student", watched)
    return names


def test_runs_go_seed_by_seed_and_only_once(tmp_path: Path, trained: list[str]) -> None:
    run(tmp_path, ["alone"], seeds=(0,))
    result = run(tmp_path, ["response", "alone"])
    assert trained == ["0 alone", "0 response", "1 alone", "1 response"]
    assert result.methods == ("alone", "response")
    assert run(tmp_path, ["alone", "response"]) == result
    assert len(trained) == 4
    # States are gone; the teacher has scored two views and the validation images.
    assert [path.name for path in (tmp_path / "states").iterdir()] == ["teacher"]
    assert len(list((tmp_path / "states" / "teacher").iterdir())) == 3


def test_a_record_says_what_is_true_of_its_student(tmp_path: Path) -> None:
    (record,) = run(tmp_path, ["response"], seeds=(1,)).records
    train, validation = (study.load_examples(split, COUNT) for split in ("train", "validation"))
    with seeded_torch(1):
        student = create_model("tiny")
    config = DistillationConfig(replace(TRAINING, seed=1), views=2)
    expected = distill(student, load_pretrained("residual"), train, validation, config, Response())
    loaded = load_student(record, tmp_path / "records")
    assert same_weights(loaded, expected.model)
    assert record.soft_losses == tuple(each.soft_loss for each in expected.history)
    assert record.hard_losses == tuple(each.hard_loss for each in expected.history)
    assert record.validation_accuracy == expected.history[-1].validation_accuracy
    test = load_dataset("fashion-mnist", "test").take(slice(COUNT))
    assert record.correct == int((predict(loaded, test.inputs()).argmax(1) == test.labels).sum())
    assert (record.total, record.seed, record.machine["seed"]) == (COUNT, 1, 1)
    assert record.seconds is not None
    assert record.seconds > 0
    assert record.settings["arm"] == repr(study.ARMS["response"])
    assert record.settings["training"]["epochs"] == record.settings["views"] == 2
    assert record.settings["train_images"] == COUNT


def test_a_study_that_was_stopped_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(bar: Any, *_: object) -> None:
        if bar.unit == "epoch":
            raise KeyboardInterrupt

    whole = run(tmp_path / "whole", ["response"], seeds=(0,)).records[0]
    with monkeypatch.context() as patch:
        patch.setattr(study.tqdm, "update", stop)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "parts", ["response"], seeds=(0,))
    assert load_records(tmp_path / "parts" / "records") == ()
    assert (tmp_path / "parts" / "states" / "seed0-response" / "student.pt").exists()
    capsys.readouterr()
    resumed = run(tmp_path / "parts", ["response"], seeds=(0,)).records[0]
    assert resumed == replace(whole, seconds=None)
    progress = capsys.readouterr().err
    assert "seed0-response: 100%" in progress
    assert "2/2" in progress


@pytest.mark.slow
def test_every_arm_can_be_run(tmp_path: Path) -> None:
    result = run(tmp_path, list(study.ARMS), seeds=(0,))
    assert result.methods == tuple(study.ARMS)
    assert len({record.sha256 for record in result.records}) == len(study.ARMS)
    assert len({record.machine["os"] for record in result.records}) == 1


def test_records_of_other_settings_are_refused(tmp_path: Path, trained: list[str]) -> None:
    run(tmp_path, ["alone"], seeds=(0,))
    with pytest.raises(CheckpointError) as caught:
        run(tmp_path, ["alone"], seeds=(1, 0), training=replace(TRAINING, epochs=3))
    assert str(caught.value) == (
        "The record seed0-alone.json was made with other settings than the study has now; delete it to train "
        "this student again, or give another folder with --output."
    )
    with pytest.raises(CheckpointError, match=r"^The record seed0-alone\.json was made with other settings"):
        run(tmp_path, ["alone"], seeds=(0,), count=COUNT + 1)
    assert trained == ["0 alone"]


def test_all_images_are_those_that_ship() -> None:
    config = study.make_config(TRAINING, 0)
    assert study.run_settings(study.ARMS["alone"], config, 10_000)["train_images"] == 10_000
    assert [study.train_images(count) for count in (None, 60, 20_000)] == [10_000, 60, 10_000]


def test_an_unknown_method_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="There is no method of the study called 'hint'; the known"):
        run(tmp_path, ["alone", "hint"])
    assert list(tmp_path.iterdir()) == []


def test_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[object] = []

    def answer(*arguments: object) -> str:
        asked.extend(arguments)
        return "the result"

    monkeypatch.setattr(study, "run_study", answer)
    monkeypatch.setattr(study.torch, "set_num_threads", asked.append)
    options = ["--only", "self", "alone", "--seeds", "3", "4", "--threads", "1", "--output", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["distillation_study", *options])
    study.main()
    assert asked == [1, ["self", "alone"], [3, 4], tmp_path]
    assert capsys.readouterr().out == "the result\n"
    asked.clear()
    monkeypatch.setattr("sys.argv", ["distillation_study"])
    study.main()
    assert asked == [study.THREADS, list(study.ARMS), list(study.SEEDS), study.RECORDED]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--only", "hint"], "There is no method of the study called 'hint'; the known ones are alone, "),
        (["--threads", "0"], "threads"),
        (["--seeds", "0", "-1"], "seed"),
    ],
)
def test_an_error_is_one_sentence(monkeypatch: pytest.MonkeyPatch, options: list[str], sentence: str) -> None:
    monkeypatch.setattr("sys.argv", ["distillation_study", *options])
    monkeypatch.setattr(study.torch, "set_num_threads", lambda threads: None)
    with pytest.raises(SystemExit) as caught:
        study.main()
    assert str(caught.value.code).startswith(sentence)
