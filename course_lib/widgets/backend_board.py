"""The backend board: networks × targets × precisions, compiled, compared and timed here, cell by cell."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import traitlets

from course_lib.architectures import list_zoo
from course_lib.errors import ModelError
from course_lib.explore.backend_board import MEASURING, BoardEngine, BoardState
from course_lib.explore.backend_cell import BoardSetting, Cell, CellResult
from course_lib.pipelines.compile_targets import TARGETS
from course_lib.registry import look_up
from course_lib.runtimes.compilation import PRECISIONS, Precision
from course_lib.runtimes.engine_cache import EngineCache
from course_lib.runtimes.protocol import Array, check_threads
from course_lib.widgets.backend_bench import BackendBench
from course_lib.widgets.backend_view import axes_view, board_text, columns_view, key_of, result_view
from course_lib.widgets.live_explorer import LiveExplorer
from course_lib.widgets.page_source import script, style

if TYPE_CHECKING:
    from torch import nn

LOOK_S = 0.02
"""How often a worker that follows the engine looks whether the controls have moved."""

FIRST_MODELS = ("depthwise",)


@dataclass(frozen=True)
class _Job:
    """One position of the controls; ``again`` counts how often a new measurement was asked for."""

    generation: int
    setting: BoardSetting
    selected: str
    again: int


@dataclass(frozen=True)
class _Shown:
    """What is known of the cells, and what compilers tell about some of them."""

    state: BoardState
    told: Mapping[Cell, Sequence[str]]


class BackendBoard(LiveExplorer[_Job, _Shown]):
    """See one network on every target and in every precision: built or why not, parity, size and latency.

    Compiled files come from the engine cache, so that a board opened again builds nothing. Each cell that
    runs here is timed in turns with ONNX Runtime in float32.

    Parameters
    ----------
    models
        Networks to begin with, names of the zoo or of torchvision ("torchvision:resnet18"); by default one
        of the zoo, or those of ``own``.
    own
        PyTorch modules or paths of ONNX files of your own, by the names that the board shows.
    shape, calibration
        For the modules among them, as in `course_lib.pipelines.model_forms.prepare_forms`: (C, H, W) of one
        input, or at least 33 real inputs, (M, C, H, W), float32.
    targets, precisions
        What to begin with; by default all.
    threads
        Of all latencies.
    cache
        Of compiled files; by default the user's.

    Raises
    ------
    UnknownNameError
        If there is no such target or precision.
    SettingError
        If a name is given twice, or ``threads`` is below 1.
    ModelError
        If one of your own networks has the name of another on the board, or is neither a module nor a path.

    Examples
    --------
    >>> BackendBoard()  # doctest: +SKIP
    >>> BackendBoard(own={"mine": my_model}, shape=(1, 28, 28))  # doctest: +SKIP
    """

    _esm = script("backend_board")
    _css = style("backend_board")

    models: traitlets.List[str] = traitlets.List().tag(sync=True)
    targets: traitlets.List[list[str]] = traitlets.List(help="(name, why it is missing)").tag(sync=True)
    precisions: traitlets.List[str] = traitlets.List().tag(sync=True)
    columns: traitlets.List[list[str]] = traitlets.List().tag(sync=True)
    axes: traitlets.List[list[str]] = traitlets.List().tag(sync=True)

    def __init__(
        self,
        models: Sequence[str] | None = None,
        *,
        own: "Mapping[str, nn.Module | str | Path] | None" = None,
        shape: Sequence[int] | None = None,
        calibration: Array | None = None,
        targets: Sequence[str] | None = None,
        precisions: Sequence[Precision] = PRECISIONS,
        threads: int = 1,
        cache: EngineCache | None = None,
    ) -> None:
        check_threads(threads)
        own = dict(own or {})
        first = tuple(models) if models is not None else tuple(own) or FIRST_MODELS
        sources = _sources(first, own)
        setting = BoardSetting(
            models=first,
            targets=tuple(TARGETS) if targets is None else tuple(targets),
            precisions=tuple(precisions),
        )
        for target in setting.targets:
            look_up(TARGETS, "target", target)
        self._bench = BackendBench(sources, shape, calibration, cache or EngineCache(), threads)
        self._engine = BoardEngine(self._bench)
        self._told: dict[Cell, tuple[str, ...]] = {}
        self._again, self._setting = 0, setting
        super().__init__(
            {"generation": 0, **_request_of(setting), "selected": "", "again": 0},
            models=list(sources),
            targets=[[name, make().why_unavailable() or ""] for name, make in TARGETS.items()],
            precisions=list(PRECISIONS),
            columns=columns_view(),
            axes=axes_view(),
        )

    @property
    def results(self) -> tuple[CellResult, ...]:
        """What came of the cells on the board so far."""
        return self._engine.state.done

    def close(self) -> None:
        """Take the board off the page and end its threads after the cell in progress."""
        if hasattr(self, "_engine"):
            self._engine.close()
        super().close()

    def __repr__(self) -> str:  # what a page without widgets shows
        return board_text(self._engine.state, self._setting)

    def _job_of(self, request: Mapping[str, Any]) -> _Job:
        setting = BoardSetting(
            models=tuple(map(str, request["models"])),
            targets=tuple(map(str, request["targets"])),
            precisions=tuple(request["precisions"]),
            sort=str(request["sort"]),
            falling=bool(request["falling"]),
            axis=str(request["axis"]),
            running=bool(request["running"]),
        )
        for model in setting.models:
            look_up(self._bench.sources, "network on the board", model)
        for target in setting.targets:
            look_up(TARGETS, "target", target)
        return _Job(int(request["generation"]), setting, str(request["selected"]), int(request["again"]))

    def _work(self, job: _Job, superseded: Callable[[], bool]) -> Iterator[_Shown]:
        state = self._engine.ask(job.setting.cells, running=job.setting.running)
        if job.again > self._again:
            self._again = job.again
            state = self._engine.measure_again()
        yield _Shown(state, self._told)
        while not superseded():
            if self._ask_compiler(job, state):
                yield _Shown(state, self._told)
            elif state.finished:
                return
            news = self._engine.wait_for_news(state, LOOK_S)
            if news is not state:
                state = news
                yield _Shown(state, self._told)

    def _ask_compiler(self, job: _Job, state: BoardState) -> bool:
        """Let the compiler tell about the selected cell, once it was built and nothing is being measured."""
        cell = next((each for each in job.setting.cells if key_of(each) == job.selected), None)
        result = state.results.get(cell) if cell else None
        if cell is None or cell in self._told or result is None or result.size_bytes is None:
            return False
        if not MEASURING.acquire(blocking=False):
            return False
        try:
            self._told = {**self._told, cell: self._bench.tell(cell)}
        finally:
            MEASURING.release()
        return True

    def _show(self, job: _Job, result: _Shown) -> None:
        self._setting = job.setting
        view = result_view(result.state, job.setting, job.selected, self._bench, result.told)
        self.result = view | {"generation": job.generation}


def _sources(first: Sequence[str], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return every network that the board offers: name → what it is made from."""
    named = {name: name for name in (*(name for name in first if name not in own), *list_zoo())}
    for name, source in own.items():
        if name in named:
            raise ModelError(
                f"There is a network called {name} on the board already; give yours another name."
            )
        if not (isinstance(source, str | Path) and str(source).endswith(".onnx")) and not callable(source):
            raise ModelError(
                f"{name} is {source!r}; pass a PyTorch module or the path of an .onnx file, and networks of "
                "the course by their names in models."
            )
    return {**own, **named}


def _request_of(setting: BoardSetting) -> dict[str, Any]:
    """Return the controls' position as the page sends it."""
    return {
        "models": list(setting.models),
        "targets": list(setting.targets),
        "precisions": list(setting.precisions),
        "sort": setting.sort,
        "falling": setting.falling,
        "axis": setting.axis,
        "running": setting.running,
    }
