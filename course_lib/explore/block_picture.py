"""The picture of a block, drawn from its traced steps: boxes in columns, ways that pass outside of them.

A norm or an activation is noted at the box that it follows, as the runtime folds it there too. The three
steps of a channel shuffle are one box. A box's column is the longest way to it from the input; boxes on the
longest way through the block lie in lane 0, a branch beside them in the next lane. A way that skips columns
of its own lane passes outside, and outside of every such way that lies within it.

Worked example: input → 3×3 depthwise → 1×1 → + with the input added is four columns in lane 0, three edges
between neighbours, and one edge of level 1 from the first to the last.
"""

from dataclasses import dataclass, field
from typing import Any

from course_lib.explore.block_result import BlockPicture, DrawnEdge, DrawnLayer
from course_lib.explore.block_trace import INPUT, BlockTrace, TraceStep

AFTER = {
    "BatchNorm2d": "BN",
    "ReLU": "ReLU",
    "ReLU6": "ReLU6",
    "Hardswish": "h-swish",
    "Hardsigmoid": "h-sigmoid",
    "Sigmoid": "sigmoid",
    "SiLU": "SiLU",
    "getitem": "first channels",
}
OTHER = {
    "AdaptiveAvgPool2d": ("avg", "to one pixel"),
    "add": ("+", "added"),
    "mul": ("×", "scaled"),
    "cat": ("‖", "concat"),
    "chunk": ("split", "in halves"),
}
JOINS = ("add", "mul", "cat")
SHUFFLE = ("view", "transpose", "reshape")


@dataclass
class _Box:
    """A box while the picture is made; ``after`` collects what follows it."""

    name: str
    kind: str
    title: str
    detail: str
    shape: tuple[int, ...]
    inputs: list[str]
    path: str = ""
    macs: int = 0
    after: list[str] = field(default_factory=list)
    column: int = 0
    lane: int = 0


def draw_block(trace: BlockTrace) -> BlockPicture:
    """Return the layers of a traced block with the places where they are drawn."""
    boxes = _boxes(trace)
    _place(boxes)
    _put_in_lanes(boxes)
    layers = tuple(
        DrawnLayer(
            name=box.name,
            kind=box.kind,
            title=box.title,
            detail=box.detail,
            after=", ".join(box.after),
            channels=box.shape[1],
            side=box.shape[-1],
            path=box.path,
            macs=box.macs,
            column=box.column,
            lane=box.lane,
        )
        for box in boxes.values()
    )
    return BlockPicture(layers, _edges(boxes))


def _boxes(trace: BlockTrace) -> dict[str, _Box]:
    """Return name → box in the order of the steps; each starts with the name of its own tensor."""
    boxes = {INPUT: _Box(INPUT, "input", "in", f"{_size(trace.input_shape)} pixels", trace.input_shape, [])}
    holder = {INPUT: INPUT}  # tensor → the box that it comes out of
    for step in trace.steps:
        before = list(dict.fromkeys(holder[name] for name in step.inputs))
        if step.kind in AFTER:
            box = boxes[before[0]]
            box.after.append(AFTER[step.kind])
            box.shape = step.shapes[0]
        elif step.kind in SHUFFLE[1:]:
            box = boxes[before[0]]
            box.shape = step.shapes[0]
        else:
            box = _box(step, before)
            boxes[box.name] = box
        for name in step.outputs:
            holder[name] = box.name
    return boxes


def _box(step: TraceStep, before: list[str]) -> _Box:
    name, shape = step.outputs[0], step.shapes[0]
    layer: Any = step.layer
    if step.kind == "Conv2d":
        kind, words = _convolution(layer)
        stride = "stride 2" if max(layer.stride) > 1 else ""
        title = "×".join(map(str, layer.kernel_size))
        macs = shape[2] * shape[3] * layer.weight.numel()
        detail = ", ".join(filter(None, (words, stride)))
        return _Box(name, kind, title, detail, shape, before, step.path, macs)
    if step.kind == "AvgPool2d":
        words = f"of {layer.kernel_size}×{layer.kernel_size}, stride {layer.stride}"
        return _Box(name, "other", "avg", words, shape, before)
    if step.kind == "view":
        return _Box(name, "other", "shuffle", "", (1, shape[1] * shape[2], *shape[3:]), before)
    title, detail = OTHER.get(step.kind, (step.kind, ""))
    return _Box(name, "join" if step.kind in JOINS else "other", title, detail, shape, before)


def _convolution(layer: Any) -> tuple[str, str]:
    """Return the kind of a convolution and words for it."""
    if layer.groups > 1 and layer.groups == layer.in_channels:
        return "depthwise", "depthwise"
    if layer.groups > 1:
        return "grouped", f"{layer.groups} groups"
    return ("pointwise", "") if layer.kernel_size == (1, 1) else ("conv", "")


def _place(boxes: dict[str, _Box]) -> None:
    for box in boxes.values():
        box.column = max((boxes[name].column + 1 for name in box.inputs), default=0)


def _put_in_lanes(boxes: dict[str, _Box]) -> None:
    """Put the longest way into lane 0, and each chain beside it into the lane after those of its columns."""
    last = max(boxes.values(), key=lambda box: box.column)
    main = {last.name}
    while last.inputs:
        last = max((boxes[name] for name in last.inputs), key=lambda box: box.column)
        main.add(last.name)
    taken = {(boxes[name].column, 0) for name in main}
    for box in boxes.values():
        if box.name in main:
            continue
        lane = max([1, *(boxes[name].lane for name in box.inputs)])
        while (box.column, lane) in taken:
            lane += 1
        box.lane = lane
        taken.add((box.column, lane))


def _edges(boxes: dict[str, _Box]) -> tuple[DrawnEdge, ...]:
    pairs = [(boxes[start], box) for box in boxes.values() for start in box.inputs]
    pairs.sort(key=lambda pair: pair[1].column - pair[0].column)
    levels: list[tuple[int, int, int, int]] = []  # lane, from, to, level of the ways that pass outside
    edges = []
    for start, end in pairs:
        level = 0
        if start.lane == end.lane and end.column - start.column > 1:
            within = [
                under
                for lane, first, last, under in levels
                if lane == start.lane and first < end.column and start.column < last
            ]
            level = 1 + max(within, default=0)
            levels.append((start.lane, start.column, end.column, level))
        edges.append(DrawnEdge(start.name, end.name, level))
    return tuple(edges)


def _size(shape: tuple[int, ...]) -> str:
    return f"{shape[2]}×{shape[3]}"
