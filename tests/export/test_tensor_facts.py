import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from course_lib.export.tensor_facts import BITS, TensorFacts, stored_facts, value_facts


@given(
    shape=st.lists(st.integers(0, 5), max_size=4),
    dtype=st.sampled_from(["float32", "float64", "float16", "int8", "uint8", "int32", "int64", "bool"]),
)
def test_the_size_is_that_of_the_array(shape: list[int], dtype: str) -> None:
    values = np.zeros(shape, dtype)
    facts = stored_facts(numpy_helper.from_array(values, "t"))
    assert facts == TensorFacts("t", values.shape, dtype, values.nbytes)


def test_four_bits_take_half_a_byte() -> None:
    tensor = helper.make_tensor("t", TensorProto.INT4, [3, 3], [1] * 9)
    assert stored_facts(tensor) == TensorFacts("t", (3, 3), "int4", 5)


def test_every_number_type_of_onnx_has_a_size() -> None:
    other = {"UNDEFINED", "STRING"}
    unknown = set(TensorProto.DataType.keys()) - set(BITS) - other
    assert unknown <= {"FLOAT6E2M3", "FLOAT6E3M2"}  # not stored in whole or half bytes


@pytest.mark.parametrize(
    ("shape", "known", "words"),
    [
        ([2, 3], (2, 3), "2×3"),
        (["batch", 3], ("batch", 3), "batch×3"),
        (["unk__7", None], (None, None), "?×?"),
        ([], (), "scalar"),
        (None, None, "?"),
    ],
)
def test_declared_shapes(shape: list[int | str | None] | None, known: object, words: str) -> None:
    facts = value_facts(helper.make_tensor_value_info("t", TensorProto.FLOAT, shape))
    assert (facts.shape, facts.dtype, facts.shape_text) == (known, "float32", words)
    assert facts.size_bytes == {(2, 3): 24, (): 4}.get(known)


def test_what_is_no_tensor() -> None:
    inner = helper.make_tensor_type_proto(TensorProto.FLOAT, [2])
    assert (
        value_facts(helper.make_value_info("s", helper.make_sequence_type_proto(inner))).dtype == "sequence"
    )
