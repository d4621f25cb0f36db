"""Real engines, built without a GPU by TensorRT for RTX."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from course_lib.errors import ExportError, MissingPackageError, ModelError, SettingError, UnknownNameError
from course_lib.runtimes.compilation import Compiler, ModelToCompile
from course_lib.runtimes.tensorrt import TensorRt, TensorRtRtx
from course_lib.runtimes.tensorrt_device import CAPABILITIES, gpu_capability, read_header
from course_lib.runtimes.tensorrt_log import layers_of_nodes
from tests.runtimes.optional import needs

SHAPE = (1, 4, 8, 8)


def convolution(dtype: int = TensorProto.FLOAT, quantized: bool = False) -> bytes:
    """Return conv → relu → reshape; with ``quantized`` the weight and the input pass through int8."""
    kind = helper.tensor_dtype_to_np_dtype(dtype)
    weight = np.random.default_rng(0).normal(size=(8, 4, 3, 3))
    constants = [numpy_helper.from_array(np.array([1, -1]), "flat")]
    nodes = [
        helper.make_node("Relu", ["sum"], ["positive"], name="relu"),
        helper.make_node("Reshape", ["positive", "flat"], ["logits"], name="reshape"),
    ]
    if quantized:
        codes = np.clip(np.rint(weight / 0.03), -127, 127).astype(np.int8)
        constants += [numpy_helper.from_array(codes, "codes")]
        constants += [numpy_helper.from_array(np.float32(0.03), name) for name in ("step", "weight_step")]
        nodes = [
            helper.make_node("QuantizeLinear", ["input", "step"], ["q"], name="quantize"),
            helper.make_node("DequantizeLinear", ["q", "step"], ["dq"], name="dequantize"),
            helper.make_node("DequantizeLinear", ["codes", "weight_step"], ["weight"], name="weights"),
            helper.make_node("Conv", ["dq", "weight"], ["sum"], name="conv", pads=[1] * 4),
            *nodes,
        ]
    else:
        constants += [numpy_helper.from_array(weight.astype(kind), "weight")]
        nodes = [helper.make_node("Conv", ["input", "weight"], ["sum"], name="conv", pads=[1] * 4), *nodes]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("input", dtype, SHAPE)],
        [helper.make_tensor_value_info("logits", dtype, (1, 512))],
        constants,
    )
    if quantized:  # the zero point has the type, which would be uint8 without one
        graph.initializer.append(numpy_helper.from_array(np.int8(0), "zero"))
        for node in graph.node:
            if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
                node.input.append("zero")
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def to_compile(content: bytes) -> ModelToCompile:
    return ModelToCompile("conv", np.zeros(SHAPE, np.float32), lambda precision, rules: content)


def refused(content: bytes, compiler: TensorRt | None = None) -> str:
    with pytest.raises(ModelError) as caught:
        (compiler or TensorRtRtx()).build(content)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def rtx():
    needs("tensorrt_rtx_bindings")
    return TensorRtRtx


@pytest.mark.parametrize("compiler", [TensorRt(), TensorRtRtx("SM120")])
def test_both_packages_are_compilers(compiler):
    assert isinstance(compiler, Compiler)
    assert (compiler.suffix, compiler.precisions) == (".engine", ("fp32", "fp16", "int8"))


@pytest.mark.parametrize("capability", [name for name in CAPABILITIES if name != "SM75"])
def test_an_engine_says_what_it_is_for(rtx, capability):
    build = rtx(capability).build(convolution())
    assert read_header(build.content).compute_capabilities == (capability,)
    assert read_header(build.content).version == rtx().version()
    assert build.size_bytes == len(build.content) > 1000


def test_layers_are_matched_with_the_nodes(rtx):
    layers = rtx("SM89").build(convolution()).layers
    found = layers_of_nodes(layers, ["conv", "relu", "reshape"])
    assert found["conv"]
    assert set(found["conv"]) >= set(found["relu"]), "the activation is fused into the convolution"
    assert set(found) == {"conv", "relu", "reshape"}
    assert layers[0].inputs[0].name == "input"
    assert layers[-1].outputs[-1].name == "logits"


@pytest.mark.parametrize(
    ("content", "dtype"),
    [
        (convolution(), "float32"),
        (convolution(TensorProto.FLOAT16), "float16"),
        (convolution(quantized=True), "int8"),
    ],
    ids=["fp32", "fp16", "int8"],
)
def test_types_are_those_of_the_file(rtx, content, dtype):
    layers = rtx().build(content).layers
    conv = next(layer for layer in layers if "conv" in layer.onnx_nodes and layer.kind != "kgen")
    assert {tensor.dtype for tensor in conv.inputs} == {dtype}


def test_the_file_is_written_whole(rtx, tmp_path):
    path = rtx("SM86").compile(to_compile(convolution()), tmp_path / "new" / "conv.engine")
    assert read_header(path.read_bytes()).compute_capabilities == ("SM86",)
    assert [each.name for each in path.parent.iterdir()] == ["conv.engine"]
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ExportError, match="could not be written"):
        rtx().compile(to_compile(convolution()), tmp_path / "file" / "conv.engine")


def test_nothing_is_printed(rtx, capfd):
    rtx().build(convolution())
    refused(b"hello")
    assert capfd.readouterr() == ("", "")


def test_an_old_generation_has_the_reason_of_the_compiler(rtx, build):
    text = refused(build(shape=(1, 3)).SerializeToString(), rtx("SM75"))
    assert text.startswith("TensorRT for RTX for SM75 does not build this model (Cannot compile operation '")
    assert "for Turing (SM75): FP32 GEMM is not supported);" in text


@pytest.mark.parametrize("operator", ["Nope", "Det"])
def test_an_operator_that_it_lacks(rtx, build, operator):
    node = helper.make_node(operator, ["input"], ["logits"], name="the_node")
    assert refused(build([node], shape=(3, 3)).SerializeToString()) == (
        f"The node 'the_node' uses the operator {operator}, which TensorRT for RTX does not have; replace it "
        "in the model, or run the model with ONNX Runtime."
    )


def test_a_node_that_does_not_fit(rtx, build):
    text = refused(build(shape=(1, 4)).SerializeToString())
    assert text.startswith("TensorRT for RTX does not take the node '")
    assert "with the operator MatMul (" in text
    assert "last dimension of input0 = 4 and second to last dimension of input1 = 3 but must match)" in text


def test_a_newer_opset_and_free_axes(rtx, build):
    assert refused(build(shape=(1, 3), opset=99).SerializeToString()) == (
        "The model is written in opset 99, and TensorRT for RTX understands opsets up to 25; export it again "
        "with a lower opset_version."
    )
    assert refused(build().SerializeToString()) == (
        "The input 'input' has the shape (batch, 3), and TensorRT for RTX needs numbers only; export the "
        "model again with dynamic_batch=False."
    )


def test_a_file_builds_as_its_content_does(rtx, tmp_path):
    path = tmp_path / "conv.onnx"
    path.write_bytes(convolution())
    assert [layer.onnx_nodes for layer in rtx().build(path).layers] == [
        layer.onnx_nodes for layer in rtx().build(convolution()).layers
    ]


def test_builds_of_two_threads_keep_what_is_theirs(rtx):
    with ThreadPoolExecutor(2) as pool:
        builds = list(pool.map(lambda name: rtx(name).build(convolution()), ["SM86", "SM120"] * 2))
    for name, build in zip(["SM86", "SM120"] * 2, builds, strict=True):
        assert read_header(build.content).compute_capabilities == (name,)
        assert sum(message.text.startswith("Layers:") for message in build.messages) == 1


def test_settings_that_it_does_not_know(rtx, tmp_path):
    with pytest.raises(
        UnknownNameError, match=r"^There is no compute capability called 'SM90'; the known ones are"
    ):
        rtx("SM90").build(convolution())
    with pytest.raises(UnknownNameError, match=r"^There is no precision called 'int4'"):
        rtx().compile(to_compile(convolution()), tmp_path / "x.engine", "int4")
    with pytest.raises(SettingError, match="threads must be a whole number"):
        rtx().load(b"engine", threads=0)


@pytest.mark.skipif(gpu_capability() is not None, reason="there is a GPU, which is what this is not about")
def test_without_a_gpu_engines_are_built_and_not_run(rtx):
    reason = rtx().why_not_run()
    assert reason.startswith("Engines run on an NVIDIA GPU and ")
    with pytest.raises(ModelError) as caught:
        rtx().load(rtx().build(convolution()).content)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    ("compiler", "command"),
    [
        (TensorRt(package="no_such_package"), "make compilers"),
        (TensorRt(), "pip install tensorrt"),
    ],
)
def test_package_missing(compiler, command, monkeypatch):
    monkeypatch.setattr("course_lib.runtimes.tensorrt.find_spec", lambda package: None)
    expected = f"{compiler.package} is needed to build engines with TensorRT; install it with: {command}"
    assert compiler.why_unavailable() == compiler.why_not_run() == expected
    with pytest.raises(MissingPackageError) as caught:
        compiler.compile(to_compile(b""), Path("x.engine"))
    assert str(caught.value) == expected


def test_bindings_without_their_libraries(monkeypatch):
    monkeypatch.setattr("course_lib.runtimes.tensorrt.find_spec", lambda package: object())
    with pytest.raises(MissingPackageError, match="no_such_package is needed to build engines"):
        TensorRt(package="no_such_package").version()
