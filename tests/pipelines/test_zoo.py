import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from course_lib.architectures import cards, create_model, load_card, load_pretrained
from course_lib.benchmarking.intervals import proportion_interval
from course_lib.data import Dataset, load_dataset
from course_lib.distillation.config import DistillationConfig
from course_lib.distillation.response import Response
from course_lib.distillation.trainer import distill
from course_lib.errors import UnknownNameError
from course_lib.pipelines import zoo
from course_lib.pipelines.recipes import TaughtConfig
from course_lib.reproducibility import seeded_torch, sha256_of
from course_lib.training import Examples, TrainingConfig, TrainingRun, predict

CONFIG = TrainingConfig(epochs=2, batch_size=10, learning_rate=0.03, averaging=0.3, seed=6)
SIZES = {"train": 300, "validation": 100, "test": 100}


@pytest.fixture(scope="module")
def parts() -> dict[str, Dataset]:
    """Return the first shipped images of each split."""
    return {split: load_dataset("fashion-mnist", split).take(slice(size)) for split, size in SIZES.items()}


@pytest.fixture(scope="module")
def trained(parts: dict[str, Dataset], tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingRun, Path]:
    """Train the tiny network for two epochs; return the run and its folder."""
    folder = tmp_path_factory.mktemp("zoo")
    return zoo.train_model("tiny", CONFIG, parts["train"], parts["validation"], folder), folder


