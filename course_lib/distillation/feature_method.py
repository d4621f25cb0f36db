"""What methods that compare maps share: pairs of layers, one size for both, and the response beside them."""

from abc import abstractmethod
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from course_lib.distillation.method import Lesson, Losses, Method, hard_loss
from course_lib.distillation.response import Response
from course_lib.errors import SettingError


@dataclass(frozen=True)
class FeatureMethod(Method):
    """A comparison of features beside the labels, and beside the response where one is given.

    Alone, L = features + cross-entropy. With a response, L = features + α · T² · KL + (1 − α) ·
    cross-entropy; the soft loss is then features + α · T² · KL.

    Parameters
    ----------
    layers
        (path in the student, path in the teacher) of each pair; see `feature_layers.matching_layers`.
    response
        To be learnt as well; None for features and labels only.

    Raises
    ------
    SettingError
        If there are no layers, or they are no pairs.
    """

    layers: tuple[tuple[str, str], ...]
    response: Response | None = None

    def __post_init__(self) -> None:
        if not self.layers:
            raise SettingError(
                "layers is empty, so there is nothing to compare; give pairs (path in the student, path in "
                "the teacher), or take those of matching_layers."
            )
        for pair in self.layers:
            if not isinstance(pair, tuple | list) or [type(path) for path in pair] != [str, str]:
                raise SettingError(
                    f"layers holds {pair!r}, but pairs are compared; give (path in the student, path in the "
                    "teacher) for each."
                )

    @property
    def layer_pairs(self) -> tuple[tuple[str, str], ...]:
        """Return the pairs."""
        return self.layers

    @property
    def soft_temperature(self) -> float | None:
        """Return the response's."""
        return None if self.response is None else self.response.temperature

    @property
    def reads_scores(self) -> bool:
        """Return whether there is a response to learn."""
        return self.response is not None

    @abstractmethod
    def feature_loss(self, lesson: Lesson) -> Tensor:
        """Return the weighted loss of the features, a scalar."""

    def losses(self, lesson: Lesson) -> Losses:
        """Return the losses; soft is what the teacher asks for in all, as it is weighted."""
        features = self.feature_loss(lesson)
        if self.response is None:
            hard = hard_loss(lesson)
            return Losses(features + hard, features, hard)
        total, soft, hard = self.response.losses(lesson)
        return Losses(features + total, features + self.response.alpha * soft, hard)


def to_smaller_size(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Return both maps, (N, C, H, W), averaged down to the smaller height and the smaller width."""
    height, width = (min(first.shape[side], second.shape[side]) for side in (2, 3))
    return _averaged(first, height, width), _averaged(second, height, width)


def _averaged(maps: Tensor, height: int, width: int) -> Tensor:
    return maps if maps.shape[2:] == (height, width) else F.adaptive_avg_pool2d(maps, (height, width))
