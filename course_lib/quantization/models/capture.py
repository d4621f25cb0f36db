"""What flows into one layer of a model."""

import torch
from torch import Tensor, nn

from course_lib.errors import ModelError

CHUNK = 128


class _Reached(Exception):
    """Ends a forward pass at the layer that was waited for."""


@torch.no_grad()
def layer_inputs(model: nn.Module, path: str, images: Tensor) -> Tensor:
    """Return the tensor that reaches the layer at ``path``, for all images: (N, …).

    The steps behind the layer are not computed. A layer that is called twice gives its first input.

    Raises
    ------
    ModelError
        If no input reaches the layer.
    """
    seen: list[Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        seen.append(inputs[0])
        raise _Reached

    hook = model.get_submodule(path).register_forward_pre_hook(keep)
    try:
        for chunk in torch.split(images, CHUNK):
            try:
                model(chunk)
            except _Reached:
                continue
            raise ModelError(f"No calibration input reaches the layer {path}; keep it in float or remove it.")
    finally:
        hook.remove()
    return torch.cat(seen)
