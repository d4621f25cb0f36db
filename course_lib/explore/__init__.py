"""Headless engines behind the explorers: a setting in, a stream of measured results out."""

from course_lib.explore.compression import CompressionEngine
from course_lib.explore.quantizer import QuantizerResult, QuantizerSetting, study_quantizer
from course_lib.explore.result import CompressionResult
from course_lib.explore.setting import CompressionSetting

__all__ = [
    "CompressionEngine",
    "CompressionResult",
    "CompressionSetting",
    "QuantizerResult",
    "QuantizerSetting",
    "study_quantizer",
]
