"""Options, table and JSON of a benchmark script."""

import json
import sys

import pytest

from benchmarks.cli import Target, run, table_rows


def measure(quick: bool) -> dict:
    return {"first_p50_ms": 12.5 if quick else 50.0, "equal": True, "samples_ms": [1.0, 2.0]}


def run_with(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    monkeypatch.setattr(sys, "argv", ["benchmarks/slider.py", *arguments])
    run(measure, targets={"first_p50_ms": Target(high=20)}, threads=2, seed=7)
    return capsys.readouterr().out


def test_table_without_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    output = run_with([], monkeypatch, capsys)
    assert "| first_p50_ms | 50.0  | at most 20 | missed |" in output
    assert "{" not in output


def test_json_comes_last_and_knows_its_machine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = run_with(["--quick", "--json"], monkeypatch, capsys)
    assert "| first_p50_ms | 12.5  | at most 20 | met |" in output
    result = json.loads(output.splitlines()[-1])
    assert result["first_p50_ms"] == 12.5
    assert result["samples_ms"] == [1.0, 2.0]
    assert result["quick"] is True
    assert (result["machine"]["threads"], result["machine"]["seed"]) == (2, 7)
    assert result["machine"]["cpu"]


def test_unknown_option_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmarks/slider.py", "--fast"])
    with pytest.raises(SystemExit):
        run(measure)
    message = capsys.readouterr().err
    assert "python -m benchmarks.slider" in message
    assert "unrecognized arguments: --fast" in message


@pytest.mark.parametrize(
    ("target", "value", "holds"),
    [
        (Target(high=60), 60, True),
        (Target(high=60), 60.1, False),
        (Target(low=0.93, high=0.99), 0.93, True),
        (Target(low=0.93, high=0.99), 0.995, False),
        (Target(low=1), True, True),
        (Target(low=1), False, False),
        (Target(high=0), 0, True),
        (Target(high=60), None, False),
    ],
)
def test_target_includes_its_bounds(target: Target, value: float | None, holds: bool) -> None:
    assert target.holds(value) is holds


def test_target_reads_as_words() -> None:
    assert [str(Target(low=8)), str(Target(high=0)), str(Target(0.93, 0.99))] == [
        "at least 8",
        "at most 0",
        "0.930 to 0.990",
    ]


def test_rows_leave_nested_values_out() -> None:
    rows = table_rows({"a": 1, "b": None, "c": False, "d": [1], "e": {"f": 1}}, {})
    assert [(row["figure"], row["value"]) for row in rows] == [("a", "1"), ("b", "–"), ("c", "no")]
