import pytest
import torch
from torch import nn

from course_lib.errors import ExportError, ModelError, SettingError
from course_lib.export.onnx_checks import check_weights, in_eval_mode
from course_lib.export.onnx_export import build_onnx


class ReturnsDict(nn.Module):
    def forward(self, x):
        return {"scores": x}


class Pair(nn.Module):
    def forward(self, x):
        return x, x + 1


class SwapsBatch(nn.Module):
    def forward(self, x):
        return x.T


def test_nan_and_infinite_weights_are_named_and_counted():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    with torch.no_grad():
        model[0].weight[0, 1] = torch.nan
        model[0].weight[2, 0] = torch.inf
    with pytest.raises(ModelError) as caught:
        build_onnx(model, torch.zeros(1, 2))
    assert str(caught.value) == (
        "2 of the 6 values of 0.weight are NaN or infinite; "
        "load a sound checkpoint with load_pretrained or model.load_state_dict before exporting."
    )


def test_infinite_buffers_are_refused():
    model = nn.BatchNorm1d(3)
    model.running_var[1] = torch.inf
    with pytest.raises(ModelError, match="1 of the 3 values of running_var"):
        check_weights(model)


def test_weights_beyond_one_file_are_refused():
    with pytest.raises(
        ExportError, match=r"Linear holds 2\.4 GB of weights and one ONNX file at most 2\.1 GB"
    ):
        build_onnx(nn.Linear(30_000, 20_000, device="meta"), torch.zeros(1, 30_000))


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (("a", "b"), "input_names must hold 1 different name, one for each input, not ('a', 'b')"),
        (
            (),
            "one for each input, not (); for example input_names=('input_0',)",
        ),
        ("x", "input_names must hold 1 different name, one for each input, not 'x'"),
    ],
)
def test_input_names_must_fit(names, text):
    with pytest.raises(SettingError) as caught:
        build_onnx(nn.ReLU(), torch.zeros(1, 2), input_names=names)
    assert text in str(caught.value)


@pytest.mark.parametrize("names", [("one",), ("same", "same")])
def test_output_names_must_fit(names):
    with pytest.raises(SettingError, match="output_names must hold 2 different names, one for each output"):
        build_onnx(Pair(), torch.zeros(1, 2), output_names=names)


@pytest.mark.parametrize("opset_version", [17, 24])
def test_opset_out_of_range(opset_version):
    with pytest.raises(SettingError) as caught:
        build_onnx(nn.ReLU(), torch.zeros(1, 2), opset_version=opset_version)
    assert str(caught.value) == f"opset_version must be 18 to 23, not {opset_version}; leave it out for 20."


@pytest.mark.parametrize("example", [torch.zeros(0, 2), torch.tensor(1.0)])
def test_example_needs_a_row(example):
    with pytest.raises(SettingError, match="example_inputs needs tensors with at least one row, not shape"):
        build_onnx(nn.ReLU(), example)


def test_example_of_the_wrong_shape():
    with pytest.raises(ModelError) as caught:
        build_onnx(nn.Linear(4, 2), torch.zeros(1, 3))
    assert str(caught.value) == (
        "Linear does not run on example inputs of shape (1, 3) (mat1 and mat2 shapes cannot be multiplied "
        "(1x3 and 4x2)); pass example_inputs of the shape and type that the model takes."
    )


def test_output_must_be_tensors():
    with pytest.raises(ExportError, match="ReturnsDict returns dict, and ONNX knows only tensors"):
        build_onnx(ReturnsDict(), torch.zeros(1, 2))


@pytest.mark.slow
def test_batch_must_stay_first():
    with pytest.raises(ExportError) as caught:
        build_onnx(SwapsBatch(), torch.zeros(1, 3))
    assert str(caught.value) == (
        "The tensor 'logits' of SwapsBatch has shape (3, 'batch') and not the batch as its axis 0; "
        "keep the batch first in its forward method, or pass dynamic_batch=False."
    )


def test_each_module_gets_its_own_training_flag_back():
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2)).train()
    model[1].eval()
    with in_eval_mode(model):
        assert not any(module.training for module in model.modules())
    assert [module.training for module in model.modules()] == [True, True, False]
