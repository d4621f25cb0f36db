import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel

from course_lib.errors import CheckpointError
from course_lib.reproducibility import torch_generator
from course_lib.training import (
    Augmentation,
    EpochRecord,
    Examples,
    TrainingConfig,
    TrainingRun,
    accuracy,
    augment,
    fit,
)
from course_lib.training.fit import _learning_rate, _moving_average

Factory = Callable[[], nn.Sequential]
CONFIG = TrainingConfig(
    epochs=4, batch_size=16, learning_rate=0.05, averaging=0.8, augmentation=Augmentation(erase=0.2), seed=3
)


class Killed(Exception):
    """Stands for the end of the process."""


def kill_after(epoch: int) -> Callable[[EpochRecord], None]:
    def on_epoch(record: EpochRecord) -> None:
        if record.epoch == epoch:
            raise Killed

    return on_epoch


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(one, other) for one, other in pairs)


def test_learning_rates_by_hand() -> None:
    config = TrainingConfig(epochs=5, learning_rate=0.1, warmup_epochs=1)
    rates = {epoch: _learning_rate(config, epoch) for epoch in (0, 0.5, 1, 2, 3, 4, 5)}
    assert rates == pytest.approx(
        {0: 0.001, 0.5: 0.051, 1: 0.1, 2: 0.05 + 0.05 * 0.5**0.5, 3: 0.05, 4: 0.05 - 0.05 * 0.5**0.5, 5: 0}
    )
    straight = TrainingConfig(epochs=2, learning_rate=0.1, warmup_epochs=0)
    assert [_learning_rate(straight, epoch) for epoch in (0, 1)] == pytest.approx([0.1, 0.05])


@given(st.integers(1, 50), st.floats(0, 60), st.floats(1e-4, 1))
def test_learning_rates_rise_and_then_fall(epochs: int, warmup: float, highest: float) -> None:
    config = TrainingConfig(epochs=epochs, learning_rate=highest, warmup_epochs=warmup)
    times = [epochs * step / 200 for step in range(200)]
    rising = [_learning_rate(config, time) for time in times if time < warmup]
    falling = [_learning_rate(config, time) for time in times if time >= warmup]
    assert rising == sorted(rising)
    assert falling == sorted(falling, reverse=True)
    assert all(0 <= rate <= highest * (1 + 1e-9) for rate in falling)


def test_learning_rates_are_those_of_torchs_cosine() -> None:
    config = TrainingConfig(epochs=9, learning_rate=0.3, warmup_epochs=2)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=7)
    for epoch in range(2, 9):
        assert _learning_rate(config, epoch) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()


def test_averaged_weights_by_hand() -> None:
    layer = nn.Linear(1, 1, bias=False)
    averaged = AveragedModel(layer, multi_avg_fn=_moving_average(0.2))
    seen = []
    for weight in (1.0, 12.0, 20.0, 20.0):
        nn.init.constant_(layer.weight, weight)
        averaged.update_parameters(layer)
        seen.append(averaged.module.weight.item())
    # First a copy; then the old one counts 2/11, after that 3/12 and 4/13, but never more than 0.2.
    assert seen == pytest.approx([1.0, 2 / 11 + 12 * 9 / 11, 0.2 * 10 + 0.8 * 20, 0.2 * 18 + 0.8 * 20])


def slowly(model: nn.Module, train: Examples, config: TrainingConfig) -> nn.Module:
    """Train as `fit` says it does, with nothing of its code but the learning rates and the augmentation."""
    model = model.train()
    optimizer = torch.optim.SGD(
        [
            {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in model.parameters() if p.ndim <= 1]},
        ],
        lr=config.learning_rate,
        momentum=0.9,
        nesterov=True,
    )
    inputs, labels = map(torch.from_numpy, train)
    generator = torch_generator(config.seed)
    average: dict[str, torch.Tensor] = {}
    count = 0
    for epoch in range(config.epochs):
        batches = torch.randperm(len(labels), generator=generator).split(config.batch_size)
        for step, batch in enumerate(batches):
            for group in optimizer.param_groups:
                group["lr"] = _learning_rate(config, epoch + step / len(batches))
            pictures = augment(inputs[batch], config.augmentation, generator)
            optimizer.zero_grad()
            F.cross_entropy(model(pictures), labels[batch]).backward()
            optimizer.step()
            decay = min(config.averaging, (1 + count) / (10 + count)) if count else 0.0
            for name, value in model.state_dict().items():
                if value.is_floating_point():
                    old = average.get(name, torch.zeros_like(value))
                    average[name] = decay * old + (1 - decay) * value
            count += 1
    result = copy.deepcopy(model)
    result.load_state_dict(average, strict=False)
    return result


