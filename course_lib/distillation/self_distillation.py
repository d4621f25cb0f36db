"""Self-distillation: a network is taught by an earlier copy of itself, generation after generation.

Generation 0 learns from the labels. Each later one has the same architecture, new first weights, and the
generation before as its teacher, which is no better than itself: what it adds to the labels is how alike
classes are, and that it has seen the pictures from another start. It is a chain whose sizes do not shrink.

Generation g trains with the seed of the configuration plus g. So each has a lone student to be compared with
that starts from the same weights and sees the pictures in the same order: `LabelsOnly` with that seed.

Left out: the ensemble of all generations, which is the strongest result of the paper but is larger, not
small.

Source: Furlanello, Lipton, Tschannen, Itti and Anandkumar, "Born-again neural networks", 2018.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import nn

from course_lib.distillation.config import DistillationConfig
from course_lib.distillation.method import Method
from course_lib.distillation.progressive import Step, distill_chain
from course_lib.distillation.response import Response
from course_lib.distillation.trainer import DistillationRecord, DistillationRun
from course_lib.errors import SettingError
from course_lib.training.evaluate import Examples


def generations(
    build: Callable[[], nn.Module], config: DistillationConfig, count: int, method: Method | None = None
) -> list[Step]:
    """Return the steps of generations 0 to ``count``, named ``generation-0`` and so on.

    Raises
    ------
    SettingError
        If ``count`` is below 1.
    """
    if count < 1:
        raise SettingError(
            f"count is {count}, but without a generation after the first none is taught; take 1 or more."
        )
    seed = config.training.seed
    return [
        Step(
            f"generation-{number}",
            build,
            replace(config, training=replace(config.training, seed=seed + number)),
            method or Response(),
        )
        for number in range(count + 1)
    ]


def distill_self(
    build: Callable[[], nn.Module],
    train: Examples,
    validation: Examples,
    config: DistillationConfig,
    count: int = 2,
    method: Method | None = None,
    *,
    cache: Path | None = None,
    device: str = "cpu",
    folder: Path | None = None,
    on_epoch: Callable[[str, DistillationRecord], None] | None = None,
) -> list[DistillationRun]:
    """Train generation 0 from the labels and ``count`` generations after it; return all runs in order.

    Parameters
    ----------
    build
        Makes the untrained network.
    method
        How each generation teaches the next; `Response` by default.
    cache, device, folder, on_epoch
        As for `distill_chain`.

    Raises
    ------
    SettingError
        If ``count`` is below 1.
    Whatever `distill` raises.
    """
    return distill_chain(
        None,
        generations(build, config, count, method),
        train,
        validation,
        cache=cache,
        device=device,
        folder=folder,
        on_epoch=on_epoch,
    )
