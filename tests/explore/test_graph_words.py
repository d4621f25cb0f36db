import numpy as np
import pytest
from onnx import defs

from course_lib.explore.graph_words import (
    FAMILY_OF,
    GRID,
    OTHER,
    bytes_words,
    details,
    family_of,
    short_name,
    tooltip,
)
from course_lib.export.graph_facts import NodeFacts, read_graph
from tests.export.passes.small_graphs import model, node


def facts_of(made_of: object, *others: object, **stored: np.ndarray) -> NodeFacts:
    return read_graph(model([made_of, *others], {"x": [1, 8, 8, 8]}, ["y"], stored)).nodes[0]


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({}, "3×3"),
        ({"strides": [2, 2]}, "3×3, stride 2"),
        ({"strides": [2, 1], "group": 8}, "3×3, stride 2×1, 8 groups"),
        ({"dilations": [2, 2]}, "3×3, dilated 2"),
    ],
)
def test_details_of_a_convolution(attributes: dict, words: str) -> None:
    weight = np.zeros((8, 8 // attributes.get("group", 1), 3, 3), np.float32)
    assert details(facts_of(node("Conv", "x w", "y", **attributes), w=weight)) == words


def test_details_of_others() -> None:
    assert details(facts_of(node("Transpose", "x", "y", perm=[0, 2, 3, 1]))) == "order 0 2 3 1"
    assert details(facts_of(node("Softmax", "x", "y", axis=1))) == "axis 1"
    assert (
        details(facts_of(node("MaxPool", "x", "y", kernel_shape=[2, 2], strides=[2, 2]))) == "2×2, stride 2"
    )
    assert details(facts_of(node("Relu", "x", "y"))) == ""


def test_only_fused_convolutions_add_an_input() -> None:
    for domain, words in (("com.microsoft", "adds an input"), ("", "")):
        made = node("Conv", "x x", "y")
        made.domain = domain
        assert details(facts_of(made)) == words


def test_names_and_families() -> None:
    quantizer = facts_of(
        node("QuantizeLinear", "x s", "q"), node("DequantizeLinear", "q s", "y"), s=np.float32(1)
    )
    assert (short_name(quantizer), family_of(quantizer)) == ("Quantize", GRID)
    for domain, name in (("com.microsoft", "Relu"), ("com.microsoft.nchwc", "Relu (nchwc)")):
        made = node("Relu", "x", "y")
        made.domain = domain
        assert short_name(facts_of(made)) == name
    strange = node("Strange", "x", "y")
    strange.domain = "own"
    assert family_of(facts_of(strange)) is OTHER


def test_the_families_name_real_operators() -> None:
    """A misspelt operator would silently be drawn as "other"."""
    known = {schema.name for schema in defs.get_all_schemas()}
    runtime = (
        "QLinear",
        "QGemm",
        "Fused",
        "Nhwc",
        "Reorder",
        "Skip",
        "Bias",
        "Fast",
        "Quick",
        "Dyn",
        "MatMul",
        "Multi",
    )
    foreign = {name for name in FAMILY_OF if name not in known}
    assert all(name.startswith(runtime) or name == "SimplifiedLayerNormalization" for name in foreign)


def test_bytes_and_the_tooltip() -> None:
    conv = facts_of(node("Conv", "x w", "y"), w=np.zeros((4, 8, 1, 1), np.float32))
    assert bytes_words(conv) == "weights 128 B · out 1.02 kB"
    assert tooltip(conv).splitlines() == [
        "Conv node_y, 1×1",
        "reads: x 1×8×8×8 float32",
        "stored: w 4×8×1×1 float32",
        "makes: y 1×4×8×8 float32",
        "weights 128 B · out 1.02 kB",
    ]
    strange = node("Strange", "x", "y")
    strange.domain = "own"
    assert bytes_words(facts_of(strange)) == "out ?"
