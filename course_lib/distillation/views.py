"""Fixed augmented copies of the training pictures, so that a teacher's scores for them can be kept.

Fresh augmentation shows other pixels in each epoch, and what the teacher says to them is never asked again.
Here there are ``count`` copies of the training set instead, the views, each made from a seed of its own:
epoch e shows view e mod ``count``. Teacher scores then exist once for each view, whatever the run, its seed
or its method. With as many views as epochs, no picture comes twice within a run.

>>> views = Views(train.inputs, Augmentation(), count=8, seed=0)                        # doctest: +SKIP
>>> views.pictures(views.of_epoch(10)).shape         # view 2                           # doctest: +SKIP
torch.Size([10000, 1, 28, 28])
"""

from dataclasses import asdict
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from course_lib.distillation.digests import array_digest
from course_lib.errors import SettingError
from course_lib.reproducibility import torch_generator
from course_lib.training.augment import Augmentation, augment

CHUNK = 500
"""Pictures augmented at a time; part of what a view is, for the random numbers are drawn by chunk."""


class Views:
    """The views of one set of pictures.

    Parameters
    ----------
    inputs
        float32, (N, C, H, W); not copied.
    augmentation
        What each view goes through.
    count
        Number of views, at least 1.
    seed
        Decides all views; at least 0, and no business of a training run's own seed.

    Raises
    ------
    SettingError
        If ``count`` or ``seed`` is too small.
    """

    def __init__(
        self, inputs: NDArray[np.float32], augmentation: Augmentation, count: int, seed: int
    ) -> None:
        if count < 1 or seed < 0:
            raise SettingError(
                f"There cannot be {count} views from seed {seed}; "
                "take at least 1 view and a seed of at least 0."
            )
        self.inputs, self.augmentation, self.count, self.seed = inputs, augmentation, count, seed
        self._last: tuple[int, Tensor] | None = None

    def of_epoch(self, epoch: int) -> int:
        """Return the number of the view that is shown in this epoch, both from 0."""
        return epoch % self.count

    @cached_property
    def inputs_digest(self) -> str:
        """The SHA-256 of the pictures that the views are made from."""
        return array_digest(self.inputs)

    def source(self, view: int) -> dict[str, Any]:
        """Return all that decides the pictures of a view, so that it can be named without being made."""
        return {
            "inputs": self.inputs_digest,
            "augmentation": asdict(self.augmentation),
            "seed": self.seed,
            "view": view,
            "chunk": CHUNK,
        }

    def pictures(self, view: int) -> Tensor:
        """Return the whole view, (N, C, H, W), on the CPU; the last one asked for is kept.

        Made on the CPU for every device, because other devices draw other random numbers.
        """
        if self._last is None or self._last[0] != view:
            seed = int(np.random.SeedSequence((self.seed, view)).generate_state(1)[0])
            generator = torch_generator(seed)
            chunks = torch.split(torch.from_numpy(self.inputs), CHUNK)
            pictures = torch.cat([augment(chunk, self.augmentation, generator) for chunk in chunks])
            self._last = view, pictures
        return self._last[1]
