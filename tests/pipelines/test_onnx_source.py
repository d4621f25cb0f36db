"""An ONNX file is taken in whole, whoever knows its operators, or refused in one sentence."""

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from course_lib.errors import ModelError
from course_lib.pipelines.onnx_source import read_source
from tests.pipelines.small_onnx import write_for_others, write_small_onnx


@pytest.mark.parametrize(("opset", "operator"), [(20, ""), (99, ""), (20, "somebody:Unheard")])
def test_a_file_of_any_opset_and_operators_is_read(tmp_path: Path, opset: int, operator: str) -> None:
    path = write_for_others(tmp_path / "small.onnx", opset, operator)
    assert onnx.load_model_from_string(read_source(path)) == onnx.load(path)


def test_weights_of_a_second_file_come_along(tmp_path: Path) -> None:
    path = write_small_onnx(tmp_path / "external.onnx")
    whole = onnx.load(path)
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights", size_threshold=0)
    taken = onnx.load_model_from_string(read_source(path))
    (tmp_path / "weights").unlink()
    for before, after in zip(whole.graph.initializer, taken.graph.initializer, strict=True):
        assert onnx.numpy_helper.to_array(before).tolist() == onnx.numpy_helper.to_array(after).tolist()


def write_text(folder: Path) -> Path:
    path = folder / "text.onnx"
    path.write_text("not a graph")
    return path


def write_two_inputs(folder: Path) -> Path:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3)) for name in ("a", "b", "sum")]
    graph = helper.make_graph([helper.make_node("Add", ["a", "b"], ["sum"])], "g", values[:2], values[2:])
    path = folder / "two.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path


def write_integers(folder: Path) -> Path:
    values = [
        helper.make_tensor_value_info(name, TensorProto.INT64, (1,)) for name in ("ids", "same", "again")
    ]
    nodes = [helper.make_node("Identity", ["ids"], [name]) for name in ("same", "again")]
    path = folder / "ids.onnx"
    model = helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:]), ir_version=10)
    path.write_bytes(model.SerializeToString())
    return path


def write_external(folder: Path) -> Path:
    path = write_small_onnx(folder / "external.onnx")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights", size_threshold=0)
    (folder / "weights").unlink()
    return path


@pytest.mark.parametrize(
    ("write", "sentence"),
    [
        (lambda folder: folder / "nothing.onnx", r"There is no ONNX file at .*nothing.onnx"),
        (write_text, r"The file .*text.onnx is not an ONNX model or is cut short"),
        (
            write_two_inputs,
            r"two.onnx has the inputs \[a \(float32\), b \(float32\)\] and the outputs \[sum\], and models "
            "with one float32 input and one output are compiled",
        ),
        (write_integers, r"ids.onnx has the inputs \[ids \(int64\)\] and the outputs \[same, again\], and"),
        (write_external, r"external.onnx keeps its weights in a second file that is missing"),
    ],
)
def test_a_file_that_cannot_be_taken_is_one_sentence(tmp_path: Path, write: object, sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        read_source(write(tmp_path))  # type: ignore[operator]
