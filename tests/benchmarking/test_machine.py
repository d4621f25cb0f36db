import importlib.metadata
import json
import os
import platform
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.benchmarking import machine
from course_lib.benchmarking.machine import CPU_FLAGS, record_machine, select_flags
from course_lib.errors import SettingError


def test_flags_are_selected_and_named_alike_on_all_systems() -> None:
    assert select_flags(["sse2", "avx512vnni", "avx2", "ht"]) == ("avx2", "avx512_vnni")
    assert select_flags(["asimddp", "asimd", "crc32"]) == ("asimd", "dotprod")


@given(st.lists(st.sampled_from([*CPU_FLAGS, "sse2", "ht"])))
def test_selection_keeps_known_flags_once_in_a_fixed_order(reported: list[str]) -> None:
    selected = select_flags(reported)
    assert set(selected) == set(reported) & set(CPU_FLAGS)
    assert selected == tuple(sorted(selected, key=CPU_FLAGS.index))


def test_the_record_agrees_with_the_system() -> None:
    record = record_machine(threads=2, seed=7)
    assert (record.threads, record.seed) == (2, 7)
    assert record.logical_cores == os.cpu_count()
    assert record.python == platform.python_version()
    assert record.versions["torch"] == importlib.metadata.version("torch")
    if hasattr(os, "sysconf"):
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        assert record.memory_bytes == pytest.approx(pages, rel=0.01)


def test_the_record_survives_json_and_is_frozen() -> None:
    record = record_machine()
    restored = json.loads(json.dumps(record.as_dict()))
    assert machine.MachineRecord(**{**restored, "cpu_flags": tuple(restored["cpu_flags"])}) == record
    with pytest.raises(FrozenInstanceError):
        record.threads = 9  # type: ignore[misc]


def test_the_processor_is_asked_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    import cpuinfo

    asked = []
    monkeypatch.setattr(cpuinfo, "get_cpu_info", lambda: asked.append(1) or {"brand_raw": "Test CPU"})
    machine._machine_once.cache_clear()
    try:
        assert [record_machine(seed=seed).cpu for seed in range(3)] == ["Test CPU"] * 3
        assert len(asked) == 1
    finally:
        machine._machine_once.cache_clear()


def test_packages_that_are_not_installed_are_left_out() -> None:
    assert list(machine._installed_versions(["numpy", "no-such-package-here"])) == ["numpy"]


def test_the_summary_names_processor_versions_threads_and_seed() -> None:
    record = record_machine(threads=3, seed=11)
    for part in (record.cpu, f"torch {record.versions['torch']}", "threads 3", "seed 11"):
        assert part in record.summary()


def test_impossible_numbers_are_refused() -> None:
    with pytest.raises(SettingError, match=r"^threads=0 is not possible here"):
        record_machine(threads=0)
    with pytest.raises(SettingError, match=r"^seed=-1 is not possible here"):
        record_machine(seed=-1)
