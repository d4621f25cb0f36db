from pathlib import Path

import onnx
import pytest

from course_lib.errors import ModelError
from course_lib.export.onnx_source import read_onnx


def test_a_file_its_content_and_a_model_are_the_same(conv_net, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(conv_net.content)
    model = read_onnx(conv_net.content)
    assert read_onnx(model) is model
    assert read_onnx(path) == read_onnx(str(path)) == model


def test_weights_in_a_second_file(conv_net, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    model = onnx.load_from_string(conv_net.content)
    onnx.save(model, path, save_as_external_data=True, location="net.data", size_threshold=0)
    assert [len(each.raw_data) for each in read_onnx(path).graph.initializer] == [
        len(each.raw_data) for each in onnx.load_from_string(conv_net.content).graph.initializer
    ]
    (tmp_path / "net.data").unlink()
    assert len(read_onnx(path, weights=False).graph.node) == len(model.graph.node)
    with pytest.raises(
        ModelError, match=r"^net\.onnx keeps its weights in a second file that is missing; put"
    ):
        read_onnx(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\x00" * 50, b"PK\x03\x04 a zip file"])
def test_what_is_not_onnx_is_refused_in_one_sentence(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    for source, label in ((content, r"The content \(\d+ bytes\)"), (path, r"net\.onnx")):
        with pytest.raises(
            ModelError, match=rf"^{label} is not an ONNX model or is cut short; write one with"
        ):
            read_onnx(source)


def test_other_errors(tmp_path: Path, conv_net) -> None:
    with pytest.raises(
        ModelError, match=r"There is no ONNX file at .*gone\.onnx; write it|There is no ONNX file"
    ):
        read_onnx(tmp_path / "gone.onnx")
    with pytest.raises(ModelError, match=r"not ConvNet; export a module with build_onnx"):
        read_onnx(conv_net.module)
    with pytest.raises(ModelError, match="is not an ONNX model or is cut short"):
        read_onnx(conv_net.content[:-100])
