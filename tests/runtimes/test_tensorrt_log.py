"""The builder's log is only text: these lines are TensorRT's own, shortened, so no package is needed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.runtimes.tensorrt_log import EngineTensor, layers_of_nodes, parse_layers

ROW = "StrideOrder: [3,2,1,0], Datatype: Float, Format: (Linear) Row major linear format"
MOVE = (
    f"Name: __myl_Move_myl0_0, LayerType: kgen, Inputs: [ {{ Name: input, Dimensions: [1,1,28,28], {ROW} "
    "}], Constants: [], Outputs: [ { Name: moved, Dimensions: [1,1,28,28], Strides: [784,1,28,1], "
    "StrideOrder: [3,0,2,1], Datatype: Float, Format: (NHWC) Channel major format }], TacticName: "
    "__myl_Move_0x7c57, StreamId: 0, Metadata: "
)
FUSED = (
    "Name: __myl_CorrMulAddRelu_myl0_1, LayerType: runtime_fusion, Inputs: [ { Name: moved, Dimensions: "
    "[1,1,28,28], Datatype: Half, Format: (NHWC) Channel major format }, { Name: other, Dimensions: [1], "
    "Datatype: Int8, Format: (Linear) Row major linear format }], Constants: [ { Name: weight, Dimensions: "
    "[16,1,3,3], Datatype: Half, Format: (NHWC) Channel major format }], Outputs: [ { Name: relu, "
    "Dimensions: [1,16,14,14], Datatype: Half, Format: (NHWC) Channel major format }], TacticName: , "
    "StreamId: 0, Metadata: [ONNX Layer: conv][ONNX Layer: norm][ONNX Layer: relu]"
)
PRODUCT, SUM = (
    f"Name: {name}, LayerType: kgen, Inputs: [], Outputs: [], TacticName: , StreamId: 0, "
    "Metadata: [ONNX Layer: linear]"
    for name in ("product", "sum")
)
FULL = (
    "Name: {ForeignNode[a...b]}, LayerType: CaskConvolution, Inputs: [ { Name: x, Location: Device, "
    "Dimensions: [1,3,8,8], Format/Datatype: Row major linear FP32 }], Outputs: [ { Name: y, Location: "
    "Device, Dimensions: [1,8,8,8], Format/Datatype: Channel major FP16 format }], ParameterType: "
    "Convolution, Kernel: [3,3], TacticName: sm80_xmma_fprop, TacticValue: 0x9c, StreamId: 0, "
    "Metadata: [ONNX Layer: conv]"
)
"""How the full TensorRT 10 writes them."""


def test_layers_of_a_log():
    log = [
        "Parsing node: conv [Conv]",
        "\n".join(["Layers:", MOVE, FUSED, "", "I/O Tensors:", " Name: input"]),
    ]
    move, fused = parse_layers(log)
    assert (move.name, move.kind, move.tactic) == ("__myl_Move_myl0_0", "kgen", "__myl_Move_0x7c57")
    assert move.inputs == (EngineTensor("input", (1, 1, 28, 28), "float32", "Linear"),)
    assert move.outputs == (EngineTensor("moved", (1, 1, 28, 28), "float32", "NHWC"),)
    assert (move.constants, move.onnx_nodes, move.fused) == ((), (), False)
    assert [str(each) for each in fused.inputs] == ["float16 1×1×28×28 NHWC", "int8 1 Linear"]
    assert fused.constants == (EngineTensor("weight", (16, 1, 3, 3), "float16", "NHWC"),)
    assert (fused.tactic, fused.onnx_nodes, fused.fused) == ("", ("conv", "norm", "relu"), True)


def test_rows_of_the_table_say_what_is_missing():
    move, fused = (layer.table_row() for layer in parse_layers([MOVE, FUSED]))
    assert move["ONNX nodes"] == "none: TensorRT's own"
    assert fused["ONNX nodes"] == "conv, norm, relu"
    assert fused["tactic"] == "chosen on the device"
    assert fused["outputs"] == "float16 1×16×14×14 NHWC"


def test_lines_of_the_full_package():
    (layer,) = parse_layers([FULL])
    assert (layer.name, layer.kind, layer.tactic) == (
        "{ForeignNode[a...b]}",
        "CaskConvolution",
        "sm80_xmma_fprop",
    )
    assert layer.inputs == (EngineTensor("x", (1, 3, 8, 8), "float32", "Row major linear FP32"),)
    assert layer.outputs[0].dtype == "float16"


def test_nodes_are_found_in_none_one_and_several_layers():
    layers = parse_layers([FUSED, PRODUCT, SUM])
    assert layers_of_nodes(layers, ["conv", "view", "linear"]) == {
        "conv": (layers[0].name,),
        "norm": (layers[0].name,),
        "relu": (layers[0].name,),
        "view": (),
        "linear": ("product", "sum"),
    }


@pytest.mark.parametrize("text", ["", "Layers:", " Name: input, IOMode: Input", "Name: x", "LayerType: y"])
def test_other_lines_are_no_layers(text):
    assert parse_layers([text]) == ()


names = st.text(st.characters(codec="ascii", categories=["L", "N"], include_characters="._/-"), min_size=1)


@given(layer=names, nodes=st.lists(names, unique=True), shape=st.lists(st.integers(1, 999), max_size=5))
def test_what_is_written_is_read(layer, nodes, shape):
    tensor = f"{{ Name: {layer}, Dimensions: {shape}, Datatype: Int8, Format: (NC/32HW32) Blocked, wide }}"
    metadata = "".join(f"[ONNX Layer: {node}]" for node in nodes)
    (found,) = parse_layers([f"Name: {layer}, LayerType: kgen, Inputs: [ {tensor}], Metadata: {metadata}"])
    assert (found.name, found.onnx_nodes, found.fused) == (layer, tuple(nodes), len(nodes) > 1)
    assert found.inputs[0].shape == tuple(shape)
    assert (found.inputs[0].name, found.inputs[0].dtype) == (layer, "int8")
