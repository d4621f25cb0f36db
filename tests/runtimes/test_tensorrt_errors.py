import pytest

from course_lib.runtimes.tensorrt_errors import core_of, explain_build, reason_in
from course_lib.runtimes.tensorrt_logger import Message

TURING = (
    "IBuilder::buildSerializedNetwork: Error Code 1: Myelin ([pass.cpp:337: check_turing_op_compatibility] "
    "Cannot compile operation 'node_linear' for Turing (SM75): FP32 GEMM is not supported. In compileGraph "
    "at /_src/optimizer/myelin/codeGenerator.cpp:2012)"
)
NO_DRIVER = (
    "[checkMacros.cpp::catchCudaError::250] Error Code 1: Cuda Runtime (In catchCudaError at "
    "/_src/common/dispatch/checkMacros.cpp:250 (cudaError 35: CUDA driver version is insufficient for CUDA "
    "runtime version))"
)
BIAS = (
    "Invalid Node - bias\nITensor::getDimensions: Error Code 4: API Usage Error (bias: input has type Int32 "
    "but must have type FP8, FP4, Int4, Int8, or UInt8. In checkType at "
    "/_src/optimizer/common/nodeBase.cpp:456)\n"
)


@pytest.mark.parametrize(
    ("text", "core"),
    [
        (TURING, "Cannot compile operation 'node_linear' for Turing (SM75): FP32 GEMM is not supported"),
        (BIAS + NO_DRIVER, "bias: input has type Int32 but must have type FP8, FP4, Int4, Int8, or UInt8"),
        ("Plain words.", "Plain words"),
        ("", "it gives no reason"),
    ],
)
def test_core(text, core):
    assert core_of(text) == core


def test_the_missing_driver_is_no_reason_unless_it_is_the_only_one():
    lines = [Message("VERBOSE", "x"), Message("ERROR", NO_DRIVER), Message("ERROR", TURING)]
    assert "FP32 GEMM is not supported" in reason_in(lines)
    assert "CUDA driver version is insufficient" in reason_in(lines[:2])
    assert reason_in(lines[:1]) == "it gives no reason"


def test_a_build_that_fails_is_one_sentence():
    text = explain_build([Message("ERROR", TURING)], "TensorRT for RTX for SM75")
    assert text == (
        "TensorRT for RTX for SM75 does not build this model (Cannot compile operation 'node_linear' for "
        "Turing (SM75): FP32 GEMM is not supported); build it in another precision or for another compute "
        "capability, or run it with ONNX Runtime."
    )
