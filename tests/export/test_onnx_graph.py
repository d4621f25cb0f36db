import logging
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from course_lib.errors import ExportError
from course_lib.export.onnx_export import build_onnx
from course_lib.export.onnx_graph import build_graph, first_line

pytestmark = pytest.mark.slow


class BranchesOnValues(nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x


class UsesBessel(nn.Module):
    def forward(self, x):
        return torch.special.bessel_j0(x)


class FixedReshape(nn.Module):
    def forward(self, x):
        return x.reshape(2, -1)


class LoopsOverBatch(nn.Module):
    def forward(self, x):
        return torch.stack([row.sum() for row in x])


class LeavesTorch(nn.Module):
    def forward(self, x):
        return torch.from_numpy(np.tanh(x.numpy()))


def refusal(model: nn.Module) -> str:
    with pytest.raises(ExportError) as caught:
        build_graph(model, (torch.ones(2, 4),), ("x",), ("y",), 20, dynamic_batch=True)
    return str(caught.value)


def test_every_parameter_keeps_its_name_and_values(exported):
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in exported.graph.initializer}
    expected = {
        k: v for k, v in exported.module.state_dict().items() if not k.endswith("num_batches_tracked")
    }
    assert expected
    for name, value in expected.items():
        np.testing.assert_array_equal(stored[name], value.numpy(), err_msg=name)


def test_batch_norm_stays_a_node_and_the_graph_is_tidy(conv_net):
    assert Counter(node.op_type for node in conv_net.graph.node) == {
        "Conv": 2,
        "BatchNormalization": 2,
        "Relu": 2,
        "Add": 1,
        "AveragePool": 1,
        "Reshape": 1,
        "Gemm": 1,
    }


def test_a_missing_bias_is_not_invented(conv_net):
    assert [len(node.input) for node in conv_net.graph.node if node.op_type == "Conv"] == [2, 3]


def test_a_linear_layer_on_sequences_reads_its_weight_through_a_transpose(transformer):
    reads = {node.input[0]: node.op_type for node in transformer.graph.node}
    assert {reads[f"{layer}.weight"] for layer in ("qkv", "projection", "up", "down")} == {"Transpose"}
    assert [node.op_type for node in transformer.graph.node if "head.weight" in node.input] == ["Gemm"]


def test_no_paths_of_this_machine_in_the_file(exported):
    assert str(Path(__file__).parent).encode() not in exported.content
    assert b"site-packages" not in exported.content
    assert b"stack_trace" not in exported.content


def test_branch_on_values_is_refused():
    assert refusal(BranchesOnValues()) == (
        "The forward method of BranchesOnValues decides by the values in a tensor, which a fixed graph "
        "cannot do; replace the if or the loop with torch.where before calling export_onnx."
    )


def test_operator_without_onnx_form_is_named():
    assert refusal(UsesBessel()) == (
        "UsesBessel uses the operator prims.bessel_j0, which has no ONNX form at opset 20; "
        "replace it in the forward method, or pass a higher opset_version to export_onnx."
    )


@pytest.mark.parametrize("model", [FixedReshape(), LoopsOverBatch()], ids=lambda m: type(m).__name__)
def test_fixed_batch_size_is_refused(model):
    assert refusal(model) == (
        f"{type(model).__name__} works for one batch size only; where its forward method has a fixed "
        "number or a Python loop over the batch write x.shape[0] or x.flatten(1), "
        "or export with dynamic_batch=False."
    )


def test_leaving_torch_gives_one_sentence():
    text = refusal(LeavesTorch())
    assert text.startswith("LeavesTorch could not be turned into an ONNX graph (.numpy() is not supported")
    assert text.endswith("rewrite that step of its forward method with torch operators.")
    assert "\n" not in text


@pytest.mark.parametrize("model", [nn.Linear(4, 2), BranchesOnValues()], ids=lambda m: type(m).__name__)
def test_nothing_is_printed_logged_or_warned(model, capfd, caplog):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            build_onnx(model, torch.ones(1, 4))
        except ExportError:
            assert isinstance(model, BranchesOnValues)
    assert capfd.readouterr() == ("", "")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_parameters_may_be_absent():
    graph = build_graph(nn.ReLU(), (torch.ones(2, 4),), ("x",), ("y",), 20, dynamic_batch=False)
    assert [node.op_type for node in graph.graph.node] == ["Relu"]
    assert [axis.dim_value for axis in graph.graph.input[0].type.tensor_type.shape.dim] == [2, 4]
    assert isinstance(graph, onnx.ModelProto)


def test_first_line_names_the_type_of_an_error_without_text():
    assert first_line(ValueError("one.\ntwo")) == "one"
    assert first_line(KeyError()) == "KeyError"
