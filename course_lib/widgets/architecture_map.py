"""The architecture map: accuracy against cost, budget lines to drag, and who fits, live on this machine."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from os import PathLike
from typing import TYPE_CHECKING, Any, Literal

import traitlets

from course_lib.architectures import list_zoo
from course_lib.edge.architecture_map import AXES, HERE, MapResult, MapSetting, weigh
from course_lib.edge.limits import DeviceLimits
from course_lib.edge.measured import MeasuredNetwork, network_of
from course_lib.errors import ModelError, SettingError
from course_lib.explore.architecture_map import MapEngine, MapState
from course_lib.registry import look_up
from course_lib.widgets.architecture_view import axes_view, devices_view, map_text, result_view
from course_lib.widgets.live_explorer import LiveExplorer
from course_lib.widgets.page_source import script, style

if TYPE_CHECKING:
    from torch import nn

    from course_lib.explore.network_survey import Planned

LOOK_S = 0.01
"""How often a worker that follows the measurement looks whether the controls have moved."""

NOT_ON_THE_MAP = ("energy_mj", "power_w")


@dataclass(frozen=True)
class _Job:
    """One position of the controls; ``again`` counts how often a new measurement was asked for."""

    generation: int
    setting: MapSetting
    selected: str
    again: int


@dataclass(frozen=True)
class _Shown:
    """What is known of the networks, and which of them fit."""

    state: MapState
    result: MapResult


class ArchitectureMap(LiveExplorer[_Job, _Shown]):
    """See accuracy against cost of all trained networks, and drag the budget that chooses among them.

    Parameters
    ----------
    own
        PyTorch modules of your own for pictures of (1, 28, 28), by the names that the map shows; they are
        judged on the test images and timed beside the zoo's networks.
    axis
        The cost to begin with: "latency", "macs", "params", "memory" or "storage".
    limits
        Where the budget lines start; by default there is no limit.
    device
        One of `course_lib.edge.architecture_map.DEVICES`, by default this machine.
    prefer
        What ranks the networks that fit: "accuracy" or "cost".

    Raises
    ------
    UnknownNameError
        If there is no such axis or device.
    SettingError
        If a limit is on what the map does not measure, or ``prefer`` is another word.
    ModelError
        If one of your own networks is not a PyTorch module, or has a name of the zoo.

    Examples
    --------
    >>> ArchitectureMap()  # doctest: +SKIP
    >>> ArchitectureMap({"mine": my_model}, limits=DeviceLimits(accuracy=0.9))  # doctest: +SKIP
    """

    _esm = script("architecture_map")
    _css = style("architecture_map")

    axes: traitlets.List[list[str]] = traitlets.List().tag(sync=True)
    devices: traitlets.List[list[str]] = traitlets.List().tag(sync=True)
    start = traitlets.Dict(help="The request that the reset button goes back to.").tag(sync=True)

    def __init__(
        self,
        own: "Mapping[str, nn.Module] | None" = None,
        *,
        axis: str = "latency",
        limits: DeviceLimits | None = None,
        device: str = HERE,
        prefer: Literal["accuracy", "cost"] = "accuracy",
    ) -> None:
        limits = limits or DeviceLimits()
        for name in NOT_ON_THE_MAP:
            if getattr(limits, name) < math.inf:
                raise SettingError(
                    f"The map does not measure {name}; leave it out, or choose by it with "
                    "course_lib.edge.shortlist."
                )
        setting = MapSetting(axis=axis, limits=limits, device=device, prefer=prefer)
        own = dict(own or {})
        _check_own(own)
        self._engine = MapEngine({**_zoo(), **own}, _plan) if own else _shared_engine()
        self._is_own, self._again = bool(own), 0
        self._shown: MapResult | None = None
        start = {"generation": 0, **_request_of(setting), "selected": "", "again": 0}
        super().__init__(start, axes=axes_view(), devices=devices_view(), start=start)

    @property
    def networks(self) -> tuple[MeasuredNetwork, ...]:
        """The networks that are measured so far, with the latencies of the last lap."""
        return tuple(map(network_of, self._engine.state.records()))

    def close(self) -> None:
        """Take the map off the page and end its threads; other maps go on."""
        if getattr(self, "_is_own", False):
            self._engine.close()
        super().close()

    def __repr__(self) -> str:  # what a page without widgets shows
        return map_text(self._engine.state, self._shown)

    def _job_of(self, request: Mapping[str, Any]) -> _Job:
        limits = {
            axis.limit: math.inf if request["limits"][name] is None else float(request["limits"][name])
            for name, axis in AXES.items()
        }
        setting = MapSetting(
            axis=str(request["axis"]),
            limits=DeviceLimits(**limits, accuracy=float(request["accuracy"])),
            device=str(request["device"]),
            prefer=request["prefer"],
        )
        selected = str(request["selected"])
        if selected:
            look_up(dict.fromkeys(self._engine.state.names), "network", selected)
        return _Job(int(request["generation"]), setting, selected, int(request["again"]))

    def _work(self, job: _Job, superseded: Callable[[], bool]) -> Iterator[_Shown]:
        if job.again > self._again:
            self._again = job.again
            self._engine.measure_again()
        state = self._engine.state
        yield self._weighed(state, job)
        while not (state.finished or superseded()):
            news = self._engine.wait_for_news(state, LOOK_S)
            if news is not state:
                state = news
                yield self._weighed(state, job)

    def _weighed(self, state: MapState, job: _Job) -> _Shown:
        return _Shown(state, weigh(list(map(network_of, state.records())), job.setting))

    def _show(self, job: _Job, result: _Shown) -> None:
        self._shown = result.result
        view = result_view(result.state, result.result, job.selected)
        self.result = view | {"generation": job.generation}


def _request_of(setting: MapSetting) -> dict[str, Any]:
    """Return the controls' position as the page sends it; None is a limit that is not set."""
    limits = {name: getattr(setting.limits, axis.limit) for name, axis in AXES.items()}
    return {
        "axis": setting.axis,
        "device": setting.device,
        "prefer": setting.prefer,
        "limits": {name: None if limit == math.inf else limit for name, limit in limits.items()},
        "accuracy": setting.limits.accuracy,
    }


def _check_own(own: Mapping[str, Any]) -> None:
    for name, source in own.items():
        if name in list_zoo():
            raise ModelError(f"The zoo has a network called {name} already; give yours another name.")
        if isinstance(source, str | PathLike) or not callable(source):
            raise ModelError(
                f"{name} is of type {type(source).__name__}; pass a PyTorch module, whose layers and memory "
                "can be counted."
            )


def _zoo() -> dict[str, Any]:
    return {name: name for name in list_zoo()}


def _plan(model: "nn.Module", example: Any) -> "Planned":
    # torch takes seconds to import, which the first picture does not wait for.
    from course_lib.edge.memory_plan import plan_memory

    return plan_memory(model, example)


@lru_cache
def _shared_engine() -> MapEngine:
    """Return the engine of all maps of a kernel: what was measured once is known to all."""
    return MapEngine(_zoo(), _plan)
