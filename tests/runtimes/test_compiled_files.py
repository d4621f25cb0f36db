import errno

import pytest

from course_lib.errors import ExportError, ModelError
from course_lib.runtimes.compiled_files import not_written, read_compiled, write_whole, write_whole_folder


def make(text):
    def write(folder):
        folder.mkdir()
        (folder / "part").write_text(text)

    return write


def test_file(tmp_path):
    assert write_whole(b"new", tmp_path / "sub" / "model").read_bytes() == b"new"


def test_folder_replaces_a_folder(tmp_path):
    path = tmp_path / "model.mlpackage"
    for text in ("old", "new"):
        assert write_whole_folder(make(text), path) == path
        assert (path / "part").read_text() == text
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_folder(tmp_path):
    path = write_whole_folder(make("old"), tmp_path / "model.mlpackage")

    def full(folder):
        folder.mkdir()
        (folder / "part").write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(ExportError) as caught:
        write_whole_folder(full, path)
    assert str(caught.value) == (
        f"{path} could not be written (No space left on device) and is unchanged; "
        "free some space or pass another path."
    )
    assert (path / "part").read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for write in (lambda path: write_whole(b"", path), lambda path: write_whole_folder(make("new"), path)):
        with pytest.raises(ExportError, match=r"could not be written \(.+\) and is unchanged"):
            write(tmp_path / "file" / "model")


def test_an_error_without_a_text_of_the_system(tmp_path):
    assert "(only this)" in str(not_written(tmp_path, OSError("only this")))


def test_compiled_content_is_read_from_bytes_or_a_path(tmp_path):
    content = b"\0\0\0\0TFL3rest"
    path = write_whole(content, tmp_path / "model.tflite")
    for source in (content, path, str(path)):
        assert read_compiled(source, "LiteRt", ".tflite", b"TFL3")[0] == content


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        (b"TFL3", "The content (4 bytes) is not a .tflite file; "),
        ("none.tflite", "There is no file at none.tflite; "),
        (3, "LiteRt takes the path or the bytes of a .tflite file, not int; "),
    ],
)
def test_what_is_not_a_compiled_file_is_refused(source, sentence):
    with pytest.raises(ModelError) as caught:
        read_compiled(source, "LiteRt", ".tflite", b"TFL3")
    assert str(caught.value) == sentence + "write one with LiteRt().compile(model, path)."
