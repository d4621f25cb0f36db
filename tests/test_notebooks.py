"""Every notebook runs from top to bottom, as handed out and as a student would fill it in, and is thin."""

import ast
import statistics
from functools import cache
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

WORKED = {
    "week01_measure_first": {
        "predict-mean": "guess_mean.lock(guess_mean.options[2])",
        "predict-repeat": "guess_repeat.lock(guess_repeat.options[0])",
        "predict-speedup": "guess_speedup.lock(2.5)",
        "predict-zeros": "guess_zeros.lock(guess_zeros.options[2])",
        "exercise-p95": (
            "def my_p95(samples_ms):\n"
            "    ordered = sorted(samples_ms)\n"
            "    return ordered[round(0.95 * (len(ordered) - 1))]"
        ),
        "exercise-macs": "depthwise_macs = 7 * 7 * 32 * 3 * 3\npointwise_macs = 7 * 7 * 64 * 32",
        "exercise-speedup": "def my_speedup(share, factor):\n    return 1 / (1 - share + share / factor)",
        "exercise-choice": (
            "allowed = [c for c in candidates if c.macs <= 2e6 and c.accuracy >= 0.915]\n"
            "my_network = min(allowed, key=lambda c: c.bandwidth_bytes).name"
        ),
    },
    "week04_pruning_and_low_rank": {
        "predict-file": "guess_file.lock(guess_file.options[2])",
        "predict-tied": "guess_tied.lock(2)",
        "predict-macs": "guess_macs.lock(2)",
        "predict-widths": "guess_widths.lock(guess_widths.options[0])",
        "predict-ranking": 'guess_ranking.lock("L1 norm")',
        "predict-sparse": "guess_sparse.lock(guess_sparse.options[0])",
        "exercise-mask": (
            "def my_mask(weights, sparsity):\n"
            "    order = np.argsort(np.abs(weights), kind='stable')\n"
            "    mask = np.ones(len(weights), bool)\n"
            "    mask[order[: round(sparsity * len(weights))]] = False\n"
            "    return mask"
        ),
        "exercise-two-four": (
            "def my_two_four(weights):\n"
            "    blocks = np.abs(weights).reshape(-1, 4)\n"
            "    return (blocks >= np.sort(blocks)[:, 2:3]).ravel()"
        ),
        "exercise-tied": 'my_layers = {"a", "norm_a", "b", "norm_b", "c"}',
        "exercise-cubic": (
            "def my_sparsity(step, steps, target):\n    return target * (1 - (1 - step / steps) ** 3)"
        ),
        "exercise-rank": ("def my_rank(rows, columns):\n    return (rows * columns - 1) // (rows + columns)"),
    },
    "week05_post_training_quantization": {
        "predict-granularity": "guess_granularity.lock(guess_granularity.options[0])",
        "predict-size": "guess_size.lock(4)",
        "predict-speed": "guess_speed.lock(4)",
        "predict-observers": "guess_observers.lock(guess_observers.options[1])",
        "predict-dynamic": "guess_dynamic.lock(guess_dynamic.options[2])",
        "exercise-zero": (
            "def my_zero_point(low, high, bits):\n"
            "    low, high = min(low, 0), max(high, 0)\n"
            "    return -round(low / ((high - low) / (2**bits - 1)))"
        ),
        "exercise-code": (
            "def my_code(x, scale, zero_point):\n    return min(max(round(x / scale) + zero_point, 0), 255)"
        ),
        "exercise-bits": "def my_bits(wanted_db):\n    return int(np.ceil((wanted_db - 1.765) / 6.02))",
        "exercise-stored": "bits_a_weight = 4 + 32 / 32",
        "exercise-pair": "pair_sum = min(255 * 127 + 255 * 127, 2**15 - 1)",
        "exercise-layer": "my_layer = min(quietest, key=quietest.get)",
    },
    "week06_quantization_aware_training": {
        "predict-four": "guess_four.lock(1.5)",
        "predict-rounding": 'guess_rounding.lock("GPTQ")',
        "predict-layer": "guess_layer.lock(guess_layer.options[3])",
        "predict-training": "guess_training.lock(50)",
        "predict-mixed": "guess_mixed.lock(guess_mixed.options[1])",
        "exercise-input-gradient": (
            "def my_input_gradient(upstream, v, low, high):\n    return upstream * (low <= v <= high)"
        ),
        "exercise-step-gradient": (
            "def my_step_gradient(v, low, high):\n"
            "    return min(max(round(v), low), high) - (v if low <= v <= high else 0)"
        ),
        "exercise-closure": (
            "def my_experiments(paths, run):\n    return [partial(run, path) for path in paths]"
        ),
        "exercise-average": "def my_average_bits(bits, sizes):\n    return np.dot(bits, sizes) / sum(sizes)",
        "exercise-allocation": 'my_bits = {"first": 8, "middle": 4, "last": 2}',
    },
}
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
    assert "Explorer()" in source
    assert "show_source(" in source
    assert "check_" in source
    assert "ledger.enter(" in source
