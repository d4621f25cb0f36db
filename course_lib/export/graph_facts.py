"""What is in an ONNX graph: every node with its tensors, their shapes and types, and the bytes of both kinds.

Parameter bytes are those of stored values, as the file holds them (4-bit values take half a byte). Activation
bytes are those of what nodes compute. The sum of a graph's activations is what it writes in one run; how much
of it must exist at the same time is another question (`course_lib.edge.memory_plan`).

How the less simple parts of ONNX are read:

===================  =======================================================================================
free axes            the batch (a free first axis of an input) has length 1, others what ``axes`` says; sizes
                     that depend on an axis without a length are unknown, and are None
Constant nodes       are stored values and no nodes
local functions      are expanded, as every runtime does; with ``expand=False`` a call is one node
subgraphs            an If, Loop or Scan is one node; values stored inside it are its parameters, tensors of
                     the outer graph that are read inside it are its inputs
operators of others  shapes that ONNX cannot infer are those that the file tells, or None
===================  =======================================================================================

Worked example: a Conv with 8 filters of 1×3×3 in float32 on an 8×8 image with padding: 8 · 9 · 4 = 288
parameter bytes, 8 · 8 · 8 · 4 = 2048 activation bytes.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import onnx

from course_lib.errors import ModelError, SettingError
from course_lib.export.onnx_source import OnnxSource, read_onnx
from course_lib.export.tensor_facts import TensorFacts, stored_facts, value_facts

STANDARD_DOMAINS = ("", "ai.onnx")
SHOWN_ATTRIBUTES = (
    *("kernel_shape", "strides", "group", "dilations", "axis", "perm", "transA", "transB", "to"),
    *("activation", "num_heads"),
)


@dataclass(frozen=True)
class NodeFacts:
    """One node of a graph.

    ``name`` is unique in its graph: where the file has no name, or one twice, it is that of the first output.
    ``inputs`` are computed tensors, one that is read twice is there twice; ``weights`` are stored ones, each
    once. ``inner_nodes`` counts those of its subgraphs.
    """

    name: str
    operator: str
    domain: str
    inputs: tuple[TensorFacts, ...]
    weights: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    attributes: Mapping[str, Any]
    inner_nodes: int = 0

    @property
    def kind(self) -> str:
        """The operator, with the last word of its domain where that is not ONNX's own: Conv (nchwc)."""
        return (
            self.operator
            if self.domain in STANDARD_DOMAINS
            else f"{self.operator} ({self.domain.split('.')[-1]})"
        )

    @property
    def parameter_bytes(self) -> int:
        """Bytes of the stored values that it reads, shared ones included."""
        return sum(tensor.size_bytes or 0 for tensor in self.weights)

    @property
    def activation_bytes(self) -> int | None:
        """Bytes of what it computes, None if one of its outputs is of unknown size."""
        sizes = [tensor.size_bytes for tensor in self.outputs]
        return None if None in sizes else sum(size for size in sizes if size is not None)


