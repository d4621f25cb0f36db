"""How much working memory does a network need at its worst moment, and which step is that?

A step of a network reads tensors and writes one. A tensor takes memory from the step that writes it to the
last step that reads it, its liveness; the live bytes of a step are those of all tensors alive while it runs,
and their maximum is what a device must have as working memory (SRAM on a microcontroller). The weights are
not in it: a microcontroller reads them from flash.

Worked example: a residual block y = ReLU(x + conv2(ReLU(conv1(x)))) on 16 maps of 28×28, float32, so that
each tensor takes 16·28·28·4 = 50,176 bytes.

    conv1   reads x, writes a       x, a      100,352 bytes
    conv2   reads a, writes b       x, a, b   150,528 bytes: the block keeps its input x alive for the sum
    add     reads x, b              x, b      100,352 bytes: the sum is written over one of them

The same convolutions without the shortcut never hold more than two tensors. A separable block with a shortcut
pays the same price, whatever its MACs: peak memory follows the widest place and the shortcuts, not the work.

What shares memory is not guessed: the traced network runs once, and two values share memory if PyTorch keeps
them in one storage, as it does for views and for operators in place.

The peak is an estimate for a runtime that runs one step after the other, and no bound. A device needs more
for scratch memory inside a layer, for the gaps that an allocator leaves between tensors and for the runtime
itself, and where a step cannot be written over what it reads: y + yᵀ counts as one tensor here, though each
sum needs two places of y. It needs less where a runtime runs several steps as one, such as x·σ(x), or a layer
piece by piece: a depthwise convolution over its own input, channel by channel, or the first layers patch by
patch (Lin et al., MCUNet, 2020, and MCUNetV2, 2021).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from course_lib.architectures.tracing import called_once, calls, layer_of, trace_steps
from course_lib.benchmarking.number_text import format_bytes
from course_lib.benchmarking.table import Row, html_table, text_table
from course_lib.edge.liveness import Buffer, buffers_of
from course_lib.errors import ModelError, SettingError
from course_lib.pruning.structure.rules import ELEMENTWISE
from course_lib.pruning.structure.shapes import SAME_SHAPE
from course_lib.pruning.structure.step import name_of, tensors_in


@dataclass(frozen=True)
class MemoryStep:
    """One step, and what is alive while it runs.

    Attributes
    ----------
    name, kind
        The layer's path (or the step's name in the traced graph), and what it calls.
    output_shape
        Of what it returns; None where that is not one tensor.
    live_bytes
        Everything that is alive: what it reads, what it writes, and what is held for later.
    held
        The steps whose results are alive only because a later step reads them.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...] | None
    live_bytes: int
    held: tuple[str, ...]


@dataclass(frozen=True, repr=False)
class MemoryPlan:
    """The steps of a network in the order in which they run, with their live activation bytes."""

    name: str
    steps: tuple[MemoryStep, ...]
    bytes_per_value: int
    in_place: bool

    @property
    def peak_bytes(self) -> int:
        """The activation memory of the worst moment."""
        return self.peak_step.live_bytes

    @property
    def peak_step(self) -> MemoryStep:
        """The first step at which the peak is reached."""
        return max(self.steps, key=lambda step: step.live_bytes)

    def table_rows(self) -> list[Row]:
        """Return one row a step."""
        return [
            {
                "step": step.name,
                "kind": step.kind,
                "output": "×".join(map(str, step.output_shape)) if step.output_shape else "–",
                "alive": format_bytes(step.live_bytes),
                "of the peak": f"{step.live_bytes / self.peak_bytes:.0%}",
                "held for later": ", ".join(step.held) or "–",
            }
            for step in self.steps
        ]

    def summary(self) -> str:
        """Return the peak, where it is and what makes it, in one sentence."""
        peak = self.peak_step
        held = f" while {', '.join(peak.held)} is held for later" if peak.held else ""
        return (
            f"{self.name} needs {format_bytes(peak.live_bytes)} ({peak.live_bytes:,} bytes) of activation "
            f"memory at {self.bytes_per_value} bytes a value, at the step {peak.name} ({peak.kind}){held}."
        )

    def __str__(self) -> str:
        return f"{text_table(self.table_rows())}\n{self.summary()}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"{html_table(self.table_rows())}<p>{self.summary()}</p>"


