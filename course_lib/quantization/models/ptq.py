"""Post-training quantization of a whole model in three steps: prepare → calibrate → convert.

>>> prepared = prepare(model, QuantizationConfig())           # doctest: +SKIP
>>> calibrated = calibrate(prepared, batches)                 # doctest: +SKIP
>>> quantized = convert(calibrated)                           # doctest: +SKIP

``prepare`` folds batch norms and puts an observer on each tensor that will be quantized; ``calibrate`` runs
some hundred real inputs, so that the observers see the ranges; ``convert`` puts weights on their grids and a
quantizer in the place of each observer. Each step returns a new model; the one it was given stays as it was.

Sources: Jacob et al. (2018), Krishnamoorthi (2018), Nagel et al. (2021, "A white paper on neural network
quantization"), section 3.
"""

from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, fx, nn

from course_lib.errors import DataError, ModelError
from course_lib.quantization.affine import QParams, choose_qparams_from_range
from course_lib.quantization.models.bias_correction import corrected_bias
from course_lib.quantization.models.capture import layer_inputs
from course_lib.quantization.models.config import QuantizationConfig
from course_lib.quantization.models.equalize_layers import equalize_layers
from course_lib.quantization.models.fold import fold_batch_norms
from course_lib.quantization.models.graph import WeightLayer, trace, weight_layers
from course_lib.quantization.models.placement import insert_after, quantized_tensors
from course_lib.quantization.models.quantizers import ActivationObserver, ActivationQuantizer, QuantizedModel
from course_lib.quantization.models.rounding import quantize_weight
from course_lib.quantization.models.score_gradients import backward_from_scores
from course_lib.reproducibility import torch_generator

Batches: TypeAlias = Iterable[Any]
"""Batches as tensors or arrays, or as tuples that begin with one: a DataLoader's."""


class PreparedModel(nn.Module):
    """A traced model with an observer on each tensor that will be quantized; computes what the model
    computes.

    Parameters
    ----------
    graph, config
        The model's steps and how they will be quantized.
    """

    def __init__(self, graph: fx.GraphModule, config: QuantizationConfig) -> None:
        super().__init__()
        self.graph = graph
        self.config = config
        self.kept_inputs = torch.zeros(0)

    @property
    def observers(self) -> dict[str, ActivationObserver]:
        """Path → observer."""
        found = self.graph.named_modules()
        return {path: module for path, module in found if isinstance(module, ActivationObserver)}

    def forward(self, *inputs: Any) -> Any:
        return self.graph(*inputs)


def prepare(model: nn.Module, config: QuantizationConfig | None = None) -> PreparedModel:
    """Fold batch norms, even out ranges if asked to, and insert observers.

    Raises
    ------
    ModelError
        If the model cannot be traced, has a layer that cannot be quantized or that its forward method never
        reaches, or weights that are NaN or infinite; the layer is named.
    SettingError
        If the configuration names a layer that does not exist.
    """
    config = config or QuantizationConfig()
    graph = fold_batch_norms(trace(model))
    _check_layers(model, graph, config)
    if config.equalize:
        equalize_layers(graph)
    if config.activations is not None:
        scheme = config.activations
        nodes = quantized_tensors(graph, config.kept_in_float)
        insert_after(graph, nodes, lambda node: ActivationObserver(node.name, scheme))
    return PreparedModel(graph, config)


@torch.no_grad()
def calibrate(
    prepared: PreparedModel, batches: Batches, *, on_progress: Callable[[int], None] = lambda seen: None
) -> PreparedModel:
    """Run inputs through the model, so that the observers see what flows; may be called several times.

    Parameters
    ----------
    batches
        Real inputs, 100 to 1000 in all, of the training set.
    on_progress
        Called after each batch with the number of inputs seen.

    Raises
    ------
    DataError
        If there is no batch, or all values are equal.
    ModelError
        If the model does not run on a batch, or activations are NaN or infinite.
    """
    calibrated = deepcopy(prepared)
    run = partial(backward_from_scores, generator=torch_generator(0)) if _by_gradient(prepared) else _forward
    kept, seen, varied = list(prepared.kept_inputs), 0, False
    for batch in batches:
        first = batch[0] if isinstance(batch, tuple | list) else batch
        inputs = torch.as_tensor(np.asarray(first) if not isinstance(first, Tensor) else first)
        _run(run, calibrated, inputs)
        varied = varied or bool((inputs != inputs.flatten()[:1]).any())
        seen += len(inputs)
        kept.extend(inputs[: max(prepared.config.samples - len(kept), 0)])
        on_progress(seen)
    if not seen:
        raise DataError(
            "No calibration data came; pass batches of real inputs, for example "
            "torch.from_numpy(load_dataset('fashion-mnist', 'train').inputs(slice(512))).split(64)."
        )
    if not varied:
        raise DataError(
            "Every calibration input holds one and the same value, so no range can be learnt from it; pass "
            "real inputs of the training set."
        )
    calibrated.kept_inputs = torch.stack(kept)
    return calibrated


