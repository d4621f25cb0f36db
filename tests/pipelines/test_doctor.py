import json

import numpy as np
import pytest

from course_lib.errors import DataError, ModelError
from course_lib.pipelines.doctor import diagnose
from course_lib.quantization.error import sqnr_db
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from tests.pipelines.qdq_files import float_model, images, qdq_model

QUANTIZED, FLOAT = qdq_model().SerializeToString(), float_model().SerializeToString()


@pytest.fixture(scope="module")
def diagnosis():
    return diagnose(QUANTIZED, images(), float_model=FLOAT, runs=8)


def test_sqnr_is_that_of_the_sessions(diagnosis):
    x = images()
    reference = OnnxRuntime().load(FLOAT).run(x)
    simulated, deployed = (OnnxRuntime(level).load(QUANTIZED).run(x) for level in ("off", "all"))
    assert diagnosis.sqnr_float_db["simulated"] == sqnr_db(reference, simulated)
    assert diagnosis.sqnr_float_db["int8"] == sqnr_db(reference, deployed)
    assert diagnosis.sqnr_simulated_db["int8"] == sqnr_db(simulated, deployed)
    assert diagnosis.sqnr_simulated_db["int8"] > 40  # codes up to 18 saturate nowhere


def test_ratio_and_macs(diagnosis):
    latency = diagnosis.latency.results
    assert diagnosis.ratio.value == latency["float32"].p50_ms / latency["int8"].p50_ms
    assert diagnosis.integer_macs == 576 / (576 + 192)  # per image: the convolution's, and the float layer's
    assert diagnosis.batch == latency["int8"].items_per_call == 4


def test_text_table_and_html_hold_the_same(diagnosis):
    text, html = str(diagnosis), diagnosis._repr_html_()
    ways = ["float32", "simulated", "int8", "int8, x64quantprecision", "int8, U8 weights"]
    assert [row["runs as"] for row in diagnosis.table_rows()] == ways
    assert all(finding in text for finding in diagnosis.findings)
    assert "In floating point stay linear (Gemm)." in diagnosis.findings
    assert "In floating point stay linear (Gemm)." in html
    assert json.loads(json.dumps(diagnosis.as_dict(), allow_nan=False))["integer_macs"] == 0.75


def test_another_cpu_may_be_assumed():
    found = diagnose(QUANTIZED, images(1), cpu_flags=("avx2",), runs=3)
    assert found.cpu_flags == ("avx2",)
    assert any("AVX2 and no VNNI" in finding for finding in found.findings)
    assert found.ratio is None
    assert found.sqnr_float_db == {}
    assert "Speed was not compared; pass the unquantized file as float_model." in found.findings
    assert found.table_rows()[0]["runs as"] == "simulated"


def test_paths_are_taken_too(tmp_path):
    path = tmp_path / "int8.onnx"
    path.write_bytes(QUANTIZED)
    assert diagnose(str(path), images(1), runs=3).batch == 1


def refused(kind, *arguments, **options) -> str:
    with pytest.raises(kind) as caught:
        diagnose(*arguments, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_bad_input_is_refused_in_one_sentence(tmp_path):
    assert "is not an ONNX model or is cut short" in refused(ModelError, b"hello", images())
    assert refused(ModelError, FLOAT, images()).startswith("This file has no QuantizeLinear operator")
    assert f"There is no ONNX file at {tmp_path / 'none'}" in refused(ModelError, tmp_path / "none", images())
    assert refused(ModelError, QUANTIZED, images()[:, :, :5]) == (
        "The model takes input of shape (any, 1, 6, 6) and the batch has shape (4, 1, 5, 6); "
        "prepare the data as for training, with one axis for the batch first."
    )
    expected = "The doctor needs inputs as a NumPy array with at least one row"
    assert refused(DataError, QUANTIZED, images()[:0]).startswith(expected)
    assert refused(DataError, QUANTIZED, [1.0]).startswith(expected)


def test_a_float_model_of_another_shape_is_refused():
    other = qdq_model(np.ones((4, 1, 3, 3), np.int8), float_layer=False).SerializeToString()
    assert refused(DataError, QUANTIZED, images(), float_model=other) == (
        "The float model gives outputs of shape (4, 64) and the quantized one (4, 3); "
        "pass the model that this file was quantized from."
    )