@pytest.fixture
def small(parts: dict[str, Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Give the pipeline small data, short recipes and an empty zoo; return the list of what it does."""
    events: list[str] = []

    def load(source: str, split: str) -> Dataset:
        assert source == "fashion-mnist-full"
        events.append(f"load {split}")
        return parts[split]

    def train(name: str, *arguments: object) -> TrainingRun:
        run = train_model(name, *arguments)
        events.append(f"trained {name}")
        return run

    train_model = zoo.train_model
    (tmp_path / "shipped").mkdir()
    monkeypatch.setattr(zoo, "load_dataset", load)
    monkeypatch.setattr(zoo, "train_model", train)
    monkeypatch.setattr(zoo, "RECIPES", {name: replace(CONFIG, epochs=1) for name in ("tiny", "plain_conv")})
    monkeypatch.setattr(zoo, "CHECKPOINTS", tmp_path / "shipped")
    monkeypatch.setattr(cards, "CHECKPOINTS", tmp_path / "shipped")
    return events


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    monkeypatch.setattr("sys.argv", ["zoo", *map(str, arguments)])
    zoo.main()


def test_training_records_every_epoch_and_keeps_its_state(trained: tuple[TrainingRun, Path]) -> None:
    run, folder = trained
    assert [record.epoch for record in run.history] == [1, 2]
    assert run.history[1].loss < run.history[0].loss
    assert [path.name for path in folder.iterdir()] == ["tiny.training.pt"]


def test_the_same_call_gives_the_same_network(
    trained: tuple[TrainingRun, Path], parts: dict[str, Dataset], tmp_path: Path
) -> None:
    again = zoo.train_model("tiny", CONFIG, parts["train"], parts["validation"], tmp_path)
    assert again.history == trained[0].history
    for first, second in zip(again.model.parameters(), trained[0].model.parameters(), strict=True):
        assert torch.equal(first, second)


def test_an_interrupted_training_goes_on_where_it_stopped(
    trained: tuple[TrainingRun, Path],
    parts: dict[str, Dataset],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    arguments = "tiny", CONFIG, parts["train"], parts["validation"], tmp_path
    with monkeypatch.context() as patch:
        patch.setattr(zoo.tqdm, "update", stop)
        with pytest.raises(KeyboardInterrupt):
            zoo.train_model(*arguments)
    capsys.readouterr()
    resumed = zoo.train_model(*arguments)
    assert resumed.history == trained[0].history
    for first, second in zip(resumed.model.parameters(), trained[0].model.parameters(), strict=True):
        assert torch.equal(first, second)
    progress = capsys.readouterr().err
    assert "2/2" in progress
    assert f"validation={resumed.history[1].validation_accuracy:.2%}" in progress


@pytest.mark.slow
def test_a_network_that_is_taught_learns_from_its_teacher(
    parts: dict[str, Dataset], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"batch_size": 10, "learning_rate": 0.03, "averaging": 0.3, "seed": 6, "views": 2}
    taught = TaughtConfig(epochs=2, teacher="depthwise", temperature=2.0, alpha=0.5, **settings)
    train, validation = parts["train"], parts["validation"]
    run = zoo.train_model("tiny", taught, train, validation, tmp_path)
    with seeded_torch(6):
        student = create_model("tiny")
    seen, held_out = (Examples(part.inputs(), part.labels) for part in (train, validation))
    expected = distill(
        student,
        load_pretrained("depthwise"),
        seen,
        held_out,
        DistillationConfig(taught, views=2),
        Response(2.0, 0.5),
    )
    assert run.history == expected.history
    assert "tiny: 100%" in capsys.readouterr().err
    # One file of scores for each view and one for the validation images, for later runs to read.
    assert len(list((tmp_path / "teacher").iterdir())) == 3
    card = zoo.make_card("tiny", taught, run, parts["test"], tmp_path)
    assert (card.config["teacher"], card.config["alpha"], card.seed) == ("depthwise", 0.5, 6)


def test_the_card_says_what_is_true_of_the_checkpoint(
    trained: tuple[TrainingRun, Path],
    parts: dict[str, Dataset],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, test = trained[0], parts["test"]
    card = zoo.make_card("tiny", CONFIG, run, test, tmp_path)
    monkeypatch.setattr(cards, "CHECKPOINTS", tmp_path)
    assert load_card("tiny") == card
    model = load_pretrained("tiny")
    correct = int((predict(model, test.inputs()).argmax(1) == test.labels).sum())
    # It has learned something: a card of another network would tell another number.
    assert correct > 20
    assert (card.correct, card.total, card.accuracy) == (correct, 100, correct / 100)
    interval = proportion_interval(correct, 100)
    assert (card.accuracy_low, card.accuracy_high) == (interval.low, interval.high)
    assert card.accuracy_low < card.accuracy < card.accuracy_high
    assert card.validation_accuracy == run.history[-1].validation_accuracy
    assert card.params == sum(value.numel() for value in model.parameters())
    assert card.sha256 == sha256_of(tmp_path / "tiny.safetensors")
    assert card.size_bytes == (tmp_path / "tiny.safetensors").stat().st_size
    assert (card.seed, card.config) == (6, asdict(CONFIG))
    assert card.command == "python -m course_lib.pipelines.zoo --only tiny"
    assert card.versions == {
        "device": "CPU",
        "torch": torch.__version__,
        "evaluated with torch": torch.__version__,
    }
    np.testing.assert_allclose(predict(run.model, test.inputs()), predict(model, test.inputs()), atol=1e-4)


def test_the_test_set_is_read_once_after_all_training(
    small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(monkeypatch, "--output", tmp_path / "new")
    assert small == ["load train", "load validation", "trained tiny", "trained plain_conv", "load test"]
    written = {
        f"{name}.{end}" for name in ("tiny", "plain_conv") for end in ("json", "safetensors", "training.pt")
    }
    assert {path.name for path in (tmp_path / "new").iterdir()} == written
    assert list((tmp_path / "shipped").iterdir()) == []


def test_new_accuracy_stands_beside_the_shipped_one(
    small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = "--only", "tiny", "--output", tmp_path / "new", "--install"
    call(monkeypatch, *arguments)
    accuracy = json.loads((tmp_path / "new" / "tiny.json").read_text())["accuracy"]
    assert capsys.readouterr().out == f"tiny: {accuracy:.2%} on the test set; shipped: none\n"
    assert {path.name for path in (tmp_path / "shipped").iterdir()} == {"tiny.json", "tiny.safetensors"}
    assert load_card("tiny").accuracy == accuracy
    load_pretrained("tiny")
    call(monkeypatch, *arguments)
    assert capsys.readouterr().out == f"tiny: {accuracy:.2%} on the test set; shipped: {accuracy:.2%}\n"
    # The second call found a finished state; it trained no further.
    assert small.count("trained tiny") == 2


def test_an_unknown_network_is_refused_before_anything_starts(
    small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SystemExit) as caught:
        call(monkeypatch, "--only", "tiny", "plain", "--output", tmp_path / "new")
    assert caught.value.code == (
        "There is no recipe called 'plain'; the known ones are plain_conv, tiny. Did you mean 'plain_conv'?"
    )
    assert small == []
    assert not (tmp_path / "new").exists()
    with pytest.raises(UnknownNameError, match="There is no recipe called 'plain'"):
        zoo.train_zoo(["plain"], tmp_path, "cpu", install=False)


def test_other_settings_in_the_folder_are_refused_in_one_sentence(
    small: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call(monkeypatch, "--only", "tiny", "--output", tmp_path)
    monkeypatch.setitem(zoo.RECIPES, "tiny", CONFIG)
    with pytest.raises(
        SystemExit, match=r"tiny\.training\.pt was written by a run with other settings; delete"
    ):
        call(monkeypatch, "--only", "tiny", "--output", tmp_path)
    assert small.count("load test") == 1
