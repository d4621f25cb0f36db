"""A custom operator as an ONNX function: the file brings the operator's meaning along.

>>> content = use_function("model.onnx", "Relu", HardSwish4)  # doctest: +SKIP
>>> OnnxRuntime().load(content).run(images)  # doctest: +SKIP

Every node of a standard operator is exchanged for a call of the function, which is written in standard
operators itself (`custom_functions`). While loading, ONNX Runtime puts the function's body in the place of
the call and optimizes it like the rest: no plug-in, no compiler, and the same file runs anywhere. What it
costs is that the body runs as several kernels, where a hand-written one would be a single one.

Left out: nodes inside of control flow.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import onnx
from onnx import helper

from course_lib.errors import ModelError, SettingError, UnknownNameError
from course_lib.runtimes.protocol import ModelSource

if TYPE_CHECKING:
    from onnxscript.values import OnnxFunction


def use_function(
    source: ModelSource,
    operator: str,
    function: "OnnxFunction[..., Any] | onnx.FunctionProto",
    attributes: Mapping[str, float] | None = None,
) -> bytes:
    """Return an ONNX model's content with every node of one operator replaced by calls of a function.

    Parameters
    ----------
    operator
        The type of the nodes that are replaced, such as "Relu".
    function
        With as many inputs and outputs as the nodes have.
    attributes
        Values of the function's attributes; those left out keep their defaults.

    Raises
    ------
    UnknownNameError
        If the model has no such operator, or the function no such attribute; the message lists the known.
    SettingError
        If an attribute without a default is left out.
    ModelError
        If the source is not an ONNX model, a node has other inputs than the function, or the function is
        written for a newer opset than the model.
    """
    definition = function if isinstance(function, onnx.FunctionProto) else function.to_function_proto()
    model = read_model(source)
    _check_attributes(definition, attributes or {})
    _check_opsets(model, definition)
    replace_nodes(
        model, operator, definition.domain, definition.name, len(definition.input), attributes or {}
    )
    if definition.name not in {each.name for each in model.functions if each.domain == definition.domain}:
        model.functions.append(definition)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def read_model(source: ModelSource) -> onnx.ModelProto:
    """Return an ONNX model from its file or content.

    Raises
    ------
    ModelError
        If it is no ONNX model.
    """
    try:
        if isinstance(source, bytes):
            return onnx.load_model_from_string(source)
        return onnx.load(str(source))
    except Exception as error:  # protobuf's errors, and those of the file system
        label = f"The content ({len(source):,} bytes)" if isinstance(source, bytes) else f"{source}"
        raise ModelError(f"{label} is not an ONNX model; write it with export_onnx.") from error


def replace_nodes(
    model: onnx.ModelProto,
    operator: str,
    domain: str,
    name: str,
    inputs: int,
    attributes: Mapping[str, float],
) -> None:
    """Turn every node of type ``operator`` into one of type ``domain:name`` with these attributes, in place.

    Raises
    ------
    UnknownNameError
        If there is none; the message lists the operators of the model.
    ModelError
        If one has another number of inputs, or several outputs.
    """
    found = [node for node in model.graph.node if node.op_type == operator]
    if not found:
        raise UnknownNameError(
            "operator in this model", operator, {node.op_type for node in model.graph.node}
        )
    for node in found:
        given = [each for each in node.input if each]
        if len(given) != inputs or len(node.output) != 1:
            raise ModelError(
                f"{name} takes {inputs} input{'s' * (inputs != 1)} and gives one output, and the "
                f"{operator} node {node.name or node.output[0]!r} has {len(given)} and {len(node.output)}; "
                "replace an operator of the same form."
            )
    for node in found:
        node.op_type, node.domain = name, domain
        del node.attribute[:]
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
    if domain not in {entry.domain for entry in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(domain, 1))


def _check_attributes(definition: onnx.FunctionProto, attributes: Mapping[str, float]) -> None:
    optional = {entry.name for entry in definition.attribute_proto}
    for name in attributes:
        if name not in optional | set(definition.attribute):
            known = optional | set(definition.attribute)
            raise UnknownNameError(f"attribute of {definition.name}", name, known)
    for name in definition.attribute:
        if name not in attributes:
            raise SettingError(f"{definition.name} needs its attribute {name!r}; pass it in attributes.")


def _check_opsets(model: onnx.ModelProto, definition: onnx.FunctionProto) -> None:
    present = {entry.domain: entry.version for entry in model.opset_import}
    for entry in definition.opset_import:
        if entry.version > present.get(entry.domain, entry.version):
            raise ModelError(
                f"{definition.name} is written for opset {entry.version} and the model in opset "
                f"{present[entry.domain]}; export the model with opset_version={entry.version} or higher."
            )
