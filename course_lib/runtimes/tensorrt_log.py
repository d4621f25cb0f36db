"""What TensorRT made of a graph, read from the log of its builder.

Built with detailed profiling information, the builder ends its log with a line for each layer of the engine:

    Name: __myl_CorrMulAddRelu_myl0_1, LayerType: runtime_fusion, Inputs: [ { Name: input, Dimensions:
    [1,1,28,28], Datatype: Float, Format: (NHWC) Channel major format }], …, TacticName: , StreamId: 0,
    Metadata: [ONNX Layer: node_conv][ONNX Layer: node_batch_norm][ONNX Layer: node_relu]

A layer is one kernel. Its metadata names the ONNX nodes that it computes: several nodes in one layer were
fused, one node in several layers was taken apart (as a linear layer into a product and a sum), and a node in
none costs nothing (a reshaping). A layer without nodes is TensorRT's own, such as a change of the memory
layout. The inspector of a loaded engine writes the same lines.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

KEY = re.compile(r"(?:, |^)([A-Z][\w/]*): ")
DTYPES = {
    **{"Float": "float32", "FP32": "float32", "Half": "float16", "FP16": "float16", "BFloat16": "bfloat16"},
    **{"BF16": "bfloat16", "Int8": "int8", "INT8": "int8", "UInt8": "uint8", "Int32": "int32"},
    **{"INT32": "int32", "Int64": "int64", "Bool": "bool", "FP8": "float8", "Int4": "int4", "FP4": "float4"},
}


@dataclass(frozen=True)
class EngineTensor:
    """A tensor between two layers.

    ``layout`` is TensorRT's name of the order in memory, such as "Linear" (rows) or "NHWC" (channels last).
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str

    def __str__(self) -> str:
        return f"{self.dtype} {'×'.join(map(str, self.shape))} {self.layout}"


@dataclass(frozen=True)
class EngineLayer:
    """One layer of an engine.

    Attributes
    ----------
    kind
        TensorRT's layer type, such as "kgen" (a kernel that it writes itself) or "correlation".
    constants
        Weights and other values that the engine holds.
    tactic
        The name of the kernel, or "" where it is chosen on the device only.
    onnx_nodes
        Names of the ONNX nodes that it computes, wholly or in part.
    """

    name: str
    kind: str
    inputs: tuple[EngineTensor, ...]
    outputs: tuple[EngineTensor, ...]
    constants: tuple[EngineTensor, ...]
    tactic: str
    onnx_nodes: tuple[str, ...]

    @property
    def fused(self) -> bool:
        """Whether it computes more than one ONNX node."""
        return len(self.onnx_nodes) > 1

    def table_row(self) -> dict[str, str]:
        """Return what a table shows of it."""
        return {
            "layer": self.name,
            "kind": self.kind,
            "ONNX nodes": ", ".join(self.onnx_nodes) or "none: TensorRT's own",
            "inputs": "; ".join(map(str, self.inputs)),
            "outputs": "; ".join(map(str, self.outputs)),
            "tactic": self.tactic or "chosen on the device",
        }


def parse_layers(lines: Iterable[str]) -> tuple[EngineLayer, ...]:
    """Return the layers that a builder's log or an inspector's text tells, in order of execution.

    Parameters
    ----------
    lines
        Messages of the log, of one or several lines each. What is no layer is passed over.
    """
    return tuple(
        _layer(dict(_pairs(line)))
        for message in lines
        for line in message.splitlines()
        if line.startswith("Name: ") and ", LayerType: " in line
    )


def layers_of_nodes(layers: Iterable[EngineLayer], nodes: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return, for every ONNX node, the names of the layers that compute it; none for what costs nothing."""
    found: dict[str, list[str]] = {node: [] for node in nodes}
    for layer in layers:
        for node in layer.onnx_nodes:
            found.setdefault(node, []).append(layer.name)
    return {node: tuple(names) for node, names in found.items()}


def _layer(facts: dict[str, str]) -> EngineLayer:
    return EngineLayer(
        name=facts["Name"],
        kind=facts["LayerType"],
        inputs=_tensors(facts.get("Inputs", "")),
        outputs=_tensors(facts.get("Outputs", "")),
        constants=_tensors(facts.get("Constants", "")),
        tactic=facts.get("TacticName", ""),
        # A node may be named twice, for two of the layers that it was taken apart into.
        onnx_nodes=tuple(dict.fromkeys(re.findall(r"\[ONNX Layer: ([^\]]*)\]", facts.get("Metadata", "")))),
    )


def _tensors(text: str) -> tuple[EngineTensor, ...]:
    """Read ``[ { Name: …, Dimensions: [1,16,14,14], Datatype: Float, Format: (NHWC) … }, … ]``."""
    return tuple(_tensor(dict(_pairs(inside.strip()))) for inside in _groups(text))


def _tensor(facts: dict[str, str]) -> EngineTensor:
    described = facts.get("Format", facts.get("Format/Datatype", ""))
    short = re.match(r"\((\w+)\)", described)
    words = [word for word in facts.get("Datatype", described).split() if word in DTYPES]
    return EngineTensor(
        name=facts["Name"],
        shape=tuple(int(length) for length in re.findall(r"-?\d+", facts.get("Dimensions", ""))),
        dtype=DTYPES[words[0]] if words else facts.get("Datatype", "").lower(),
        layout=short[1] if short else described,
    )


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """Yield key and value of ``Key: value, Key: value``; commas inside brackets belong to the value."""
    depths = list(_depths(text))
    found = [match for match in KEY.finditer(text) if depths[match.start()] == 0]
    ends = [*(match.start() for match in found[1:]), len(text)]
    for match, end in zip(found, ends, strict=True):
        yield match[1], text[match.end() : end].strip()


def _groups(text: str) -> Iterator[str]:
    """Yield what stands between each pair of outermost braces."""
    start, level = 0, 0
    for place, sign in enumerate(text):
        level += (sign == "{") - (sign == "}")
        if sign == "{" and level == 1:
            start = place + 1
        elif sign == "}" and level == 0:
            yield text[start:place]


def _depths(text: str) -> Iterator[int]:
    """Yield for each character how many brackets are open before it."""
    level = 0
    for sign in text:
        yield level
        level += (sign in "[{") - (sign in "]}")
