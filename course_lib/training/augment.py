"""Random changes to a batch of pictures that leave their labels true, on whatever device the batch is."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from course_lib.errors import SettingError


@dataclass(frozen=True)
class Augmentation:
    """Which changes a training picture goes through.

    Parameters
    ----------
    flip
        Mirror left and right with probability one half.
    max_shift
        Shift by up to this many pixels each way; the border is filled with the picture's own edge value.
    erase
        Probability of blanking one square with sides of a quarter to a half of the picture's (random
        erasing; Zhong et al., 2020).

    Raises
    ------
    SettingError
        If ``max_shift`` is below 0 or ``erase`` outside [0, 1].
    """

    flip: bool = True
    max_shift: int = 2
    erase: float = 0.0

    def __post_init__(self) -> None:
        if self.max_shift < 0 or not 0 <= self.erase <= 1:
            raise SettingError(
                f"max_shift is {self.max_shift} and erase {self.erase}; "
                "expected max_shift of at least 0 and erase in [0, 1]."
            )


def augment(images: Tensor, config: Augmentation, generator: torch.Generator) -> Tensor:
    """Return changed copies of ``images``, (N, C, H, W); the generator must be on the same device."""
    if config.flip:
        mirrored = _uniform(images, generator) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    if config.max_shift:
        images = _shift(images, config.max_shift, generator)
    if config.erase:
        images = _erase(images, config.erase, generator)
    return images


def _uniform(images: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(len(images), generator=generator, device=images.device)


def _shift(images: Tensor, limit: int, generator: torch.Generator) -> Tensor:
    count, _, height, width = images.shape
    padded = F.pad(images, (limit,) * 4, mode="replicate")
    corners = torch.randint(0, 2 * limit + 1, (2, count), generator=generator, device=images.device)
    rows = corners[0, :, None] + torch.arange(height, device=images.device)
    columns = corners[1, :, None] + torch.arange(width, device=images.device)
    batch = torch.arange(count, device=images.device)[:, None, None]
    # Indexing around a slice puts the channel last.
    return padded[batch, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def _erase(images: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    _, _, height, width = images.shape
    chosen = _uniform(images, generator) < probability
    side = 0.25 + 0.25 * _uniform(images, generator)
    top, left = _uniform(images, generator) * (1 - side), _uniform(images, generator) * (1 - side)
    # The middles of the pixels: their edges would leave the first row and column out of every hole.
    y = (torch.arange(height, device=images.device) + 0.5) / height
    x = (torch.arange(width, device=images.device) + 0.5) / width
    in_rows = (y >= top[:, None]) & (y < (top + side)[:, None])
    in_columns = (x >= left[:, None]) & (x < (left + side)[:, None])
    hole = in_rows[:, :, None] & in_columns[:, None, :] & chosen[:, None, None]
    return images.masked_fill(hole[:, None], 0.0)
