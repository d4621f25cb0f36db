import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from torch import nn

from course_lib.errors import MissingPackageError, ModelError, UnknownNameError
from course_lib.runtimes.onnx_runtime import LEVELS, OnnxRuntime


def refused_load(source: object) -> str:
    with pytest.raises(ModelError) as caught:
        OnnxRuntime().load(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def refused_run(content: bytes, batch: object) -> str:
    with pytest.raises(ModelError) as caught:
        OnnxRuntime().load(content).run(batch)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("optimization", LEVELS)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("allow_spinning", [True, False])
def test_options_do_not_change_the_result(matmul, optimization, threads, allow_spinning):
    loaded = OnnxRuntime(optimization, allow_spinning).load(matmul, threads=threads)
    assert loaded.run(np.array([[1, 1, 5]], np.float32)).tolist() == [[3.0, 7.0]]
    options = loaded.session.get_session_options()
    assert options.intra_op_num_threads == threads
    assert options.graph_optimization_level.name == LEVELS[optimization]
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == str(int(allow_spinning))


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 20), seed=st.integers(0, 2**32 - 1))
def test_equals_the_reference_implementation(rows, seed):
    nodes = [
        helper.make_node("Mul", ["input", "input"], ["square"]),
        helper.make_node("Softmax", ["square"], ["logits"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    batch = np.random.default_rng(seed).normal(size=(rows, 3)).astype(np.float32)
    (expected,) = ReferenceEvaluator(model).run(None, {"input": batch})
    found = OnnxRuntime().load(model.SerializeToString()).run(batch)
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("precise", [True, False])
def test_precise_int8_reaches_the_session(matmul, precise):
    options = OnnxRuntime(precise_int8=precise).load(matmul).session.get_session_options()
    assert options.get_session_config_entry("session.x64quantprecision") == str(int(precise))


def test_path_and_bytes_load_alike(matmul, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(matmul)
    batch = np.ones((2, 3), np.float32)
    for source in (path, str(path), matmul):
        np.testing.assert_array_equal(OnnxRuntime().load(source).run(batch), [[3, 7], [3, 7]])


@pytest.mark.parametrize(
    ("shape", "declared"),
    [(("batch", 3), (None, 3)), ((2, 3), (2, 3)), (None, None)],
)
def test_declared_shape(build, shape, declared):
    assert OnnxRuntime().load(build(shape=shape).SerializeToString()).input_shape == declared


def test_missing_file(tmp_path):
    path = tmp_path / "none.onnx"
    assert refused_load(path) == (
        f"There is no ONNX file at {path}; write it with export_onnx(model, example_inputs, path)."
    )


@pytest.mark.parametrize("content", [b"", b"hello" * 100, b"\x08"])
def test_content_that_is_not_onnx(content, tmp_path):
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    rest = (
        " is not an ONNX model or is cut short; write it again with export_onnx(model, example_inputs, path)."
    )
    assert refused_load(path) == f"The file {path}{rest}"
    assert refused_load(content) == f"The ONNX content ({len(content)} bytes){rest}"


def test_file_that_is_cut_short(matmul):
    assert "is not an ONNX model or is cut short" in refused_load(matmul[:-5])


def test_a_module_is_refused():
    assert refused_load(nn.ReLU()) == (
        "ONNX Runtime takes the path or the bytes of an ONNX file, not ReLU; "
        "write one with export_onnx(model, example_inputs, path)."
    )


@pytest.fixture
def external(build, tmp_path) -> Path:
    """A model whose weights lie in a second file."""
    path = tmp_path / "external.onnx"
    onnx.save(build(), path, save_as_external_data=True, location="external.data", size_threshold=0)
    return path


def test_external_data_beside_the_model_is_found(external):
    assert OnnxRuntime().load(external).run(np.ones((1, 3), np.float32)).tolist() == [[3.0, 7.0]]


def test_external_data_missing(external):
    external.with_name("external.data").unlink()
    reason = (
        "keeps its weights in a second file, 'external.data', which is missing; put that file beside the "
        "model and load by path, or export again with export_onnx, which writes one file."
    )
    assert refused_load(external) == f"The file {external} {reason}"
    assert refused_load(external.read_bytes()).endswith(reason)


def test_external_data_too_short(external):
    external.with_name("external.data").write_bytes(b"1234")
    assert refused_load(external) == (
        f"The file {external} is damaged, because the stored weights 'weight' are shorter than their "
        "shape says; export it again with export_onnx(model, example_inputs, path)."
    )


@pytest.mark.parametrize("domain", ["", "com.example"])
def test_unknown_operator(build, domain):
    node = helper.make_node("Nope", ["input"], ["logits"], domain=domain)
    text = refused_load(build([node], domains=[domain] if domain else []).SerializeToString())
    operator = f"{domain}:Nope" if domain else "Nope"
    assert f"uses the operator {operator}, which ONNX Runtime does not have" in text
    assert text.endswith("replace it in the model and export again with export_onnx.")


def test_operator_without_a_kernel_for_the_type(build):
    model = build([helper.make_node("Sin", ["input"], ["logits"])], dtype=TensorProto.BFLOAT16, opset=22)
    assert "uses the operator Sin, which ONNX Runtime does not have for these types" in refused_load(
        model.SerializeToString()
    )


def test_unknown_domain(build):
    node = helper.make_node("Nope", ["input"], ["logits"], domain="com.example")
    assert "uses operators of the domain 'com.example'" in refused_load(build([node]).SerializeToString())


def test_opset_and_format_from_the_future(build):
    assert "is written in opset 99, and this ONNX Runtime understands opsets up to" in refused_load(
        build(opset=99).SerializeToString()
    )
    assert "has the file format version 99, and this ONNX Runtime understands versions up to" in refused_load(
        build(ir_version=99).SerializeToString()
    )


def test_graph_whose_shapes_clash(build):
    text = refused_load(build(shape=("batch", 4)).SerializeToString())
    assert "cannot be loaded by ONNX Runtime (" in text
    assert "Incompatible dimensions for matrix multiplication" in text


@pytest.mark.parametrize("shape", [(2, 4), (3,), (1, 3, 1)])
def test_wrong_shape(matmul, shape):
    assert refused_run(matmul, np.zeros(shape, np.float32)) == (
        f"The model takes input of shape (any, 3) and the batch has shape {shape}; "
        "prepare the data as for training, with one axis for the batch first."
    )


def test_wrong_type(matmul):
    assert refused_run(matmul, np.zeros((2, 3))) == (
        'The model takes float32 and the batch is float64; pass batch.astype("float32").'
    )
    assert refused_run(matmul, [[1.0, 2.0, 3.0]]) == (
        "run takes a NumPy array, not list; pass np.asarray(batch)."
    )


def test_several_outputs(build):
    nodes = [helper.make_node("Relu", ["input"], [name]) for name in ("a", "b")]
    text = refused_run(build(nodes, outputs=("a", "b")).SerializeToString(), np.zeros((1, 3), np.float32))
    assert text == (
        "run is for models with one input and one output, and this one has the inputs ('input',) "
        "and the outputs ('a', 'b'); call session.run for it."
    )


def test_failure_inside_the_graph(build):
    nodes = [
        helper.make_node("Constant", [], ["shape"], value_ints=[2, 3]),
        helper.make_node("Reshape", ["input", "shape"], ["logits"]),
    ]
    text = refused_run(build(nodes).SerializeToString(), np.zeros((4, 3), np.float32))
    assert text.startswith("The model fails on a batch of shape (4, 3) (")
    assert "Input shape:{4,3}, requested shape:{2,3}" in text
    assert text.endswith(
        "try the batch size that it was exported with, or export it with dynamic_batch=True."
    )


def test_nothing_reaches_the_log(build, capfd):
    refused_load(b"hello")
    node = helper.make_node("Reshape", ["input", "shape"], ["logits"])
    constant = helper.make_node("Constant", [], ["shape"], value_ints=[2, 3])
    refused_run(build([constant, node]).SerializeToString(), np.zeros((4, 3), np.float32))
    assert capfd.readouterr() == ("", "")


def test_unknown_optimization(matmul):
    with pytest.raises(
        UnknownNameError, match="There is no optimization level called 'full'; the known ones are"
    ):
        OnnxRuntime("full").load(matmul)


def test_package_missing(matmul, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    expected = "onnxruntime is needed to run ONNX models; install it with: pip install onnxruntime"
    assert OnnxRuntime().why_unavailable() == expected
    with pytest.raises(MissingPackageError) as caught:
        OnnxRuntime().load(matmul)
    assert str(caught.value) == expected
