import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

import course_lib.widgets
from course_lib.architectures import list_zoo
from course_lib.errors import ModelError, SettingError, UnknownNameError
from course_lib.explore.backend_board import AGAIN, ROUNDS
from course_lib.explore.backend_cell import FIGURES
from course_lib.pipelines import compile_cell
from course_lib.runtimes.compilation import PRECISIONS
from course_lib.runtimes.engine_cache import EngineCache
from course_lib.widgets import BackendBoard, backend_bench, backend_board
from course_lib.widgets.page_source import script, style
from tests.pipelines.fake_targets import FAKE_TARGETS

FOLDER = Path(course_lib.widgets.__file__).parent


@pytest.fixture(scope="module")
def shared_board(own_model: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackendBoard]:
    with pytest.MonkeyPatch.context() as patch:
        for module in (backend_board, backend_bench, compile_cell):
            patch.setattr(module, "TARGETS", FAKE_TARGETS)
        patch.setattr("course_lib.pipelines.compile.TARGETS", FAKE_TARGETS)
        widget = BackendBoard(
            own={"mine": own_model}, shape=(1, 8, 8), cache=EngineCache(tmp_path_factory.mktemp("engines"))
        )
        assert widget.wait(300), widget.error
        yield widget
        widget.close()


@pytest.fixture
def board(shared_board: BackendBoard) -> BackendBoard:
    start = {
        "models": ["mine"],
        "targets": list(FAKE_TARGETS),
        "precisions": list(PRECISIONS),
        "running": True,
    }
    move(shared_board, **start, sort="order", falling=False, axis="latency", selected="")
    return shared_board


def send(board: BackendBoard, **change: Any) -> bool:
    board.request = {**board.request, **change, "generation": board.request["generation"] + 1}
    return board.wait(120)


def move(board: BackendBoard, **change: Any) -> dict[str, Any]:
    assert send(board, **change), board.error
    return board.result


def test_every_cell_is_on_the_board_with_figures_or_a_reason(board: BackendBoard) -> None:
    shown = board.result
    assert shown["exact"]
    assert len(shown["rows"]) == len(FAKE_TARGETS) * len(PRECISIONS)
    states = {row["key"]: row["state"] for row in shown["rows"]}
    assert states["mine onnxruntime fp32"] == states["mine onnxruntime int8"] == "ran"
    assert states["mine elsewhere fp16"] == "built"
    assert states["mine picky fp32"] == states["mine picky int8"] == "refused"
    assert states["mine absent fp32"] == "missing"
    for row in shown["rows"]:
        assert bool(row["why"]) == (row["state"] != "ran")
        assert (row["figures"]["latency"] != "–") == (row["state"] == "ran")
        assert (row["figures"]["size"] != "–") == (row["state"] in ("ran", "built"))
    assert shown["absent"] == [
        ["absent", "absent is needed to compile for it; install it with: make compilers"]
    ]
    assert shown["summary"].startswith("6 of 12 cells are built, 3 of them measured here; ")
    assert shown["progress"] == {"done": 12, "total": 12, "words": "12 of 12 cells done."}
    assert board.targets[2] == ["absent", shown["absent"][0][1]]


def test_table_chart_tiles_and_csv_say_the_same(board: BackendBoard) -> None:
    shown = move(board, selected="mine onnxruntime int8", sort="parity", falling=True)
    by_key = {f"mine {result.cell.label}": result for result in board.results}
    rows = {row["key"]: row for row in shown["rows"]}
    assert {point["key"] for point in shown["chart"]["points"]} == {
        key for key, row in rows.items() if row["state"] == "ran"
    }
    for point in shown["chart"]["points"]:
        result = by_key[point["key"]]
        assert (point["cost"], point["difference"]) == (result.p50_ms, result.max_absolute or None)
        assert rows[point["key"]]["figures"]["latency"] in point["words"]
        assert rows[point["key"]]["figures"]["parity"] in point["words"]
    details = shown["details"]
    for name in FIGURES:
        assert details["tiles"][name]["value"] == rows["mine onnxruntime int8"]["figures"][name]
    lines = list(csv.DictReader(io.StringIO(shown["csv"])))
    assert [f"{line['network']} {line['target']} {line['precision']}" for line in lines] == list(rows)
    for line, row in zip(lines, shown["rows"], strict=True):
        result = by_key[row["key"]]
        assert (line["why"], line["outcome"]) == (row["why"], row["state"])
        assert line["max_absolute"] == ("" if result.max_absolute is None else str(result.max_absolute))


