import math
from collections.abc import Callable
from copy import deepcopy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from course_lib.errors import DataError, ModelError
from course_lib.quantization import PerChannel, PerTensor, choose_qparams, fake_quantize, sqnr_db
from course_lib.quantization.models.config import ActivationScheme, QuantizationConfig, WeightScheme
from course_lib.quantization.models.ptq import calibrate, convert, prepare, quantize_model
from course_lib.quantization.models.quantizers import ActivationQuantizer


def test_worked_value() -> None:
    """A linear layer by hand: input [0, 2] on 2 bits has S = 2/3, the weight row [1, −0.4] S = 1."""
    layer = nn.Linear(2, 1, bias=False)
    layer.weight.data = torch.tensor([[1.0, -0.4]])
    config = QuantizationConfig(WeightScheme(bits=2), ActivationScheme(bits=2, observer="minmax"), samples=4)
    quantized = quantize_model(nn.Sequential(layer), [torch.tensor([[0.0, 2.0]])], config)
    assert quantized.weight_qparams["0"].scale.item() == 1.0
    (grid,) = quantized.activation_qparams.values()
    assert grid.scale.item() == pytest.approx(2 / 3)
    # x = [0.9, 2] becomes [2/3, 2], the weight [1, 0].
    assert quantized(torch.tensor([[0.9, 2.0]])).item() == pytest.approx(2 / 3)


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 12), st.booleans(), st.sampled_from([PerTensor(), PerChannel()]))
def test_weights_lie_on_their_grids(bits: int, symmetric: bool, granularity: PerTensor | PerChannel) -> None:
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2))
    scheme = WeightScheme(bits, symmetric, granularity)
    images = torch.randn(4, 1, 4, 4)
    quantized = quantize_model(model, [images], QuantizationConfig(weights=scheme))
    for path, qparams in quantized.weight_qparams.items():
        original = model.get_submodule(path).weight.detach()
        grid = choose_qparams(original, bits, symmetric=symmetric, granularity=granularity)
        expected = fake_quantize(original, grid)
        assert torch.equal(quantized.graph.get_submodule(path).weight, expected)
        assert torch.equal(fake_quantize(expected, qparams), expected)


def test_sixteen_bits_are_almost_exact_and_fewer_are_worse(network: nn.Module, images: Tensor) -> None:
    quality = []
    for bits in (16, 8, 6, 4):
        config = QuantizationConfig(WeightScheme(bits), ActivationScheme(bits, observer="minmax"))
        quality.append(sqnr_db(network(images).detach(), quantize_model(network, [images], config)(images)))
    assert quality[0] > 70
    assert quality == sorted(quality, reverse=True)


def test_each_step_leaves_what_it_was_given_as_it_was(network: nn.Module, images: Tensor) -> None:
    before = deepcopy(network.state_dict())
    prepared = prepare(network)
    torch.testing.assert_close(prepared(images), network(images))
    calibrated = calibrate(prepare(network), [images])
    assert not len(prepared.kept_inputs)
    weights = deepcopy(calibrated.state_dict())
    convert(calibrated)
    for name, value in calibrated.state_dict().items():
        assert torch.equal(value, weights[name])
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])


def test_calibrating_in_pieces_gives_the_same_ranges(network: nn.Module, images: Tensor) -> None:
    config = QuantizationConfig(activations=ActivationScheme(observer="minmax"))
    seen: list[int] = []
    whole = calibrate(prepare(network, config), [images])
    pieces = calibrate(prepare(network, config), images[:32].split(16), on_progress=seen.append)
    pieces = calibrate(pieces, [(images[32:], torch.zeros(16))])  # as a DataLoader gives them
    assert seen == [16, 32]
    assert torch.equal(pieces.kept_inputs, whole.kept_inputs)
    for path, observer in whole.observers.items():
        assert observer.observer.range() == pieces.observers[path].observer.range()


def test_what_a_later_relu_wipes_out_may_be_clipped() -> None:
    class Summed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.other, self.last = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)
            for layer in (self.first, self.other, self.last):
                nn.init.ones_(layer.weight)
                nn.init.zeros_(layer.bias)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(torch.relu(self.first(x) + 0.5 * self.other(x).relu()))

    inputs = torch.linspace(-8, 2, 400).reshape(10, 1, 5, 8)
    lows = {}
    for by_gradient in (False, True):
        config = QuantizationConfig(activations=ActivationScheme(by_gradient=by_gradient))
        grid = quantize_model(Summed(), [inputs], config).activation_qparams["first_quantizer"]
        lows[by_gradient] = float(-grid.zero_point * grid.scale)
    assert lows[False] < -7
    assert lows[True] > -1


def test_integer_inputs_have_no_gradient_to_calibrate_by(network: nn.Module) -> None:
    prepared = prepare(network, QuantizationConfig(activations=ActivationScheme(by_gradient=True)))
    with pytest.raises(ModelError, match=r"^Inputs of the type torch\.int64 have no gradient"):
        calibrate(prepared, [torch.arange(64).reshape(1, 1, 8, 8)])


