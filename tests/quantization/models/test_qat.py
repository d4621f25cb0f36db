import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from course_lib.architectures import create_model
from course_lib.errors import ModelError, SettingError, UnknownNameError
from course_lib.quantization import PerTensor, dequantize, fake_quantize, quantize
from course_lib.quantization.models.config import ActivationScheme, QuantizationConfig, WeightScheme
from course_lib.quantization.models.fake_quant import FixedFakeQuantize, LearnedFakeQuantize
from course_lib.quantization.models.graph import weight_layers
from course_lib.quantization.models.ptq import quantize_model
from course_lib.quantization.models.qat import finish_qat, imitate, prepare_qat
from course_lib.quantization.models.quantizers import ActivationQuantizer
from course_lib.training import Augmentation, Examples, TrainingConfig, fit


def scheme(weight_bits, activation_bits=None, weight_range="mse", **settings):
    activations = None if activation_bits is None else ActivationScheme(activation_bits)
    return QuantizationConfig(WeightScheme(weight_bits, range=weight_range), activations, **settings)


def small_net():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, 2, 1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 8, 3, 2, 1, groups=4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 4, 3),
    )
    return warmed(model, (1, 8, 8))


def warmed(model, shape):
    """The model with batch norms that have seen something."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        model.train()(torch.randn(32, *shape, generator=generator))
    return model.eval()


def pictures(count=64, shape=(1, 8, 8), seed=0):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))


def examples(count, seed):
    """Three classes of noise with one bright corner each."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    images = rng.normal(size=(count, 1, 8, 8)).astype(np.float32) * 0.6
    images[labels == 1, :, :4, :4] += 1
    images[labels == 2, :, 4:, 4:] += 1
    return Examples(images, labels)


def close_nearly_everywhere(first, second):
    return (first - second).abs().lt(1e-4).float().mean() > 0.9


QUICK = TrainingConfig(
    epochs=4,
    batch_size=32,
    optimizer="adamw",
    learning_rate=5e-3,
    weight_decay=0.0,
    averaging=0.9,
    augmentation=Augmentation(flip=False, max_shift=0),
)


# Worked by hand


def test_one_layer_by_hand():
    # 4 bits, min-max: S = 3.5 / 7 = 0.5 for the first row, 0.7 / 7 = 0.1 for the second
    model = nn.Sequential(nn.Linear(2, 2))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[3.5, 0.7], [0.33, -0.7]]))
        model[0].bias.zero_()
    graph = prepare_qat(model, [pictures(8, (2,))], scheme(4, weight_range="minmax"))
    quantized = finish_qat(graph)
    expected = torch.tensor([[3.5, 0.5], [0.3, -0.7]])
    assert torch.allclose(graph.get_submodule("0").weight, expected)
    assert torch.allclose(weight_layers(quantized.graph)["0"].weight, expected)
    assert quantized.weight_qparams["0"].scale[:, 0].tolist() == pytest.approx([0.5, 0.1])
    assert torch.allclose(quantized(torch.tensor([[1.0, 2.0]])), torch.tensor([[4.5, -1.1]]))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_loss_of_an_imitation_by_hand(temperature):
    # The model says (T · ln 3, 0), so p = (3/4, 1/4) at temperature T; scores (0, 0) say (1/2, 1/2):
    # T² · (3/4 · ln(3/2) + 1/4 · ln(1/2))
    model = nn.Sequential(nn.Linear(1, 2))
    with torch.no_grad():
        model[0].weight.zero_()
        model[0].bias.copy_(torch.tensor([temperature * np.log(3.0), 0.0]))
    loss = imitate(model, temperature)
    expected = temperature**2 * (0.75 * np.log(1.5) + 0.25 * np.log(0.5))
    inputs, labels = torch.ones(5, 1), torch.zeros(5, dtype=torch.int64)
    assert loss(torch.zeros(5, 2), labels, inputs).item() == pytest.approx(expected, rel=1e-5)
    assert loss(model(inputs), labels, inputs).item() == pytest.approx(0, abs=1e-6)


def test_the_input_keeps_its_own_bits_and_layers_theirs():
    config = scheme(4, 4, layer_bits={"3": 6}, kept_in_float=("6",))
    quantized = finish_qat(prepare_qat(small_net(), [pictures()], config, input_bits=8))
    widths = {path: qparams.bits for path, qparams in quantized.activation_qparams.items()}
    first, *others = widths.values()
    assert first == 8
    assert set(others) == {4}
    assert {path: qparams.bits for path, qparams in quantized.weight_qparams.items()} == {"0": 4, "3": 6}


# Properties