@pytest.mark.parametrize("name", FIGURES)
def test_sorting_by_a_figure(board: BackendBoard, name: str) -> None:
    by_key = {f"mine {result.cell.label}": result for result in board.results}
    for falling in (False, True):
        shown = move(board, sort=name, falling=falling)
        values = [FIGURES[name].of(by_key[row["key"]]) for row in shown["rows"]]
        found = [value for value in values if value is not None]
        assert found == sorted(found, reverse=falling)
        assert values[len(found) :] == [None] * (len(values) - len(found))
        assert (shown["sort"], shown["falling"]) == (name, falling)


@pytest.mark.parametrize("axis", ["latency", "ratio", "size"])
def test_every_axis_of_the_chart_has_its_points(board: BackendBoard, axis: str) -> None:
    chart = move(board, axis=axis)["chart"]
    ran = {f"mine {result.cell.label}": result for result in board.results if result.outcome == "ran"}
    assert {point["key"]: point["cost"] for point in chart["points"]} == {
        key: FIGURES[axis].of(result) for key, result in ran.items()
    }
    assert all(chart["low"] < point["cost"] < chart["high"] for point in chart["points"])


def test_details_of_a_cell(board: BackendBoard) -> None:
    details = move(board, selected="mine onnxruntime fp32")["details"]
    assert details["title"] == "mine for onnxruntime fp32"
    assert details["tiles"]["ratio"] == {"value": "1 (baseline)", "detail": "the baseline itself"}
    assert details["tiles"]["latency"]["detail"] == f"measured: {ROUNDS} interleaved rounds"
    assert details["command"].startswith("compile_model(prepare_forms(model, shape=(1, 8, 8)), [")
    assert details["messages"][0].startswith("Compiled files: ")
    details = move(board, selected="mine picky fp32")["details"]
    assert details["why"] == "picky cannot compile the operator Conv of the node conv1."
    assert details["state"] == "not built."
    assert set(details["tiles"]) == set(FIGURES)


def test_without_a_choice_the_fastest_is_shown(board: BackendBoard) -> None:
    ratios = {f"mine {each.cell.label}": each.ratio.value for each in board.results if each.ratio}
    assert move(board, selected="")["selected"] == min(ratios, key=lambda key: ratios[key])


def test_fewer_cells_are_shown_at_once_and_come_back_without_work(board: BackendBoard) -> None:
    before = {result.cell: result for result in board.results}
    shown = move(board, targets=["onnxruntime"], precisions=["fp32", "int8"])
    assert [row["key"] for row in shown["rows"]] == ["mine onnxruntime fp32", "mine onnxruntime int8"]
    move(board, targets=list(FAKE_TARGETS), precisions=list(PRECISIONS))
    assert {result.cell: result for result in board.results} == before
    empty = move(board, models=[])
    assert (empty["rows"], empty["details"], empty["exact"]) == ([], None, True)
    assert (
        empty["summary"] == "The board is empty: choose at least one network, one target and one precision."
    )
    assert "The board is empty" in repr(board)


