"""What the Makefile does on a bare machine, when interrupted and called again, with a Python of straw."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

PYTEST = "tests/offline.py .venv/bin/python -m pytest"

# It writes down how it was called, makes an environment that holds itself, and fails on the words in FAIL_AT.
STRAW_PYTHON = """#!/bin/sh
echo "$*" >> "$CALLS"
case "$*" in
    *"${FAIL_AT:-nothing}"*) exit "${STATUS:-1}" ;;
    "-m venv"*) mkdir -p .venv/bin .venv/lib/python3.11/site-packages/half-1.0.dist-info
                cp "$0" .venv/bin/python ;;
    --version) echo Python 3.9.1 ;;
esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a folder with the files that the Makefile looks at, and the straw Python beside them."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    folder = tmp_path / "course"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "constraints.txt", "compilers.txt"):
        shutil.copy(ROOT / name, folder)
    python = tmp_path / "straw-python"
    python.write_text(STRAW_PYTHON)
    python.chmod(0o755)
    return folder


def make(
    folder: Path, *arguments: str, fail_at: str = "nothing", status: int = 1
) -> tuple[subprocess.CompletedProcess, list[str]]:
    """Call make in the folder; return what it said and the calls of Python, in order."""
    calls = folder.parent / "calls"
    calls.write_text("")
    # Only the PATH is passed on: this test may itself have been started by make, with variables for make.
    done = subprocess.run(
        ["make", *arguments, f"PYTHON={folder.parent / 'straw-python'}"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "CALLS": str(calls), "FAIL_AT": fail_at, "STATUS": str(status)},
        capture_output=True,
        text=True,
    )
    return done, calls.read_text().splitlines()


def installs(calls: list[str]) -> list[str]:
    return [call for call in calls if call.startswith("-m pip")]


def test_first_call_installs_and_starts_with_the_given_options(checkout: Path) -> None:
    done, calls = make(checkout, "lab", "LAB_ARGS=--no-browser --port 8899")
    assert done.returncode == 0
    (install,) = installs(calls)
    assert install.endswith("-c constraints.txt -e .")
    assert calls.index("-m venv .venv") < calls.index(install)
    assert calls[-1].startswith("-m jupyterlab ")
    assert "notebooks/week01_measure_first.ipynb" in calls[-1]
    assert calls[-1].endswith("--no-browser --port 8899")


def test_second_call_starts_at_once(checkout: Path) -> None:
    make(checkout, "lab")
    _, calls = make(checkout, "demo", "DEMO_ARGS=--port 8866")
    (call,) = calls
    assert call.startswith("-m voila ")
    assert call.endswith("--port 8866 notebooks/dashboards")


def test_tests_add_their_packages_once(checkout: Path) -> None:
    _, calls = make(checkout, "test-fast")
    assert [call.split()[-1] for call in installs(calls)] == [".", ".[dev]"]
    _, calls = make(checkout, "test-fast", "TEST_ARGS=-x")
    assert installs(calls) == []
    assert calls[-1] == f"{PYTEST} -m not slow -n 2 --dist worksteal -x"


def test_all_tests_are_the_quick_ones_and_the_slow_ones(checkout: Path) -> None:
    done, calls = make(checkout, "test")
    assert done.returncode == 0
    assert calls[-2:] == [f"{PYTEST} -m not slow -n 2 --dist worksteal", f"{PYTEST} -m slow"]
    done, calls = make(checkout, "test", fail_at="-m not slow")
    assert done.returncode != 0
    assert calls[-1].startswith(f"{PYTEST} -m not slow")


def test_all_tests_and_learners_get_the_compilers_once(checkout: Path) -> None:
    make(checkout, "test-fast")
    _, calls = make(checkout, "test")
    (install,) = installs(calls)
    assert install.endswith("pip install --disable-pip-version-check --no-deps -r compilers.txt")
    assert make(checkout, "compilers")[1] == []


def test_a_compiler_that_is_missing_fails_all_tests_and_not_the_quick_ones(checkout: Path) -> None:
    dry, _ = make(checkout, "-n", "test")
    assert dry.stdout.count(f"CI_COMPILERS=1 .venv/bin/python {PYTEST}") == 2
    dry, _ = make(checkout, "-n", "test-fast")
    assert "CI_COMPILERS" not in dry.stdout


def test_tests_of_one_kind_can_be_named(checkout: Path) -> None:
    """With names for pytest, one of its two runs may find none, which pytest says by the status 5."""
    done, calls = make(checkout, "test", "TEST_ARGS=one.py", fail_at="-m not slow", status=5)
    assert done.returncode == 0
    assert calls[-1] == f"{PYTEST} -m slow one.py"
    done, _ = make(checkout, "test", "TEST_ARGS=one.py", fail_at="-m not slow", status=1)
    assert done.returncode != 0
    done, _ = make(checkout, "test", fail_at="-m not slow", status=5)
    assert done.returncode != 0


def test_changed_pins_are_installed(checkout: Path) -> None:
    make(checkout, "lab")
    constraints = checkout / "constraints.txt"
    later = constraints.stat().st_mtime + 60
    os.utime(constraints, (later, later))
    _, calls = make(checkout, "lab")
    assert len(installs(calls)) == 1
    assert "-m venv .venv" not in calls


def test_interrupted_installation_is_repaired(checkout: Path) -> None:
    done, _ = make(checkout, "lab", fail_at="pip install")
    assert done.returncode != 0
    done, calls = make(checkout, "lab")
    assert "The last installation did not finish, so every package is put in anew." in done.stdout
    assert "--force-reinstall" in installs(calls)[0]
    assert not (checkout / ".venv/lib/python3.11/site-packages/half-1.0.dist-info").exists()
    _, calls = make(checkout, "lab")
    assert installs(calls) == []


def test_half_made_environment_is_made_again(checkout: Path) -> None:
    done, _ = make(checkout, "lab", fail_at="-m venv")
    assert "python3-venv is missing" in done.stderr
    done, calls = make(checkout, "lab")
    assert done.returncode == 0
    assert "-m venv .venv" in calls


def test_moved_folder_gets_an_environment_of_its_own(checkout: Path) -> None:
    make(checkout, "lab")
    _, calls = make(checkout.rename(checkout.with_name("moved")), "lab")
    assert "-m venv .venv" in calls
    assert len(installs(calls)) == 1


def test_old_python_is_one_sentence(checkout: Path) -> None:
    done, _ = make(checkout, "lab", fail_at="sys.exit")
    assert done.returncode != 0
    assert "The course needs Python 3.11 or newer, but" in done.stderr
    assert "is Python 3.9.1: install one and name it, for example: make lab PYTHON=python3.12" in done.stderr
    assert not (checkout / ".venv").exists()


def test_make_alone_lists_the_commands() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    for command in ("lab", "demo", "test", "test-fast", "bench", "zoo", "experiments", "notebooks", "slides"):
        assert f"make {command} " in done.stdout
