"""Which layer did it? A reading that only grows is charged to the innermost module that is running."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

Shape = tuple[int, ...]


@dataclass
class LayerMeter:
    """What each module was charged with, by the name that ``model.named_modules()`` gives it.

    ``own`` holds a module's share without the shares of the modules that it called; ``output_shapes`` the
    shape of the last output of every module that ran, None where that is not a tensor.
    """

    own: dict[str, int] = field(default_factory=dict)
    output_shapes: dict[str, Shape | None] = field(default_factory=dict)


@contextmanager
def metered_layers(model: nn.Module, read: Callable[[], int]) -> Iterator[LayerMeter]:
    """Charge the growth of ``read()`` during forward passes to the modules; the hooks are removed at the end.

    ``read`` may be a counter of operations or a clock: the same bookkeeping gives MACs or time by layer.
    """
    meter = LayerMeter()
    open_calls: list[
        list[int]
    ] = []  # one [reading at entry, share of the modules called] for each nested call
    handles = []

    def enter(module: nn.Module, inputs: object) -> None:
        open_calls.append([read(), 0])

    def leave_as(name: str) -> Callable[[nn.Module, object, object], None]:
        def leave(module: nn.Module, inputs: object, output: object) -> None:
            entry, inner = open_calls.pop()
            total = read() - entry
            if open_calls:
                open_calls[-1][1] += total
            meter.own[name] = meter.own.get(name, 0) + total - inner
            meter.output_shapes[name] = tuple(output.shape) if isinstance(output, torch.Tensor) else None

        return leave

    try:
        for name, module in model.named_modules():
            handles.append(module.register_forward_pre_hook(enter))
            handles.append(module.register_forward_hook(leave_as(name)))
        yield meter
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def counted_flops() -> Iterator[FlopCounterMode]:
    """Count the FLOPs of matrix products and convolutions, also where PyTorch's counter alone sees nothing.

    On a CPU `FlopCounterMode` reports 0 for fused attention, for the transformer layers' fast path, for
    `nn.LSTM` and for products with a vector. The formulas here add them, and the fast path is switched off
    meanwhile.
    """
    was_fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with FlopCounterMode(display=False, custom_mapping=_MISSING_FORMULAS) as counter:
            yield counter
    finally:
        torch.backends.mha.set_fastpath_enabled(was_fast)


def _attention_flops(query: Shape, key: Shape, value: Shape, *_: object, out_shape: object = None) -> int:
    scores = prod(query[:-1]) * key[-2]  # one for each head, query and key
    return 2 * scores * (query[-1] + value[-1])


def _product_flops(left: Shape, right: Shape, *_: object, out_shape: object = None) -> int:
    return 2 * prod(left)  # a matrix or a vector times a vector: one MAC for each entry of the first


def _lstm_flops(
    sequence: Shape, input_weight: Shape, state_weight: Shape, *_: object, out_shape: object = None
) -> int:
    return 2 * sequence[0] * sequence[1] * (prod(input_weight) + prod(state_weight))


_MISSING_FORMULAS = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
    torch.ops.aten.mkldnn_rnn_layer: _lstm_flops,
    torch.ops.aten.mv: _product_flops,
    torch.ops.aten.dot: _product_flops,
}
