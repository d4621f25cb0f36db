"""Headless engines behind the explorers: a setting in, a stream of measured results out."""

from course_lib.explore.assignment import BitAssignment
from course_lib.explore.bit_plan import programme_bits, rule_bits
from course_lib.explore.calibration import CalibrationEngine
from course_lib.explore.calibration_result import CalibrationResult, CalibrationSetting
from course_lib.explore.compression import CompressionEngine
from course_lib.explore.layer_sensitivity import SensitivityMap, SensitivityMeasurement
from course_lib.explore.microscope import MicroscopeEngine, MicroscopeResult
from course_lib.explore.microscope_choice import ChannelChoice
from course_lib.explore.quantizer import QuantizerResult, QuantizerSetting, study_quantizer
from course_lib.explore.result import CompressionResult
from course_lib.explore.scored_model import ScoredModel, score_model
from course_lib.explore.sensitivity import SensitivityEngine, SensitivityResult
from course_lib.explore.setting import CompressionSetting
from course_lib.explore.temperature import TemperatureResult, TemperatureSetting, study_temperature

__all__ = [
    "BitAssignment",
    "CalibrationEngine",
    "CalibrationResult",
    "CalibrationSetting",
    "ChannelChoice",
    "CompressionEngine",
    "CompressionResult",
    "CompressionSetting",
    "MicroscopeEngine",
    "MicroscopeResult",
    "QuantizerResult",
    "QuantizerSetting",
    "ScoredModel",
    "SensitivityEngine",
    "SensitivityMap",
    "SensitivityMeasurement",
    "SensitivityResult",
    "TemperatureResult",
    "TemperatureSetting",
    "programme_bits",
    "rule_bits",
    "score_model",
    "study_quantizer",
    "study_temperature",
]
