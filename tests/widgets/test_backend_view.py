import pytest

from course_lib.benchmarking import Interval, Ratio
from course_lib.explore.backend_board import BoardState
from course_lib.explore.backend_cell import BoardSetting, Cell, CellResult
from course_lib.widgets.backend_view import summary

SETTING = BoardSetting(models=("net",), targets=("openvino",), precisions=("fp32",))
CELL = Cell("net", "openvino", "fp32")
RATIO = Ratio(0.5, Interval(0.4, 0.6, 0.95))


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (CellResult(cell=CELL, outcome="built"), "none is measured here yet."),
        (
            CellResult(cell=CELL, outcome="ran", p50_ms=1.0),
            "1 of them measured here; there is no ratio, as onnxruntime fp32 does not run here.",
        ),
        (
            CellResult(cell=CELL, outcome="ran", p50_ms=1.0, ratio=RATIO),
            "net for openvino fp32: 0.500 × onnxruntime fp32 (0.400 to 0.600).",
        ),
        (
            CellResult(cell=CELL, outcome="ran", p50_ms=1.0, ratio=RATIO, max_absolute=0.031),
            "(0.400 to 0.600), with a worst difference of 0.031.",
        ),
    ],
)
def test_the_sentence_says_only_what_was_measured(result: CellResult, words: str) -> None:
    sentence = summary(BoardState(wanted=(CELL,), results={CELL: result}), SETTING)
    assert sentence.startswith("1 of 1 cells are built")
    assert sentence.endswith(words)
