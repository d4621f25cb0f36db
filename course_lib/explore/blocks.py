"""The engine behind the block explorer: a block and its shape in, MACs, parameters and measured latency out.

The first result takes milliseconds: MACs and parameters come from the block's formulas, and the picture from
a trace without numbers. The second one has the latency, measured in ONNX Runtime in turns with a standard
convolution of the same channels, and remembered.

Worked example: a separable block from 8 to 16 channels on 10×10 pixels has 20,000 MACs, the standard
convolution 115,200: 0.174 times as many. What of that arrives as time is measured.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache

from course_lib.architectures.blocks.catalogue import BLOCKS, BlockShape
from course_lib.architectures.blocks.layers import output_side, round_channels
from course_lib.architectures.blocks.micro_factorized import adaptive_groups
from course_lib.benchmarking.machine import record_machine
from course_lib.explore.block_choice import obeyed, standard_of
from course_lib.explore.block_latency import measure_block
from course_lib.explore.block_picture import draw_block
from course_lib.explore.block_result import BlockLatency, BlockPicture, BlockResult, BlockSetting
from course_lib.explore.block_trace import trace_block
from course_lib.explore.cancelling import Cancelled, cancelled_meanwhile
from course_lib.explore.latex import Formula, compute, read_formula

Measure = Callable[[str, BlockShape, BlockShape, Callable[[], bool]], BlockLatency]


class BlockEngine:
    """Costs of the catalogue's blocks, by formula and measured; latencies are remembered by shape.

    Parameters
    ----------
    measure
        What measures a latency.

    Examples
    --------
    >>> engine = BlockEngine()
    >>> first, last = engine.stream(BlockSetting("separable", BlockShape(8, 16, resolution=10)))
    >>> first.macs
    20000
    """

    def __init__(self, measure: Measure = measure_block) -> None:
        self._measure = measure
        self._measured: dict[BlockSetting, BlockLatency] = {}
        # The first look at the machine takes a second; no slider should wait for it.
        record_machine(threads=1)

    def stream(
        self, setting: BlockSetting, cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[BlockResult]:
        """Yield what the formulas say of a setting, then the same with the measured latency.

        A shape that was measured before yields one result.

        Parameters
        ----------
        cancelled
            Asked before every run of the measurement; once it says True, the stream ends.

        Raises
        ------
        UnknownNameError
            If there is no such block.
        SettingError
            If the block cannot have this shape, in one sentence that says why.
        """
        result = cost_block(setting)
        known = self._measured.get(result.setting)
        yield replace(result, latency=known)
        if known or cancelled_meanwhile(cancelled):
            return
        try:
            latency = self._measure(setting.block, result.setting.shape, result.standard, cancelled)
        except Cancelled:
            return
        self._measured[result.setting] = latency
        yield replace(result, latency=latency)

    def measured(self, setting: BlockSetting) -> BlockResult:
        """Return the last result of the stream, with the latency."""
        *_, last = self.stream(setting)
        return last


def cost_block(setting: BlockSetting) -> BlockResult:
    """Return what is known of a block without running it; exceptions as for `BlockEngine.stream`."""
    name, shape = setting.block, obeyed(setting.block, setting.shape)
    kind, standard = BLOCKS[name], standard_of(name, shape)
    reference = BLOCKS["standard"]
    formula = _formula(kind.formula)
    macs = kind.macs(shape)  # first, because this refuses a shape in one sentence
    return BlockResult(
        setting=BlockSetting(name, shape),
        title=kind.title,
        source=kind.source,
        picture=_picture(name, shape),
        formula=formula,
        values=compute(formula, _known(formula, shape), {"round_8": round_channels}),
        macs=macs,
        params=kind.params(shape),
        standard=standard,
        standard_macs=reference.macs(standard),
        standard_params=reference.params(standard),
    )


@lru_cache(maxsize=512)
def _picture(name: str, shape: BlockShape) -> BlockPicture:
    return draw_block(trace_block(name, shape))


@lru_cache
def _formula(latex: str) -> Formula:
    return read_formula(latex)


def _known(formula: Formula, shape: BlockShape) -> dict[str, int]:
    """Return the value of every symbol that is not defined in a formula."""
    side = output_side(shape.resolution, shape.stride)
    known = {
        "K": shape.kernel,
        "C_in": shape.in_channels,
        "C_out": shape.out_channels,
        "H": shape.resolution,
        "W": shape.resolution,
        "H'": side,
        "W'": side,
        "s": shape.stride,
        "t": shape.expansion,
        "g": shape.groups,
        "shape changes": int(shape.stride > 1 or shape.in_channels != shape.out_channels),
    }
    if "G_1" in formula.found:
        # Micro-factorized 1×1: groups near the root of the hidden channels, where they divide everything.
        inside = replace(formula, main=formula.definitions["M"])
        values = compute(inside, known, {})
        hidden, wide = int(values["M"]), int(values["E"])
        known["G_1"] = adaptive_groups(hidden, wide)
        known["G_2"] = adaptive_groups(hidden, shape.out_channels)
    return known