def test_only_so_many_inputs_are_kept(network: nn.Module, images: Tensor) -> None:
    config = QuantizationConfig(samples=20)
    assert len(calibrate(prepare(network, config), images.split(16)).kept_inputs) == 20


@pytest.mark.parametrize("rounding", ["nearest", "gptq", "adaround"])
def test_roundings_and_correction_run_on_every_kind_of_layer(
    network: nn.Module, images: Tensor, rounding: str
) -> None:
    steps: list[tuple[str, float]] = []
    scheme = WeightScheme(3, range="mse", rounding=rounding)  # type: ignore[arg-type]
    config = QuantizationConfig(weights=scheme, activations=None, correct_bias=True)
    calibrated = calibrate(prepare(network, config), [images])
    quantized = convert(calibrated, on_progress=lambda path, share: steps.append((path, share)))
    assert [path for path, _ in steps] == ["stem.0", "depthwise", "pointwise", "classifier"]
    assert steps[-1][1] == 1.0
    plain = QuantizationConfig(weights=WeightScheme(3), activations=None)
    reference, images = network(images).detach(), images
    nearest = sqnr_db(reference, quantize_model(network, [images], plain)(images))
    assert sqnr_db(reference, quantized(images)) > nearest


def test_mixed_precision_and_layers_in_float(network: nn.Module, images: Tensor) -> None:
    config = QuantizationConfig(layer_bits={"pointwise": 2}, kept_in_float=("classifier",))
    quantized = quantize_model(network, [images], config)
    bits = {path: qparams.bits for path, qparams in quantized.weight_qparams.items()}
    assert bits == {"stem.0": 8, "depthwise": 8, "pointwise": 2}
    assert torch.equal(quantized.graph.get_submodule("classifier").weight, network.classifier.weight)  # type: ignore[arg-type]


def test_equalizing_first_keeps_the_function(network: nn.Module, images: Tensor) -> None:
    prepared = prepare(network, QuantizationConfig(equalize=True))
    torch.testing.assert_close(prepared(images), network(images), rtol=1e-4, atol=1e-5)


def test_activation_grids_are_those_of_onnxruntime(network: nn.Module, images: Tensor) -> None:
    from onnxruntime.quantization.quant_utils import compute_scale_zp

    config = QuantizationConfig(activations=ActivationScheme(observer="minmax"))
    ours = quantize_model(network, [images], config).activation_qparams["x_quantizer"]
    low, high = (np.array(end.item(), np.float32) for end in (images.min(), images.max()))
    zero_point, scale = compute_scale_zp(low, high, np.array(0), np.array(255))
    assert ours.scale.item() == pytest.approx(scale)
    assert ours.zero_point == zero_point


class Broken(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.aux = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.first(x).log()


def nan_weights() -> nn.Module:
    layer = nn.Linear(4, 4)
    layer.weight.data[0, 0] = math.nan
    return nn.Sequential(layer)


@pytest.mark.parametrize(
    ("make", "config", "sentence"),
    [
        (Broken, QuantizationConfig(), r"^The forward method of Broken never reaches its layer aux, so"),
        (nan_weights, QuantizationConfig(), r"^1 of the 16 weights of 0 are NaN or infinite; load a sound"),
        (
            lambda: nn.Sequential(nn.Linear(4, 4)),
            QuantizationConfig(kept_in_float=("head",)),
            r"^The configuration names the layer 'head'; the model's layers are 0\.$",
        ),
        (nn.Identity, QuantizationConfig(), r"^Identity has no convolution or linear layer to quantize"),
    ],
)
def test_models_that_cannot_be_prepared(
    make: Callable[[], nn.Module], config: QuantizationConfig, sentence: str
) -> None:
    with pytest.raises(ModelError, match=sentence):
        prepare(make(), config)


def test_calibration_inputs_that_teach_nothing(network: nn.Module, images: Tensor) -> None:
    prepared = prepare(network)
    with pytest.raises(DataError, match=r"^No calibration data came; pass batches of real inputs"):
        calibrate(prepared, [])
    with pytest.raises(DataError, match=r"^Every calibration input holds one and the same value"):
        calibrate(prepared, [torch.ones(4, 1, 8, 8)])
    with pytest.raises(ModelError, match=r"^The model does not run on a calibration batch of shape \(4, 3\)"):
        calibrate(prepared, [images[:4, 0, 0, :3]])
    with pytest.raises(ModelError, match=r"^64 of the 3072 activations behind x are NaN or infinite; check"):
        calibrate(prepared, [torch.cat([images[:47], torch.full((1, 1, 8, 8), math.nan)])])
    with pytest.raises(DataError, match=r"^This model was not calibrated yet; call calibrate"):
        convert(prepared)
    convert(prepare(network, QuantizationConfig(activations=None)))  # weights to the nearest need no inputs


def test_the_quantized_model_says_what_it_is(network: nn.Module, images: Tensor) -> None:
    quantized = quantize_model(network, [images])
    assert set(quantized.weight_qparams) == {"stem.0", "depthwise", "pointwise", "classifier"}
    assert isinstance(quantized.graph.get_submodule("x_quantizer"), ActivationQuantizer)
    assert "bits=8" in repr(quantized)
    assert not any(parameter.requires_grad for parameter in quantized.parameters())
