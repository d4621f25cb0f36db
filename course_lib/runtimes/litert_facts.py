"""What is in a ``.tflite`` file, and which of its operators XNNPACK takes over.

The Python interpreter has no profiler: it tells which operators there are and what happens to them, not how
long each takes. What the delegate brings is measured as a whole, `LiteRt()` against
``LiteRt(xnnpack=False)``.
"""

from dataclasses import dataclass
from typing import Any

from course_lib.runtimes.litert import LiteRtModel

DELEGATE = "DELEGATE"


@dataclass(frozen=True)
class LiteRtOperator:
    """One operator of the file, in its order; ``delegated`` if XNNPACK runs it."""

    operator: str
    output_name: str
    output_shape: tuple[int, ...]
    output_dtype: str
    delegated: bool


def operators(loaded: LiteRtModel) -> tuple[LiteRtOperator, ...]:
    """Return the operators of a model that is loaded, in the order of its file."""
    interpreter = loaded.interpreter
    tensors = {tensor["index"]: tensor for tensor in interpreter.get_tensor_details()}
    nodes = interpreter._get_ops_details()
    outside = _not_delegated(nodes, [loaded.output["index"]])
    found = []
    for node in nodes:
        if node["op_name"] == DELEGATE:
            continue
        tensor = tensors[node["outputs"][0]]
        found.append(
            LiteRtOperator(
                operator=node["op_name"],
                output_name=tensor["name"],
                output_shape=tuple(int(axis) for axis in tensor["shape"]),
                output_dtype=tensor["dtype"].__name__,
                delegated=node["index"] not in outside,
            )
        )
    return tuple(found)


def _not_delegated(nodes: list[dict[str, Any]], outputs: list[int]) -> set[int]:
    """Return the nodes that the interpreter runs itself.

    A delegate stands at the end of the list, the nodes that it replaced stay in it. Walking back from the
    outputs and preferring the delegate wherever it makes a tensor, one meets exactly those nodes that still
    run.
    """
    makers: dict[int, dict[str, Any]] = {}
    for node in nodes:  # delegates come last and so take precedence
        makers.update({int(tensor): node for tensor in node["outputs"]})
    outside: set[int] = set()
    waiting, seen = list(outputs), set(outputs)
    while waiting:
        node = makers.get(waiting.pop(), {})
        if node and node["op_name"] != DELEGATE:
            outside.add(node["index"])
        fresh = [int(tensor) for tensor in node.get("inputs", ()) if int(tensor) not in seen]
        seen.update(fresh)
        waiting.extend(fresh)
    return outside
