"""Every notebook runs from top to bottom, as handed out and as a student would fill it in, and is thin."""

import ast
import statistics
from functools import cache
from importlib import import_module
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted(
    path for path in (ROOT / "notebooks").rglob("*.ipynb") if ".ipynb_checkpoints" not in path.parts
)
WEEKS = [path for path in NOTEBOOKS if path.name.startswith("week")]

SKELETON = [
    *("Goal", "Why it matters", "Predict", "Run", "See", "Explain", "Try it yourself", "Misconceptions"),
    *("Interview questions", "What it cost and what it bought", "Take-aways"),
]
MEDIAN_LINES, MOST_LINES = 8, 15

SEALED = "The answer is sealed"

WORKED = {path.stem: import_module(f"tests.worked.{path.stem}").CELLS for path in WEEKS}
"""Notebook → cell → what a student does there: a guess is added after the question, an answer replaces it."""


def read(path: Path) -> nbformat.NotebookNode:
    """Return a notebook in the current format."""
    return nbformat.read(path, as_version=4)


def execute(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """Run all cells in a folder of their own; what the notebook saves lands in that folder's parent."""
    folder.mkdir()
    client = NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}})
    return client.execute()


def outputs(notebook: nbformat.NotebookNode) -> str:
    """Return all text that the cells put out; a widget's is its text for pages without widgets."""
    texts = []
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            texts += [output.get("text", ""), *map(str, output.get("data", {}).values())]
    return "\n".join(texts)


def problems(notebook: nbformat.NotebookNode) -> list[str]:
    """Return what is too long in a notebook, or does not belong into one."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    lines = [len(cell.source.splitlines()) for cell in code]
    found = [f"cell {cell.id} has {n} lines" for cell, n in zip(code, lines, strict=True) if n > MOST_LINES]
    if statistics.median(lines) > MEDIAN_LINES:
        found.append(f"the median cell has {statistics.median(lines)} lines")
    for cell in code:
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ClassDef):
                found.append(f"cell {cell.id} defines the class {node.name}")
            if isinstance(node, ast.FunctionDef) and node.name in library_functions():
                found.append(f"cell {cell.id} copies {node.name} of the library")
    return found


@cache
def library_functions() -> set[str]:
    """Return the names of all functions of the library."""
    trees = (ast.parse(path.read_text(encoding="utf-8")) for path in (ROOT / "course_lib").rglob("*.py"))
    return {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def headings(notebook: nbformat.NotebookNode, level: int) -> list[str]:
    """Return the headings of a level, in order."""
    mark = "#" * level + " "
    lines = [
        line for cell in notebook.cells if cell.cell_type == "markdown" for line in cell.source.split("\n")
    ]
    return [line.removeprefix(mark) for line in lines if line.startswith(mark)]


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_as_handed_out(path: Path, tmp_path: Path) -> None:
    ran = execute(read(path), tmp_path / "notebooks")
    if path in WEEKS:
        shown = outputs(ran)
        assert SEALED in shown
        assert "Open: " in shown
        assert "Not yet: " not in shown


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", WEEKS, ids=lambda path: path.stem)
def test_runs_when_filled_in(path: Path, tmp_path: Path) -> None:
    notebook = read(path)
    cells = {cell.id: cell for cell in notebook.cells}
    for name, source in WORKED[path.stem].items():
        added = name.startswith("predict")
        cells[name].source = f"{cells[name].source}\n{source}" if added else source
    shown = outputs(execute(notebook, tmp_path / "notebooks"))
    assert SEALED not in shown
    assert "You said" in shown
    assert "Open: " not in shown
    assert "Not yet: " not in shown
    assert shown.count("Right: ") == sum(name.startswith("check-") for name in cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_is_thin(path: Path) -> None:
    assert problems(read(path)) == []


def test_a_thick_notebook_would_be_noticed() -> None:
    long = nbformat.v4.new_code_cell("\n".join(["1"] * 16), id="long")
    own = nbformat.v4.new_code_cell("class Mine:\n    pass\ndef load_dataset():\n    pass", id="own")
    assert problems(nbformat.v4.new_notebook(cells=[long, own])) == [
        "cell long has 16 lines",
        "the median cell has 10.0 lines",
        "cell own defines the class Mine",
        "cell own copies load_dataset of the library",
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_have_names_of_their_own(path: Path) -> None:
    names = [cell.get("id") for cell in read(path).cells]
    assert None not in names
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", WEEKS, ids=lambda path: path.stem)
def test_a_week_follows_the_skeleton(path: Path) -> None:
    assert headings(read(path), 2) == SKELETON


@pytest.mark.parametrize("path", WEEKS, ids=lambda path: path.stem)
def test_a_week_predicts_shows_and_checks(path: Path) -> None:
    source = "\n".join(cell.source for cell in read(path).cells)
    assert source.count("Prediction(") == source.count(".reveal(") >= 2
    assert source.count("</details>") >= 4
    assert "Explorer()" in source or "Board(" in source
    assert "show_source(" in source
    assert "check_" in source
    assert "ledger.enter(" in source
