"""The options of the ONNX runtime that change no result, and ONNX Runtime as a compiler."""

import errno
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import helper

from course_lib.errors import ExportError, ModelError, SettingError, UnknownNameError
from course_lib.runtimes import onnx_providers
from course_lib.runtimes.compilation import PRECISIONS, Compiler, ModelToCompile
from course_lib.runtimes.onnx_runtime import OnnxRuntime

BATCH = np.array([[1, 1, 5]], np.float32)


@pytest.mark.parametrize(
    "runtime",
    [
        OnnxRuntime(),
        OnnxRuntime(arena=False),
        OnnxRuntime(arena_shrinkage=True),
        OnnxRuntime(memory_pattern=False),
        OnnxRuntime(arena=False, memory_pattern=False),
        OnnxRuntime(execution_mode="parallel"),
        OnnxRuntime(stop_spinning=True),
    ],
)
def test_options_reach_the_session_and_change_no_result(matmul, runtime):
    loaded = runtime.load(matmul, threads=2)
    for _ in range(3):
        assert loaded.run(BATCH).tolist() == [[3.0, 7.0]]
    options = loaded.session.get_session_options()
    parallel = runtime.execution_mode == "parallel"
    assert options.enable_cpu_mem_arena == runtime.arena
    assert options.enable_mem_pattern == (runtime.memory_pattern and not parallel)
    assert options.execution_mode.name == ("ORT_PARALLEL" if parallel else "ORT_SEQUENTIAL")
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == ((1, 2) if parallel else (2, 1))
    stop = options.get_session_config_entry("session.force_spinning_stop")
    assert stop == str(int(runtime.stop_spinning))
    assert (loaded.run_options is not None) == runtime.arena_shrinkage
    assert loaded.session.get_providers() == ["CPUExecutionProvider"]


def test_shrinking_without_an_arena_is_refused(matmul):
    with pytest.raises(SettingError) as caught:
        OnnxRuntime(arena=False, arena_shrinkage=True).load(matmul)
    assert str(caught.value) == (
        "arena_shrinkage gives back what the arena keeps, and with arena=False there is none; "
        "leave one of the two out."
    )


def test_unknown_execution_mode(matmul):
    with pytest.raises(UnknownNameError, match="no execution mode called 'both'; the known"):
        OnnxRuntime(execution_mode="both").load(matmul)


def refused_providers(content: bytes, *names: str) -> str:
    with pytest.raises((SettingError, UnknownNameError, ModelError)) as caught:
        OnnxRuntime(execution_providers=names).load(content)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_provider_that_this_build_lacks(matmul, monkeypatch):
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert refused_providers(matmul, "CUDAExecutionProvider", "CPUExecutionProvider") == (
        f"This onnxruntime {onnxruntime.__version__} was built without CUDAExecutionProvider, it has "
        "CPUExecutionProvider; install the onnxruntime package for that hardware, or leave "
        "execution_providers out."
    )


def test_a_provider_that_does_not_exist(matmul):
    text = refused_providers(matmul, "CUDAExecutionProvidr")
    assert text.startswith("There is no execution provider called 'CUDAExecutionProvidr'; the known ones are")
    assert text.endswith("Did you mean 'CUDAExecutionProvider'?")


@pytest.mark.parametrize("names", [(), "CPUExecutionProvider"])
def test_no_tuple_of_providers(matmul, names):
    with pytest.raises(SettingError, match='pass a tuple of names, such as \\("CPUExecutionProvider",\\)'):
        OnnxRuntime(execution_providers=names).load(matmul)


def test_a_provider_that_silently_does_not_start():
    class Session:
        def get_providers(self):
            return ["CPUExecutionProvider"]

    onnx_providers.check_started(Session(), ["CPUExecutionProvider"])
    with pytest.raises(ModelError) as caught:
        onnx_providers.check_started(Session(), ["CUDAExecutionProvider", "CPUExecutionProvider"])
    assert str(caught.value) == (
        "CUDAExecutionProvider did not start on this machine (is its device or driver missing?) and ONNX "
        "Runtime would compute with CPUExecutionProvider instead; ask for that, or see to the device."
    )


def test_a_library_that_is_none(matmul, tmp_path):
    path = tmp_path / "none.so"
    with pytest.raises(SettingError, match="is no library of operators for ONNX Runtime") as caught:
        OnnxRuntime(operator_libraries=(str(path),)).load(matmul)
    assert "\n" not in str(caught.value)


def model_of(content: bytes) -> tuple[ModelToCompile, list]:
    asked = []

    def onnx(precision: str, rules: str) -> bytes:
        asked.append((precision, rules))
        return content

    return ModelToCompile("small", BATCH, onnx), asked


def test_it_is_a_compiler():
    compiler = OnnxRuntime()
    assert isinstance(compiler, Compiler)
    assert (compiler.suffix, compiler.precisions) == (".onnx", PRECISIONS)
    assert compiler.version() == onnxruntime.__version__
    assert compiler.why_not_run() is None


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_file_of_a_precision_is_written_and_loads(matmul, tmp_path, precision):
    model, asked = model_of(matmul)
    path = OnnxRuntime().compile(model, tmp_path / "new" / "model.onnx", precision)
    assert asked == [(precision, "onnxruntime")]
    assert path.read_bytes() == matmul
    assert OnnxRuntime().load(path).run(BATCH).tolist() == [[3.0, 7.0]]


def test_nothing_is_written_that_does_not_load(build, tmp_path):
    node = helper.make_node("Nope", ["input"], ["logits"], name="head/nope")
    model, _ = model_of(build([node]).SerializeToString())
    with pytest.raises(ModelError, match=r"uses the operator Nope \(node 'head/nope'\), which ONNX Runtime"):
        OnnxRuntime().compile(model, tmp_path / "model.onnx")
    newer, _ = model_of(build(opset=99).SerializeToString())
    with pytest.raises(ModelError, match="is written in opset 99, and this ONNX Runtime understands opsets"):
        OnnxRuntime().compile(newer, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_file(matmul, tmp_path, monkeypatch):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old")

    def full(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(ExportError) as caught:
        OnnxRuntime().compile(model_of(matmul)[0], path)
    assert str(caught.value) == (
        f"{path} could not be written (No space left on device) and is unchanged; "
        "free some space or pass another path."
    )
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_unknown_precision(matmul, tmp_path):
    with pytest.raises(UnknownNameError, match="no precision called 'int2'"):
        OnnxRuntime().compile(model_of(matmul)[0], tmp_path / "model.onnx", "int2")


def test_options_are_part_of_what_tells_runtimes_apart():
    assert replace(OnnxRuntime(), arena=False) != OnnxRuntime()
    assert len({OnnxRuntime(), OnnxRuntime(memory_pattern=False), OnnxRuntime()}) == 2
