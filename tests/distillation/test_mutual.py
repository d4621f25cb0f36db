import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import rel_entr, softmax
from torch import nn

from course_lib.distillation.labels_only import LabelsOnly
from course_lib.distillation.mutual import Cohort, MutualRecord, learn_together, peer_losses
from course_lib.distillation.trainer import distill
from course_lib.errors import CheckpointError, DataError, ModelError, SettingError
from course_lib.training import Examples, accuracy, predict
from tests.distillation.small_nets import same_weights, small_config, small_net


def test_the_worked_example() -> None:
    scores = [torch.tensor([[0.8, 0.2]]).log(), torch.tensor([[0.5, 0.5]]).log()]
    first, second = peer_losses(scores)
    assert first.item() == pytest.approx(0.5 * math.log(0.5 / 0.8) + 0.5 * math.log(0.5 / 0.2))
    assert second.item() == pytest.approx(0.8 * math.log(1.6) + 0.2 * math.log(0.4))


@given(st.integers(0, 999), st.integers(2, 4), st.floats(0.5, 5))
def test_each_is_scipys_mean_divergence_from_its_peers(seed: int, count: int, temperature: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = list(3 * torch.randn(count, 6, 4, generator=generator, dtype=torch.float64))
    p = [softmax(own.numpy() / temperature, axis=1) for own in scores]
    for k, loss in enumerate(peer_losses(scores, temperature)):
        each = [rel_entr(p[other], p[k]).sum(1).mean() for other in range(count) if other != k]
        assert loss.item() == pytest.approx(temperature**2 * np.mean(each))


def test_no_gradient_flows_into_a_peer() -> None:
    scores = [torch.randn(3, 4, requires_grad=True) for _ in range(3)]
    peer_losses(scores)[1].backward()
    assert [own.grad is None for own in scores] == [True, False, True]


def test_without_weight_each_trains_as_if_alone(train: Examples, validation: Examples) -> None:
    students = [small_net(0), small_net(1, channels=3)]
    run = learn_together(students, train, validation, small_config(), weight=0)
    for place, student in enumerate(students):
        alone = distill(student, None, train, validation, small_config(), LabelsOnly())
        assert same_weights(run.models[place], alone.model)
        assert [record.accuracies[place] for record in run.history] == [
            record.validation_accuracy for record in alone.history
        ]


def test_peers_move_one_another_and_the_record_says_so(train: Examples, validation: Examples) -> None:
    students = [small_net(0), small_net(1)]
    seen: list[MutualRecord] = []
    run = learn_together(students, train, validation, small_config(), on_epoch=seen.append)
    assert tuple(seen) == run.history
    last = run.history[-1]
    assert last.loss == pytest.approx(2 * (last.hard_loss + last.soft_loss))
    assert last.accuracies == tuple(accuracy(model, validation) for model in run.models)
    assert last.ensemble_accuracy == accuracy(Cohort(run.models), validation)
    assert not same_weights(run.models[0], run.models[1])
    assert same_weights(students[0], small_net(0))


def test_the_cohorts_scores_are_the_log_of_mean_probabilities(train: Examples) -> None:
    students = [small_net(seed) for seed in range(3)]
    each = [softmax(predict(student, train.inputs), axis=1) for student in students]
    found = predict(Cohort(students), train.inputs)
    np.testing.assert_allclose(found, np.log(np.mean(each, axis=0)), rtol=1e-5, atol=1e-6)


def test_a_stopped_run_goes_on_and_other_settings_are_refused(train: Examples, tmp_path: Path) -> None:
    students, path = [small_net(0), small_net(1)], tmp_path / "state.pt"
    whole = learn_together(students, train, train, small_config())

    def stop(record: MutualRecord) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn_together(students, train, train, small_config(), checkpoint=path, on_epoch=stop)
    with pytest.raises(CheckpointError, match="other settings"):
        learn_together(students, train, train, small_config(), weight=2, checkpoint=path)
    with pytest.raises(CheckpointError, match="other settings"):
        learn_together(
            students, Examples(-train.inputs, train.labels), train, small_config(), checkpoint=path
        )
    resumed = learn_together(students, train, train, small_config(), checkpoint=path)
    assert resumed.history == whole.history
    assert same_weights(resumed.models[1], whole.models[1])


def test_a_student_without_a_peer_is_refused(train: Examples) -> None:
    with pytest.raises(SettingError) as caught:
        learn_together([small_net()], train, train, small_config())
    assert str(caught.value) == "There is 1 student, but mutual learning needs a peer; give two or more."


def test_students_or_examples_that_do_not_go_together_are_refused(
    train: Examples, validation: Examples
) -> None:
    with pytest.raises(ModelError) as caught:
        learn_together([small_net(), small_net(classes=4)], train, train, small_config())
    assert str(caught.value) == (
        "The students tell 3, 4 classes apart, but their scores are compared class by class; build all for "
        "the same classes."
    )
    students = [small_net(0), small_net(1)]
    bytes_of_images = Examples((100 * train.inputs).astype(np.uint8), train.labels)
    with pytest.raises(DataError, match=r"^The training images are uint8, but float32 is expected"):
        learn_together(students, bytes_of_images, validation, small_config())
    with pytest.raises(DataError, match=r"^There is a validation label 5, but the networks tell 3 classes"):
        learn_together(students, train, Examples(train.inputs, train.labels + 5), small_config())
    with pytest.raises(
        ModelError, match=r"^The student at place 1 does not take inputs of shape \(1, 8, 8\)"
    ):
        learn_together([small_net(), nn.Flatten(4)], train, validation, small_config())
