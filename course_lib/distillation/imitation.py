"""A compressed network learns to compute what the network it was made from computes, layer by layer.

After pruning or quantization many layers still give maps of the old shape. The scores alone say only at the
end that something went wrong; maps say where, for every channel and place, and so a run of a few epochs comes
as far as one of several times as many:

    L = T² · KL(p_teacher ‖ p_student) + w · Σ_layers ‖t − s‖² / ‖t‖²

with soft targets p at temperature T and the maps t and s of the teacher's and the student's layers of the
same path. The labels are not read. `fit`, and whatever trains with it, takes this as its loss.

Worked example: maps t = (3, 4) and s = (3, 3) have ‖t − s‖² = 1 and ‖t‖² = 25; with equal scores and w = 5
the loss is 0.2.

Sources: Hinton, Vinyals and Dean 2015, section 2; Romero et al. 2015, equation 3, which divides nothing; He,
Zhang and Sun, "Channel pruning for accelerating very deep neural networks", 2017, who fit the maps that
follow each pruned layer.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from course_lib.distillation.digests import model_digest
from course_lib.distillation.feature_layers import captured
from course_lib.distillation.features import hint_loss
from course_lib.distillation.ranges import require_temperature, require_weights
from course_lib.distillation.response import soft_loss
from course_lib.errors import ModelError, SettingError
from course_lib.training.objective import Batch, Objective


class Imitation(Objective):
    """The distance of a network's scores and maps from its teacher's, on the pictures of the run.

    Parameters
    ----------
    teacher
        Copied and put in evaluation mode, so later changes to it have no effect.
    layers
        Paths of layers whose maps are compared, the same in both networks; none compares scores only.
    temperature
        T, 0.01 to 1,000.
    weight
        w, at least 0.

    Raises
    ------
    SettingError
        If a number is out of its range, or ``layers`` is a single text.
    UnknownNameError
        If the teacher has no such layer; the message lists those that exist.
    """

    def __init__(
        self, teacher: nn.Module, layers: Sequence[str] = (), *, temperature: float = 4.0, weight: float = 5.0
    ) -> None:
        require_temperature(temperature)
        require_weights(weight=weight)
        if isinstance(layers, str):
            raise SettingError(f"layers is {layers!r}, but several may be compared; give [{layers!r}].")
        self.teacher = deepcopy(teacher).eval().requires_grad_(False)
        self.digest = model_digest(self.teacher)
        self.layers, self.temperature, self.weight = tuple(layers), temperature, weight
        with captured(self.teacher, self.layers, "teacher"):
            pass

    def settings(self) -> Mapping[str, Any]:
        """Return the teacher's digest, the layers, the temperature and the weight."""
        numbers = {"temperature": self.temperature, "weight": self.weight}
        return {"teacher": self.digest, "layers": self.layers, **numbers}

    def losses(self, model: nn.Module, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return the loss and its parts.

        Raises
        ------
        UnknownNameError
            If the model has no such layer.
        ModelError
            If scores or a layer's maps are not of the shape of the teacher's, or a layer is not run.
        """
        with captured(model, self.layers, "student") as found:
            scores = model(batch.pictures)
        with torch.no_grad(), captured(self.teacher, self.layers, "teacher") as wanted:
            teacher_scores = self.teacher.to(batch.pictures.device)(batch.pictures)
        if scores.shape != teacher_scores.shape:
            raise ModelError(
                f"The student gives scores of shape {tuple(scores.shape)} and the teacher of "
                f"{tuple(teacher_scores.shape)}, but they are compared class by class; take a teacher for "
                "the same classes."
            )
        response = soft_loss(scores, teacher_scores, self.temperature)
        hints = torch.stack(
            [response.new_zeros(()), *(_distance(path, found, wanted) for path in self.layers)]
        )
        return response + self.weight * hints.sum(), {"scores": response, "maps": hints.sum()}


def _distance(path: str, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Tensor:
    student, teacher = found[path], wanted[path]
    if student.shape != teacher.shape:
        raise ModelError(
            f"The layer {path} gives {tuple(student.shape[1:])} for one picture, the teacher's "
            f"{tuple(teacher.shape[1:])}; compare layers that kept their shape, or use Hints, which "
            "learns adapters."
        )
    return hint_loss(student, teacher)