@settings(max_examples=6, deadline=None)
@given(
    st.integers(2, 8),
    st.none() | st.integers(2, 8),
    st.sampled_from(["lsq", "ste"]),
    st.sampled_from(["minmax", "mse"]),
    st.booleans(),
)
def test_a_finished_model_computes_what_was_trained(
    bits, activation_bits, estimator, weight_range, symmetric
):
    weights = WeightScheme(bits, symmetric=symmetric, range=weight_range)
    activations = None if activation_bits is None else ActivationScheme(activation_bits)
    config = QuantizationConfig(weights, activations)
    graph = prepare_qat(small_net(), [pictures()], config, estimator=estimator)
    fit(graph, examples(64, 0), examples(32, 1), TrainingConfig(epochs=1, batch_size=32, learning_rate=0.01))
    quantized = finish_qat(graph)
    x = pictures(seed=2)
    # Folding changes the last bits of a sum, and a sum near a tie may then round to the next step.
    assert close_nearly_everywhere(quantized(x), graph.eval()(x))
    assert list(quantized.weight_qparams) == ["0", "3", "6"]
    for path, layer in weight_layers(quantized.graph).items():
        qparams = quantized.weight_qparams[path]
        assert qparams.bits == bits
        assert torch.equal(dequantize(quantize(layer.weight, qparams), qparams), layer.weight)
        assert not parametrize.is_parametrized(layer)
    assert not any(isinstance(module, FixedFakeQuantize) for module in quantized.modules())
    assert not any(parameter.requires_grad for parameter in quantized.parameters())


@pytest.mark.parametrize("estimator", ["lsq", "ste"])
def test_the_moving_average_has_grids_of_its_own(estimator):
    graph = prepare_qat(small_net(), [pictures()], scheme(4, 4), estimator=estimator)
    run = fit(graph, examples(256, 0), examples(64, 1), QUICK)
    averaged, last = finish_qat(run.model), finish_qat(graph)
    x = pictures(seed=2)
    assert close_nearly_everywhere(averaged(x), run.model(x))
    assert not torch.equal(averaged.weight_qparams["0"].scale, last.weight_qparams["0"].scale)
    for path, layer in weight_layers(averaged.graph).items():
        assert torch.equal(fake_quantize(layer.weight, averaged.weight_qparams[path]), layer.weight)


@pytest.mark.parametrize("estimator", ["lsq", "ste"])
def test_training_moves_what_it_should(estimator):
    graph = prepare_qat(small_net(), [pictures()], scheme(3, 3), estimator=estimator)
    before = copy.deepcopy(graph.state_dict())
    fit(graph, examples(64, 0), examples(32, 1), TrainingConfig(epochs=1, batch_size=16))
    moved = {name for name, tensor in graph.state_dict().items() if not torch.equal(tensor, before[name])}
    assert {name for name in before if name.endswith((".original", ".bias"))} <= moved
    learnt = {name for name in before if name.endswith("factor")}
    # Behind a norm the scale of a weight does not change what comes out, but for rounding.
    assert learnt <= moved
    assert bool(learnt) == (estimator == "lsq")
    assert not any("_quantizer" in name and name.endswith(("scale", "zero_point")) for name in moved)


def test_the_model_that_was_given_stays_as_it_was():
    model, inputs = small_net(), pictures()
    before = copy.deepcopy(model.state_dict())
    graph = prepare_qat(model, [inputs], scheme(4, 4))
    loss = imitate(model)
    fit(graph, examples(64, 0), examples(32, 1), QUICK, loss_function=loss)
    state = copy.deepcopy(graph.state_dict())
    finish_qat(graph)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(torch.equal(tensor, state[name]) for name, tensor in graph.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_the_teacher_of_an_imitation_is_a_copy():
    model, inputs = small_net(), pictures()
    loss, scores = imitate(model), model(inputs).detach()
    with torch.no_grad():
        model[0].weight.zero_()
    assert loss(scores, torch.zeros(64, dtype=torch.int64), inputs).item() == pytest.approx(0, abs=1e-6)


def test_an_interrupted_run_goes_on_as_if_it_had_not_stopped(tmp_path):
    def run(epochs, checkpoint):
        graph = prepare_qat(small_net(), [pictures()], scheme(4, 4))
        reports = []
        config = TrainingConfig(epochs=4, batch_size=32, learning_rate=0.01)

        def on_epoch(record):
            reports.append(record)
            if record.epoch == epochs:
                raise KeyboardInterrupt

        try:
            return fit(
                graph, examples(64, 0), examples(32, 1), config, checkpoint=checkpoint, on_epoch=on_epoch
            )
        except KeyboardInterrupt:
            return None

    whole = run(9, None)
    assert run(2, tmp_path / "state.pt") is None
    resumed = run(9, tmp_path / "state.pt")
    assert resumed.history == whole.history
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, resumed.model.state_dict()[name])


