"""The benchmark of the compilers: its figures, what a crash left out, and reports that are not made twice."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks import compilers
from benchmarks.cli import table_rows
from benchmarks.compilers import Job, compiled, filled_up, fingerprint, jobs, summary
from course_lib.architectures import list_zoo
from course_lib.errors import MeasurementError
from course_lib.pipelines.compile_targets import TARGETS

JOB: Job = ("tiny", ("onnxruntime", "litert"), ("fp32", "int8"), 6)
CELL = {"target": "onnxruntime", "precision": "fp32", "built": True, "offered": True, "installed": True}
RAN = {**CELL, "why_not": None, "max_absolute": 1e-6, "argmax_agreement": 1.0}


def cell(**changes: Any) -> dict[str, Any]:
    return {"model": "tiny", **RAN, **changes}


def test_every_network_goes_to_every_target_of_the_issue() -> None:
    assert set(compilers.TARGETS) == set(TARGETS) - {"tensorrt"}
    found = jobs(quick=False)
    assert [name for name, *_ in found] == [*list_zoo(), *compilers.LARGE]
    assert all("fp32" in precisions for _, _, precisions, _ in found)
    assert len(jobs(quick=True)) == 1


def test_the_figures_by_hand() -> None:
    cells = [
        cell(),
        cell(precision="int8", max_absolute=0.5, argmax_agreement=0.9),
        cell(target="coreml", why_not="macOS.", max_absolute=None),
        cell(target="litert", built=False, why_not="No such operator.", max_absolute=None),
        cell(target="openvino", built=False, installed=False, why_not="install", max_absolute=None),
        cell(target="litert", built=False, offered=False, why_not="no fp16", precision="fp16"),
    ]
    found = summary(cells)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert (found["cells"], found["built"], found["built_fraction"]) == (5, 3, 0.6)
    assert (found["parity_max"], found["parity_cells"]) == (1e-6, 1)
    assert found["int8_argmax_agreement_min"] == 0.9
    assert found["not_installed"] == ["openvino"]
    assert found["failures"] == [
        {"model": "tiny", "target": "litert", "precision": "fp32", "why_not": "No such operator."}
    ]
    assert found["not_run"] == {"macOS.": 1}
    assert len(found["table"]) == 6


@pytest.mark.parametrize(("fraction", "parity", "verdicts"), [(0.95, 1e-4, "met"), (0.94, 2e-4, "missed")])
def test_the_goals(fraction: float, parity: float, verdicts: str) -> None:
    rows = table_rows({"built_fraction": fraction, "parity_max": parity}, compilers.GOALS)
    assert [row[""] for row in rows] == [verdicts, verdicts]


def test_what_a_crash_left_out_counts_as_failed() -> None:
    cells = filled_up([RAN], ("onnxruntime", "litert"), ("fp32",), "ended with status -11: it said nothing")
    assert [(each["target"], each["built"]) for each in cells] == [("onnxruntime", True), ("litert", False)]
    assert cells[1]["why_not"] == "The process ended with status -11: it said nothing."


def test_a_finished_report_is_read_and_an_unfinished_one_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilers, "FOLDER", tmp_path)
    commands: list[list[str]] = []
    left = {"unfinished": 3}

    def compile_one(command: list[str], **options: object) -> subprocess.CompletedProcess[bytes]:
        commands.append(command)
        Path(command[command.index("--json") + 1]).write_text(json.dumps({"cells": [RAN], **left}))
        return subprocess.CompletedProcess(command, -9, b"", b"Loading\nKilled\n")

    monkeypatch.setattr(subprocess, "run", compile_one)
    found = compiled(JOB, "versions")
    assert [each["built"] for each in found] == [True, False, False, False]
    assert found[1]["why_not"] == "The process ended with status -9: Killed."
    left["unfinished"] = 0
    compiled(JOB, "versions")
    compiled(JOB, "versions")
    assert len(commands) == 2
    compiled(JOB, "other versions")
    assert len(commands) == 3
    assert commands[0][2:6] == ["course_lib.pipelines.compile", "tiny", "--targets", "onnxruntime,litert"]


def test_a_process_that_writes_no_report_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compilers, "FOLDER", tmp_path)

    def refuse(command: list[str], **options: object) -> subprocess.CompletedProcess[bytes]:
        return subprocess.CompletedProcess(command, 1, b"", b"There is no model called 'tiny'\n")

    monkeypatch.setattr(subprocess, "run", refuse)
    with pytest.raises(MeasurementError, match="Compiling tiny ended with status 1: There is no model"):
        compiled(JOB, "versions")


def test_the_fingerprint_is_that_of_the_code_and_the_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprint()
    assert fingerprint() == before
    monkeypatch.setattr(compilers, "version", lambda package: "99")
    assert fingerprint() != before


@pytest.mark.slow
def test_a_network_is_really_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compilers, "FOLDER", tmp_path)
    monkeypatch.setattr(compilers, "QUICK_TARGETS", ("onnxruntime",))
    found = compilers.measure(quick=True)
    assert (found["cells"], found["built_fraction"]) == (1, 1.0)
    assert 0 < found["parity_max"] < 1e-4
    (row,) = found["table"]
    assert (row["model"], row["target"], row["ratio"]["value"]) == ("tiny", "onnxruntime", 1.0)