@dataclass(frozen=True)
class GraphFacts:
    """A whole graph; nodes in the order of the file, which is an order of execution.

    ``lengths`` are the free axes that were given a length; ``parameter_bytes`` counts stored values once.
    """

    inputs: tuple[TensorFacts, ...]
    outputs: tuple[TensorFacts, ...]
    nodes: tuple[NodeFacts, ...]
    opsets: Mapping[str, int]
    lengths: Mapping[str, int]
    parameter_bytes: int

    @property
    def activation_bytes(self) -> int:
        """Bytes that all nodes write in one run, as far as they are known; see `unknown`."""
        return sum(node.activation_bytes or 0 for node in self.nodes)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The names of computed tensors of unknown size."""
        return tuple(
            tensor.name for node in self.nodes for tensor in node.outputs if tensor.size_bytes is None
        )

    @property
    def operator_counts(self) -> dict[str, int]:
        """Operator (see `NodeFacts.kind`) → how many nodes, the most frequent first."""
        return dict(Counter(node.kind for node in self.nodes).most_common())


def read_graph(
    source: OnnxSource, *, axes: Mapping[str, int] | None = None, expand: bool = True
) -> GraphFacts:
    """Return the facts of an ONNX model: a file, its content, or a model in memory, which is not changed.

    Parameters
    ----------
    axes
        Name of a free axis → its length, at least 1, such as ``{"tokens": 128}``.
    expand
        Whether calls of the model's own functions are replaced by what is in them.

    Raises
    ------
    ModelError
        If it is not an ONNX model.
    SettingError
        If a length is below 1.
    """
    bad = {name: length for name, length in (axes or {}).items() if length < 1}
    if bad:
        raise SettingError(
            f"The axes {bad} have no length of at least 1; pass for example axes={{'batch': 1}}."
        )
    model = onnx.ModelProto()
    model.CopyFrom(read_onnx(source, weights=False))
    if expand and model.functions:
        model = _expanded(model)
    lengths = _set_lengths(model.graph, axes or {})
    with suppress(Exception):  # an operator or opset from elsewhere: the shapes are those that the file tells
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    return _facts(model, lengths)


def _expanded(model: onnx.ModelProto) -> onnx.ModelProto:
    import onnx.inliner

    try:
        return onnx.inliner.inline_local_functions(model, convert_version=True)
    except Exception as error:  # a call that does not fit its function
        # That module needs torch, which looking at a graph does without.
        from course_lib.export.onnx_graph import first_line

        raise ModelError(
            f"The model's own functions cannot be expanded ({first_line(error)}); pass expand=False."
        ) from error


def _set_lengths(graph: onnx.GraphProto, axes: Mapping[str, int]) -> dict[str, int]:
    """Give free axes their lengths, in place, and return axis → length of those that occur."""
    lengths = dict(axes)
    for value in graph.input:
        axis = next(iter(value.type.tensor_type.shape.dim), None)
        if axis is not None and axis.dim_param:
            lengths.setdefault(axis.dim_param, 1)
        elif axis is not None and not axis.HasField("dim_value"):
            axis.dim_value = 1  # without a name
    found = {}
    for value in (*graph.input, *graph.value_info, *graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param in lengths:
                found[axis.dim_param] = axis.dim_value = lengths[axis.dim_param]
    return found


def _facts(model: onnx.ModelProto, lengths: Mapping[str, int]) -> GraphFacts:
    graph = model.graph
    values = {value.name: value_facts(value) for value in (*graph.value_info, *graph.output, *graph.input)}
    # A stored value that is an input as well is only a default, but its bytes are in the file all the same.
    stored = _stored(graph)
    nodes, names = [], set[str]()
    for node in graph.node:
        if node.op_type == "Constant" and node.domain in STANDARD_DOMAINS:
            continue
        inner_reads = dict.fromkeys(_read_inside(node, {*values, *stored}))
        reads = [*filter(None, node.input), *(each for each in inner_reads if each not in node.input)]
        inside = [facts for body in _bodies(node) for facts in _stored(body).values()]
        outputs = [name for name in node.output if name]
        name = node.name if node.name and node.name not in names else (outputs or [node.op_type])[0]
        names.add(name)
        nodes.append(
            NodeFacts(
                name=name,
                operator=node.op_type,
                domain=node.domain,
                inputs=tuple(values.get(each) or TensorFacts(each) for each in reads if each not in stored),
                weights=(*(stored[each] for each in dict.fromkeys(reads) if each in stored), *inside),
                outputs=tuple(values.get(each) or TensorFacts(each) for each in outputs),
                attributes={
                    each.name: _plain(onnx.helper.get_attribute_value(each))
                    for each in node.attribute
                    if each.name in SHOWN_ATTRIBUTES and not each.ref_attr_name
                },
                inner_nodes=sum(len(body.node) for body in _bodies(node)),
            )
        )
    inner = [facts for node in graph.node for body in _bodies(node) for facts in _stored(body).values()]
    return GraphFacts(
        inputs=tuple(values[each.name] for each in graph.input if each.name not in stored),
        outputs=tuple(values[each.name] for each in graph.output),
        nodes=tuple(nodes),
        opsets={each.domain or "ai.onnx": each.version for each in model.opset_import},
        lengths=lengths,
        parameter_bytes=sum(facts.size_bytes or 0 for facts in (*stored.values(), *inner)),
    )


def _stored(graph: onnx.GraphProto) -> dict[str, TensorFacts]:
    """Return name → facts of the initializers and Constant nodes of a graph."""
    stored = {tensor.name: stored_facts(tensor) for tensor in graph.initializer}
    for sparse in graph.sparse_initializer:
        stored[sparse.values.name] = stored_facts(sparse.values)
    for node in graph.node:
        if node.op_type == "Constant" and node.domain in STANDARD_DOMAINS:
            stored[node.output[0]] = _constant(node)
    return stored


def _constant(node: onnx.NodeProto) -> TensorFacts:
    for attribute in node.attribute:
        if attribute.name == "value":
            return stored_facts(attribute.t, node.output[0])
        if attribute.name in ("value_float", "value_floats"):
            count = len(attribute.floats) or 1
            return TensorFacts(node.output[0], (count,) if attribute.floats else (), "float32", 4 * count)
        if attribute.name in ("value_int", "value_ints"):
            count = len(attribute.ints) or 1
            return TensorFacts(node.output[0], (count,) if attribute.ints else (), "int64", 8 * count)
    return TensorFacts(node.output[0])


def _bodies(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """Return the subgraphs of a node, those inside them included."""
    direct = [attribute.g for attribute in node.attribute if attribute.HasField("g")]
    direct += [body for attribute in node.attribute for body in attribute.graphs]
    return [*direct, *(inner for body in direct for each in body.node for inner in _bodies(each))]


def _read_inside(node: onnx.NodeProto, outer: Iterable[str]) -> list[str]:
    """Return the tensors of the outer graph that a node's subgraphs read."""
    bodies = _bodies(node)
    read = [name for body in bodies for each in body.node for name in each.input]
    read += [value.name for body in bodies for value in body.output]
    made = {name for body in bodies for each in body.node for name in each.output}
    made |= {value.name for body in bodies for value in (*body.input, *body.initializer)}
    known = set(outer)
    return [name for name in read if name in known and name not in made]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return tuple(value) if isinstance(value, list) else value