def test_training_wins_back_what_rounding_lost():
    model = small_net()
    fit(model, examples(1024, 0), examples(64, 1), TrainingConfig(epochs=5, batch_size=32))
    model.eval()
    test = examples(1024, 2)
    inputs = torch.from_numpy(test.inputs)
    wanted = F.log_softmax(model(inputs), 1).detach()

    def distance(quantized):
        return F.kl_div(F.log_softmax(quantized(inputs), 1), wanted, log_target=True, reduction="batchmean")

    config = scheme(2, 4)
    rounded = quantize_model(model, [inputs[:256]], config)
    graph = prepare_qat(model, [inputs[:256]], config, input_bits=4)
    run = fit(graph, examples(1024, 0), examples(64, 1), QUICK, loss_function=imitate(model))
    assert distance(finish_qat(run.model)) < 0.5 * distance(rounded)


# Independent oracles


@pytest.mark.parametrize("name", ["depthwise", "plain_conv", "residual", "vision_transformer"])
@pytest.mark.parametrize("weight_range", ["minmax", "mse"])
def test_before_training_it_is_post_training_quantization(name, weight_range):
    model = warmed(create_model(name), (1, 28, 28))
    inputs = pictures(16, (1, 28, 28))
    config = scheme(4, 8, weight_range)
    ours = finish_qat(prepare_qat(model, [inputs], config, input_bits=8, train_norms=False))
    theirs = quantize_model(model, [inputs], config)
    assert list(ours.weight_qparams) == list(theirs.weight_qparams)
    assert list(ours.activation_qparams) == list(theirs.activation_qparams)
    assert torch.equal(ours(inputs), theirs(inputs))


def test_torch_gives_the_same_gradients_through_a_whole_network():
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    inputs = pictures(32, (6,))
    config = QuantizationConfig(
        WeightScheme(4, granularity=PerTensor()), ActivationScheme(8, observer="minmax")
    )
    graph = prepare_qat(model, [inputs], config, estimator="ste")

    def rounded(x, module):
        qparams = module.qparams()
        ends = qparams.quant_min, qparams.quant_max
        return torch.fake_quantize_per_tensor_affine(x, float(qparams.scale), int(qparams.zero_point), *ends)

    first, second = weight_layers(graph).values()
    activations = [module for module in graph.modules() if type(module) is FixedFakeQuantize][:2]
    theirs = copy.deepcopy(model)
    x = rounded(inputs, activations[0])
    x = F.linear(x, rounded(theirs[0].weight, first.parametrizations.weight[0]), theirs[0].bias).relu()
    x = rounded(x, activations[1])
    x = F.linear(x, rounded(theirs[2].weight, second.parametrizations.weight[0]), theirs[2].bias)
    x.square().sum().backward()
    y = graph(inputs)
    y.square().sum().backward()
    assert torch.allclose(x, y, atol=1e-5)
    assert torch.allclose(
        theirs[0].weight.grad, first.parametrizations.weight.original.grad, rtol=1e-4, atol=1e-4
    )
    assert torch.allclose(theirs[2].bias.grad, second.bias.grad, rtol=1e-4, atol=1e-4)


def test_lsq_trains_every_grid_and_ste_none():
    learned = prepare_qat(small_net(), [pictures()], scheme(4, 4))
    fixed = prepare_qat(small_net(), [pictures()], scheme(4, 4), estimator="ste")
    assert all(
        isinstance(module, LearnedFakeQuantize)
        for module in learned.modules()
        if isinstance(module, FixedFakeQuantize)
    )
    assert not any(isinstance(module, LearnedFakeQuantize) for module in fixed.modules())
    quantizers = [module for module in finish_qat(fixed).modules() if isinstance(module, ActivationQuantizer)]
    assert len(quantizers) == 3


# Errors


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (QuantizationConfig(WeightScheme(4, rounding="gptq")), "rounding 'gptq' and correct_bias False"),
        (QuantizationConfig(correct_bias=True), "rounding 'nearest' and correct_bias True"),
    ],
)
def test_roundings_that_training_replaces_are_refused(config, said):
    with pytest.raises(SettingError) as error:
        prepare_qat(small_net(), [pictures()], config)
    assert str(error.value) == (
        f"The configuration has {said}, but training moves weights and biases itself; leave "
        "rounding='nearest' and correct_bias=False."
    )


def test_an_unknown_estimator_is_refused():
    with pytest.raises(UnknownNameError) as error:
        prepare_qat(small_net(), [pictures()], scheme(4), estimator="lqs")
    assert str(error.value) == (
        "There is no estimator called 'lqs'; the known ones are lsq, ste. Did you mean 'lsq'?"
    )


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_a_temperature_that_divides_nothing_is_refused(temperature):
    with pytest.raises(SettingError) as error:
        imitate(small_net(), temperature)
    assert str(error.value) == (
        f"temperature is {temperature}, but scores are divided by it; take one above 0."
    )


def test_a_model_without_fake_quantization_cannot_be_finished():
    with pytest.raises(ModelError) as error:
        finish_qat(small_net())
    assert str(error.value) == (
        "This Sequential holds no fake quantization to finish; make it with prepare_qat and train it before "
        "calling finish_qat."
    )
