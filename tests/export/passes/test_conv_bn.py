import numpy as np
import onnx
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from course_lib.errors import ModelError
from course_lib.export.passes.conv_bn import fold_batch_norm
from course_lib.export.passes.equality import check_equal, run_reference
from tests.export.passes.small_graphs import model, node, operators, run_ort, stored_names

NORM = "g b m v"


def one_pixel(**stored: float) -> dict[str, np.ndarray]:
    """Return the parameters of a 1×1 convolution of one channel and of its normalization."""
    values = {name: np.float32([value]) for name, value in stored.items() if name not in ("w", "c")}
    return {"w": np.float32(stored["w"]).reshape(1, 1, 1, 1), "c": np.float32([stored["c"]]), **values}


def test_the_worked_example() -> None:
    before = model(
        [node("Conv", "x w c", "t"), node("BatchNormalization", f"t {NORM}", "y", epsilon=1.0)],
        {"x": [1, 1, 1, 1]},
        ["y"],
        one_pixel(w=2, c=1, g=3, b=5, m=1, v=3),
    )
    after = fold_batch_norm(before)
    assert operators(after) == ["Conv"]
    stored = {tensor.name: numpy_helper.to_array(tensor).item() for tensor in after.graph.initializer}
    assert stored == {"y.folded_weight": 3, "y.folded_bias": 5}
    assert run_reference(after, {"x": np.full((1, 1, 1, 1), 4, np.float32)})[0].item() == 17


@settings(max_examples=20, deadline=None)
@given(
    groups=st.sampled_from([1, 2]),
    outputs=st.sampled_from([2, 4]),
    kernel=st.sampled_from([1, 3]),
    bias=st.booleans(),
    seed=st.integers(0, 99),
)
def test_random_convolutions_compute_the_same(groups, outputs, kernel, bias, seed) -> None:
    rng = np.random.default_rng(seed)
    stored = {"w": rng.normal(size=(outputs, 2, kernel, kernel)), "c": rng.normal(size=outputs)}
    stored |= {"g": rng.normal(size=outputs), "b": rng.normal(size=outputs), "m": rng.normal(size=outputs)}
    stored["v"] = rng.uniform(0.1, 2, outputs)
    nodes = [
        node("Conv", "x w c" if bias else "x w", "t", group=groups, strides=[2, 1]),
        node("BatchNormalization", f"t {NORM}", "u"),
        node("Relu", "u", "y"),
    ]
    floats = {name: value.astype(np.float32) for name, value in stored.items()}
    before = model(nodes, {"x": ["batch", 2 * groups, 5, 5]}, ["y"], floats)
    after = fold_batch_norm(before)
    assert operators(after) == ["Conv", "Relu"]
    for run in (run_reference, run_ort):
        check_equal(before, after, run=run, absolute_tolerance=2e-5, relative_tolerance=1e-5)
    weight, offset = fuse_conv_bn_weights(
        *(torch.from_numpy(floats[name]) for name in "wc") if bias else (torch.from_numpy(floats["w"]), None),
        *(torch.from_numpy(floats[name]) for name in "mv"),
        1e-5,
        *(torch.from_numpy(floats[name]) for name in "gb"),
    )
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in after.graph.initializer}
    np.testing.assert_allclose(found["u.folded_weight"], weight.detach(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["u.folded_bias"], offset.detach(), rtol=1e-5, atol=1e-5)


def test_an_exported_network_computes_the_same(conv_net) -> None:
    before = onnx.load_from_string(conv_net.content)
    after = fold_batch_norm(before)
    assert operators(before).count("BatchNormalization") == 2
    assert "BatchNormalization" not in operators(after)
    assert not any("running" in name for name in stored_names(after))
    for run in (run_reference, run_ort):
        check_equal(before, after, run=run, absolute_tolerance=1e-5)
    assert before.SerializeToString(deterministic=True) == conv_net.content
    onnx.checker.check_model(after, full_check=True)


def test_two_convolutions_may_share_a_weight() -> None:
    nodes = [
        node("Conv", "x w c", "t"),
        node("BatchNormalization", f"t {NORM}", "u"),
        node("Conv", "u w c", "s"),
        node("BatchNormalization", f"s {NORM}", "y"),
    ]
    before = model(nodes, {"x": [1, 1, 2, 2]}, ["y"], one_pixel(w=2, c=1, g=3, b=5, m=1, v=3))
    after = fold_batch_norm(before)
    assert operators(after) == ["Conv", "Conv"]
    check_equal(before, after, absolute_tolerance=1e-4)


@pytest.mark.parametrize("case", ["read twice", "output", "training", "computed", "passed"])
def test_what_cannot_be_folded_stays(case: str) -> None:
    nodes = [
        node("Conv", "x w c", "t"),
        node("BatchNormalization", f"t {NORM}", "u"),
        node("Add", "u u", "y"),
    ]
    inputs, outputs = {"x": [1, 1, 2, 2]}, ["y"]
    stored = one_pixel(w=2, c=1, g=3, b=5, m=1, v=3)
    if case == "read twice":
        nodes[2] = node("Add", "u t", "y")
    elif case == "output":
        outputs.append("t")
    elif case == "training":
        nodes[1] = node("BatchNormalization", f"t {NORM}", "u mean variance", training_mode=1)
    elif case == "computed":
        nodes.insert(0, node("Neg", "w_stored", "w"))
        stored["w_stored"] = stored.pop("w")
    else:
        inputs["g"] = [1]
        stored.pop("g")
    before = model(nodes, inputs, outputs, stored)
    assert operators(fold_batch_norm(before)) == operators(before)


def test_half_precision_stays_half() -> None:
    stored = {
        name: value.astype(np.float16) for name, value in one_pixel(w=2, c=1, g=3, b=5, m=1, v=3).items()
    }
    nodes = [
        node("Cast", "x", "h", to=10),
        node("Conv", "h w c", "t"),
        node("BatchNormalization", f"t {NORM}", "u"),
        node("Cast", "u", "y", to=1),
    ]
    after = fold_batch_norm(model(nodes, {"x": [1, 1, 1, 1]}, ["y"], stored))
    assert {numpy_helper.to_array(tensor).dtype for tensor in after.graph.initializer} == {
        np.dtype(np.float16)
    }


def test_like_pytorch_in_eval_mode(conv_net) -> None:
    x = torch.randn(2, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    assert isinstance(conv_net.module, nn.Module)
    with torch.no_grad():
        expected = conv_net.module(x).numpy()
    (found,) = run_ort(fold_batch_norm(conv_net.content), {"image": x.numpy()})
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_errors() -> None:
    with pytest.raises(ModelError, match="is not an ONNX model or is cut short"):
        fold_batch_norm(b"hello")
