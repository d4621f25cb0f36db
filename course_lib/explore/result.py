"""What an engine knows of one setting: text, charts and tables all read this object."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from course_lib.benchmarking import Interval
from course_lib.explore.compress import Histogram
from course_lib.explore.estimate import AccuracyEstimate
from course_lib.explore.setting import CompressionSetting


@dataclass(frozen=True)
class MeasuredLatency:
    """Latency of one image on one thread, measured in turns with the unchanged model.

    ``ratio`` is changed / unchanged: below 1 is faster.
    """

    p50_ms: float
    p50_interval_ms: Interval
    dense_p50_ms: float
    ratio: float
    ratio_interval: Interval
    runs: int
    noise_warning: str | None


class Setting(Protocol):
    """One position of an explorer's controls: a frozen dataclass with words for itself."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def dense(self) -> bool:
        """Whether this leaves the model as it is."""

    @property
    def label(self) -> str:
        """The setting in words, for charts and tables."""


SettingT = TypeVar("SettingT", bound=Setting)


@dataclass(frozen=True, kw_only=True)
class MeasuredResult(Generic[SettingT]):
    """The state of knowledge about one setting; later results of the same setting know more.

    Parameters
    ----------
    accuracy
        An estimate at first, exact at the end.
    baseline_accuracy
        Of the unchanged model on the same images.
    class_accuracy
        Exact accuracy of each class, None for a class without images; None until the whole test set is done.
    size_bytes, dense_size_bytes
        Stored size of the changed and of the unchanged model.
    sqnr_db
        Of all weights together; inf if nothing changed.
    latency
        None until it is measured.
    """

    unchanged: ClassVar[str] = "dense model"
    """What the model is called that nothing was done to."""

    model: str
    setting: SettingT
    accuracy: AccuracyEstimate
    baseline_accuracy: float
    class_accuracy: tuple[float | None, ...] | None
    size_bytes: int
    dense_size_bytes: int
    sqnr_db: float
    latency: MeasuredLatency | None

    @property
    def label(self) -> str:
        """What was done to the model, in words."""
        return self.setting.label

    @property
    def counts(self) -> Mapping[str, int | None]:
        """What else was counted, by the name of its column in an export; None for what was not."""
        return {}


@dataclass(frozen=True)
class ChannelsLeft:
    """How much of a model is left without some of its channels.

    Parameters
    ----------
    kept, total
        Channels that can be removed: those that are left, and all.
    macs, dense_macs
        Multiply-accumulates for one image, of the smaller and of the unchanged model.
    """

    kept: int
    total: int
    macs: int
    dense_macs: int


@dataclass(frozen=True, kw_only=True)
class CompressionResult(MeasuredResult[CompressionSetting]):
    """What is known of a model at one position of the compression sliders.

    Parameters
    ----------
    sparsity
        Fraction of the weights that are left which are zero after pruning and rounding.
    histogram
        Of the weights of one layer that are left.
    channels
        What is left after channels were removed; None where none were.
    """

    sparsity: float
    histogram: Histogram
    channels: ChannelsLeft | None = None

    @property
    def counts(self) -> Mapping[str, int | None]:
        """Channels and multiply-accumulates, left and of the whole model; None where none were removed."""
        left = self.channels
        return {
            "channels_left": left.kept if left else None,
            "channels": left.total if left else None,
            "macs": left.macs if left else None,
            "dense_macs": left.dense_macs if left else None,
        }

    @property
    def latency_note(self) -> str:
        """Why the latency is what it is, in a sentence or two."""
        if self.setting.dense:
            return "This is the uncompressed model, compared with itself."
        if self.channels and self.latency and self.latency.ratio_interval.low > 1:
            return (
                "Less to multiply, and yet slower: the runtime's quick kernels work on blocks of 8 or 16 "
                "channels, and layers that do not fill them fall back to slow ones; keep multiples of 8."
            )
        if self.channels:
            return (
                "A removed channel is gone from every tensor, so that there is less to multiply; a zero "
                "stays in its place, where dense kernels multiply it like any other number. Nothing is "
                "trained again here; training after a cut wins accuracy back."
            )
        if self.setting.sparsity and self.setting.quantized:
            what = "zeros and low-bit weights"
        else:
            what = "zeros" if self.setting.sparsity else "low-bit weights"
        return (
            f"The {what} make the file smaller, not the model faster: the runtime unpacks them to 32-bit "
            "floats and its dense kernels multiply every one, zero or not."
        )
