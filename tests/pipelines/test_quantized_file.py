"""int8 from an ONNX file: a QDQ graph by the rules of each target, close to the float scores, and quiet."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from course_lib.errors import ExportError
from course_lib.export.static_batch import fix_batch
from course_lib.pipelines.quantized_file import quantize_file
from course_lib.quantization.error import sqnr_db
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from tests.pipelines.small_onnx import calibration, write_for_others, write_small_onnx


@pytest.fixture
def content(tmp_path: Path) -> bytes:
    return fix_batch(write_small_onnx(tmp_path / "small.onnx").read_bytes(), 1)


@pytest.mark.parametrize("rules", ["onnxruntime", "tensorrt"])
def test_scores_stay_close(
    content: bytes, rules: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    int8 = quantize_file(content, calibration(), 1, rules)  # type: ignore[arg-type]
    assert caplog.text == ""
    assert capfd.readouterr() == ("", "")
    inputs = calibration(8)
    runs = [
        np.concatenate([OnnxRuntime("off").load(each).run(inputs[i : i + 1]) for i in range(8)])
        for each in (content, int8)
    ]
    assert sqnr_db(*runs) > 25


def test_the_rules_of_tensorrt_are_kept(content: bytes) -> None:
    graph = onnx.load_model_from_string(quantize_file(content, calibration(), 1, "tensorrt")).graph
    values = {tensor.name: tensor for tensor in graph.initializer}
    grids = [node for node in graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    zeros = [values[node.input[2]] for node in grids if len(node.input) > 2]
    assert {tensor.data_type for tensor in zeros} == {TensorProto.INT8}
    assert not any(numpy_helper.to_array(tensor).any() for tensor in zeros)
    assert values["bias"].data_type == TensorProto.FLOAT


def test_what_cannot_be_quantized_is_one_sentence(content: bytes) -> None:
    with pytest.raises(ExportError, match=r"ONNX Runtime cannot quantize this file \(.*\); pass the PyTorch"):
        quantize_file(content, np.zeros((32, 1, 5, 5), np.float32), 1, "onnxruntime")


def test_what_onnx_runtime_cannot_load_is_one_sentence(tmp_path: Path) -> None:
    content = write_for_others(tmp_path / "new.onnx", opset=99).read_bytes()
    with pytest.raises(ExportError) as caught:
        quantize_file(content, calibration(), 1, "onnxruntime")
    assert str(caught.value).startswith(
        "ONNX Runtime cannot quantize this file, as it cannot load it: the ONNX content ("
    )
    assert "\n" not in str(caught.value)
