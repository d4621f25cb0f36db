"""Words and colours for the operators of an ONNX graph."""

from dataclasses import dataclass

from course_lib.benchmarking.number_text import format_bytes
from course_lib.export.graph_facts import NodeFacts


@dataclass(frozen=True)
class Family:
    """Operators of one kind of work: what the legend calls them, and the colours of box and border."""

    title: str
    fill: str
    line: str


CONVOLUTION = Family("convolution, matrix product", "#cfe0fb", "#2563c9")
NORM = Family("normalization", "#e5d9f7", "#7c3aed")
ACTIVATION = Family("activation", "#fde0cc", "#c2410c")
ARITHMETIC = Family("element by element", "#d3efdb", "#15803d")
POOLING = Family("pooling, reduction", "#cdeef0", "#0e7490")
GRID = Family("quantize, dequantize", "#fdeeb8", "#a16207")
MOVING = Family("moves values", "#e6e6ec", "#5c5c66")
OTHER = Family("other", "#f8d7e3", "#be185d")
FAMILIES = (CONVOLUTION, NORM, ACTIVATION, ARITHMETIC, POOLING, GRID, MOVING, OTHER)

OPERATORS = {
    CONVOLUTION: (
        "Conv ConvTranspose Gemm MatMul FusedConv FusedGemm FusedMatMul ConvInteger MatMulInteger "
        "QLinearConv QLinearMatMul QGemm MatMulIntegerToFloat DynamicQuantizeMatMul MatMulNBits Attention "
        "MultiHeadAttention NhwcFusedConv Einsum LSTM GRU RNN"
    ),
    NORM: (
        "BatchNormalization LayerNormalization InstanceNormalization GroupNormalization RMSNormalization "
        "SkipLayerNormalization SimplifiedLayerNormalization LRN"
    ),
    ACTIVATION: (
        "Relu LeakyRelu PRelu Clip Sigmoid HardSigmoid HardSwish Tanh Gelu BiasGelu FastGelu QuickGelu "
        "Elu Selu Softplus Softmax LogSoftmax Swish Mish Erf QLinearSigmoid QLinearLeakyRelu "
        "QLinearSoftmax"
    ),
    ARITHMETIC: (
        "Add Sub Mul Div Pow Sqrt Exp Log Neg Abs Sum Max Min Mean Where Equal Less Greater Reciprocal "
        "Mod QLinearAdd QLinearMul Not And Or Floor Ceil Round Sign Sin Cos"
    ),
    POOLING: (
        "MaxPool AveragePool GlobalAveragePool GlobalMaxPool ReduceMean ReduceSum ReduceMax ReduceMin "
        "ReduceL2 ArgMax TopK QLinearAveragePool QLinearGlobalAveragePool QLinearReduceMean LpPool"
    ),
    GRID: "QuantizeLinear DequantizeLinear DynamicQuantizeLinear",
    MOVING: (
        "Reshape Flatten Transpose Squeeze Unsqueeze Concat Split Slice Gather Expand Tile Pad Identity "
        "Cast Shape Dropout DepthToSpace SpaceToDepth Resize ReorderInput ReorderOutput QLinearConcat "
        "ConstantOfShape Range GatherND ScatterND Size"
    ),
}
FAMILY_OF = {name: family for family, names in OPERATORS.items() for name in names.split()}

SHORT = {
    "BatchNormalization": "BatchNorm",
    "LayerNormalization": "LayerNorm",
    "SkipLayerNormalization": "SkipLayerNorm",
    "InstanceNormalization": "InstanceNorm",
    "GroupNormalization": "GroupNorm",
    "GlobalAveragePool": "GlobalAvgPool",
    "QLinearGlobalAveragePool": "QLinearGlobalAvgPool",
    "DynamicQuantizeMatMul": "DynQuantizeMatMul",
    "DynamicQuantizeLinear": "DynamicQuantize",
    "QuantizeLinear": "Quantize",
    "DequantizeLinear": "Dequantize",
}
"""Operator → the shorter name that fits into a box; its full one is in the box's tooltip."""


def family_of(node: NodeFacts) -> Family:
    """Return the family of a node's operator."""
    return FAMILY_OF.get(node.operator, OTHER)


def short_name(node: NodeFacts) -> str:
    """Return the operator as it stands in a box: FusedConv, Conv (nchwc)."""
    short = SHORT.get(node.operator, node.operator)
    # Most operators of a domain are found in no other; the blocked ones share their names with ONNX's.
    tells = node.domain.endswith("nchwc") and not node.operator.startswith("Reorder")
    return node.kind.replace(node.operator, short, 1) if tells else short


def details(node: NodeFacts) -> str:
    """Return the attributes that matter in a few words: 3×3, stride 2, 32 groups."""
    facts, words = node.attributes, []
    if kernel := facts.get("kernel_shape"):
        words.append("×".join(map(str, kernel)))
    elif (
        node.operator in ("Conv", "FusedConv", "QLinearConv", "ConvInteger")
        and node.weights
        and node.weights[0].shape
    ):
        words.append("×".join(map(str, node.weights[0].shape[2:])))
    strides = facts.get("strides", ())
    if strides and max(strides) > 1:
        words.append(f"stride {strides[0] if len(set(strides)) == 1 else '×'.join(map(str, strides))}")
    if facts.get("dilations") and max(facts["dilations"]) > 1:
        words.append(f"dilated {max(facts['dilations'])}")
    if facts.get("group", 1) > 1:
        words.append(f"{facts['group']} groups")
    if facts.get("perm"):
        words.append("order " + " ".join(map(str, facts["perm"])))
    if "axis" in facts and family_of(node) is not GRID:
        words.append(f"axis {facts['axis']}")
    if facts.get("activation"):
        words.append(f"with {facts['activation']}")
    # ONNX's own convolutions have further inputs where weights are dequantized; they add none of them.
    if node.operator in ("Conv", "FusedConv") and node.domain and len(node.inputs) > 1:
        words.append("adds an input")
    if node.inner_nodes:
        words.append(f"{node.inner_nodes} nodes inside")
    return ", ".join(words)


def bytes_words(node: NodeFacts) -> str:
    """Return the bytes of a node in a few words: weights 1.2 kB · out 25 kB."""
    made = node.activation_bytes
    words = [f"weights {format_bytes(node.parameter_bytes)}"] if node.parameter_bytes else []
    words.append(f"out {format_bytes(made) if made is not None else '?'}")
    return " · ".join(words)


def tooltip(node: NodeFacts) -> str:
    """Return everything about a node, for who points at its box or has it read aloud."""

    def tensors(title: str, each: tuple) -> list[str]:  # type: ignore[type-arg]
        words = [f"{tensor.name} {tensor.shape_text} {tensor.dtype or ''}".rstrip() for tensor in each]
        return [f"{title}: {', '.join(words)}"] if words else []

    first = f"{node.kind} {node.name}"
    extra = details(node)
    return "\n".join(
        [
            f"{first}, {extra}" if extra else first,
            *tensors("reads", node.inputs),
            *tensors("stored", node.weights),
            *tensors("makes", node.outputs),
            bytes_words(node),
        ]
    )
