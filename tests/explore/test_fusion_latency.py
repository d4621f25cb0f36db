from collections.abc import Iterator

import numpy as np
import pytest

from course_lib.errors import SettingError
from course_lib.explore.cancelling import Cancelled
from course_lib.explore.fusion_latency import MAX_ROUNDS, example_input, measure_level, times_by_node
from course_lib.export.graph_facts import read_graph
from course_lib.runtimes.onnx_insight import OperatorTime
from course_lib.runtimes.onnx_model import OnnxModel
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from tests.explore.fusion_net import BEFORE, net, parsed

BATCH = np.zeros((1, 3, 8, 8), np.float32)


@pytest.fixture(scope="module")
def loaded() -> OnnxModel:
    return OnnxRuntime(optimization="off").load(net())


def test_rounds_are_pooled_up_to_the_planned_number(loaded: OnnxModel) -> None:
    counts = []
    for known in measure_level(loaded, loaded, BATCH):
        assert len(known.level.samples_ms) == len(known.off.samples_ms)
        counts.append(len(known.level.samples_ms))
    assert known.planned == counts[-1] <= MAX_ROUNDS
    assert counts == sorted(set(counts))
    assert len(counts) == 3
    assert known.complete
    low, high = known.ratio.interval
    assert low <= known.ratio.value <= high


def test_it_is_given_up_before_the_next_run(loaded: OnnxModel) -> None:
    answers: Iterator[bool] = iter([False] * 10 + [True] * 1000)
    with pytest.raises(Cancelled, match=r"^The measurement was given up for a newer one"):
        list(measure_level(loaded, loaded, BATCH, lambda: next(answers)))
    assert next(answers) is True
    assert sum(1 for _ in answers) == 998


def model(shape: tuple[int | None, ...] | None, dtype: str = "float32", inputs: int = 1) -> OnnxModel:
    names = tuple(f"x{place}" for place in range(inputs))
    return OnnxModel(None, 1, names, ("y",), shape, dtype)


@pytest.mark.parametrize(
    ("declared", "given", "shape"),
    [
        ((None, 3, 8, 8), (3, 8, 8), (1, 3, 8, 8)),
        ((None, 3, 8, 8), (1, 28, 28), (1, 3, 8, 8)),
        ((4, None, 8), (16, 8), (4, 16, 8)),
        ((None, 128), (1, 28, 28), (1, 128)),
        (None, (5,), (1, 5)),
    ],
)
def test_free_axes_get_the_given_lengths(
    declared: tuple[int | None, ...] | None, given: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    made = example_input(model(declared), given)
    assert (made.shape, made.dtype) == (shape, np.float32)
    assert np.std(made) > 0


def test_whole_numbers_are_zeros_and_half_precision_is_kept() -> None:
    assert not example_input(model((None, 4), "int64"), (4,)).any()
    assert example_input(model((None, 4), "int64"), (4,)).dtype == np.int64
    assert example_input(model((None, 4), "float16"), (4,)).dtype == np.float16


def test_what_cannot_be_made_up_is_refused() -> None:
    with pytest.raises(
        SettingError, match=r"^This model has 2 inputs and 1 outputs, and latency is measured"
    ):
        example_input(model((1, 3), inputs=2), (3,))
    with pytest.raises(SettingError, match=r"^This model takes input of shape \(any, 3, any\), which leaves"):
        example_input(model((None, 3, None)), (1, 28, 28))


def time_of(name: str, operator: str, p50_us: float) -> OperatorTime:
    return OperatorTime(name, operator, (), (), (), (p50_us,))


def test_kernels_are_matched_by_name_and_without_one_by_type_and_order() -> None:
    facts = read_graph(parsed(BEFORE))
    kernels = [
        time_of("Conv_0", "Conv", 7.0),
        time_of("norm", "BatchNormalization", 2.0),
        time_of("Relu_2", "Relu", 1.0),
        time_of("other", "Reorder", 9.0),
    ]
    assert times_by_node(facts, kernels) == {"norm": 2.0, "conv": 7.0, "relu": 1.0}
