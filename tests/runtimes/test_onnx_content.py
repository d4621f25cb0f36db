import pytest
from onnx import helper

from course_lib.errors import ModelError
from course_lib.runtimes.onnx_content import check_fixed_shapes, check_opset, node_named, read_onnx


def refused(source: object) -> str:
    with pytest.raises(ModelError) as caught:
        read_onnx(source, "Target")
    return str(caught.value)


def test_a_file_and_its_content_are_the_same(matmul, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(matmul)
    assert read_onnx(matmul, "Target") == read_onnx(path, "Target") == read_onnx(str(path), "Target")


@pytest.mark.parametrize("content", [b"", b"hello" * 100, b"\x08"])
def test_what_is_not_onnx(content, tmp_path):
    rest = (
        " is not an ONNX model or is cut short; write it again with export_onnx(model, example_inputs, path)."
    )
    assert refused(content) == f"The ONNX content ({len(content)} bytes){rest}"
    path = tmp_path / "bad.onnx"
    path.write_bytes(content)
    assert refused(path) == f"The file {path}{rest}"


def test_what_is_cut_short_missing_or_of_another_kind(matmul, tmp_path):
    assert "is not an ONNX model or is cut short" in refused(matmul[:-5])
    assert refused(tmp_path / "none.onnx").startswith(f"There is no ONNX file at {tmp_path / 'none.onnx'};")
    assert refused(3).startswith("Target takes the path or the bytes of an ONNX file, not int;")


def test_only_the_version_of_onnx_itself_counts(build):
    node = helper.make_node("Own", ["input"], ["logits"], domain="own")
    check_opset(build([node], opset=25, domains=["own"]), 25, "Target")
    with pytest.raises(ModelError) as caught:
        check_opset(build(opset=26), 25, "Target")
    assert str(caught.value) == (
        "The model is written in opset 26, and Target understands opsets up to 25; export it again with a "
        "lower opset_version."
    )


@pytest.mark.parametrize(
    ("shape", "told"), [(("batch", 3), "(batch, 3)"), ((None, 3), "(?, 3)"), (None, "()")]
)
def test_free_axes_are_named(build, shape, told):
    with pytest.raises(ModelError) as caught:
        check_fixed_shapes(build(shape=shape), "Target")
    assert str(caught.value) == (
        f"The input 'input' has the shape {told}, and Target needs numbers only; export the model again with "
        "dynamic_batch=False."
    )


def test_numbers_pass(build):
    check_fixed_shapes(build(shape=(1, 3)), "Target")


def test_nodes_by_operator(build):
    nodes = [
        helper.make_node("Relu", ["input"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"], name="second", domain="own"),
        helper.make_node("Sin", ["b"], ["logits"], name="last"),
    ]
    graph = build(nodes, domains=["own"])
    assert node_named(graph, "Relu") == "a"
    assert node_named(graph, "Relu", "own") == "second"
    assert node_named(graph, "Sin") == "last"
    assert node_named(graph, "Cos") == ""
