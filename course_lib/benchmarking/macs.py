"""Multiply-accumulates (MACs), parameters and time by layer. 1 MAC = 2 FLOPs; all counts are for one sample.

Only matrix products and convolutions are counted, as is usual: additions, normalizations and activations
cost time but hardly any multiplications, which is why time by layer stands beside the MACs.
This module imports torch, so `course_lib.benchmarking` does not import it: import it by its own name.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter_ns

import torch
from torch import nn

from course_lib.benchmarking.checks import require_count
from course_lib.benchmarking.latency import garbage_collection_paused
from course_lib.benchmarking.layer_meter import counted_flops, metered_layers
from course_lib.benchmarking.layer_profile import LayerProfile, ModelProfile
from course_lib.benchmarking.machine import record_machine
from course_lib.errors import ModelError
from course_lib.reproducibility import seeded_torch


def conv2d_macs(
    in_channels: int,
    out_channels: int,
    kernel_size: tuple[int, int],
    output_size: tuple[int, int],
    groups: int = 1,
) -> int:
    """Return the MACs of a 2-d convolution for one sample: H·W·C_out·(C_in/groups)·k_h·k_w.

    Each of the H × W × C_out outputs is a dot product over one group of input channels and the kernel.
    With ``groups = in_channels`` this is the depthwise convolution.

    Raises
    ------
    SettingError
        If a number is below 1.
    """
    for name, value in [("in_channels", in_channels), ("out_channels", out_channels), ("groups", groups)]:
        require_count(name, value, 1)
    height, width = (require_count("output_size", value, 1) for value in output_size)
    kernel_height, kernel_width = (require_count("kernel_size", value, 1) for value in kernel_size)
    return height * width * out_channels * (in_channels // groups) * kernel_height * kernel_width


def linear_macs(in_features: int, out_features: int, positions: int = 1) -> int:
    """Return the MACs of a linear layer for one sample: positions·in·out.

    ``positions`` is how often it is applied, for example once for each token of a sequence.

    Raises
    ------
    SettingError
        If a number is below 1.
    """
    return (
        require_count("in_features", in_features, 1)
        * require_count("out_features", out_features, 1)
        * require_count("positions", positions, 1)
    )


def profile_layers(
    model: nn.Module,
    example_inputs: torch.Tensor | Sequence[torch.Tensor],
    *,
    runs: int = 0,
    warmup: int = 3,
    seed: int = 0,
    name: str | None = None,
) -> ModelProfile:
    """Count MACs and parameters by layer, and time the layers when ``runs`` > 0.

    The model runs in evaluation mode without gradients and is left as it was. Listed are all modules without
    children that ran, and others for what they compute or own themselves (an attention block's products).

    Parameters
    ----------
    model
        Any module; the forward pass must run in Python (not a compiled or scripted one).
    example_inputs
        The input, or one tensor for each argument. Where the first has N samples, all with a first axis of
        N are cut to their first sample.
    runs, warmup
        Timed passes (0: no timing) and passes before them. Timing layers one by one slows the model down;
        for the model's own latency use `measure_latency`.
    seed
        Seeds what the model itself may draw; torch's own random state is put back.
    name
        What to call the model, by default its class.

    Raises
    ------
    ModelError
        If ``model`` is not a module, the inputs are not tensors, the forward pass fails, or layers should
        be timed on another device than the CPU.
    SettingError
        If ``runs`` or ``warmup`` is not a whole number of at least 0.
    """
    if not isinstance(model, nn.Module):
        raise ModelError(f"profile_layers got {type(model).__name__}: pass a torch.nn.Module.")
    require_count("runs", runs, 0)
    require_count("warmup", warmup, 0)
    inputs = _first_sample(example_inputs)
    if runs and any(tensor.device.type != "cpu" for tensor in (*inputs, *model.parameters())):
        raise ModelError("profile_layers times layers on the CPU only: pass model.cpu() and inputs.cpu().")
    machine = record_machine(torch.get_num_threads(), seed)
    with _ready_to_profile(model, seed):
        params = _own_parameters(model)
        with counted_flops() as counter, metered_layers(model, counter.get_total_flops) as counted:
            model(*inputs)
        times_ns = _layer_times_ns(model, inputs, warmup, runs)
    layers = [
        LayerProfile(
            name=layer or "(model)",
            kind=type(module).__name__,
            output_shape=counted.output_shapes.get(layer),
            macs=counted.own.get(layer, 0) // 2,
            params=params[layer],
            samples_ms=tuple(times.get(layer, 0) / 1e6 for times in times_ns),
        )
        for layer, module in model.named_modules()
        if counted.own.get(layer) or params[layer] or (layer in counted.own and not any(module.children()))
    ]
    return ModelProfile(machine=machine, name=name or type(model).__name__, layers=tuple(layers))


@contextmanager
def _ready_to_profile(model: nn.Module, seed: int) -> Iterator[None]:
    training = [(module, module.training) for module in model.modules()]
    try:
        with torch.no_grad(), seeded_torch(seed):
            model.eval()
            yield
    except Exception as error:
        first_line = (str(error).strip().splitlines() or ["no message"])[0]
        raise ModelError(
            f"{type(model).__name__} could not run on the example inputs ({type(error).__name__}: "
            f"{first_line}): pass inputs for which model(*inputs) works."
        ) from error
    finally:
        for module, was_training in training:
            module.training = was_training


def _first_sample(example_inputs: torch.Tensor | Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
    single = isinstance(example_inputs, torch.Tensor)
    inputs = (example_inputs,) if single else tuple(example_inputs)
    tensors = [tensor for tensor in inputs if isinstance(tensor, torch.Tensor)]
    if not inputs or len(tensors) < len(inputs) or tensors[0].ndim == 0 or len(tensors[0]) == 0:
        raise ModelError(
            "example_inputs must be a tensor with at least one sample on its first axis, or a tuple of "
            "tensors: pass for example images[:1]."
        )
    samples = len(tensors[0])
    return tuple(tensor[:1] if tensor.ndim and len(tensor) == samples else tensor for tensor in tensors)


def _own_parameters(model: nn.Module) -> dict[str, int]:
    # named_modules gives a shared module once; a shared parameter belongs to the first module that has it.
    seen: set[int] = set()
    counts = {}
    for name, module in model.named_modules():
        own = [parameter for parameter in module.parameters(recurse=False) if id(parameter) not in seen]
        seen.update(map(id, own))
        counts[name] = sum(parameter.numel() for parameter in own)
    return counts


def _layer_times_ns(
    model: nn.Module, inputs: tuple[torch.Tensor, ...], warmup: int, runs: int
) -> list[dict[str, int]]:
    times = []
    with garbage_collection_paused():
        for _ in range(warmup + runs if runs else 0):
            with metered_layers(model, perf_counter_ns) as meter:
                model(*inputs)
            times.append(meter.own)
    return times[warmup:]
