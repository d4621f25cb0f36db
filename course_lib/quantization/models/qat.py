"""Quantization-aware training: the model trains with the rounding that it will be deployed with.

>>> graph = prepare_qat(model, batches, QuantizationConfig(...))                        # doctest: +SKIP
>>> run = fit(graph, train, validation, TrainingConfig(...), loss_function=imitate(model))   # doctest: +SKIP
>>> quantized = finish_qat(run.model)                                                   # doctest: +SKIP

``prepare_qat`` starts from what post-training quantization would do: batch norms folded, the same tensors on
grids, the same first ranges. But the grids stay trainable, and each weight w is kept in floating point behind
its rounding, so that small steps add up until w crosses to the next grid point (Jacob et al. 2018).

Convolutions get a batch norm for the training (`train_norms`), which ``finish_qat`` folds into the grids, so
that nothing of it is left to compute. The start gains most: on the shipped validation images the zoo's
teacher with 2-bit weights begins at 78 % instead of 29 %. A step takes a fifth longer.

Left out: gradual lowering of the bits, and learnt zero points.
"""

from copy import deepcopy
from dataclasses import replace
from typing import Literal, get_args

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from course_lib.architectures.tracing import layer_of
from course_lib.errors import ModelError, SettingError
from course_lib.quantization.affine import QParams, choose_qparams_from_range
from course_lib.quantization.models.config import QuantizationConfig, WeightScheme
from course_lib.quantization.models.fake_quant import (
    FixedFakeQuantize,
    LearnedFakeQuantize,
    MinMaxFakeQuantize,
)
from course_lib.quantization.models.fold import fold_batch_norms
from course_lib.quantization.models.graph import WeightLayer, trace, weight_layers
from course_lib.quantization.models.ptq import Batches, calibrate, prepare
from course_lib.quantization.models.quantizers import ActivationObserver, ActivationQuantizer, QuantizedModel
from course_lib.quantization.models.rounding import quantize_weight
from course_lib.quantization.models.train_norms import fold_norms, insert_norms, measure_norms
from course_lib.registry import look_up
from course_lib.training.fit import Loss

Estimator = Literal["lsq", "ste"]


def prepare_qat(
    model: nn.Module,
    batches: Batches,
    config: QuantizationConfig,
    *,
    estimator: Estimator = "lsq",
    input_bits: int = 8,
    train_norms: bool = True,
) -> fx.GraphModule:
    """Return a trainable copy of the model with fake quantization of weights and activations.

    Any training loop can train it, in place; its ``state_dict`` holds weights and grids.

    Parameters
    ----------
    model
        Trained in floating point; left as it is.
    batches
        A few batches of real inputs, for the first ranges of the activations.
    config
        Bits, granularity, first ranges (``"mse"`` starts closest to the trained model) and the layers to keep
        in float. Rounding is to the nearest.
    estimator
        ``"lsq"`` trains all step sizes; ``"ste"`` fits the grids of weights to their range in each step and
        leaves those of activations alone.
    input_bits
        Bits of the model's own input, which are cheap to keep: pixels come in 8.
    train_norms
        Whether convolutions get a batch norm until `finish_qat`; only where each channel has a scale.

    Raises
    ------
    SettingError
        If ``config`` asks for another rounding or for bias correction, which training takes the place of.
    UnknownNameError
        If there is no such estimator.
    DataError, ModelError
        As `prepare` and `calibrate`.
    """
    look_up(dict.fromkeys(get_args(Estimator)), "estimator", estimator)
    if config.needs_inputs:
        raise SettingError(
            f"The configuration has rounding {config.weights.rounding!r} and correct_bias "
            f"{config.correct_bias}, but training moves weights and biases itself; leave rounding='nearest' "
            "and correct_bias=False."
        )
    prepared = prepare(model, config)
    bits = _activation_bits(prepared.graph, config, input_bits)
    calibrated = calibrate(prepared, batches)
    graph = calibrated.graph
    if train_norms:
        insert_norms(graph, config, calibrated.kept_inputs)
    for path, width in bits.items():
        grid = _observed_grid(graph.get_submodule(path), width, config)
        learned = estimator == "lsq"
        graph.set_submodule(
            path, LearnedFakeQuantize(grid, batched=True) if learned else FixedFakeQuantize(grid)
        )
    for path, layer in weight_layers(graph).items():
        if path not in config.kept_in_float:
            scheme = replace(config.weights, bits=config.layer_bits.get(path, config.weights.bits))
            parametrize.register_parametrization(layer, "weight", _for_weight(layer, scheme, estimator))
    measure_norms(graph, calibrated.kept_inputs)
    return graph


