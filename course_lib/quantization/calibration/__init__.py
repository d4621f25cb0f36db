"""Calibration: ranges for activations, estimated from a stream of batches in bounded memory."""

from course_lib.quantization.calibration.entropy import EntropyObserver, kl_divergences
from course_lib.quantization.calibration.histogram import StreamingHistogram
from course_lib.quantization.calibration.minmax import MinMaxObserver, MovingAverageObserver
from course_lib.quantization.calibration.mse import MSEObserver, expected_squared_error
from course_lib.quantization.calibration.observers import OBSERVERS, Observer
from course_lib.quantization.calibration.percentile import PercentileObserver

__all__ = [
    "OBSERVERS",
    "EntropyObserver",
    "MSEObserver",
    "MinMaxObserver",
    "MovingAverageObserver",
    "Observer",
    "PercentileObserver",
    "StreamingHistogram",
    "expected_squared_error",
    "kl_divergences",
]
