import pytest

from course_lib.runtimes.onnx_errors import core_of, explain_load_error

PREFIX = "[ONNXRuntimeError] : 1 : FAIL : "


@pytest.mark.parametrize(
    ("text", "core"),
    [
        (f"{PREFIX}Something broke.\n", "Something broke"),
        (f"{PREFIX}first line\nsecond line", "first line"),
        (
            f"{PREFIX}Non-zero status code returned while running Reshape node. Name:'' Status Message: "
            "/src/reshape_helper.h:91 onnxruntime::ReshapeHelper::ReshapeHelper("
            "const onnxruntime::TensorShape&, bool) sizes differ",
            "sizes differ",
        ),
        ("plain", "plain"),
    ],
)
def test_core(text, core):
    assert core_of(RuntimeError(text)) == core


def test_an_error_nobody_has_seen_still_gives_one_sentence():
    text = explain_load_error(RuntimeError(f"{PREFIX}the moon is full\nand so on"), "The file a.onnx")
    assert text == (
        "The file a.onnx cannot be loaded by ONNX Runtime (the moon is full); "
        "check it with onnx.checker.check_model, or export it again with export_onnx."
    )


def test_only_the_name_of_a_missing_weights_file_is_shown():
    for folder in ("/home/someone/", "C:\\models\\", ""):
        error = RuntimeError(f'{PREFIX}x.cc:1 f External data path does not exist: "{folder}w.data"')
        assert "'w.data', which is missing" in explain_load_error(error, "The file a.onnx")