def finish_qat(trained: nn.Module) -> QuantizedModel:
    """Return the trained model with its weights rounded for good and its grids fixed.

    Parameters
    ----------
    trained
        From `prepare_qat`, trained; left as it is.

    Raises
    ------
    ModelError
        If it has no fake quantization.
    """
    graph = deepcopy(trained).eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    if not isinstance(graph, fx.GraphModule) or not any(map(_is_fake, graph.modules())):
        raise ModelError(
            f"This {type(trained).__name__} holds no fake quantization to finish; make it with prepare_qat "
            "and train it before calling finish_qat."
        )
    qparams: dict[str, QParams[Tensor]] = {}
    for path, layer in weight_layers(graph).items():
        if parametrize.is_parametrized(layer, "weight"):
            rounding = layer.get_submodule("parametrizations.weight.0")
            assert isinstance(rounding, FixedFakeQuantize)
            _fix_weight(layer)
            qparams[path] = rounding.qparams()
    for path, module in list(graph.named_modules()):
        if isinstance(module, FixedFakeQuantize):
            graph.set_submodule(path, ActivationQuantizer(module.qparams()))
    fold_norms(graph, qparams)
    return QuantizedModel(graph.requires_grad_(False), qparams)


def imitate(model: nn.Module, temperature: float = 4.0) -> Loss:
    """Return the loss T² · Σ p · (log p − log p̂), the distance of the scores from the float model's.

    p and p̂ are the softmax of scores / T. The labels are not read: the float model knows more than 0 and 1
    about each picture, however that is shifted or cut, and so a short run on few pictures does not forget
    what a long one has learnt. This is distillation from the model itself (Hinton et al. 2015).

    Parameters
    ----------
    model
        The float model p; copied, so later changes to it have no effect.
    temperature
        T > 0. Of pictures that it was trained on the model is certain, and at T = 1 its probabilities say
        little but the label; a higher T shows how it ranks the other classes.

    Raises
    ------
    SettingError
        If the temperature is not above 0.
    """
    if not temperature > 0:
        raise SettingError(f"temperature is {temperature}, but scores are divided by it; take one above 0.")
    teacher = fold_batch_norms(trace(model)).requires_grad_(False)

    def loss(scores: Tensor, labels: Tensor, pictures: Tensor) -> Tensor:
        wanted = F.log_softmax(teacher.to(pictures.device)(pictures) / temperature, dim=1)
        found = F.log_softmax(scores / temperature, dim=1)
        return temperature**2 * F.kl_div(found, wanted, log_target=True, reduction="batchmean")

    return loss


def _activation_bits(graph: fx.GraphModule, config: QuantizationConfig, input_bits: int) -> dict[str, int]:
    """Return path → bits of every observer, and let those of the inputs observe for their own width."""
    bits: dict[str, int] = {}
    for node in graph.graph.nodes:
        observer = layer_of(node)
        if isinstance(observer, ActivationObserver) and config.activations is not None:
            is_input = node.all_input_nodes[0].op == "placeholder"
            scheme = replace(config.activations, bits=input_bits) if is_input else config.activations
            graph.set_submodule(str(node.target), ActivationObserver(observer.name, scheme))
            bits[str(node.target)] = scheme.bits
    return bits


def _observed_grid(observer: nn.Module, bits: int, config: QuantizationConfig) -> QParams[Tensor]:
    assert isinstance(observer, ActivationObserver)
    assert config.activations is not None
    low, high = (torch.tensor(float(end)) for end in observer.observer.range())
    return choose_qparams_from_range(low, high, bits, symmetric=config.activations.symmetric)


def _for_weight(layer: WeightLayer, scheme: WeightScheme, estimator: Estimator) -> nn.Module:
    if estimator == "ste":
        symmetric, granularity = scheme.symmetric, scheme.granularity
        return MinMaxFakeQuantize(layer.weight, scheme.bits, symmetric=symmetric, granularity=granularity)
    return LearnedFakeQuantize(quantize_weight(layer, scheme)[1], batched=False)


def _fix_weight(layer: WeightLayer) -> None:
    """Leave the rounded weight as an ordinary parameter, in place.

    ``remove_parametrizations`` would take the weight from all copies of the layer, which share its class.
    """
    weight = nn.Parameter(layer.weight.detach())
    del layer.parametrizations
    layer.__class__ = type(layer).__bases__[0]
    layer.weight = weight


def _is_fake(module: nn.Module) -> bool:
    return isinstance(module, FixedFakeQuantize)
