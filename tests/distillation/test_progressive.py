from functools import partial
from pathlib import Path

import pytest

from course_lib.distillation.decoupled import Decoupled
from course_lib.distillation.labels_only import LabelsOnly
from course_lib.distillation.progressive import Step, distill_chain
from course_lib.distillation.trainer import DistillationRecord, distill
from course_lib.errors import CheckpointError, SettingError
from course_lib.training import Examples
from tests.distillation.small_nets import SmallNet, same_weights, small_config, small_net


def steps() -> list[Step]:
    return [
        Step("medium", partial(small_net, 1, 3), small_config(epochs=5)),
        Step("tiny", partial(small_net, 2), small_config(), Decoupled()),
    ]


def test_each_student_teaches_the_next(trained: SmallNet, train: Examples, validation: Examples) -> None:
    medium, tiny = distill_chain(trained, steps(), train, validation)
    first = distill(small_net(1, 3), trained, train, validation, small_config(epochs=5))
    second = distill(small_net(2), first.model, train, validation, small_config(), Decoupled())
    assert same_weights(medium.model, first.model)
    assert same_weights(tiny.model, second.model)
    assert tiny.history == second.history


def test_without_a_teacher_the_first_learns_from_the_labels(train: Examples, validation: Examples) -> None:
    first, *_ = distill_chain(None, steps()[:1], train, validation)
    alone = distill(small_net(1, 3), None, train, validation, small_config(epochs=5), LabelsOnly())
    assert same_weights(first.model, alone.model)


def test_a_chain_that_was_stopped_goes_on(
    trained: SmallNet, train: Examples, validation: Examples, tmp_path: Path
) -> None:
    whole = distill_chain(trained, steps(), train, validation)

    def stop(name: str, record: DistillationRecord) -> None:
        if (name, record.epoch) == ("tiny", 1):
            raise KeyboardInterrupt

    places = {"cache": tmp_path / "cache", "folder": tmp_path / "runs"}
    with pytest.raises(KeyboardInterrupt):
        distill_chain(trained, steps(), train, validation, **places, on_epoch=stop)
    with pytest.raises(CheckpointError, match="other settings"):
        distill_chain(trained, steps(), Examples(-train.inputs, train.labels), validation, **places)
    files = sorted((tmp_path / "cache").iterdir())
    seen: list[tuple[str, int]] = []
    resumed = distill_chain(
        trained,
        steps(),
        train,
        validation,
        **places,
        on_epoch=lambda name, record: seen.append((name, record.epoch)),
    )
    assert seen == [("tiny", 2)]
    assert [run.history for run in resumed] == [run.history for run in whole]
    assert same_weights(resumed[1].model, whole[1].model)
    # The second view of the second teacher is all that was still to be asked.
    assert len(set((tmp_path / "cache").iterdir()) - set(files)) == 1


def test_steps_need_names_of_their_own(train: Examples) -> None:
    step = steps()[0]
    with pytest.raises(SettingError) as caught:
        distill_chain(None, [step, step], train, train)
    assert str(caught.value) == (
        "The steps of a chain are called medium, medium; give at least one, each with a name of its own."
    )
    with pytest.raises(SettingError, match="are called nothing, for there are none; give at least one"):
        distill_chain(None, [], train, train)
