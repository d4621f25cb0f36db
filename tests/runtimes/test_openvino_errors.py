from pathlib import Path

import pytest
from onnx import helper

from course_lib.runtimes.openvino_errors import core_of, explain_load_error, explain_translation_error

PLACES = (
    "Exception from src/inference/src/cpp/core.cpp:105:\nCheck 'false' failed at "
    "src/frontends/report.cpp:151:\nFrontEnd API failed with OpConversionFailure:\n"
    "Model wasn't fully converted.\nSummary:\n"
)


@pytest.mark.parametrize(
    ("told", "domain", "named"),
    [("Nope-20", "", "Nope"), ("com.example.Nope", "com.example", "com.example.Nope")],
)
def test_an_unknown_operator_is_named_with_its_node(build, told, domain, named):
    node = helper.make_node("Nope", ["input"], ["logits"], name="the_node", domain=domain)
    graph = build([node], domains=[domain] if domain else [])
    error = RuntimeError(f"{PLACES}-- No conversion rule found for operations: {told}\nTo facilitate …\n")
    assert explain_translation_error(error, graph) == (
        f"The node 'the_node' uses the operator {named}, which OpenVINO does not have; replace it in the "
        "model, or run the model with ONNX Runtime."
    )


def test_other_reasons_are_passed_on(build):
    error = RuntimeError(f"{PLACES}Incompatible MatMul matrix dimension. First 4.\n")
    text = explain_translation_error(error, build())
    assert text.startswith(
        "OpenVINO cannot read the model (Incompatible MatMul matrix dimension. First 4); check"
    )


@pytest.mark.parametrize(
    "reason",
    ["Empty weights data in bin file or bin file cannot be found!", "Incorrect weights in bin file!"],
)
def test_weights_that_do_not_belong_to_the_graph(reason):
    assert explain_load_error(RuntimeError(PLACES + reason), Path("net.xml")) == (
        "The weights in net.bin are cut short or belong to another model; write both files again with "
        "OpenVino().compile."
    )


def test_a_reason_of_nothing_but_places():
    assert core_of(RuntimeError(PLACES)) == "RuntimeError"
    assert core_of(ValueError("")) == "ValueError"
