"""Running all benchmarks: which they are, what is recorded, and that one failure does not stop the rest."""

import importlib
import json
from pathlib import Path

import pytest

from course_lib.errors import MeasurementError

runner = importlib.import_module("benchmarks.__main__")

GOOD = """
import json, sys
def measure(quick): return {"a_ms": 1.5}
if __name__ == "__main__":
    print("| a table |")
    print(json.dumps({**measure(True), "quick": "--quick" in sys.argv, "json": "--json" in sys.argv}))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a benchmark that works, one that fails, one that says too little, and a helper."""
    benchmarks = tmp_path / "trials"
    benchmarks.mkdir()
    (benchmarks / "good.py").write_text(GOOD)
    (benchmarks / "bad.py").write_text("def measure(quick): ...\nraise SystemExit(3)")
    (benchmarks / "mute.py").write_text("def measure(quick): ...\nprint('no figures')")
    (benchmarks / "helper.py").write_text("def find(): ...")
    return benchmarks


def test_scripts_are_told_from_helpers(folder: Path) -> None:
    assert list(runner.find_scripts(folder)) == ["bad", "good", "mute"]
    assert {"cli", "chromium", "__main__"}.isdisjoint(runner.find_scripts(runner.HERE))


def test_all_run_and_what_works_is_recorded(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main([], folder) == 1
    assert [path.name for path in (folder / "results").iterdir()] == ["good.json"]
    recorded = json.loads((folder / "results" / "good.json").read_text())
    assert recorded["benchmark"] == "good"
    assert recorded["a_ms"] == 1.5
    assert recorded["json"] is True
    assert recorded["recorded_at"].endswith("+00:00")
    output = capsys.readouterr()
    assert "| a table |" in output.out
    assert "[2/3] good" in output.out
    assert "bad ended with status 3 instead of a JSON object" in output.err
    assert "mute ended with status 0 instead of a JSON object" in output.err


def test_quick_run_is_not_recorded(folder: Path) -> None:
    assert runner.main(["--quick", "good"], folder) == 0
    assert not (folder / "results").exists()


def test_unknown_name_lists_the_known(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["goood"], folder) == 1
    expected = (
        "There is no benchmark called 'goood'; the known ones are bad, good, mute. Did you mean 'good'?\n"
    )
    assert capsys.readouterr().err == expected


def test_hung_script_is_stopped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "slow.py").write_text("import time\ndef measure(quick): ...\ntime.sleep(60)")
    monkeypatch.setattr(runner, "TIME_LIMIT_S", 0.5)
    with pytest.raises(MeasurementError, match=r"slow was stopped after 0\.5 s"):
        runner.run_script(folder / "slow.py", quick=False)
