"""The teacher's scores on disk, so that no run pays for the teacher twice.

A file holds the scores of one teacher for one set of inputs, and its name is a SHA-256 over what decides
them: the inputs, the teacher (see `digests.model_digest`, also for what is not noticed), the view's
augmentation, seed and number, the version of torch and the kind of device. A change of any gives another
name, so an old file is not taken for a new one. Files are written whole or not at all, and several runs may
share a folder. Where nothing can be written, a warning says so and the run goes on.

Scores come in batches of fixed size and order, read or computed alike; hence a run with the cache has the
losses of one without to the last bit.

Left out: feature maps. One layer of 64 × 7 × 7 numbers is 12 kB a picture against 40 bytes of scores.
"""

import hashlib
import json
import os
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from course_lib.distillation.digests import array_digest, model_digest
from course_lib.distillation.guards import DistillationWarning
from course_lib.distillation.views import Views
from course_lib.reproducibility import write_atomically
from course_lib.training.evaluate import predict

Scores = NDArray[np.float32]


class TeacherScores:
    """One teacher's scores, from the disk where they are known and from the teacher where not.

    Parameters
    ----------
    teacher
        In evaluation mode, on ``device``, and not changed from here on.
    folder
        Where the files lie; made when missing. None keeps nothing.
    """

    def __init__(self, teacher: nn.Module, folder: Path | None, device: str = "cpu") -> None:
        self.teacher, self.folder, self.device = teacher, folder, device
        self.digest = model_digest(teacher)

    def of_inputs(self, inputs: NDArray[np.float32]) -> Scores:
        """Return the scores for inputs as they are, (N, number of classes)."""
        return self._scores({"inputs": array_digest(inputs)}, len(inputs), lambda: inputs)

    def of_view(self, views: Views, view: int) -> Scores:
        """Return the scores for one view, (N, number of classes)."""
        return self._scores(views.source(view), len(views.inputs), lambda: views.pictures(view).numpy())

    def _scores(
        self, source: Mapping[str, Any], count: int, make: Callable[[], NDArray[np.float32]]
    ) -> Scores:
        if self.folder is None:
            return predict(self.teacher, make(), self.device)
        path = self.folder / f"{self._key(source)}.npz"
        known = _read(path, count) if os.path.isfile(path) else None  # False also where it may not look
        if known is None:
            known = predict(self.teacher, make(), self.device)
            _write(path, known)
        return known

    def _key(self, source: Mapping[str, Any]) -> str:
        device = torch.device(self.device)
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        facts = {**source, "teacher": self.digest, "torch": str(torch.__version__), "device": name}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _write(path: Path, scores: Scores) -> None:
    def write(target: Path) -> None:
        # An open file, because np.savez adds a suffix to a name that has none.
        with target.open("wb") as file:
            np.savez(file, scores=scores)

    try:
        write_atomically(path, write)
    except OSError as error:
        _warn(
            f"The teacher's scores cannot be kept in {path.parent} ({error.strerror or error}), so they are "
            "computed each time; give a folder with room that you may write to."
        )


def _read(path: Path, count: int) -> Scores | None:
    """Return the scores of a file, or None with a warning where it is damaged; zip has a checksum."""
    try:
        # Opened here, because np.load leaves a file that it cannot read open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as content:
            scores: Scores = content["scores"]
        if scores.dtype == np.float32 and scores.ndim == 2 and len(scores) == count:
            return scores
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, AttributeError, RuntimeError):
        pass  # RuntimeError: zip headers that ask for a password, or for what Python cannot unpack
    _warn(f"The file {path.name} of teacher scores is damaged; it is computed again.")
    return None


def _warn(sentence: str) -> None:
    warnings.warn(sentence, DistillationWarning, stacklevel=5)
