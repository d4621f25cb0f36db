"""Names for arrays and networks that change with their content: what is told apart, and what is not."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))
"""Attributes that PyTorch itself keeps: the mode, hooks, and the tables of what is registered."""


def array_digest(values: NDArray[Any]) -> str:
    """Return the SHA-256 of an array's type, shape and content, 64 hexadecimal digits."""
    digest = hashlib.sha256(f"{values.dtype} {values.shape}".encode())
    digest.update(np.ascontiguousarray(values).data)
    return digest.hexdigest()


def model_digest(model: nn.Module) -> str:
    """Return the SHA-256 of what a model computes with.

    Told apart are its layers by class and printed settings, weights, buffers (those that checkpoints leave
    out too), and attributes that are numbers, texts, tensors, arrays, or lists and tables of these.

    Not told apart are the memory layout, in which sums may round differently, the mode, and what code does: a
    ``forward`` that was edited under the same class name, or a function that is an attribute.
    """
    digest = hashlib.sha256(f"{_kind(model)} {model}".encode())
    for name, value in {**dict(model.named_buffers()), **model.state_dict()}.items():
        digest.update(f"{name} {_content(value)}\n".encode())
    for path, module in model.named_modules():
        own = {name: value for name, value in vars(module).items() if name not in _OF_EVERY_MODULE}
        digest.update(f"{path} {_kind(module)} {_content(own)}\n".encode())
    return digest.hexdigest()


def _content(value: object) -> str:
    """Return a text that is the same in every process for equal content."""
    if isinstance(value, Tensor):
        plain = value.detach().dequantize() if value.is_quantized else value.detach()
        raw = plain.cpu().contiguous().flatten().view(torch.uint8).numpy()
        return f"{value.dtype} {tuple(value.shape)} {array_digest(raw)}"
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return array_digest(value)
    if isinstance(value, Mapping):
        return str([(_content(key), _content(each)) for key, each in value.items()])
    if isinstance(value, list | tuple):
        return str([_content(each) for each in value])
    if isinstance(value, bool | int | float | complex | str | bytes | torch.dtype | None):
        return repr(value)
    return _kind(value)


def _kind(value: object) -> str:
    return f"{type(value).__module__} {type(value).__qualname__}"
