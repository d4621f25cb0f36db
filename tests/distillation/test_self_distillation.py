from pathlib import Path

import pytest

from course_lib.distillation.decoupled import Decoupled
from course_lib.distillation.response import Response
from course_lib.distillation.self_distillation import distill_self, generations
from course_lib.distillation.trainer import distill
from course_lib.errors import SettingError
from course_lib.reproducibility import seeded_torch
from course_lib.training import Examples
from tests.distillation.small_nets import SmallNet, same_weights, small_config


def build() -> SmallNet:
    return SmallNet(3)


def seeded(seed: int) -> SmallNet:
    with seeded_torch(seed):
        return build()


def test_generations_differ_in_their_seeds_alone() -> None:
    steps = generations(build, small_config(seed=5), 2, Decoupled())
    assert [step.name for step in steps] == ["generation-0", "generation-1", "generation-2"]
    assert [step.config for step in steps] == [small_config(seed=seed) for seed in (5, 6, 7)]
    assert {step.method for step in steps} == {Decoupled()}
    assert generations(build, small_config(), 1)[1].method == Response()


def test_each_generation_is_taught_by_the_last(train: Examples, validation: Examples, tmp_path: Path) -> None:
    config, method = small_config(4, seed=5), Response(1)
    runs = distill_self(build, train, validation, config, 1, method, folder=tmp_path)
    alone = distill(seeded(5), None, train, validation, small_config(4, seed=5))
    taught = distill(seeded(6), alone.model, train, validation, small_config(4, seed=6), method)
    assert same_weights(runs[0].model, alone.model)
    assert same_weights(runs[1].model, taught.model)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["generation-0.pt", "generation-1.pt"]


def test_no_generation_is_refused() -> None:
    with pytest.raises(SettingError) as caught:
        generations(build, small_config(), 0)
    assert str(caught.value) == (
        "count is 0, but without a generation after the first none is taught; take 1 or more."
    )
