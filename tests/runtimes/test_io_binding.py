"""Binding: the same results, no copies between the two arrays and the session, and what it refuses."""

from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from course_lib.errors import ModelError
from course_lib.runtimes.io_binding import bind
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from course_lib.runtimes.protocol import LoadedModel
from tests.runtimes.conftest import build_model

MATMUL = OnnxRuntime().load(build_model().SerializeToString())


def refused(call) -> str:
    with pytest.raises(ModelError) as caught:
        call()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_by_hand() -> None:
    bound = bind(MATMUL, np.zeros((1, 3), np.float32))
    assert isinstance(bound, LoadedModel)
    assert (bound.input_names, bound.output_names, bound.threads) == (("input",), ("logits",), 1)
    assert bound.input_shape == (1, 3)
    assert bound.run(np.array([[1, 1, 5]], np.float32)).tolist() == [[3.0, 7.0]]


def test_the_arrays_stay_in_their_places() -> None:
    bound = bind(MATMUL, np.zeros((1, 3), np.float32))
    place = bound.outputs.ctypes.data
    bound.inputs[...] = [[1, 1, 5]]
    bound.compute()
    assert bound.outputs.tolist() == [[3.0, 7.0]]
    bound.inputs[0, 0] = 2
    bound.compute()
    assert bound.outputs.tolist() == [[4.0, 10.0]]
    assert bound.outputs.ctypes.data == place


def test_results_are_not_overwritten_by_the_next_run() -> None:
    bound = bind(MATMUL, np.zeros((1, 3), np.float32))
    first = bound.run(np.array([[1, 1, 5]], np.float32))
    bound.run(np.zeros((1, 3), np.float32))
    assert first.tolist() == [[3.0, 7.0]]


def test_the_example_may_change_afterwards() -> None:
    example = np.ones((1, 3), np.float32)
    bound = bind(MATMUL, example)
    example[...] = 7
    bound.compute()
    assert bound.outputs.tolist() == [[3.0, 7.0]]


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 9), seed=st.integers(0, 2**32 - 1), columns_first=st.booleans())
def test_equals_the_unbound_model(rows, seed, columns_first) -> None:
    batch = np.random.default_rng(seed).normal(size=(rows, 3)).astype(np.float32)
    batch = np.asfortranarray(batch) if columns_first else batch
    np.testing.assert_array_equal(bind(MATMUL, batch).run(batch), MATMUL.run(batch))


def test_calls_from_several_threads_do_not_mix() -> None:
    bound = bind(MATMUL, np.zeros((1, 3), np.float32))
    wrong = []

    def call(value: float) -> None:
        for _ in range(200):
            if bound.run(np.full((1, 3), value, np.float32)).tolist() != [[3 * value, 7 * value]]:
                wrong.append(value)

    threads = [Thread(target=call, args=(float(value),)) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_another_shape_or_type_is_refused() -> None:
    bound = bind(MATMUL, np.zeros((2, 3), np.float32))
    assert refused(lambda: bound.run(np.zeros((1, 3), np.float32))) == (
        "This model is bound to float32 of shape (2, 3) and the batch is float32 of shape (1, 3); "
        "bind it to an example of that shape as well."
    )
    assert "the batch is float64 of shape (2, 3)" in refused(lambda: bound.run(np.zeros((2, 3))))
    assert refused(lambda: bound.run([[1.0]])) == (
        "run takes a NumPy array, not list; pass np.asarray(batch)."
    )


def test_an_example_that_the_model_does_not_take() -> None:
    assert "takes input of shape (any, 3)" in refused(lambda: bind(MATMUL, np.zeros((2, 4), np.float32)))


def test_several_outputs() -> None:
    nodes = [helper.make_node("Relu", ["input"], [name]) for name in ("a", "b")]
    model = OnnxRuntime().load(build_model(nodes, outputs=("a", "b")).SerializeToString())
    assert "one input and one output" in refused(lambda: bind(model, np.zeros((1, 3), np.float32)))


def test_an_output_whose_shape_depends_on_the_values() -> None:
    nodes = [
        helper.make_node("NonZero", ["input"], ["places"]),
        helper.make_node("Cast", ["places"], ["logits"], to=TensorProto.FLOAT),
    ]
    model = OnnxRuntime().load(build_model(nodes).SerializeToString())
    bound = bind(model, np.array([[1, 0, 0]], np.float32))
    assert bound.run(np.array([[0, 0, 1]], np.float32)).tolist() == [[0.0], [2.0]]
    text = refused(lambda: bound.run(np.array([[1, 1, 1]], np.float32)))
    assert text.startswith("The bound model fails on these values (")
    assert text.endswith("so run such a model without binding.")
