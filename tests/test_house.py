"""Rules of the whole repository: light imports, stripped notebooks, no index named, folders introduced."""

import fnmatch
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pip._internal.models.index import PyPI

ROOT = Path(__file__).resolve().parent.parent

HEAVY = [
    *("torch", "torchvision", "onnx", "onnxruntime", "onnxscript", "openvino", "tensorrt", "coremltools"),
    *("ipywidgets", "anywidget", "IPython", "matplotlib", "scipy", "numpy"),
]

# pip knows the hosts of its index; the others show themselves by how a file points to any index at all.
INDEX_HOSTS = [PyPI.netloc, PyPI.file_storage_domain]
INDEX_SETTINGS = [
    "index" + "-url",
    "find" + "-links",
    "trusted" + "-host",
    "registry" + "=http",
    '"resolved' + '":',
]

# Written in two parts, so that this file passes its own test.
MACHINE_PATHS = ["/home" + "/", "/Users" + "/", "/root" + "/"]

NOT_OURS = [".git", ".venv", "node_modules", "runs", "build", "dist", "__pycache__", "*.egg-info", ".*_cache"]
PROSE = {".md", ".ipynb", ".txt", ".toml", ".yml", ".yaml"}
NOT_TEXT = {".npz", ".xz", ".gz", ".png", ".jpg", ".pdf", ".safetensors", ".onnx", ".pyc"}


def our_files() -> Iterator[Path]:
    """Yield every file that belongs to the project, told by its place: this works without git."""
    for folder, names, files in os.walk(ROOT):
        names[:] = [name for name in names if not any(fnmatch.fnmatch(name, pattern) for pattern in NOT_OURS)]
        yield from (Path(folder, name) for name in files)


def text_files() -> list[Path]:
    """Return the project's text files."""
    return [path for path in our_files() if path.suffix not in NOT_TEXT]


def output_problems(notebook: dict) -> list[str]:
    """Return what a stripped notebook would not hold: outputs and execution counts, by cell."""
    return [
        f"cell {position} holds {field}"
        for position, cell in enumerate(notebook["cells"])
        for field in ("outputs", "execution_count")
        if cell.get(field)
    ]


NOTEBOOKS = [path for path in our_files() if path.suffix == ".ipynb"]


@pytest.mark.parametrize("module", ["course_lib", "course_lib.errors", "course_lib.registry"])
def test_import_is_light(module: str) -> None:
    code = f"import sys, {module}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_the_import_test_would_notice_a_heavy_package() -> None:
    code = f"import sys, numpy; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "numpy" in done.stdout


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_is_stripped_and_runs_on_python3(path: Path) -> None:
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert output_problems(notebook) == []
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"


def test_an_output_would_be_noticed() -> None:
    cells = [{"cell_type": "markdown"}, {"outputs": [{"text": "94 %"}], "execution_count": 3}]
    assert output_problems({"cells": cells}) == ["cell 1 holds outputs", "cell 1 holds execution_count"]


def test_no_file_names_a_package_index() -> None:
    found = [
        f"{path.relative_to(ROOT)} names {host}"
        for path in text_files()
        for host in [*INDEX_HOSTS, *INDEX_SETTINGS]
        if host in path.read_text(encoding="utf-8", errors="replace")
    ]
    assert found == []


def test_no_prose_names_a_place_on_one_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)} names {place}"
        for path in our_files()
        if path.suffix in PROSE
        for place in MACHINE_PATHS
        if place in path.read_text(encoding="utf-8", errors="replace")
    ]
    assert found == []


def test_readme_introduces_every_folder() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    top = {path.relative_to(ROOT).parts[0] for path in our_files() if path.parent != ROOT}
    missing = sorted(folder for folder in top if not folder.startswith(".") and f"`{folder}/`" not in readme)
    assert missing == []


def test_readme_starts_with_the_commands_and_shows_existing_pictures() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.index("make lab") < readme.index("make test") < readme.index("![")
    pictures = [part.split(")")[0] for part in readme.split("](")[1:] if part.split(")")[0].endswith(".png")]
    assert pictures
    assert [name for name in pictures if not (ROOT / name).is_file()] == []


def test_no_module_of_the_library_is_too_long_to_read() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in (ROOT / "course_lib").rglob("*.py")}
    assert {str(path): lines for path, lines in lengths.items() if lines > 300} == {}
