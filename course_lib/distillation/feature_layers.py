"""What layers inside a network give, without a change to the network.

A layer is named by its path, as ``model.named_modules()`` and a traced graph name it: ``blocks.4`` or
``features.7``. A layer that runs twice in a forward pass is seen the last time.

>>> with captured(model, ["blocks.4"]) as features:                                     # doctest: +SKIP
...     scores = model(pictures)
>>> features["blocks.4"].shape                                                          # doctest: +SKIP
torch.Size([128, 64, 7, 7])
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn

from course_lib.distillation.method import Shape
from course_lib.errors import ModelError, UnknownNameError


class Features(dict[str, Tensor]):
    """Path → output of the layer, in the order in which layers ended; reading one checks it.

    Only a reference is kept, so a later step that works in place, as ``out += x`` or ``relu_(out)`` do, would
    put its own result in the place of the layer's.

    Raises
    ------
    ModelError
        On reading ``features[path]``, if the layer was not run, gave no tensor, or was written into since.
    """

    def __init__(self, role: str) -> None:
        super().__init__()
        self.role = role
        self._versions: dict[str, int | None] = {}

    def keep(self, path: str, output: Tensor) -> None:
        """Take in what a layer gave."""
        if isinstance(output, Tensor) and output.is_inference():
            output = output.clone()  # PyTorch does not count the writes into these
        self.pop(path, None)  # a layer that runs twice takes its last place in the order
        self[path], self._versions[path] = output, _version(output)

    def __getitem__(self, path: str) -> Tensor:
        output = self.get(path)
        if not isinstance(output, Tensor):
            given = "is not run" if path not in self else f"gives a {type(output).__name__}, not a tensor,"
            raise ModelError(
                f"The layer {path} of the {self.role} {given} for these pictures, so there is nothing to "
                "compare; choose another layer."
            )
        if _version(output) != self._versions[path]:
            raise ModelError(
                f"A later step of the {self.role} works in place and wrote over what the layer {path} gave; "
                "compare a layer after that step, or write the step without in place: out = out + x for "
                "out += x, nn.ReLU() for nn.ReLU(inplace=True)."
            )
        return output


def _version(output: object) -> int | None:
    """Return PyTorch's count of writes into a tensor, or None where it keeps none."""
    return output._version if isinstance(output, Tensor) and not output.is_inference() else None


@contextmanager
def captured(model: nn.Module, paths: Sequence[str], role: str = "model") -> Iterator[Features]:
    """Collect the output of these layers in every forward pass within the block.

    Raises
    ------
    UnknownNameError
        If there is no such layer; the message lists those that exist.
    """
    layers = {path: layer for path, layer in model.named_modules() if path} if paths else {}
    outputs = Features(role)

    def keep(path: str, layer: nn.Module, inputs: object, output: Tensor) -> None:
        outputs.keep(path, output)

    for path in paths:
        if path not in layers:
            raise UnknownNameError(f"layer in the {role}", path, layers)
    hooks = [layers[path].register_forward_hook(partial(keep, path)) for path in dict.fromkeys(paths)]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


def map_shapes(model: nn.Module, paths: Sequence[str], picture: Tensor, role: str = "model") -> list[Shape]:
    """Return the shape (C, H, W) of each layer's maps for one picture, (1, C, H, W).

    Raises
    ------
    UnknownNameError
        If there is no such layer.
    ModelError
        If one is not run, gives no maps, or is written over by a later step.
    """
    outputs = _outputs(model, paths, picture, role)
    for path in paths:
        output = outputs.get(path)
        if not isinstance(output, Tensor) or output.ndim != 4:
            shape = tuple(output.shape[1:]) if isinstance(output, Tensor) else "no tensor"
            raise ModelError(
                f"The layer {path} of the {role} gives {shape} for one picture, but maps of shape (C, H, W) "
                "are compared; choose a layer before the pooling and the classifier."
            )
    return [tuple(outputs[path].shape[1:]) for path in paths]


def matching_layers(student: nn.Module, teacher: nn.Module, picture: Tensor) -> tuple[tuple[str, str], ...]:
    """Return (path in the student, path in the teacher) of the last layers at each size that both have.

    Parameters
    ----------
    picture
        One picture, (1, C, H, W). Maps of a single pixel are left out, for they hold no places.
    """
    last_of_student, last_of_teacher = (_last_of_size(model, picture) for model in (student, teacher))
    return tuple(
        (last_of_student[size], last_of_teacher[size]) for size in last_of_student if size in last_of_teacher
    )


def _last_of_size(model: nn.Module, picture: Tensor) -> dict[Shape, str]:
    """Return (H, W) → the outermost of the layers that end the part of the network at this size."""
    paths = [path for path, _ in model.named_modules() if path]
    last = {}
    # Outputs are in the order in which layers end, so a block comes after what it is made of.
    for path, output in _outputs(model, paths, picture, "model").items():
        if isinstance(output, Tensor) and output.ndim == 4 and output[0, 0].numel() > 1:
            last[tuple(output.shape[2:])] = path
    return last


def _outputs(model: nn.Module, paths: Sequence[str], picture: Tensor, role: str) -> Features:
    modes = [(module, module.training) for module in model.modules()]
    try:
        with torch.no_grad(), captured(model.eval(), paths, role) as outputs:
            model(picture)
    finally:
        for module, was_training in modes:
            module.training = was_training
    return outputs
