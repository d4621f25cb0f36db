"""The room as a whole: what importing it costs."""

import subprocess
import sys

import course_lib.benchmarking


def test_importing_the_room_loads_neither_torch_nor_a_runtime() -> None:
    script = (
        "import sys, course_lib.benchmarking; "
        "print(sorted({'torch', 'onnx', 'onnxruntime', 'scipy', 'cpuinfo', 'ipywidgets'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


def test_everything_promised_is_there() -> None:
    missing = [name for name in course_lib.benchmarking.__all__ if not hasattr(course_lib.benchmarking, name)]
    assert missing == []
