"""The facts behind a key: each one counts, equal ones give equal keys, and forms are noted by their hash."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from course_lib.errors import SettingError
from course_lib.runtimes import engine_key
from course_lib.runtimes.engine_key import FormRecorder, canonical, device_name, engine_facts, key_of
from tests.runtimes.file_compiler import FileCompiler, FixedForms, file_model


def key(compiler: FileCompiler | None = None, precision: str = "fp32", **changes: object) -> str:
    return key_of(engine_facts(compiler or FileCompiler(), file_model(**changes), precision))  # type: ignore[arg-type]


def test_a_key_by_hand() -> None:
    facts = {"b": [1, 2], "a": None}
    assert canonical(facts) == b'{"a":null,"b":[1,2]}'
    assert key_of(facts) == hashlib.sha256(b'{"a":null,"b":[1,2]}').hexdigest()


def test_equal_facts_give_equal_keys() -> None:
    assert key() == key()
    assert key(calibration=1.0) == key(calibration=2.0)  # fp32 looks at no calibration input


@pytest.mark.parametrize(
    "other",
    [
        {"text": "other weights"},
        {"shape": (2, 3)},
        {"precision": "int8"},
        {"compiler": FileCompiler(level=2)},
        {"compiler": FileCompiler(number="1.1")},
        {"compiler": FileCompiler(name="other")},
    ],
)
def test_each_fact_counts(other: dict) -> None:
    assert key(**other) != key()


def test_int8_depends_on_what_it_was_calibrated_with() -> None:
    assert key(precision="int8", calibration=1.0) != key(precision="int8", calibration=2.0)


def test_the_device_and_the_course_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key()
    monkeypatch.setattr(engine_key, "device_name", lambda: "another CPU")
    other_device = key()
    monkeypatch.undo()
    monkeypatch.setattr(engine_key, "__version__", "999")
    assert len({before, other_device, key()}) == 3


def test_the_device_is_named_without_a_machine_record_where_linux_tells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "cpuinfo"
    told.write_text("model name\t: Imaginary 9000\nflags\t\t: fpu avx2 fma sse\n")
    monkeypatch.setattr(engine_key, "CPU_FILE", told)
    device_name.cache_clear()
    assert device_name().endswith("Imaginary 9000 (fma avx2)")
    monkeypatch.setattr(engine_key, "CPU_FILE", tmp_path / "missing")
    device_name.cache_clear()
    assert engine_key.record_machine().cpu in device_name()
    device_name.cache_clear()


def test_a_compiler_without_fields_is_refused() -> None:
    class Plain:
        name = "plain"

    with pytest.raises(SettingError, match="The options of plain cannot be told apart, because Plain is no"):
        engine_facts(Plain(), file_model(), "fp32")  # type: ignore[arg-type]


def test_the_recorder_notes_each_form_once() -> None:
    recorder = FormRecorder(FixedForms("w"))
    assert recorder("fp32", "onnxruntime") == recorder("fp32", "onnxruntime") == b"w fp32 "
    recorder("int8", "tensorrt")
    assert recorder.digests == {
        "fp32 onnxruntime": hashlib.sha256(b"w fp32 ").hexdigest(),
        "int8 tensorrt": hashlib.sha256(b"w int8 tensorrt").hexdigest(),
    }


def test_options_that_are_given_in_another_way_are_the_same() -> None:
    assert key(replace(FileCompiler(), level=1)) == key(FileCompiler(1))


@dataclass(frozen=True)
class GpuCompiler(FileCompiler):
    """Builds for the GPU in the machine, or for the one it is told."""

    compute_capability: str | None = None


@pytest.mark.parametrize(("told", "keys"), [(None, 2), ("SM86", 1)])
def test_only_what_is_built_for_the_gpu_here_depends_on_it(
    monkeypatch: pytest.MonkeyPatch, told: str | None, keys: int
) -> None:
    found = set()
    for here in ("SM89", "SM120"):
        monkeypatch.setattr(engine_key, "gpu_capability", lambda here=here: here)
        found.add(key(GpuCompiler(compute_capability=told)))
    assert len(found) == keys


def test_builds_for_two_gpus_have_two_keys() -> None:
    assert key(GpuCompiler(compute_capability="SM86")) != key(GpuCompiler(compute_capability="SM89"))
