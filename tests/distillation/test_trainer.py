"""The whole of a distillation: cached or not, stopped or not, it is the same run."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from course_lib.distillation.attention import Attention
from course_lib.distillation.config import DistillationConfig
from course_lib.distillation.decoupled import Decoupled
from course_lib.distillation.features import Hints
from course_lib.distillation.guards import DistillationWarning
from course_lib.distillation.labels_only import LabelsOnly
from course_lib.distillation.method import Method
from course_lib.distillation.response import Response
from course_lib.distillation.trainer import DistillationRecord, distill
from course_lib.errors import CheckpointError, DataError, ModelError, SettingError, UnknownNameError
from course_lib.reproducibility import seeded_torch
from course_lib.training import Examples, accuracy
from tests.distillation.small_nets import SmallNet, same_weights, small_config, small_net

LAYERS = (("stem", "stem"), ("body", "body"))
METHODS = [Response(), Decoupled(), Hints(LAYERS), Attention(LAYERS, Response()), LabelsOnly()]


def by_name(method: Method) -> str:
    return type(method).__name__


@pytest.mark.parametrize("method", [Response(), Decoupled(), Attention(LAYERS, Response())], ids=by_name)
def test_losses_with_and_without_the_cache_are_equal_to_the_last_bit(
    trained: SmallNet, train: Examples, validation: Examples, tmp_path: Path, method: Method
) -> None:
    config = small_config(epochs=3, views=2)
    runs = [
        distill(small_net(), trained, train, validation, config, method, cache=cache)
        for cache in (None, tmp_path, tmp_path)
    ]
    assert runs[0].history == runs[1].history == runs[2].history
    assert same_weights(runs[0].model, runs[1].model)
    assert same_weights(runs[0].model, runs[2].model)
    # Two views, and the validation pictures of the guards.
    assert len(list(tmp_path.iterdir())) == 3


def test_runs_of_other_seeds_share_the_scores(trained: SmallNet, train: Examples, tmp_path: Path) -> None:
    histories = [
        distill(small_net(seed), trained, train, train, small_config(seed=seed), cache=tmp_path).history
        for seed in (0, 1)
    ]
    assert histories[0] != histories[1]
    assert len(list(tmp_path.iterdir())) == 3


@pytest.mark.parametrize("method", METHODS, ids=by_name)
def test_a_stopped_run_goes_on_as_if_it_had_not_been(
    trained: SmallNet, train: Examples, tmp_path: Path, method: Method
) -> None:
    whole = distill(small_net(), trained, train, train, small_config(), method)

    def stop(record: DistillationRecord) -> None:
        raise KeyboardInterrupt

    path = tmp_path / "state.pt"
    with pytest.raises(KeyboardInterrupt):
        distill(small_net(), trained, train, train, small_config(), method, checkpoint=path, on_epoch=stop)
    # The weights in hand do not matter any more: all comes from the checkpoint, the adapters too.
    resumed = distill(small_net(5), trained, train, train, small_config(), method, checkpoint=path)
    assert resumed.history == whole.history
    assert same_weights(resumed.model, whole.model)
    if isinstance(method, Hints):
        state = torch.load(path, weights_only=True)["extra"]
        assert [tuple(weights.shape) for weights in state.values()] == [(4, 2, 1, 1), (8, 4, 1, 1)]
        assert moved_from(small_config(), state)


def moved_from(config: DistillationConfig, state: dict[str, torch.Tensor]) -> bool:
    """Return whether no adapter has the first weights that the seed of the run gives it."""
    with seeded_torch(config.training.seed):
        first = Hints(LAYERS).make_adapters([(2, 8, 8), (4, 4, 4)], [(4, 8, 8), (8, 4, 4)]).state_dict()
    return not any(torch.equal(first[name], state[name]) for name in first)


def test_another_method_teacher_or_view_does_not_continue_a_run(
    trained: SmallNet, train: Examples, tmp_path: Path
) -> None:
    path = tmp_path / "state.pt"
    distill(small_net(), trained, train, train, small_config(), checkpoint=path)
    other_teacher = copy.deepcopy(trained)
    other_teacher.head.bias.data += 0.1
    others = [
        (trained, small_config(), Response(alpha=0.6)),
        (trained, small_config(), Decoupled()),
        (other_teacher, small_config(), Response()),
        (trained, small_config(views=3), Response()),
    ]
    for teacher, config, method in others:
        with pytest.raises(CheckpointError, match="other settings"):
            distill(small_net(), teacher, train, train, config, method, checkpoint=path)
    relabelled = train.labels.copy()
    relabelled[:2] = relabelled[1::-1]
    images = [Examples(train.inputs + 0.1, train.labels), Examples(train.inputs, relabelled)]
    for training, validation in [
        (images[0], train),
        (images[1], train),
        (train, images[0]),
        (train, images[1]),
    ]:
        with pytest.raises(CheckpointError, match="other settings"):
            distill(small_net(), trained, training, validation, small_config(), checkpoint=path)


def test_it_learns_and_records_both_losses(trained: SmallNet, train: Examples, validation: Examples) -> None:
    seen: list[DistillationRecord] = []
    run = distill(
        small_net(),
        trained,
        train,
        validation,
        small_config(epochs=6),
        Response(4, 0.6),
        on_epoch=seen.append,
    )
    assert tuple(seen) == run.history
    assert [record.epoch for record in seen] == [1, 2, 3, 4, 5, 6]
    for record in seen:
        assert record.loss == pytest.approx(0.6 * record.soft_loss + 0.4 * record.hard_loss, rel=1e-5)
    assert seen[-1].soft_loss < 0.5 * seen[0].soft_loss
    assert seen[-1].validation_accuracy == accuracy(run.model, validation)
    assert not run.model.training
    assert run.warnings == ()


def test_alpha_0_is_the_lone_student_and_the_teacher_decides_nothing(
    trained: SmallNet, train: Examples
) -> None:
    alone = distill(small_net(), None, train, train, small_config())
    unheard = distill(small_net(), trained, train, train, small_config(), Response(alpha=0))
    for one, other in zip(alone.model.parameters(), unheard.model.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)
    assert all(record.soft_loss == 0 and record.loss == record.hard_loss for record in alone.history)


def test_student_and_teacher_are_left_as_they_are(trained: SmallNet, train: Examples) -> None:
    student, teacher = small_net().train(), copy.deepcopy(trained)
    distill(student, teacher, train, train, small_config(), Hints(LAYERS))
    assert same_weights(student, small_net())
    assert same_weights(teacher, trained)
    assert not teacher.training
    assert not any(module._forward_hooks for net in (student, teacher) for module in net.modules())


def test_a_teacher_in_training_mode_teaches_in_evaluation_mode(trained: SmallNet, train: Examples) -> None:
    teacher = copy.deepcopy(trained).train()
    with pytest.warns(DistillationWarning, match="The teacher came in training mode"):
        run = distill(small_net(), teacher, train, train, small_config())
    assert teacher.training
    assert same_weights(teacher, trained)
    assert run.history == distill(small_net(), trained, train, train, small_config()).history


def test_guards_speak_of_what_they_measured(trained: SmallNet, train: Examples) -> None:
    shifted = Examples(-train.inputs, train.labels)
    with pytest.warns(DistillationWarning) as caught:
        run = distill(
            small_net(), trained, shifted, shifted, small_config(1), Response(500), teacher_accuracy=0.98
        )
    sentences = [str(warning.message) for warning in caught]
    assert run.warnings == tuple(sentences)
    assert any("but on record with 98.0%" in sentence for sentence in sentences)
    assert any("nearly uniform" in sentence for sentence in sentences)


def test_adapters_train_along(trained: SmallNet, train: Examples, tmp_path: Path) -> None:
    config, path = small_config(epochs=8), tmp_path / "state.pt"
    run = distill(small_net(), trained, train, train, config, Hints(LAYERS), checkpoint=path)
    assert moved_from(config, torch.load(path, weights_only=True)["extra"])
    assert run.history[-1].soft_loss < 0.9 * run.history[0].soft_loss
    assert run.model.state_dict().keys() == small_net().state_dict().keys()


def test_what_cannot_be_done_is_refused(trained: SmallNet, train: Examples) -> None:
    with pytest.raises(SettingError) as caught:
        distill(small_net(), None, train, train, small_config(), Response())
    assert str(caught.value) == (
        "Response needs a teacher but got None; pass a trained network, or LabelsOnly()."
    )
    with pytest.raises(
        UnknownNameError, match="There is no layer in the teacher called 'neck'; the known ones"
    ):
        distill(small_net(), trained, train, train, small_config(), Hints((("body", "neck"),)))
    with pytest.raises(ModelError, match="tells 3 classes apart and the student 4"):
        distill(small_net(classes=4), trained, train, train, small_config())


def test_examples_that_would_spoil_a_run_are_refused(trained: SmallNet, train: Examples) -> None:
    spoilt = train.inputs.copy()
    spoilt[3] = np.nan
    outside = np.where(np.arange(48) == 5, -100, train.labels)
    cases = [
        ("training", Examples(spoilt, train.labels), "1 of the 48 training images hold NaN or infinity"),
        (
            "training",
            Examples(train.inputs, outside),
            "There is a training label -100, but the networks tell 3",
        ),
        ("training", Examples(train.inputs, train.labels[:20]), r"The training images have shape \(48, 1, 8"),
        ("validation", Examples(spoilt, train.labels), "1 of the 48 validation images hold NaN or infinity"),
        ("validation", Examples(train.inputs, outside), "There is a validation label -100, but the networks"),
        (
            "validation",
            Examples(train.inputs[:0], train.labels[:0]),
            r"The validation images have shape \(0, ",
        ),
    ]
    for role, examples, message in cases:
        both = (examples, train) if role == "training" else (train, examples)
        with pytest.raises(DataError, match=rf"^{message}"):
            distill(small_net(), trained, *both, small_config())
    flat = nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.BatchNorm1d(3))
    with pytest.raises(SettingError, match=r"^33 training pictures in batches of 16 end in a batch of one"):
        distill(flat, None, Examples(train.inputs[:33], train.labels[:33]), train, small_config())


def test_a_layer_that_a_later_step_overwrites_is_refused(trained: SmallNet, train: Examples) -> None:
    student = small_net()
    student.relu = nn.ReLU(inplace=True)
    with pytest.raises(
        ModelError, match=r"^A later step of the student works in place and wrote over what the"
    ):
        distill(student, trained, train, train, small_config(), Hints((("body", "body"),)))


def test_the_teacher_is_asked_once_a_view(trained: SmallNet, train: Examples, tmp_path: Path) -> None:
    calls = []

    class Asked(SmallNet):
        """Writes down how many pictures it is asked about."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            calls.append(len(x))
            return super().forward(x)

    teacher: nn.Module = Asked(4)
    teacher.load_state_dict(trained.state_dict())
    validation = Examples(train.inputs[:40], train.labels[:40])
    for method in (Response(), Decoupled()):
        distill(small_net(), teacher.eval(), train, validation, small_config(4), method, cache=tmp_path)
    # Two pictures to check each run, the validation pictures, and two views: nothing more for the second run.
    assert np.unique(calls, return_counts=True)[0].tolist() == [2, 40, 48]
    assert calls == [2, 40, 48, 48, 2]
