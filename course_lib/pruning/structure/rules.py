"""The rules of functions and tensor methods by their names, and what happens where there is no rule.

A step without a rule needs all of its inputs: nothing is removed through what is not known. To teach a new
function, add its name here, with a rule that exists or a new one beside those of `mixing_rules`.
"""

from typing import Any

import torch
from torch import Tensor

from course_lib.pruning.structure import mixing_rules as mixing
from course_lib.pruning.structure import moving_rules as moving
from course_lib.pruning.structure.labels import fixed
from course_lib.pruning.structure.step import Labels, Rule, Step


def unknown(step: Step, what: str, why: str = "is not known here") -> Labels:
    """Fix all inputs and outputs; ``what`` is the function or layer, ``why`` goes on after "which"."""
    if step.node.op == "call_module":
        step.ledger.refused[step.path] = f"the layer {why}"
    for labels in step.inputs:
        step.fix(labels, f"goes through {what}, which {why}")
    return fixed_like(step.out)


def fixed_like(value: Any) -> Any:
    """Return labels 0 for each tensor in nested tuples, lists and dicts; what is not a tensor stays."""
    if isinstance(value, Tensor):
        return fixed(value.shape)
    if isinstance(value, dict):
        return {key: fixed_like(part) for key, part in value.items()}
    if isinstance(value, tuple) and not isinstance(value, torch.Size):
        return tuple(map(fixed_like, value))  # named ones, such as that of max(dim), lose their names
    return list(map(fixed_like, value)) if isinstance(value, list) else value


ELEMENTWISE = (
    *("abs", "add", "alpha_dropout", "celu", "clamp", "clip", "clone", "contiguous", "cos", "detach", "div"),
    *(
        "dropout",
        "dropout1d",
        "dropout2d",
        "dropout3d",
        "elu",
        "erf",
        "exp",
        "expm1",
        "feature_alpha_dropout",
    ),
    *("float", "floor", "gelu", "hardsigmoid", "hardswish", "hardtanh", "iadd", "imul", "isub", "itruediv"),
    *(
        "leaky_relu",
        "log",
        "log1p",
        "logsigmoid",
        "masked_fill",
        "maximum",
        "minimum",
        "mish",
        "mul",
        "multiply",
    ),
    *(
        "neg",
        "pos",
        "pow",
        "reciprocal",
        "relu",
        "relu6",
        "round",
        "rrelu",
        "rsqrt",
        "selu",
        "sigmoid",
        "sign",
    ),
    *("silu", "sin", "softplus", "softsign", "sqrt", "square", "stochastic_depth", "sub", "subtract", "tanh"),
    *("threshold", "to", "true_divide", "truediv", "where"),
)

_POOLS = [
    f"{kind}_pool{n}d" for kind in ("avg", "max", "lp", "adaptive_avg", "adaptive_max") for n in (1, 2, 3)
]

RULES: dict[str, Rule] = {
    **dict.fromkeys(ELEMENTWISE, mixing.elementwise),
    **dict.fromkeys([*_POOLS, "interpolate", "upsample"], mixing.local),
    **dict.fromkeys(["mean", "sum", "amax", "amin", "logsumexp", "var", "std"], mixing.reduce),
    **dict.fromkeys(["softmax", "log_softmax", "cumsum"], mixing.softmax),
    **dict.fromkeys(["matmul", "bmm"], mixing.matmul),
    "layer_norm": mixing.layer_norm,
    "pad": mixing.pad,
    "scaled_dot_product_attention": mixing.attention,
    **dict.fromkeys(
        ["view", "reshape", "flatten", "unflatten", "permute", "transpose"], moving.same_operation
    ),
    **dict.fromkeys(["swapaxes", "movedim", "t", "unsqueeze", "squeeze", "expand"], moving.same_operation),
    **dict.fromkeys(["repeat", "tile", "flip", "repeat_interleave", "getattr"], moving.same_operation),
    **dict.fromkeys(["chunk", "split"], moving.same_operation),
    **dict.fromkeys(["select", "unbind"], moving.pick),
    **dict.fromkeys(["cat", "concat", "concatenate"], moving.cat),
    "getitem": moving.getitem,
    "stack": moving.stack,
}
"""Name of a function or tensor method → its rule."""