def test_another_loss_sees_the_pictures_that_were_scored(make_net: Factory, examples: Examples) -> None:
    net = make_net()

    def loss_function(scores: torch.Tensor, labels: torch.Tensor, pictures: torch.Tensor) -> torch.Tensor:
        assert len(scores) == len(labels) == len(pictures)
        assert torch.equal(scores, copy.deepcopy(net)(pictures))
        return F.cross_entropy(scores, labels)

    run = fit(net, examples, examples, CONFIG, loss_function=loss_function)
    assert same_weights(run.model, fit(make_net(), examples, examples, CONFIG).model)


@pytest.mark.parametrize("averaging", [0.0, 0.8])
def test_it_agrees_with_a_plain_loop(make_net: Factory, examples: Examples, averaging: float) -> None:
    config = replace(CONFIG, averaging=averaging)
    run = fit(make_net(), examples, examples, config)
    expected = slowly(make_net(), examples, config).state_dict()
    for name, value in run.model.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value, expected[name], atol=1e-4, rtol=1e-3)
    assert not run.model.training


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_it_learns_and_records_each_epoch(make_net: Factory, examples: Examples, optimizer: str) -> None:
    config = replace(CONFIG, optimizer=optimizer, learning_rate=0.02)
    seen: list[EpochRecord] = []
    run = fit(make_net(), examples, examples, config, on_epoch=seen.append)
    assert tuple(seen) == run.history
    assert [record.epoch for record in seen] == [1, 2, 3, 4]
    assert seen[-1].loss < seen[0].loss
    assert seen[-1].validation_accuracy == accuracy(run.model, examples) > 0.7
    assert run.environment == {"device": "CPU", "torch": torch.__version__}


def test_only_weights_of_two_dimensions_decay(make_net: Factory, examples: Examples) -> None:
    # The step is so short that only the decay moves anything.
    config = replace(CONFIG, learning_rate=1e-9, weight_decay=1e8, averaging=0.0, epochs=1)
    before, after = make_net(), fit(make_net(), examples, examples, config).model
    assert after[0].weight.abs().sum() < 0.9 * before[0].weight.abs().sum()
    assert after[4].weight.abs().sum() < 0.9 * before[4].weight.abs().sum()
    torch.testing.assert_close(after[1].weight, before[1].weight)
    torch.testing.assert_close(after[4].bias, before[4].bias)


def test_the_seed_decides_the_run(make_net: Factory, examples: Examples) -> None:
    runs = [fit(make_net(), examples, examples, replace(CONFIG, seed=seed)) for seed in (3, 3, 4)]
    assert same_weights(runs[0].model, runs[1].model)
    assert runs[0].history == runs[1].history
    assert not same_weights(runs[0].model, runs[2].model)


@pytest.fixture
def uninterrupted(make_net: Factory, examples: Examples) -> TrainingRun:
    return fit(make_net(), examples, examples, CONFIG)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_a_run_that_was_killed_goes_on_as_if_it_had_not_been(
    make_net: Factory, examples: Examples, tmp_path: Path, optimizer: str
) -> None:
    config = replace(CONFIG, optimizer=optimizer)
    whole = fit(make_net(), examples, examples, config)
    path = tmp_path / "run" / "state.pt"
    for epoch in (1, 3):
        with pytest.raises(Killed):
            fit(make_net(), examples, examples, config, checkpoint=path, on_epoch=kill_after(epoch))
    seen: list[EpochRecord] = []
    resumed = fit(make_net(), examples, examples, config, checkpoint=path, on_epoch=seen.append)
    assert [record.epoch for record in seen] == [4]
    assert resumed.history == whole.history
    assert same_weights(resumed.model, whole.model)
    assert resumed.environment == whole.environment


def test_dropout_is_the_runs_own(make_net: Factory, examples: Examples, tmp_path: Path) -> None:
    def net() -> nn.Module:
        return nn.Sequential(make_net(), nn.Dropout(0.5))

    torch.manual_seed(1)
    whole = fit(net(), examples, examples, CONFIG)
    with pytest.raises(Killed):
        fit(net(), examples, examples, CONFIG, checkpoint=tmp_path / "state.pt", on_epoch=kill_after(2))
    torch.manual_seed(2)
    state = torch.get_rng_state()
    resumed = fit(net(), examples, examples, CONFIG, checkpoint=tmp_path / "state.pt")
    assert resumed.history == whole.history
    assert same_weights(resumed.model, whole.model)
    assert torch.equal(torch.get_rng_state(), state)
    sure = fit(nn.Sequential(make_net(), nn.Dropout(0.0)), examples, examples, CONFIG)
    assert not same_weights(sure.model, whole.model)


