"""What the operators of MIL, Apple's intermediate language, compute, spelt out in PyTorch.

Only those that the course's networks need. Names and arguments are those of the MIL specification
(coremltools, "MIL Ops"): paddings are listed as before and after for each spatial axis, ``pad_type``
decides whether they count.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional as F

Arguments = dict[str, Any]
Step = Callable[[Arguments], Any]

DTYPES = {"fp16": torch.float16, "fp32": torch.float32, "int32": torch.int32, "bool": torch.bool}
GELU = {"EXACT": "none", "TANH_APPROXIMATION": "tanh"}


def _pads(a: Arguments, kernel: list[int]) -> list[int]:
    """Return F.pad's list: last axis first, before and after."""
    x, strides = a["x"], a["strides"]
    if a["pad_type"] == "valid":
        return [0] * 4
    if a["pad_type"] == "custom":
        top, bottom, left, right = a["pad"]
        return [left, right, top, bottom]
    pads: list[int] = []
    for length, size, stride in zip(reversed(x.shape[2:]), reversed(kernel), reversed(strides), strict=True):
        total = max((-(-length // stride) - 1) * stride + size - length, 0)
        less, more = total // 2, total - total // 2
        pads += [less, more] if a["pad_type"] == "same" else [more, less]
    return pads


def _conv(a: Arguments) -> torch.Tensor:
    reach = [
        (size - 1) * dilation + 1
        for size, dilation in zip(a["weight"].shape[2:], a["dilations"], strict=True)
    ]
    x = F.pad(a["x"], _pads(a, reach))
    return F.conv2d(x, a["weight"], a.get("bias"), a["strides"], 0, a["dilations"], a["groups"])


def _max_pool(a: Arguments) -> torch.Tensor:
    x = F.pad(a["x"], _pads(a, a["kernel_sizes"]), value=-torch.inf)
    return F.max_pool2d(x, a["kernel_sizes"], a["strides"], ceil_mode=a["ceil_mode"])


def _avg_pool(a: Arguments) -> torch.Tensor:
    pads, kernel, strides = _pads(a, a["kernel_sizes"]), a["kernel_sizes"], a["strides"]
    sums = F.avg_pool2d(F.pad(a["x"], pads), kernel, strides, ceil_mode=a["ceil_mode"])
    if not a["exclude_padding_from_average"]:
        return sums
    share = F.avg_pool2d(F.pad(torch.ones_like(a["x"]), pads), kernel, strides, ceil_mode=a["ceil_mode"])
    return sums / share


def _matmul(a: Arguments) -> torch.Tensor:
    x = a["x"].mT if a.get("transpose_x") else a["x"]
    y = a["y"].mT if a.get("transpose_y") else a["y"]
    return torch.matmul(x, y)


def _split(a: Arguments) -> tuple[torch.Tensor, ...]:
    if "split_sizes" in a:
        return torch.split(a["x"], a["split_sizes"], a["axis"])
    return torch.chunk(a["x"], a["num_splits"], a["axis"])


def _concat(a: Arguments) -> torch.Tensor:
    if not a.get("interleave"):
        return torch.cat(a["values"], a["axis"])
    axis = a["axis"] % a["values"][0].ndim
    # What coremltools makes of a channel shuffle: the first of each, the second of each, …
    return torch.stack(a["values"], axis + 1).flatten(axis, axis + 1)


def _expand_dims(a: Arguments) -> torch.Tensor:
    x: torch.Tensor = a["x"]
    for axis in sorted(a["axes"]):
        x = x.unsqueeze(axis)
    return x


def _layer_norm(a: Arguments) -> torch.Tensor:
    shape = [a["x"].shape[axis] for axis in a["axes"]]
    return F.layer_norm(a["x"], shape, a.get("gamma"), a.get("beta"), a["epsilon"])


STEPS: dict[str, Step] = {
    "add": lambda a: a["x"] + a["y"],
    "sub": lambda a: a["x"] - a["y"],
    "mul": lambda a: a["x"] * a["y"],
    "real_div": lambda a: a["x"] / a["y"],
    "avg_pool": _avg_pool,
    "cast": lambda a: a["x"].to(DTYPES[a["dtype"]]),
    "clip": lambda a: torch.clamp(a["x"], a["alpha"], a["beta"]),
    "concat": _concat,
    "conv": _conv,
    "gelu": lambda a: F.gelu(a["x"], approximate=GELU[a["mode"]]),
    "layer_norm": _layer_norm,
    "linear": lambda a: F.linear(a["x"], a["weight"], a.get("bias")),
    "matmul": _matmul,
    "max_pool": _max_pool,
    "reduce_mean": lambda a: a["x"].mean(a["axes"], keepdim=a["keep_dims"]),
    "relu": lambda a: F.relu(a["x"]),
    "relu6": lambda a: F.relu6(a["x"]),
    "reshape": lambda a: a["x"].reshape(a["shape"]),
    "sigmoid": lambda a: torch.sigmoid(a["x"]),
    "sigmoid_hard": lambda a: torch.clamp(a["alpha"] * a["x"] + a["beta"], 0, 1),
    "silu": lambda a: F.silu(a["x"]),
    "softmax": lambda a: torch.softmax(a["x"], a["axis"]),
    "split": _split,
    "squeeze": lambda a: a["x"].squeeze(a["axes"]) if "axes" in a else a["x"].squeeze(),
    "expand_dims": _expand_dims,
    "tanh": lambda a: torch.tanh(a["x"]),
    "thresholded_relu": lambda a: torch.where(a["x"] >= a["alpha"], a["x"], 0),
    "transpose": lambda a: a["x"].permute(a["perm"]),
}
"""Operator → what it computes from its arguments."""
