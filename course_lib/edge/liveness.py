"""From which step to which does each piece of memory hold something that is still needed?

The values of a traced run are grouped by the storage that PyTorch keeps them in. A storage is needed from the
step that makes it to the last step that reads any of its values; what the network returns, to the end.

Worked example: y = x.view(-1); z = y + 1; the view has x's storage, so x is alive until y was read. If the
sum may write over what it reads, z takes over that memory, and there is one buffer instead of two.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from torch import Tensor, fx


@dataclass
class Buffer:
    """A piece of memory: the values that lie in it, in order, and the first and last step that need it."""

    size_bytes: int
    first: int
    last: int
    values: dict[fx.Node, int] = field(default_factory=dict)

    def holder_at(self, position: int) -> fx.Node:
        """Return the step whose result lies in the buffer after the steps up to ``position``."""
        return max(
            (value for value, made in self.values.items() if made <= position), key=self.values.__getitem__
        )


def buffers_of(
    run: Mapping[fx.Node, tuple[Tensor, ...]], overwriting: Collection[fx.Node], bytes_per_value: int
) -> list[Buffer]:
    """Return the buffers of a run, without the weights.

    Parameters
    ----------
    run
        Step → the tensors that it returned, all still alive, in the order of the run.
    overwriting
        Steps that may write over an input of the same size that no later step reads.
    bytes_per_value
        Size of a floating-point value; other values keep their own.
    """
    position = {node: index for index, node in enumerate(run)}
    buffers: dict[int, Buffer] = {}
    weights = {
        _address(tensor) for node, tensors in run.items() if node.op == "get_attr" for tensor in tensors
    }
    for node, tensors in run.items():
        for tensor in tensors:
            address = _address(tensor)
            if tensor.numel() and address not in weights and node.op != "output":
                # All inputs are there before the first step.
                first = 0 if node.op == "placeholder" else position[node]
                empty = Buffer(_size_bytes(tensor, bytes_per_value), first, first)
                buffer = buffers.setdefault(address, empty)
                buffer.values[node] = position[node]
                buffer.last = max(buffer.last, *(position[reader] for reader in node.users), first)
    return _merged(list(buffers.values()), overwriting, position)


def _merged(
    buffers: list[Buffer], overwriting: Collection[fx.Node], position: Mapping[fx.Node, int]
) -> list[Buffer]:
    """Return the buffers after each overwriting step took over the memory of an input."""
    kept: list[Buffer] = []
    for buffer in sorted(buffers, key=lambda each: each.first):
        maker = next(iter(buffer.values))
        free = [
            earlier
            for earlier in kept
            if maker in overwriting
            and earlier.last == position[maker]
            and earlier.size_bytes == buffer.size_bytes
            and any(value in maker.all_input_nodes for value in earlier.values)
        ]
        if free:
            free[0].last = buffer.last
            free[0].values.update(buffer.values)
        else:
            kept.append(buffer)
    return kept


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _size_bytes(tensor: Tensor, bytes_per_value: int) -> int:
    storage_bytes = tensor.untyped_storage().nbytes()
    if not tensor.is_floating_point():
        return storage_bytes
    return storage_bytes // tensor.element_size() * bytes_per_value
