import pytest

from course_lib.runtimes.conversion_errors import refused_model


@pytest.mark.parametrize(
    ("text", "operator"),
    [
        ("PyTorch convert function for op 'svd' not implemented.", "svd"),
        ("Unsupported fx node channel_shuffle, kind channel_shuffle", "channel_shuffle"),
        ("Lowering not found: aten.svd.default", "aten.svd.default"),
        ("Operator torch._ops.aten.svd.default is not in Core ATen opset", "aten.svd.default"),
        ("Missing out variants: {'aten::svd'}", "aten::svd"),
    ],
)
def test_the_operator_is_named(text, operator):
    assert str(refused_model("litert", "net", RuntimeError(text))) == (
        f"litert has no form of the operator {operator}, which net uses; "
        "replace it in the forward method, or choose another target."
    )


def test_the_operator_may_stand_in_the_log_or_in_the_cause():
    log = "[registry.cpp:257] kernel 'x' not found.\n[method.cpp:724] Missing operator: [0] aten::svd.out"
    assert "operator aten::svd.out," in str(refused_model("executorch", "net", RuntimeError("0x14"), log))
    outer = RuntimeError("conversion failed")
    outer.__cause__ = ValueError("Lowering not found: aten.svd.default")
    assert "operator aten.svd.default," in str(refused_model("litert", "net", outer))


def test_decisions_by_value():
    error = RuntimeError("Could not guard on data-dependent expression Eq(u0, 1)")
    assert "the forward method of net decides by values in a tensor" in str(
        refused_model("litert", "net", error)
    )


def test_anything_else_keeps_its_first_line():
    assert str(refused_model("coreml", "net", ValueError("\nbad shape.\nmore"))) == (
        "coreml could not compile net (bad shape); "
        "rewrite that step of its forward method, or choose another target."
    )
    assert "(KeyError)" in str(refused_model("coreml", "net", KeyError()))
