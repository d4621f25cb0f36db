"""Attention transfer: the student is to look where the teacher looks.

The attention map of a layer with maps A_1 … A_C is Q = Σ_c A_c², one number a place: large where much of the
layer is active. As a vector of unit length it has no scale, and it needs no adapter, for channels are gone.

    soft = β/2 · Σ_layers mean((Q_s / ‖Q_s‖ − Q_t / ‖Q_t‖)²),    L = soft + cross-entropy(labels)

with the mean over pictures and places. This is the paper's equation 2 with the squared norm and its own rule
for β: 10³ divided by the elements of the map and by the batch, which the mean does. Where the sizes of a pair
differ, the larger map is averaged down.

Worked example with two places: Q_s = (3, 4) and Q_t = (0, 2) are (0.6, 0.8) and (0, 1) at unit length; the
squared differences 0.36 and 0.04 have mean 0.2, and β = 1000 makes it 100.

Source: Zagoruyko and Komodakis, "Paying more attention to attention", 2017, section 3.1.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.distillation.feature_method import FeatureMethod, to_smaller_size
from course_lib.distillation.method import Lesson
from course_lib.distillation.ranges import require_weights


def attention_map(maps: Tensor) -> Tensor:
    """Return Q = Σ_c A_c² of a batch of maps, (N, C, H, W) → (N, 1, H, W)."""
    return maps.square().sum(1, keepdim=True)


def attention_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean squared difference of the attention maps at unit length; channels may differ."""
    both = to_smaller_size(attention_map(student), attention_map(teacher))
    looks = [F.normalize(attention.flatten(1), dim=1) for attention in both]
    return F.mse_loss(looks[0], looks[1])


@dataclass(frozen=True)
class Attention(FeatureMethod):
    """Attention transfer; layers and response as in `FeatureMethod`.

    Parameters
    ----------
    beta
        At least 0.

    Raises
    ------
    SettingError
        If there are no layers or beta is below 0.
    """

    beta: float = 1000.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_weights(beta=self.beta)

    def feature_loss(self, lesson: Lesson) -> Tensor:
        """Return β/2 times the sum over the pairs."""
        pairs = zip(lesson.student_features, lesson.teacher_features, strict=True)
        return self.beta / 2 * torch.stack([attention_loss(*pair) for pair in pairs]).sum()
