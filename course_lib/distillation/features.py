"""Feature distillation: the student's maps are to predict the teacher's, through adapters (FitNets).

A layer of the teacher gives maps t of shape (C_t, H_t, W_t), the student's s of (C_s, H_s, W_s). Where C_s
and C_t differ, a 1×1 convolution A, trained along and thrown away afterwards, gives the student as many maps;
where the sizes differ, the larger maps are averaged down to the smaller. Then

    soft = Σ_layers ‖t − A(s)‖² / ‖t‖²,    L = w · soft + cross-entropy(labels)

The paper's equation 3 has ½‖t − A(s)‖²; divided by ‖t‖² the loss is 1 for maps of zeros, whatever the scale
of the layer and the network, so that one w serves all layers. The paper trains in two stages, first the
layers up to the hint and then the whole; here both losses act together, as in later comparisons (Tian et al.
2020).

Worked example: t = (3, 4) and A(s) = (3, 3) have ‖t − A(s)‖² = 1 and ‖t‖² = 25: the loss is 0.04.

Source: Romero, Ballas, Kahou, Chassang, Gatta and Bengio, "FitNets: hints for thin deep nets", 2015.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from course_lib.distillation.feature_method import FeatureMethod, to_smaller_size
from course_lib.distillation.method import Lesson, Shape
from course_lib.distillation.ranges import require_weights


def make_adapter(student: Shape, teacher: Shape) -> nn.Module:
    """Return what gives the student's maps the teacher's number of channels; (C, H, W) each."""
    if student[0] == teacher[0]:
        return nn.Identity()
    return nn.Conv2d(student[0], teacher[0], 1, bias=False)


def hint_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return ‖t − s‖² / ‖t‖² over a batch of maps with equal channels, (N, C, H, W)."""
    student, teacher = to_smaller_size(student, teacher)
    # The tiny number is for a layer that a ReLU has silenced; it lies far below any other.
    return F.mse_loss(student, teacher) / teacher.square().mean().clamp_min(1e-12)


@dataclass(frozen=True)
class Hints(FeatureMethod):
    """FitNets' hints; layers and response as in `FeatureMethod`.

    Parameters
    ----------
    weight
        w, at least 0.

    Raises
    ------
    SettingError
        If there are no layers or the weight is below 0.
    """

    weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_weights(weight=self.weight)

    def make_adapters(self, student: Sequence[Shape], teacher: Sequence[Shape]) -> nn.ModuleList:
        """Return the adapter of each pair."""
        return nn.ModuleList(map(make_adapter, student, teacher))

    def feature_loss(self, lesson: Lesson) -> Tensor:
        """Return w times the sum of the hint losses."""
        assert lesson.adapters is not None  # the trainer has asked make_adapters
        pairs = zip(lesson.adapters, lesson.student_features, lesson.teacher_features, strict=True)
        hints = [hint_loss(adapter(student), teacher) for adapter, student, teacher in pairs]
        return self.weight * torch.stack(hints).sum()