def test_a_stopped_board_leaves_cells_waiting_and_goes_on(board: BackendBoard) -> None:
    shown = move(board, running=False, again=board.request["again"] + 1, targets=["onnxruntime"])
    assert shown["progress"]["words"] == "0 of 3 cells done. Stopped."
    assert (shown["exact"], shown["running"]) == (True, False)
    shown = move(board, running=True)
    assert shown["progress"]["words"] == "3 of 3 cells done."
    assert {result.rounds for result in board.results} == {AGAIN}


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ({"models": ["resnet"]}, "no network on the board called 'resnet'"),
        ({"targets": ["tpu"]}, "no target called 'tpu'"),
        ({"precisions": ["fp8"]}, "no precision called 'fp8'"),
        ({"sort": "colour"}, "no figure to sort by called 'colour'"),
        ({"axis": "colour"}, "no axis called 'colour'"),
        ({"models": None}, "cannot be read"),
        ({"generation": None}, "cannot be read"),
    ],
)
def test_nonsense_from_the_page_is_reported(
    board: BackendBoard, broken: dict[str, Any], sentence: str
) -> None:
    sound = board.request
    board.request = {**sound, "generation": sound["generation"] + 1, **broken}
    assert not board.wait(120)
    assert sentence in board.error
    board.request = {**sound, "generation": sound["generation"] + 2}
    assert board.wait(120)
    assert board.error == ""


def test_everything_that_is_sent_is_json(board: BackendBoard) -> None:
    words = json.dumps([board.result, board.models, board.targets, board.columns, board.axes])
    assert not any(number in words for number in ("NaN", "Infinity"))
    assert board.models == ["mine", *list_zoo()]


def test_the_code_makes_the_same_table(board: BackendBoard, own_model: nn.Module) -> None:
    shown = move(board, targets=["onnxruntime", "picky"], precisions=["fp32"])
    printed: list[Any] = []
    exec(shown["code"], {"model": own_model, "print": printed.append})
    (report,) = printed
    rows = [(row["target"], row["precision"], row["why"]) for row in shown["rows"]]
    assert [(cell.target, cell.precision, cell.why_not or "") for cell in report.cells] == rows


def test_a_page_without_widgets_shows_the_table(board: BackendBoard) -> None:
    bundle = board._repr_mimebundle_()
    assert bundle is not None
    text = bundle[0]["text/plain"]
    assert board.result["summary"] in text
    assert "picky cannot compile" not in text.splitlines()[0]
    for row in board.result["rows"]:
        assert row["figures"]["parity"] in text
    assert "absent: absent is needed to compile for it; install it with: make compilers" in text


def test_bad_arguments_are_refused_at_once() -> None:
    with pytest.raises(UnknownNameError, match="no target called 'tpu'"):
        BackendBoard(targets=("tpu",))
    with pytest.raises(UnknownNameError, match="no precision called 'fp8'"):
        BackendBoard(precisions=("fp8",))  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="threads must be a whole number"):
        BackendBoard(threads=0)
    with pytest.raises(SettingError, match=r"^The models are tiny, tiny; give each of them once\.$"):
        BackendBoard(("tiny", "tiny"))
    with pytest.raises(ModelError, match=r"^There is a network called tiny on the board already; give yours"):
        BackendBoard(own={"tiny": nn.ReLU()})
    with pytest.raises(ModelError, match=r"^mine is 'mine.tflite'; pass a PyTorch module or the path of an"):
        BackendBoard(own={"mine": "mine.tflite"})


def test_the_page_gets_the_shared_part_first() -> None:
    for joined, kind in ((script("backend_board"), "js"), (style("backend_board"), "css")):
        assert joined.startswith((FOLDER / f"page.{kind}").read_text(encoding="utf-8"))
        assert joined.endswith((FOLDER / f"backend_board.{kind}").read_text(encoding="utf-8"))
    lines = script("backend_board").splitlines()
    assert [line for line in lines if line.startswith("export")] == ["export default { render };"]
    defined = [line.split("(")[0] for line in lines if line.startswith(("function ", "async function "))]
    assert len(defined) == len(set(defined))


def test_calibration_of_ones_own_is_used(own_model: nn.Module, tmp_path: Path) -> None:
    inputs = np.random.default_rng(0).random((40, 1, 8, 8), np.float32)
    widget = BackendBoard(
        own={"mine": own_model},
        calibration=inputs,
        targets=("onnxruntime",),
        precisions=("int8",),
        cache=EngineCache(tmp_path),
    )
    assert widget.wait(120), widget.error
    assert widget.results[0].outcome == "ran"
    assert not any("random" in message for message in widget.results[0].messages)
    widget.close()