def test_a_run_that_was_killed_within_an_epoch_starts_that_epoch_again(
    make_net: Factory, examples: Examples, tmp_path: Path, uninterrupted: TrainingRun
) -> None:
    path = tmp_path / "state.pt"
    net = make_net()
    calls = 0

    def count(module: nn.Module, inputs: object) -> None:
        nonlocal calls
        calls += module.training
        if calls == 4 + 4 + 2:
            raise Killed

    net.register_forward_pre_hook(count)
    with pytest.raises(Killed):
        fit(net, examples, examples, CONFIG, checkpoint=path)
    seen: list[EpochRecord] = []
    resumed = fit(make_net(), examples, examples, CONFIG, checkpoint=path, on_epoch=seen.append)
    assert [record.epoch for record in seen] == [3, 4]
    assert same_weights(resumed.model, uninterrupted.model)


def test_a_finished_run_is_only_read(
    make_net: Factory, examples: Examples, tmp_path: Path, uninterrupted: TrainingRun
) -> None:
    path = tmp_path / "state.pt"
    fit(make_net(), examples, examples, CONFIG, checkpoint=path)
    content = path.read_bytes()
    again = fit(make_net(), examples, examples, CONFIG, checkpoint=path, on_epoch=kill_after(4))
    assert same_weights(again.model, uninterrupted.model)
    assert again.history == uninterrupted.history
    assert path.read_bytes() == content


def test_an_interrupted_write_leaves_the_old_state(
    make_net: Factory,
    examples: Examples,
    tmp_path: Path,
    uninterrupted: TrainingRun,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "state.pt"
    with pytest.raises(Killed):
        fit(make_net(), examples, examples, CONFIG, checkpoint=path, on_epoch=kill_after(2))
    content = path.read_bytes()

    def full(state: object, target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(OSError, match="No space left"):
            fit(make_net(), examples, examples, CONFIG, checkpoint=path)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]
    resumed = fit(make_net(), examples, examples, CONFIG, checkpoint=path)
    assert same_weights(resumed.model, uninterrupted.model)


@pytest.fixture
def state(make_net: Factory, examples: Examples, tmp_path: Path) -> Path:
    """Return the checkpoint of a run that was killed after its first epoch."""
    path = tmp_path / "state.pt"
    with pytest.raises(Killed):
        fit(make_net(), examples, examples, CONFIG, checkpoint=path, on_epoch=kill_after(1))
    return path


@pytest.mark.parametrize(
    "other", [{"seed": 4}, {"epochs": 5}, {"augmentation": Augmentation(erase=0.3)}, {"averaging": 0.0}]
)
def test_a_checkpoint_of_other_settings_is_refused(
    make_net: Factory, examples: Examples, state: Path, other: dict[str, object]
) -> None:
    content = state.read_bytes()
    with pytest.raises(CheckpointError) as caught:
        fit(make_net(), examples, examples, replace(CONFIG, **other), checkpoint=state)
    assert str(caught.value) == (
        f"{state} was written by a run with other settings; delete it to start again, or pass the "
        "configuration it was started with."
    )
    assert state.read_bytes() == content


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "list", "weights"])
def test_a_damaged_checkpoint_is_refused(
    make_net: Factory, examples: Examples, state: Path, damage: str
) -> None:
    if damage == "list":
        torch.save([1, 2], state)
    elif damage == "weights":
        torch.save(make_net().state_dict(), state)
    else:
        whole = state.read_bytes()
        state.write_bytes({"empty": b"", "text": b"hello", "cut": whole[: len(whole) // 2]}[damage])
    with pytest.raises(
        CheckpointError, match=r"state\.pt is not a whole training checkpoint; delete it to start again\.$"
    ):
        fit(make_net(), examples, examples, CONFIG, checkpoint=state)


def test_a_checkpoint_of_another_network_or_device_is_refused(
    make_net: Factory, examples: Examples, state: Path
) -> None:
    message = (
        r"state\.pt was written for another network or device \(CPU\); delete it to start again, or go on "
        r"with what it was started with\.$"
    )
    with pytest.raises(CheckpointError, match=message):
        fit(nn.Sequential(nn.Flatten(), nn.Linear(64, 2)), examples, examples, CONFIG, checkpoint=state)
    content = torch.load(state, weights_only=True)
    # As long as the state of a generator on a graphics card.
    content["generator"] = torch.zeros(16, dtype=torch.uint8)
    torch.save(content, state)
    with pytest.raises(CheckpointError, match=message):
        fit(make_net(), examples, examples, CONFIG, checkpoint=state)
