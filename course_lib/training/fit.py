"""The training loop: one epoch after another, resumable at each, with the moving average of the weights.

The learning rate rises linearly and then follows half a cosine to zero (Loshchilov and Hutter, 2017). What is
returned are averaged weights, w̄ ← d·w̄ + (1 − d)·w (Polyak and Juditsky, 1992), which generalise better than
the last ones; the running statistics of batch norm are averaged alike.
"""

import math
import pickle
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from course_lib.errors import CheckpointError
from course_lib.reproducibility import seeded_torch, torch_generator, write_atomically
from course_lib.training.config import TrainingConfig
from course_lib.training.evaluate import Examples
from course_lib.training.objective import Batch, Loss, Objective, ScoresObjective, cross_entropy

__all__ = ["EpochRecord", "Loss", "TrainingRun", "cross_entropy", "fit"]


@dataclass(frozen=True)
class EpochRecord:
    """What one epoch gave: mean training loss and validation accuracy, in [0, 1].

    ``parts`` holds, by name, the means of the parts of the loss and what else the objective measured.
    """

    epoch: int
    loss: float
    validation_accuracy: float
    parts: dict[str, float] = field(default_factory=dict, hash=False)


@dataclass(frozen=True)
class TrainingRun:
    """A trained model in evaluation mode, the record of each epoch, and where the run was started."""

    model: nn.Module
    history: tuple[EpochRecord, ...]
    environment: dict[str, str]


def fit(
    model: nn.Module,
    train: Examples,
    validation: Examples,
    config: TrainingConfig,
    *,
    loss_function: Loss | Objective = cross_entropy,
    device: str = "cpu",
    checkpoint: Path | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
) -> TrainingRun:
    """Train a model and return its averaged version.

    Parameters
    ----------
    model
        Trained in place.
    loss_function
        What is minimized; given the pictures as well, it may compare with what another model says to them.
        An `Objective` may also choose the pictures, look inside the model, and train parameters of its own.
    checkpoint
        Where to keep the state after each epoch; when the file exists the run continues from it.
    on_epoch
        Called after each epoch, for progress.

    Raises
    ------
    CheckpointError
        If ``checkpoint`` is damaged, or was written by a run with another configuration, network or kind of
        device.
    """
    # Channels last is the layout that CPU convolutions compute in; it halves the time of an epoch.
    model.to(device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    averaged = AveragedModel(model, multi_avg_fn=_moving_average(config.averaging), use_buffers=True)
    objective = loss_function if isinstance(loss_function, Objective) else ScoresObjective(loss_function)
    extra = objective.parameters_of_its_own()
    if extra is not None:
        extra.to(device).train()
    optimizer = _make_optimizer([model] if extra is None else [model, extra], config)
    generator = torch_generator(config.seed, device)
    inputs = torch.from_numpy(train.inputs).to(device)
    labels = torch.from_numpy(train.labels).to(device)
    state = _State(config, objective, model, averaged, optimizer, generator)
    history = state.load(checkpoint) if checkpoint and checkpoint.exists() else []
    steps = math.ceil(len(labels) / config.batch_size)
    for epoch in range(len(history), config.epochs):
        total = torch.zeros((), device=device)
        parts: defaultdict[str, Tensor] = defaultdict(partial(torch.zeros, (), device=device))
        # Dropout draws from the global state: seeded by epoch, it does so alike after an interruption.
        with seeded_torch((config.seed << 20) + epoch):
            for step, batch in enumerate(_batches(len(labels), config.batch_size, generator)):
                rate = _learning_rate(config, epoch + step / steps)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                pictures = objective.pictures(inputs, batch, epoch, config.augmentation, generator)
                pictures = pictures.contiguous(memory_format=torch.channels_last)
                loss, named = objective.losses(model, Batch(epoch, batch, labels[batch], pictures))
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                averaged.update_parameters(model)
                total += loss.detach()
                for name, part in named.items():
                    parts[name] += part.detach()
        result, figures = objective.validate(averaged.module, validation, device)
        means = {name: float(part) / steps for name, part in parts.items()}
        history.append(EpochRecord(epoch + 1, float(total) / steps, result, {**means, **figures}))
        if checkpoint:
            state.save(checkpoint, history)
        if on_epoch:
            on_epoch(history[-1])
    return TrainingRun(averaged.module.eval(), tuple(history), state.environment)


Tensors = tuple[Tensor, ...] | list[Tensor]


def _moving_average(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    def update(averaged: Tensors, current: Tensors, count: Tensor | int) -> None:
        # A shorter memory at the start, or the random first weights would linger for epochs.
        early = (1 + float(count)) / (10 + float(count))
        step = get_ema_multi_avg_fn(min(decay, early))  # type: ignore[no-untyped-call]
        step(averaged, current, count)

    return update


def _make_optimizer(modules: list[nn.Module], config: TrainingConfig) -> torch.optim.Optimizer:
    parameters = [parameter for module in modules for parameter in module.parameters()]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, config.learning_rate, momentum=0.9, nesterov=True)
    return torch.optim.AdamW(groups, config.learning_rate)


def _learning_rate(config: TrainingConfig, epoch: float) -> float:
    if epoch < config.warmup_epochs:
        return config.learning_rate * (epoch + 0.01) / config.warmup_epochs
    progress = (epoch - config.warmup_epochs) / max(config.epochs - config.warmup_epochs, 1e-9)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def _batches(count: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    order = torch.randperm(count, generator=generator, device=generator.device)
    return iter(torch.split(order, size))


class _State:
    """Everything a run needs to go on as if it had never stopped."""

    def __init__(
        self,
        config: TrainingConfig,
        objective: Objective,
        model: nn.Module,
        averaged: AveragedModel,
        optimizer: torch.optim.Optimizer,
        generator: torch.Generator,
    ) -> None:
        settings = dict(objective.settings())
        self.config = {**asdict(config), **({"objective": settings} if settings else {})}
        self.extra = objective.parameters_of_its_own()
        device = generator.device
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
        self.environment = {"device": name, "torch": str(torch.__version__)}
        self.model, self.averaged, self.optimizer, self.generator = model, averaged, optimizer, generator

    def save(self, path: Path, history: list[EpochRecord]) -> None:
        content = {
            "config": self.config,
            "environment": self.environment,
            "history": [asdict(record) for record in history],
            "model": self.model.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": self.generator.get_state(),
            **({} if self.extra is None else {"extra": self.extra.state_dict()}),
        }
        write_atomically(path, lambda target: torch.save(content, target))

    def load(self, path: Path) -> list[EpochRecord]:
        device = next(self.model.parameters()).device
        restart = "delete it to start again"
        try:
            content = torch.load(path, map_location=device, weights_only=True)
            written_with = content["config"]
        except (RuntimeError, OSError, EOFError, KeyError, TypeError, pickle.UnpicklingError) as error:
            raise CheckpointError(f"{path} is not a whole training checkpoint; {restart}.") from error
        if written_with != self.config:
            raise CheckpointError(
                f"{path} was written by a run with other settings; {restart}, or pass the "
                "configuration it was started with."
            )
        try:
            self.model.load_state_dict(content["model"])
            self.averaged.load_state_dict(content["averaged"])
            self.optimizer.load_state_dict(content["optimizer"])
            self.generator.set_state(content["generator"].cpu())
            if self.extra is not None:
                self.extra.load_state_dict(content["extra"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise CheckpointError(
                f"{path} was written for another network or device ({content['environment']['device']}); "
                f"{restart}, or go on with what it was started with."
            ) from error
        self.environment = content["environment"]
        return [EpochRecord(**record) for record in content["history"]]
