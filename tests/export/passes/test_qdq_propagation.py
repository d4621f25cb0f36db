import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_lib.errors import ModelError
from course_lib.export.passes.equality import check_equal, run_reference
from course_lib.export.passes.qdq_propagation import propagate_qdq
from tests.export.passes.small_graphs import model, node, operators, run_ort

# The reference evaluator pads with NaN before it casts to bytes; the padding is never the largest value.
pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered in cast")

GRID = {"s": np.float32(0.05), "z": np.uint8(120)}


def quantized(*between: onnx.NodeProto, first: str = "x", **stored: np.ndarray) -> onnx.ModelProto:
    """Return x → Q → DQ → (reads "d", writes "m") → Neg, with further stored values."""
    nodes = [
        node("QuantizeLinear", f"{first} s z", "q"),
        node("DequantizeLinear", "q s z", "d"),
        *between,
        node("Neg", "m", "y"),
    ]
    return model(nodes, {"x": [2, 3, 4, 4]}, ["y"], {**GRID, **stored})


def assert_same(before: onnx.ModelProto, after: onnx.ModelProto) -> None:
    onnx.checker.check_model(after, full_check=True)
    for run in (run_reference, run_ort):
        check_equal(before, after, run=run)  # bit for bit


def test_a_flatten_moves_bytes_by_hand() -> None:
    before = quantized(node("Flatten", "d", "m"))
    after = propagate_qdq(before)
    # The quantizer cannot come earlier than the input, so the dequantizer goes later.
    assert operators(after) == ["QuantizeLinear", "Flatten", "DequantizeLinear", "Neg"]
    assert after.graph.node[2].output[0] == "m"
    assert_same(before, after)


def test_quantizing_comes_before_what_only_moves() -> None:
    nodes = [
        node("Neg", "x", "n"),
        node("Transpose", "n", "t", perm=[0, 2, 3, 1]),
        node("QuantizeLinear", "t s z", "q"),
        node("DequantizeLinear", "q s z", "y"),
    ]
    before = model(nodes, {"x": [2, 3, 4, 4]}, ["y"], GRID)
    after = propagate_qdq(before)
    assert operators(after) == ["Neg", "QuantizeLinear", "Transpose", "DequantizeLinear"]
    assert_same(before, after)


def test_a_round_trip_on_one_grid_goes_and_one_between_two_grids_stays() -> None:
    for scale, left in ((0.05, 0), (0.06, 2)):
        again = [
            node("MaxPool", "d", "p", kernel_shape=[2, 2]),
            node("QuantizeLinear", "p s2 z2", "q2"),
            node("DequantizeLinear", "q2 s2 z2", "m"),
        ]
        before = quantized(*again, s2=np.float32(scale), z2=np.uint8(120))
        after = propagate_qdq(before)
        found = operators(after)
        assert found.count("QuantizeLinear") + found.count("DequantizeLinear") == 2 + left
        assert found.index("MaxPool") < found.index("Neg") - 1  # it pools bytes now
        assert_same(before, after)


@settings(max_examples=25, deadline=None)
@given(
    moves=st.lists(st.sampled_from(["turn", "pool", "squash", "same"]), min_size=1, max_size=4),
    zero=st.integers(0, 255),
    scale=st.floats(1e-3, 10),
)
def test_any_chain_of_moves_is_exact(moves: list[str], zero: int, scale: float) -> None:
    nodes, last, rank = [], "d", 4
    for index, move in enumerate(moves):
        name = f"t{index}" if index < len(moves) - 1 else "m"
        if move == "turn":
            nodes.append(node("Transpose", last, name, perm=list(range(rank))[::-1]))
        elif move == "pool" and rank == 4:
            nodes.append(node("MaxPool", last, name, kernel_shape=[2, 2], pads=[1, 1, 1, 1]))
        elif move == "squash":
            nodes.append(node("Flatten", last, name))
            rank = 2
        else:
            nodes.append(node("Identity", last, name))
        last = name
    before = quantized(*nodes)
    for tensor in before.graph.initializer:
        value = np.float32(scale) if tensor.name == "s" else np.uint8(zero)
        tensor.CopyFrom(onnx.numpy_helper.from_array(np.asarray(value), tensor.name))
    after = propagate_qdq(before)
    assert operators(after)[-2:] == ["DequantizeLinear", "Neg"]
    assert len(after.graph.node) == len(before.graph.node)
    assert_same(before, after)


def test_others_go_on_reading_the_floats() -> None:
    before = model(
        [
            node("QuantizeLinear", "x s z", "q"),
            node("DequantizeLinear", "q s z", "d"),
            node("Flatten", "d", "m"),
            node("Neg", "d", "y"),
            node("Neg", "m", "flat"),
        ],
        {"x": [2, 3]},
        ["y", "flat"],
        GRID,
    )
    after = propagate_qdq(before)
    assert sorted(operators(after)) == sorted([*operators(before), "DequantizeLinear"])
    assert len({each.name for each in after.graph.node}) == len(after.graph.node)
    assert_same(before, after)


@pytest.mark.parametrize("case", ["per channel", "read as floats", "indices", "computes"])
def test_what_must_not_move_stays(case: str) -> None:
    if case == "per channel":
        nodes = [
            node("QuantizeLinear", "x s z", "q", axis=1),
            node("DequantizeLinear", "q s z", "d", axis=1),
            node("Transpose", "d", "y", perm=[1, 0]),
        ]
        grid = {"s": np.float32([0.1, 0.2, 0.3]), "z": np.uint8([1, 2, 3])}
        before = model(nodes, {"x": [2, 3]}, ["y"], grid)
    elif case == "read as floats":
        nodes = [
            node("Transpose", "x", "t", perm=[1, 0]),
            node("Neg", "t", "n"),
            node("QuantizeLinear", "t s z", "q"),
            node("DequantizeLinear", "q s z", "y"),
        ]
        before = model(nodes, {"x": [2, 3]}, ["n", "y"], GRID)
    elif case == "indices":
        before = quantized(node("MaxPool", "d", "m where", kernel_shape=[2, 2]), node("Neg", "m", "unused"))
        before.graph.node[-2].output[0] = "unused"
        before.graph.output.append(onnx.helper.make_tensor_value_info("where", onnx.TensorProto.INT64, None))
    else:
        before = quantized(node("Relu", "d", "m"))
    after = propagate_qdq(before)
    assert [each for each in operators(after) if each != "Neg"] == [
        each for each in operators(before) if each != "Neg"
    ]


def test_the_course_s_own_files(conv_net) -> None:
    import torch

    from course_lib.export.qdq import build_qdq
    from course_lib.quantization.models.config import QuantizationConfig
    from course_lib.quantization.models.ptq import quantize_model

    images = torch.randn(32, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    simulated = quantize_model(conv_net.module, [images], QuantizationConfig())
    before = onnx.load_from_string(build_qdq(simulated, images[:1]))
    given_content = before.SerializeToString()
    after = propagate_qdq(before)
    assert before.SerializeToString() == given_content
    for run in (run_reference, run_ort):
        check_equal(before, after, run=run, absolute_tolerance=1e-5)


def test_errors() -> None:
    with pytest.raises(ModelError, match="is not an ONNX model or is cut short"):
        propagate_qdq(b"hello")
