"""The block explorer: choose a block, move its knobs, and see what it costs by formula and as measured."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import traitlets

from course_lib.architectures.blocks.shape import BlockShape
from course_lib.errors import SettingError
from course_lib.explore.block_result import BlockResult, BlockSetting
from course_lib.registry import look_up
from course_lib.widgets.block_view import KNOBS, blocks_view, change_words, knobs_view, result_view
from course_lib.widgets.live_explorer import LiveExplorer
from course_lib.widgets.page_source import script, style

if TYPE_CHECKING:
    from course_lib.explore.blocks import BlockEngine


FIRST = BlockShape(48, 96, resolution=28)
"""Where the sliders start."""


@dataclass(frozen=True)
class _Job:
    """One position of the controls."""

    generation: int
    setting: BlockSetting


class BlockExplorer(LiveExplorer[_Job, BlockResult]):
    """Move a block's channels, kernel, stride, expansion and groups; see MACs, parameters and latency.

    Parameters
    ----------
    block
        The block to begin with, a name of the catalogue such as "separable" or "mbconv".
    shape
        Where the sliders start.

    Raises
    ------
    UnknownNameError
        If there is no such block.

    Examples
    --------
    >>> BlockExplorer()  # doctest: +SKIP
    >>> BlockExplorer("shuffle_v1", BlockShape(48, 48, resolution=28, groups=3))  # doctest: +SKIP
    """

    _esm = script("block_explorer")
    _css = style("block_explorer")

    blocks: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    knobs: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    start = traitlets.Dict(help="The request that the reset button goes back to.").tag(sync=True)
    fix = traitlets.Dict(help="The nearest shape that a block can have which has refused one.").tag(sync=True)

    def __init__(self, block: str = "separable", shape: BlockShape | None = None) -> None:
        # These need torch, which a page with other explorers does without.
        from course_lib.architectures.blocks.catalogue import BLOCKS
        from course_lib.explore.block_choice import STOPS

        look_up(BLOCKS, "block", block)
        self._engine = _shared_engine()
        shape = shape or FIRST
        start = {"generation": 0, "block": block, **asdict(shape)}
        super().__init__(start, blocks=blocks_view(BLOCKS), knobs=knobs_view(STOPS), start=start)

    def _job_of(self, request: Mapping[str, Any]) -> _Job:
        block = str(request["block"])
        look_up({entry["name"]: entry for entry in self.blocks}, "block", block)
        shape = BlockShape(**{knob: request[knob] for knob in KNOBS})
        return _Job(int(request["generation"]), BlockSetting(block, shape))

    def _work(self, job: _Job, superseded: Callable[[], bool]) -> Iterator[BlockResult]:
        try:
            yield from self._engine.stream(job.setting, superseded)
        except SettingError:
            self._suggest(job)
            raise

    def _show(self, job: _Job, result: BlockResult) -> None:
        self.result = result_view(result, job.setting.shape) | {"generation": job.generation}
        self.fix = {}

    def _suggest(self, job: _Job) -> None:
        from course_lib.explore.block_choice import nearest_shape

        nearest = nearest_shape(job.setting)
        with self._lock:
            self.fix = (
                {"words": change_words(job.setting.shape, nearest), "shape": asdict(nearest)}
                if nearest
                else {}
            )


@lru_cache
def _shared_engine() -> "BlockEngine":
    """Return the engine of all block explorers of a kernel: what was measured once is known to all."""
    from course_lib.explore.blocks import BlockEngine

    return BlockEngine()
