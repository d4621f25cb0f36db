"""What the compression engine knows of one setting: text, charts and tables all read this object."""

from dataclasses import dataclass

from course_lib.benchmarking import Interval
from course_lib.explore.compress import Histogram
from course_lib.explore.estimate import AccuracyEstimate
from course_lib.explore.setting import CompressionSetting


@dataclass(frozen=True)
class MeasuredLatency:
    """Latency of one image on one thread, measured in turns with the uncompressed model.

    ``ratio`` is compressed / uncompressed: below 1 is faster.
    """

    p50_ms: float
    p50_interval_ms: Interval
    dense_p50_ms: float
    ratio: float
    ratio_interval: Interval
    runs: int
    noise_warning: str | None


@dataclass(frozen=True)
class CompressionResult:
    """The state of knowledge about one setting; later results of the same setting know more.

    Parameters
    ----------
    accuracy
        An estimate at first, exact at the end.
    baseline_accuracy
        Of the uncompressed model on the same images.
    class_accuracy
        Exact accuracy of each class, None for a class without images; None until the whole test set is done.
    sparsity
        Fraction of the weights that are zero after pruning and rounding.
    size_bytes, dense_size_bytes
        Stored size of the compressed and of the uncompressed model.
    sqnr_db
        Of all weights together; inf if nothing changed.
    latency
        None until it is measured.
    """

    model: str
    setting: CompressionSetting
    accuracy: AccuracyEstimate
    baseline_accuracy: float
    class_accuracy: tuple[float | None, ...] | None
    sparsity: float
    size_bytes: int
    dense_size_bytes: int
    sqnr_db: float
    histogram: Histogram
    latency: MeasuredLatency | None

    @property
    def latency_note(self) -> str:
        """One sentence that says why the latency is what it is."""
        if self.setting.dense:
            return "This is the uncompressed model, compared with itself."
        if self.setting.sparsity and self.setting.quantized:
            what = "zeros and low-bit weights"
        else:
            what = "zeros" if self.setting.sparsity else "low-bit weights"
        return (
            f"The {what} make the file smaller, not the model faster: the runtime unpacks them to 32-bit "
            "floats and its dense kernels multiply every one, zero or not."
        )
