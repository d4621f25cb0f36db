"""What is found out once about a network before it is timed: its cost on paper, layer by layer, and its file.

A zoo network's accuracy, MACs and parameters are on its card. A module of one's own is judged here, on the
test images of Fashion-MNIST. Both are exported to ONNX (`model_source`), which is the file that is timed.
How activation memory is planned is handed in, as the plan lies on the same floor as this file.

Worked example: a network right in 9,234 of 10,000 images has an accuracy of 92.34 %, and its 95 % interval
(Wilson's) reaches from 91.80 to 92.85 %.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from typing import TYPE_CHECKING, Any, Protocol

from course_lib.architectures import load_card, load_pretrained
from course_lib.benchmarking import proportion_interval
from course_lib.data import load_dataset
from course_lib.errors import ModelError
from course_lib.explore.model_source import ZOO_INPUT, ModelSource, onnx_of
from course_lib.explore.scored_model import score_model

if TYPE_CHECKING:
    from torch import Tensor, nn


class PlannedStep(Protocol):
    """A step of a memory plan."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def live_bytes(self) -> int: ...


class Planned(Protocol):
    """A memory plan, as `course_lib.edge.memory_plan` makes it."""

    @property
    def peak_bytes(self) -> int: ...
    @property
    def steps(self) -> Sequence[PlannedStep]: ...


Plan = Callable[["nn.Module", "Tensor"], Planned]


@dataclass(frozen=True)
class CardFigures:
    """Accuracy with its 95 % interval as fractions, over how many images, MACs and parameters."""

    accuracy: float
    accuracy_low: float
    accuracy_high: float
    images: int
    macs: int
    params: int


@dataclass(frozen=True)
class LayerShare:
    """A layer, and how much of a cost falls on it."""

    name: str
    kind: str
    amount: int


@dataclass(frozen=True)
class NetworkSurvey:
    """A network, ready to be timed.

    Parameters
    ----------
    size_bytes
        Of its ONNX file.
    peak_activation_bytes
        Of its float32 activations.
    macs_by_layer
        The layers that compute any, in their order.
    memory_by_step
        What is alive at each step of the memory plan, in bytes.
    content
        The ONNX file.
    """

    name: str
    figures: CardFigures
    size_bytes: int
    peak_activation_bytes: int
    macs_by_layer: tuple[LayerShare, ...]
    memory_by_step: tuple[LayerShare, ...]
    content: bytes

    def record(self, p50_ms: float) -> dict[str, Any]:
        """Return the plain record that `course_lib.edge` chooses from."""
        return {
            "name": self.name,
            "accuracy": self.figures.accuracy,
            "accuracy_low": self.figures.accuracy_low,
            "accuracy_high": self.figures.accuracy_high,
            "macs": self.figures.macs,
            "params": self.figures.params,
            "size_bytes": self.size_bytes,
            "peak_activation_bytes": self.peak_activation_bytes,
            "p50_ms": p50_ms,
        }


def card_figures(name: str) -> CardFigures:
    """Return what the card of a zoo network says.

    Raises
    ------
    UnknownNameError
        If a name is not in the zoo.
    """
    card = load_card(name)
    return CardFigures(
        card.accuracy, card.accuracy_low, card.accuracy_high, card.total, card.macs, card.params
    )


def survey_network(name: str, source: ModelSource, plan: Plan) -> NetworkSurvey:
    """Find out what a network costs, before it is timed.

    Parameters
    ----------
    source
        The name of a zoo network, or a PyTorch module for pictures of (1, 28, 28), which is left as it was.
    plan
        Gives the activation memory of a module for an input.

    Raises
    ------
    UnknownNameError
        If a name is not in the zoo.
    ModelError
        If it is an ONNX file, or the module cannot be run, traced or exported.
    """
    import torch

    from course_lib.benchmarking.macs import profile_layers

    if isinstance(source, PathLike) or (isinstance(source, str) and source.endswith(".onnx")):
        raise ModelError(
            f"{name} is an ONNX file, but layers and memory are counted in PyTorch; pass the module that it "
            "was exported from."
        )
    model = load_pretrained(source) if isinstance(source, str) else source
    example = torch.zeros(1, *ZOO_INPUT)
    profile = profile_layers(model, example)
    figures = card_figures(source) if isinstance(source, str) else _judge(model, name, profile)
    planned = plan(model, example)
    content = onnx_of(source)
    return NetworkSurvey(
        name=name,
        figures=figures,
        size_bytes=len(content),
        peak_activation_bytes=planned.peak_bytes,
        macs_by_layer=tuple(
            LayerShare(each.name, each.kind, each.macs) for each in profile.layers if each.macs
        ),
        memory_by_step=tuple(LayerShare(each.name, each.kind, each.live_bytes) for each in planned.steps),
        content=content,
    )


def _judge(model: "nn.Module", name: str, profile: Any) -> CardFigures:
    """Run a module on the test images."""
    scored = score_model(model, load_dataset("fashion-mnist"), name=name)
    correct, images = round(scored.accuracy * len(scored.dataset)), len(scored.dataset)
    interval = proportion_interval(correct, images)
    return CardFigures(correct / images, interval.low, interval.high, images, profile.macs, profile.params)