@torch.no_grad()
def convert(
    calibrated: PreparedModel,
    *,
    seed: int = 0,
    on_progress: Callable[[str, float], None] = lambda path, share: None,
) -> QuantizedModel:
    """Put the weights on their grids, layer by layer, and quantizers in the place of the observers.

    Each layer sees the inputs that the already quantized layers before it give, so that later layers can make
    up for the errors of earlier ones.

    Parameters
    ----------
    seed
        Decides the mini-batches of ``adaround``.
    on_progress
        Called after each layer with its path and the share of layers done.

    Raises
    ------
    DataError
        If the model was not calibrated although its configuration needs it.
    """
    config = calibrated.config
    if not len(calibrated.kept_inputs) and (config.activations is not None or config.needs_inputs):
        raise DataError(
            "This model was not calibrated yet; call calibrate(prepared, batches) before convert."
        )
    original, graph = calibrated.graph, deepcopy(calibrated.graph)
    _freeze_observers(graph, config)
    paths = [path for path in weight_layers(graph) if path not in config.kept_in_float]
    qparams: dict[str, QParams[Tensor]] = {}
    for index, path in enumerate(paths):
        layer = graph.get_submodule(path)
        assert isinstance(layer, WeightLayer)
        scheme = replace(config.weights, bits=config.layer_bits.get(path, config.weights.bits))
        inputs = before = None
        if config.needs_inputs:
            inputs = layer_inputs(graph, path, calibrated.kept_inputs)
            before = layer_inputs(original, path, calibrated.kept_inputs)
        targets = None if before is None else layer(before)
        weight, qparams[path] = quantize_weight(layer, scheme, inputs=inputs, targets=targets, seed=seed)
        if config.correct_bias and before is not None:
            layer.bias = nn.Parameter(corrected_bias(layer, weight, before))
        layer.weight = nn.Parameter(weight)
        on_progress(path, (index + 1) / len(paths))
    return QuantizedModel(graph.requires_grad_(False), qparams)


def quantize_model(
    model: nn.Module, batches: Batches, config: QuantizationConfig | None = None
) -> QuantizedModel:
    """Prepare, calibrate and convert in one call; see there."""
    return convert(calibrate(prepare(model, config), batches))


def _freeze_observers(graph: fx.GraphModule, config: QuantizationConfig) -> None:
    if config.activations is None:
        return
    bits, symmetric = config.activations.bits, config.activations.symmetric
    for path, module in list(graph.named_modules()):
        if isinstance(module, ActivationObserver):
            low, high = (torch.tensor(float(end)) for end in module.observer.range())
            frozen = choose_qparams_from_range(low, high, bits, symmetric=symmetric)
            graph.set_submodule(path, ActivationQuantizer(frozen))


def _by_gradient(prepared: PreparedModel) -> bool:
    return prepared.config.activations is not None and prepared.config.activations.by_gradient


def _forward(model: nn.Module, inputs: Tensor) -> None:
    model(inputs)


def _run(run: Callable[[nn.Module, Tensor], None], model: nn.Module, inputs: Tensor) -> None:
    try:
        run(model, inputs)
    except ModelError:
        raise
    except Exception as error:  # whatever the student's forward method raises
        reason = str(error).strip().split("\n")[0].rstrip(".")
        raise ModelError(
            f"The model does not run on a calibration batch of shape {tuple(inputs.shape)} ({reason}); pass "
            "inputs of the shape and type that it takes, the batch first."
        ) from error


def _check_layers(model: nn.Module, graph: fx.GraphModule, config: QuantizationConfig) -> None:
    reached = weight_layers(graph)
    if not reached:
        raise ModelError(
            f"{type(model).__name__} has no convolution or linear layer to quantize; pass a model that calls "
            "nn.Conv2d or nn.Linear layers."
        )
    for path in (*config.kept_in_float, *config.layer_bits):
        if path not in reached:
            raise ModelError(
                f"The configuration names the layer {path!r}; the model's layers are {', '.join(reached)}."
            )
    for path, module in model.named_modules():
        if isinstance(module, WeightLayer) and path and path not in reached:
            raise ModelError(
                f"The forward method of {type(model).__name__} never reaches its layer {path}, so nothing "
                "can be learnt about it; delete the layer before quantizing."
            )
    for path, layer in reached.items():
        bad = int((~torch.isfinite(layer.weight)).sum())
        if bad:
            raise ModelError(
                f"{bad} of the {layer.weight.numel()} weights of {path} are NaN or infinite; load a sound "
                "checkpoint before quantizing."
            )
