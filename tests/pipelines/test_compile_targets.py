"""The targets by name: lazy, and each GPU generation a target of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

from course_lib.pipelines.compile_targets import TARGETS
from course_lib.runtimes.compilation import PRECISIONS, Compiler


def test_no_compiler_is_imported_before_it_is_asked_for(root: Path) -> None:
    listed = "print([name for name in sys.modules if 'runtimes.' in name])"
    code = f"import sys, course_lib.pipelines.compile_targets; {listed}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    assert set(eval(done.stdout)) <= {"course_lib.runtimes.compilation", "course_lib.runtimes.protocol"}


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_is_a_compiler_whether_installed_or_not(name: str) -> None:
    compiler = TARGETS[name]()
    assert isinstance(compiler, Compiler)
    assert name.startswith(compiler.name)
    assert set(compiler.precisions) <= set(PRECISIONS)
    assert "fp32" in compiler.precisions
    assert compiler.suffix.startswith(".")
    missing = compiler.why_unavailable()
    assert missing is None or "; install it with: " in missing


def test_a_target_for_each_compute_capability() -> None:
    capabilities = [
        getattr(TARGETS[f"tensorrt_rtx_{name}"](), "compute_capability", None)
        for name in ("sm86", "sm89", "sm120")
    ]
    assert capabilities == ["SM86", "SM89", "SM120"]
