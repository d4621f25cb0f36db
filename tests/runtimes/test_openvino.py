import resource
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from course_lib.errors import ExportError, MissingPackageError, ModelError, SettingError, UnknownNameError
from course_lib.runtimes.compilation import Compiler, ModelToCompile
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from course_lib.runtimes.openvino import OpenVino
from course_lib.runtimes.protocol import LoadedModel
from tests.runtimes.optional import needs

X = np.random.default_rng(0).normal(size=(1, 16, 8, 8)).astype(np.float32)


def network(dtype: int = TensorProto.FLOAT, *, seed: int = 0, quantized: bool = False) -> bytes:
    """Return cast → conv → relu → cast; ``quantized`` puts int8 around the convolution instead."""
    weight = np.random.default_rng(seed).normal(size=(32, 16, 3, 3))
    kind = helper.tensor_dtype_to_np_dtype(dtype)
    constants = [numpy_helper.from_array(weight.astype(kind), "weight")]
    nodes = [
        helper.make_node("Cast", ["input"], ["x"], to=dtype),
        helper.make_node("Conv", ["x", "weight"], ["sum"], pads=[1] * 4),
        helper.make_node("Relu", ["sum"], ["positive"]),
        helper.make_node("Cast", ["positive"], ["logits"], to=TensorProto.FLOAT),
    ]
    if quantized:
        codes = np.clip(np.rint(weight / 0.03), -127, 127).astype(np.int8)
        constants = [
            numpy_helper.from_array(codes, "codes"),
            numpy_helper.from_array(np.float32(0.03), "step"),
            numpy_helper.from_array(np.int8(0), "zero"),
        ]
        nodes[:2] = [
            helper.make_node("QuantizeLinear", ["input", "step", "zero"], ["q"]),
            helper.make_node("DequantizeLinear", ["q", "step", "zero"], ["x"]),
            helper.make_node("DequantizeLinear", ["codes", "step", "zero"], ["weight"]),
            helper.make_node("Conv", ["x", "weight"], ["sum"], pads=[1] * 4),
        ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, X.shape)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, (1, 32, 8, 8))],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


FORMS = {"fp32": network(), "fp16": network(TensorProto.FLOAT16), "int8": network(quantized=True)}


def to_compile(content: bytes | None = None) -> ModelToCompile:
    return ModelToCompile("net", X, lambda precision, rules: content or FORMS[precision])


@pytest.fixture
def runtime():
    needs("openvino")
    return OpenVino()


