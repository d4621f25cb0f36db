"""Name, shape, type and size of a tensor in an ONNX file."""

import math
from dataclasses import dataclass

import onnx
from onnx import TensorProto

BITS = {
    **{"BOOL": 8, "INT8": 8, "UINT8": 8, "INT16": 16, "UINT16": 16, "INT32": 32, "UINT32": 32},
    **{"INT64": 64, "UINT64": 64, "FLOAT16": 16, "BFLOAT16": 16, "FLOAT": 32, "DOUBLE": 64},
    **{"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2, "COMPLEX64": 64, "COMPLEX128": 128},
    **{"FLOAT8E4M3FN": 8, "FLOAT8E4M3FNUZ": 8, "FLOAT8E5M2": 8, "FLOAT8E5M2FNUZ": 8, "FLOAT8E8M0": 8},
}
"""ONNX's name of a type → bits of one value; strings have none."""

SPELLED = {"FLOAT": "float32", "DOUBLE": "float64"}


@dataclass(frozen=True)
class TensorFacts:
    """A tensor; what is not known is None.

    An axis of the shape is its length, the name of a free axis, or None. ``dtype`` is spelled as NumPy does,
    or "sequence", "optional", "map" for what is no tensor.
    """

    name: str
    shape: tuple[int | str | None, ...] | None = None
    dtype: str | None = None
    size_bytes: int | None = None

    @property
    def shape_text(self) -> str:
        """The shape as text: 1×32×7×7, 1×? for an axis that is not known, "scalar", or "?"."""
        if self.shape is None:
            return "?"
        return "×".join("?" if axis is None else str(axis) for axis in self.shape) or "scalar"


def stored_facts(tensor: onnx.TensorProto, name: str = "") -> TensorFacts:
    """Return the facts of a stored tensor, from its header alone: its values may lie in a second file."""
    shape = tuple(tensor.dims)
    return TensorFacts(name or tensor.name, shape, *_type_and_size(tensor.data_type, shape))


def value_facts(value: onnx.ValueInfoProto) -> TensorFacts:
    """Return the facts of a tensor from what the graph declares about it."""
    kind = value.type.WhichOneof("value")
    if kind is None:
        return TensorFacts(value.name)
    if kind != "tensor_type":
        return TensorFacts(value.name, dtype=kind.removesuffix("_type"))
    declared = value.type.tensor_type
    if not declared.HasField("shape"):
        return TensorFacts(value.name, dtype=_type_and_size(declared.elem_type, None)[0])
    shape = tuple(
        axis.dim_value if axis.HasField("dim_value") else _name(axis.dim_param) for axis in declared.shape.dim
    )
    return TensorFacts(value.name, shape, *_type_and_size(declared.elem_type, shape))


def _name(axis: str) -> str | None:
    """Return the name of a free axis, None for one that shape inference made up."""
    return None if not axis or axis.startswith("unk__") else axis


def _type_and_size(
    data_type: int, shape: tuple[int | str | None, ...] | None
) -> tuple[str | None, int | None]:
    if data_type == TensorProto.UNDEFINED or data_type not in TensorProto.DataType.values():
        return None, None
    name = TensorProto.DataType.Name(data_type)
    lengths = [axis for axis in shape or () if isinstance(axis, int)]
    size_bytes = None
    if shape is not None and len(lengths) == len(shape) and name in BITS:
        size_bytes = math.ceil(math.prod(lengths) * BITS[name] / 8)
    return SPELLED.get(name, name.lower()), size_bytes
