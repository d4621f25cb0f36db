"""An exported model from which channels can be removed without exporting it again.

A slider cannot wait for an export. The dependency graph of the PyTorch model says which rows and columns of
which weights belong to a channel; the exported graph holds the same weights under the same names. So a
smaller file is made by cutting its initializers, and by changing the few numbers that name sizes: the groups
of a depthwise convolution, the shape that a Reshape asks for, the parts of a Split, the bounds of a Slice.

Worked example: conv (3 filters, then Reshape to (1, 12)) → linear 12 → 5. Without channel 1 the file holds a
weight with filters 0 and 2, the shape (1, 8), and a linear weight 5×8 with columns 0 to 3 and 8 to 11.

That the smaller graph is right is proved once a model, on random input, with every second channel gone: it
must compute what the whole graph does with these channels masked.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper

from course_lib.errors import ModelError
from course_lib.explore.graph_labels import GraphLabels
from course_lib.explore.graph_sizes import count_macs, edit_sizes
from course_lib.explore.graph_weights import weight_classes
from course_lib.pruning.structure.dependency import DependencyGraph
from course_lib.pruning.structure.group import Group
from course_lib.pruning.structure.labels import FIXED
from course_lib.pruning.structure.proof import TOLERANCE
from course_lib.pruning.structure.removal import removed_classes
from course_lib.pruning.structure.rewrite import Survivors
from course_lib.runtimes.onnx_runtime import OnnxRuntime

if TYPE_CHECKING:
    from torch import nn

Chosen = Mapping[str, Sequence[int]]
Values = Mapping[str, NDArray[np.float32]]


class ChannelGraph:
    """An ONNX model and the channels that can be cut out of it.

    Parameters
    ----------
    model
        The PyTorch module; it stays as it is.
    content
        The module as `build_onnx` exported it, with the names of its parameters.
    input_shape
        (C, H, W) of one input, or whatever the model takes, without the batch.

    Attributes
    ----------
    dependencies
        Which channels go together, and why: `DependencyGraph` of the module.
    groups
        Those of its groups that can be cut out of this file as well.

    Raises
    ------
    ModelError
        If the module cannot be traced, the file is not its export, or the proof fails.
    """

    def __init__(self, model: "nn.Module", content: bytes, input_shape: Sequence[int]) -> None:
        self.dependencies = DependencyGraph(model, torch.zeros(1, *input_shape))
        self._skeleton = onnx.load_model_from_string(content)
        self._stored = {t.name: t for t in self._skeleton.graph.initializer}
        self._numbers = {name: numpy_helper.to_array(tensor) for name, tensor in self._stored.items()}
        del self._skeleton.graph.initializer[:]
        del self._skeleton.graph.value_info[:]  # the shapes that the exporter wrote down would be wrong
        parameters = dict(model.named_parameters())
        self._parameters = [name for name in self._numbers if name in parameters]
        shapes = {name: numbers.shape for name, numbers in self._numbers.items()}
        self._weights = weight_classes(self.dependencies, shapes)
        fixed = int(self.dependencies.classes.of[FIXED])
        values = self._run_all_steps(content, input_shape)
        self._labels = GraphLabels(self._skeleton.graph.node, values, self._weights.of, fixed)
        self._values = values
        stuck = np.array(sorted(self._labels.stuck | self._weights.missing), np.int64)
        members = self.dependencies.classes.members
        self.groups: tuple[Group, ...] = tuple(
            group for group in self.dependencies.groups if not np.isin(members[group.name], stuck).any()
        )
        self._prove(input_shape)

    def without(self, chosen: Chosen, values: Values | None = None) -> bytes:
        """Return the ONNX model without these channels.

        Parameters
        ----------
        chosen
            Group name → channels to remove, as for `remove`; groups that are not named keep all.
        values
            Name of an initializer → what takes its place before the cut, in its full size.

        Raises
        ------
        UnknownNameError, SettingError
            As for `remove`.
        ModelError
            If a group cannot be cut out of the file, or a value has another shape than what it replaces.
        """
        keep = self._keep(chosen)
        smaller = onnx.ModelProto()
        smaller.CopyFrom(self._skeleton)
        for name, tensor in self._stored.items():
            given = self._given(name, values or {})
            cut = self._cut(name, given, keep)
            same = cut is self._numbers[name]
            smaller.graph.initializer.append(tensor if same else numpy_helper.from_array(cut, name))
        edit_sizes(smaller.graph, self._labels, self._values, keep)
        content: bytes = smaller.SerializeToString()
        return content

    def macs(self, chosen: Chosen | None = None) -> int:
        """Return the multiply-accumulates for one input without these channels."""
        keep = self._keep(chosen or {})
        return count_macs(self._skeleton.graph.node, self._labels, Survivors(keep), self._sizes(keep))

    def params(self, chosen: Chosen | None = None) -> int:
        """Return how many parameters are left without these channels; a norm's statistics are none."""
        sizes = self._sizes(self._keep(chosen or {}))
        return sum(int(np.prod(sizes[name])) for name in self._parameters)

    def _keep(self, chosen: Chosen) -> NDArray[np.bool_]:
        """Return for each class whether it stays."""
        removed = removed_classes(self.dependencies, chosen)
        possible = {group.name for group in self.groups}
        for name in chosen:
            if name not in possible:
                raise ModelError(
                    f"The channels of {name!r} reach a step of the exported graph that is not known here, so "
                    "they cannot be cut out of it; use remove(graph, chosen) and export the smaller model."
                )
        return ~removed

    def _given(self, name: str, values: Values) -> NDArray[Any]:
        whole: NDArray[Any] = self._numbers[name]
        given: NDArray[Any] = values.get(name, whole)
        if given.shape != whole.shape:
            raise ModelError(
                f"The new values of {name!r} have shape {given.shape}; expected that of the whole model, "
                f"{whole.shape}, from which the channels are then cut."
            )
        return given

    def _cut(self, name: str, numbers: NDArray[Any], keep: NDArray[np.bool_]) -> NDArray[Any]:
        for axis, classes in self._weights.of.get(name, {}).items():
            kept = keep[classes]
            if not kept.all():
                numbers = numbers.take(np.flatnonzero(kept), axis)
        return numbers

    def _sizes(self, keep: NDArray[np.bool_]) -> dict[str, tuple[int, ...]]:
        """Return the shape of each initializer without the classes that go."""
        sizes = {}
        for name, numbers in self._numbers.items():
            shape = list(numbers.shape)
            for axis, classes in self._weights.of.get(name, {}).items():
                shape[axis] = int(keep[classes].sum())
            sizes[name] = tuple(shape)
        return sizes

    def _run_all_steps(self, content: bytes, input_shape: Sequence[int]) -> dict[str, NDArray[Any]]:
        """Return every tensor of the graph for one input, floats as an array of that shape without memory."""
        probe = onnx.load_model_from_string(content)
        made = [name for step in probe.graph.node for name in step.output if name]
        del probe.graph.output[:]
        probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in made)
        runtime = OnnxRuntime(optimization="off")
        session = runtime.create_session(probe.SerializeToString(), runtime.session_options())
        source = session.get_inputs()[0].name
        given = {source: np.zeros((1, *input_shape), np.float32)}
        values = {**given, **dict(zip(made, session.run(made, given), strict=True))}
        shapes = {
            name: np.broadcast_to(np.float32(0), value.shape) if value.dtype == np.float32 else value
            for name, value in values.items()
        }
        return {**self._numbers, **shapes}

    def _prove(self, input_shape: Sequence[int]) -> None:
        """Cut every second channel and compare with the whole graph, in which nothing reads these."""
        chosen = {group.name: range(0, group.channels, 2) for group in self.groups}
        keep = self._keep(chosen)
        masked = {}
        for name, axis in self._weights.reads.items():
            gone = ~keep[self._weights.of[name][axis]]
            if gone.any():
                masked[name] = self._numbers[name].copy()
                np.moveaxis(masked[name], axis, 0)[gone] = 0
        example = np.random.default_rng(0).normal(size=(2, *input_shape)).astype(np.float32)
        whole, smaller = (
            OnnxRuntime().load(content).run(example)
            for content in (self.without({}, masked), self.without(chosen))
        )
        difference, largest = float(np.abs(whole - smaller).max()), float(np.abs(whole).max())
        if not difference <= TOLERANCE * largest:
            raise ModelError(
                f"The graph without every second channel differs from the masked one by {difference:.2g}, "
                f"where the largest result is {largest:.2g}; its channels cannot be cut without an export: "
                "use remove(graph, chosen) and export the smaller model."
            )