def refused(runtime: OpenVino, source: object) -> str:
    with pytest.raises(ModelError) as caught:
        runtime.load(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_it_is_a_compiler():
    assert isinstance(OpenVino(), Compiler)
    assert OpenVino().suffix == ".xml"


@pytest.mark.parametrize(("precision", "allowed"), [("fp32", 1e-4), ("fp16", 0.05), ("int8", 1e-3)])
def test_compiled_saved_loaded_and_run(runtime, tmp_path, precision, allowed):
    path = runtime.compile(to_compile(), tmp_path / "new" / "net.xml", precision)
    assert sorted(each.name for each in path.parent.iterdir()) == ["net.bin", "net.xml"]
    loaded = runtime.load(path, threads=2)
    assert isinstance(loaded, LoadedModel)
    assert (loaded.input_names, loaded.output_names, loaded.threads) == (("input",), ("logits",), 2)
    assert (loaded.input_shape, loaded.input_dtype) == (X.shape, "float32")
    assert loaded.compiled.get_property("INFERENCE_NUM_THREADS") == 2
    expected = OnnxRuntime("off").load(FORMS[precision]).run(X)
    assert np.abs(loaded.run(X) - expected).max() <= allowed


def test_weights_take_the_bytes_of_their_precision(runtime, tmp_path):
    sizes = {
        each: runtime.compile(to_compile(), tmp_path / f"{each}.xml", each).with_suffix(".bin").stat().st_size
        for each in FORMS
    }
    assert sizes["fp32"] == pytest.approx(2 * sizes["fp16"], rel=0.01)
    assert sizes["fp32"] == pytest.approx(4 * sizes["int8"], rel=0.01)


def test_float32_is_float32(runtime):
    """On a CPU with bfloat16 instructions the default rounds to 8 bits; elsewhere both are the same."""
    expected = OnnxRuntime().load(FORMS["fp32"]).run(X)
    exact, free = OpenVino().load(FORMS["fp32"]), OpenVino(exact=False).load(FORMS["fp32"])
    assert exact.inference_precision == "f32"
    assert np.abs(exact.run(X) - expected).max() <= 1e-4
    rounds = free.inference_precision != "f32"
    assert (np.abs(free.run(X) - expected).max() > 1e-3) == rounds


def test_results_are_copies(runtime):
    loaded = runtime.load(FORMS["fp32"])
    first = loaded.run(X)
    before = first.copy()
    loaded.run(2 * X)
    np.testing.assert_array_equal(first, before)


def test_other_batches_are_refused(runtime):
    loaded = runtime.load(FORMS["fp32"])
    with pytest.raises(
        ModelError, match=r"^The model takes float32 and the batch is float64; pass batch\.astype"
    ):
        loaded.run(X.astype(np.float64))
    with pytest.raises(
        ModelError, match=r"^The model takes input of shape \(1, 16, 8, 8\) and the batch has shape"
    ):
        loaded.run(X[:, :3])


def test_a_failure_inside_the_graph(runtime):
    def fail(inputs, share_inputs):
        raise RuntimeError("Exception from src/plugins/node.cpp:7:\nNo memory for that.\n")

    loaded = replace(runtime.load(FORMS["fp32"]), request=SimpleNamespace(infer=fail))
    with pytest.raises(ModelError) as caught:
        loaded.run(X)
    assert str(caught.value) == (
        "The model fails on a batch of shape (1, 16, 8, 8) (No memory for that); try the batch size that it "
        "was exported with, or export it with dynamic_batch=True."
    )


def test_an_operator_that_it_lacks(runtime, build):
    node = helper.make_node("Nope", ["input"], ["logits"], name="the_node", domain="com.example")
    assert refused(runtime, build([node], domains=["com.example"]).SerializeToString()) == (
        "The node 'the_node' uses the operator com.example.Nope, which OpenVINO does not have; replace it in "
        "the model, or run the model with ONNX Runtime."
    )


def test_a_newer_opset(runtime, build):
    assert refused(runtime, build(opset=99).SerializeToString()) == (
        "The model is written in opset 99, and OpenVINO understands opsets up to 27; export it again with a "
        "lower opset_version."
    )


def test_shapes_that_clash(runtime, build):
    text = refused(runtime, build(shape=("batch", 4)).SerializeToString())
    assert "Incompatible MatMul matrix dimension" in text


def test_files_that_are_missing_cut_or_of_another_kind(runtime, tmp_path):
    path = runtime.compile(to_compile(), tmp_path / "net.xml")
    weights = path.with_suffix(".bin")
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2])
    assert refused(runtime, path).startswith(
        "The weights in net.bin are cut short or belong to another model;"
    )
    weights.unlink()
    assert refused(runtime, path).startswith(f"There is no file {weights}; write both files again")
    weights.write_bytes(content)
    path.write_text(path.read_text()[:2000])
    assert refused(runtime, path).startswith(f"{path} cannot be read by OpenVINO (")
    path.write_text("hello")
    assert refused(runtime, path).startswith(f"{path} is not an OpenVINO graph;")
    assert refused(runtime, 3).startswith("OpenVINO takes the path or the bytes of an ONNX file, not int;")


@pytest.mark.skipif(sys.platform != "linux", reason="limits the length of files as Linux does")
def test_a_full_disk_leaves_the_old_files(runtime, tmp_path):
    path = runtime.compile(to_compile(), tmp_path / "net.xml")
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    runtime.load(network(seed=1))  # everything is imported and there before files may not grow any more
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(ExportError, match=r"net\.xml could not be written \(") as caught:
            runtime.compile(to_compile(network(seed=1)), path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "\n" not in str(caught.value)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_an_interruption_never_leaves_a_graph_with_the_weights_of_another(runtime, tmp_path, monkeypatch):
    path = runtime.compile(to_compile(), tmp_path / "net.xml")
    move = Path.replace

    def stop(self: Path, target: Path) -> Path:
        if Path(target).suffix == ".xml":
            raise KeyboardInterrupt
        return move(self, target)

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        runtime.compile(to_compile(network(seed=1)), path)
    assert [each.name for each in tmp_path.iterdir()] == ["net.bin"]


def test_nothing_is_printed(runtime, tmp_path, capfd):
    runtime.load(runtime.compile(to_compile(), tmp_path / "net.xml", "int8")).run(X)
    refused(runtime, b"hello" * 100)
    assert capfd.readouterr() == ("", "")


def test_settings_that_it_does_not_know(runtime, tmp_path):
    with pytest.raises(UnknownNameError, match=r"^There is no precision called 'int4'"):
        runtime.compile(to_compile(), tmp_path / "net.xml", "int4")
    with pytest.raises(SettingError, match="threads must be a whole number"):
        runtime.load(FORMS["fp32"], threads=0)


def test_package_missing(monkeypatch, tmp_path):
    monkeypatch.setattr("course_lib.runtimes.openvino.find_spec", lambda package: None)
    expected = "openvino is needed to compile models with OpenVINO; install it with: make compilers"
    assert OpenVino().why_unavailable() == OpenVino().why_not_run() == expected
    for call in (
        OpenVino().version,
        lambda: OpenVino().load(b""),
        lambda: OpenVino().compile(to_compile(), tmp_path / "net.xml"),
    ):
        with pytest.raises(MissingPackageError) as caught:
            call()
        assert str(caught.value) == expected
