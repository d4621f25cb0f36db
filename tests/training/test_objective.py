"""What a run minimizes: plain losses, and objectives with pictures, parts and parameters of their own."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.errors import CheckpointError
from course_lib.training import (
    Augmentation,
    Batch,
    EpochRecord,
    Examples,
    Objective,
    TrainingConfig,
    accuracy,
    fit,
)
from course_lib.training.objective import cross_entropy

Factory = Callable[[], nn.Sequential]
CONFIG = TrainingConfig(epochs=3, batch_size=16, learning_rate=0.05, averaging=0.5, seed=3)


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


class Scaled(Objective):
    """Cross-entropy of scores that a trainable number scales; pictures as they are."""

    def __init__(self, factor: float = 2.0, kind: str = "scaled") -> None:
        self.scale = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.scale.weight, factor)
        self.kind = kind
        self.batches: list[Batch] = []

    def settings(self) -> Mapping[str, Any]:
        return {"kind": self.kind}

    def parameters_of_its_own(self) -> nn.Module:
        return self.scale

    def pictures(self, inputs: Tensor, indices: Tensor, *ignored: object) -> Tensor:
        return inputs[indices]

    def losses(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        self.batches.append(batch)
        scores = model(batch.pictures)
        plain = F.cross_entropy(scores, batch.labels)
        scaled = F.cross_entropy(self.scale.weight * scores, batch.labels)
        return scaled, {"plain": plain, "one": torch.ones(())}

    def validate(
        self, model: nn.Module, validation: Examples, device: str
    ) -> tuple[float, Mapping[str, float]]:
        found = accuracy(model, validation, device)
        return found, {"errors": 1 - found}


def test_the_default_objective_is_the_default_loss(make_net: Factory, examples: Examples) -> None:
    runs = [
        fit(make_net(), examples, examples, CONFIG, loss_function=loss)
        for loss in (cross_entropy, Objective())
    ]
    assert same_weights(runs[0].model, runs[1].model)
    assert runs[0].history == runs[1].history
    assert runs[0].history[0].parts == {}


def test_a_batch_says_which_pictures_it_holds_in_which_epoch(make_net: Factory, examples: Examples) -> None:
    objective = Scaled()
    fit(make_net(), examples, examples, CONFIG, loss_function=objective)
    assert [batch.epoch for batch in objective.batches] == [0] * 4 + [1] * 4 + [2] * 4
    for batch in objective.batches:
        assert torch.equal(batch.pictures, torch.from_numpy(examples.inputs)[batch.indices])
        assert torch.equal(batch.labels, torch.from_numpy(examples.labels)[batch.indices])
    seen = torch.cat([batch.indices for batch in objective.batches[:4]])
    assert seen.sort().values.tolist() == list(range(50))


def test_the_record_holds_means_of_the_parts_and_figures(make_net: Factory, examples: Examples) -> None:
    seen: list[EpochRecord] = []
    fit(make_net(), examples, examples, CONFIG, loss_function=Scaled(), on_epoch=seen.append)
    for record in seen:
        assert record.parts["one"] == 1
        assert record.parts["plain"] > 0
        assert record.parts["errors"] == 1 - record.validation_accuracy


def test_its_own_parameters_are_trained(make_net: Factory, examples: Examples) -> None:
    objective = Scaled()
    fit(make_net(), examples, examples, replace(CONFIG, weight_decay=0), loss_function=objective)
    assert objective.scale.weight.item() != 2


def stop(record: EpochRecord) -> None:
    raise KeyboardInterrupt


def test_its_own_parameters_are_in_the_checkpoint(
    make_net: Factory, examples: Examples, tmp_path: Path
) -> None:
    whole, path = Scaled(), tmp_path / "state.pt"
    expected = fit(make_net(), examples, examples, CONFIG, loss_function=whole)
    with pytest.raises(KeyboardInterrupt):
        fit(make_net(), examples, examples, CONFIG, loss_function=Scaled(), checkpoint=path, on_epoch=stop)
    resumed = Scaled(factor=9)
    run = fit(make_net(), examples, examples, CONFIG, loss_function=resumed, checkpoint=path)
    assert torch.equal(resumed.scale.weight, whole.scale.weight)
    assert run.history == expected.history
    assert same_weights(run.model, expected.model)


@pytest.mark.parametrize("other", [Scaled(kind="other"), Objective()])
def test_a_checkpoint_of_another_objective_is_refused(
    make_net: Factory, examples: Examples, tmp_path: Path, other: Objective
) -> None:
    path = tmp_path / "state.pt"
    fit(make_net(), examples, examples, CONFIG, loss_function=Scaled(), checkpoint=path)
    with pytest.raises(CheckpointError, match="was written by a run with other settings"):
        fit(make_net(), examples, examples, CONFIG, loss_function=other, checkpoint=path)


def test_the_default_pictures_are_augmented_by_the_runs_generator(examples: Examples) -> None:
    inputs = torch.from_numpy(examples.inputs)
    places = torch.tensor([3, 1])
    plain = Augmentation(flip=False, max_shift=0)
    assert torch.equal(
        Objective().pictures(inputs, places, 0, plain, torch.Generator().manual_seed(0)), inputs[places]
    )
    one, same, other = (
        Objective().pictures(inputs, places, 0, Augmentation(), torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
