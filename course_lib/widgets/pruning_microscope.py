"""The pruning microscope: click a layer, see its channels ranked, remove some, and watch what that does."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import traitlets

from course_lib.data import Dataset, load_dataset
from course_lib.explore.microscope import MicroscopeEngine, MicroscopeResult
from course_lib.explore.microscope_choice import ChannelChoice
from course_lib.explore.microscope_scores import IMPORTANCES, SCORING_IMAGES, ChannelScores
from course_lib.explore.model_source import ModelSource
from course_lib.registry import look_up
from course_lib.widgets.microscope_view import network_view, ranking_view, result_view
from course_lib.widgets.model_explorer import DEFAULT_MODEL, ModelExplorer
from course_lib.widgets.page_source import script, style

_ZOO_SCORES: dict[str, ChannelScores] = {}
"""Scored once a kernel, as the engines are made once."""


@dataclass(frozen=True)
class _Job:
    """One position of the controls."""

    generation: int
    model: str
    importance: str
    choice: ChannelChoice


class PruningMicroscope(ModelExplorer[_Job, MicroscopeResult, MicroscopeEngine]):
    """Remove channels of a trained model one by one, and watch accuracy, latency, MACs and size follow.

    Parameters
    ----------
    model
        The model to begin with, as a zoo name or a PyTorch module. An ``.onnx`` file is refused on the page,
        as it does not tell which channels belong together.
    dataset
        Test images of your own, instead of the shipped Fashion-MNIST ones; only this model is then offered.
    training
        The images by which activations and gradients rank channels, of which the first 512 are taken; by
        default the shipped training images, or with a data set of your own the first of its images.

    Examples
    --------
    >>> PruningMicroscope()  # doctest: +SKIP
    >>> PruningMicroscope(my_module, test_images, training_images)  # doctest: +SKIP
    """

    _esm = script("pruning_microscope")
    _css = style("pruning_microscope")
    engine_type = MicroscopeEngine

    importances = traitlets.List([list(pair) for pair in IMPORTANCES.items()]).tag(sync=True)
    network = traitlets.Dict().tag(sync=True)
    ranking = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        model: ModelSource = DEFAULT_MODEL,
        dataset: Dataset | None = None,
        training: Dataset | None = None,
    ) -> None:
        self._own_scores: dict[str, ChannelScores] = {}
        self._training = training or dataset or _shipped_training()
        super().__init__(model, dataset, {"importance": "l1", "removed": {}})

    def _job_of(self, request: Mapping[str, Any]) -> _Job:
        importance = str(request["importance"])
        look_up(IMPORTANCES, "importance", importance)
        removed = dict(request["removed"])
        choice = ChannelChoice.of({str(name): list(channels) for name, channels in removed.items()})
        return _Job(int(request["generation"]), self._checked_model(request), importance, choice)

    def _work(self, job: _Job, superseded: Callable[[], bool]) -> Iterator[MicroscopeResult]:
        engine = self._engine(job.model)
        self._picture(job, engine)
        yield from engine.stream(job.choice, cancelled=superseded)

    def _picture(self, job: _Job, engine: MicroscopeEngine) -> None:
        """Send the network and the ranking where the page does not have them yet."""
        if (self.ranking.get("model"), self.ranking.get("importance")) == (job.model, job.importance):
            return
        self._prepare(f"Ranking the channels: {IMPORTANCES[job.importance]} …")
        scores = self._scores(job.model, engine).by(job.importance)
        with self._lock, self.hold_sync():
            if self.network.get("model") != job.model:
                self.network = network_view(job.model, engine.network)
            self.ranking = ranking_view(job.model, job.importance, scores)

    def _scores(self, name: str, engine: MicroscopeEngine) -> ChannelScores:
        shared = self._sources[name] == name and not self._own_data and self._training is _shipped_training()
        known = _ZOO_SCORES if shared else self._own_scores
        if name not in known:
            known[name] = ChannelScores(engine.channels.dependencies, engine.channels.groups, self._training)
        return known[name]

    def _show(self, job: _Job, result: MicroscopeResult) -> None:
        self.result = self._view(job, result) | {"generation": job.generation}

    def _view(self, job: _Job, result: MicroscopeResult) -> dict[str, Any]:
        return result_view(result, self._engine(job.model).network, self._code_source(job.model))


@cache
def _shipped_training() -> Dataset:
    return load_dataset("fashion-mnist", "train").take(slice(SCORING_IMAGES))