def plan_memory(
    model: nn.Module,
    example_inputs: Tensor | Sequence[Tensor],
    *,
    bytes_per_value: int = 4,
    in_place: bool = True,
) -> MemoryPlan:
    """Return the live activation bytes of each step; the model stays as it is.

    Parameters
    ----------
    example_inputs
        The input, or one tensor for each argument. The plan is for exactly these: pass images[:1] for the
        memory of one image.
    bytes_per_value
        Size of an activation: 4 for float32, 1 for int8. Tensors of integers keep their own size.
    in_place
        Whether norms, activations and other element-wise steps write over an input that nothing reads later,
        as they do in deployed runtimes, which fold the norm into the convolution and run the activation with
        it. With False memory is shared only where the model's own code shares it, as PyTorch runs it.

    Raises
    ------
    SettingError
        If ``bytes_per_value`` is not a whole number of at least 1.
    ModelError
        If the model cannot be traced or does not run on the inputs, or the inputs hold nothing.
    """
    if not isinstance(bytes_per_value, int) or bytes_per_value < 1:
        raise SettingError(
            f"bytes_per_value is {bytes_per_value!r}; pass 4 for float32 activations or 1 for int8."
        )
    inputs = (example_inputs,) if isinstance(example_inputs, Tensor) else tuple(example_inputs)
    graph = trace_steps(model, share_tensors=True)
    run = _run(graph, inputs, type(model).__name__)
    _require_memory(inputs, type(model).__name__)
    nodes = [node for node in graph.graph.nodes if node.op not in ("get_attr", "output")]
    overwriting = {node for node in nodes if in_place and _is_elementwise(node)}
    buffers = buffers_of(run, overwriting, bytes_per_value)
    order = {node: position for position, node in enumerate(run)}
    steps = tuple(_step(node, order[node], run, buffers) for node in nodes)
    return MemoryPlan(type(model).__name__, steps, bytes_per_value, in_place)


def _require_memory(inputs: tuple[Tensor, ...], name: str) -> None:
    """Check that the inputs have memory, without which the plan would count 0 bytes."""
    if any(tensor.is_meta for tensor in inputs):
        raise ModelError(
            f"{name} runs on PyTorch's meta device, which gives no memory to any tensor: build the model and "
            "the inputs on the CPU."
        )
    if inputs and not any(tensor.numel() for tensor in inputs):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in inputs)
        raise ModelError(
            f"The example inputs of {name} hold no values (their shapes are {shapes}): pass at least one "
            "input, for example images[:1]."
        )


class _Recorder(fx.Interpreter):
    """Runs a traced model and keeps every result alive, so that each storage has an address of its own."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph, garbage_collect_values=False)
        self.values: dict[fx.Node, tuple[Tensor, ...]] = {}

    def run_node(self, n: fx.Node) -> object:
        result: object = super().run_node(n)
        self.values[n] = tuple(tensors_in(result))
        return result


def _run(graph: fx.GraphModule, inputs: tuple[Tensor, ...], name: str) -> dict[fx.Node, tuple[Tensor, ...]]:
    """Return step → the tensors that it returned."""
    recorder = _Recorder(graph)
    try:
        with torch.no_grad():
            # Copies, since a step in place may write over them.
            recorder.run(*(tensor.detach().clone() for tensor in inputs))
    except Exception as error:  # whatever the model raises on inputs that do not suit it
        first_line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(
            f"{name} could not run on the example inputs ({first_line}): pass inputs for which "
            "model(*example_inputs) works, for example images[:1]."
        ) from error
    return recorder.values


def _is_elementwise(node: fx.Node) -> bool:
    """Return whether each number of the result needs only the numbers at its own place."""
    if node.op == "call_module":
        return calls(node, *SAME_SHAPE)
    return node.op in ("call_function", "call_method") and name_of(node) in ELEMENTWISE


def _step(
    node: fx.Node, position: int, run: dict[fx.Node, tuple[Tensor, ...]], buffers: Iterable[Buffer]
) -> MemoryStep:
    alive = [buffer for buffer in buffers if buffer.first <= position <= buffer.last]
    touched = {*node.all_input_nodes, node}
    held = [buffer for buffer in alive if not touched & set(buffer.values)]
    results = run[node]
    return MemoryStep(
        name=_label(node),
        kind=_kind(node),
        output_shape=tuple(results[0].shape) if len(results) == 1 else None,
        live_bytes=sum(buffer.size_bytes for buffer in alive),
        held=tuple(_label(buffer.holder_at(position)) for buffer in held),
    )


def _label(node: fx.Node) -> str:
    return str(node.target) if node.op == "call_module" and called_once(node) else node.name


def _kind(node: fx.Node) -> str:
    layer = layer_of(node)
    if layer is not None:
        return type(layer).__name__
    return "input" if node.op == "placeholder" else name_of(node) or str(node.target)
