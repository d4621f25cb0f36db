"""What students touch: notebook widgets that show what the headless engines measure.

Charts need matplotlib, which a dashboard can do without: import them from ``course_lib.widgets.charts``.
"""

from course_lib.widgets.architecture_map import ArchitectureMap
from course_lib.widgets.backend_board import BackendBoard
from course_lib.widgets.block_explorer import BlockExplorer
from course_lib.widgets.calibration_explorer import CalibrationExplorer
from course_lib.widgets.compression_explorer import CompressionExplorer
from course_lib.widgets.fusion_explorer import FusionExplorer
from course_lib.widgets.prediction import Prediction
from course_lib.widgets.pruning_microscope import PruningMicroscope
from course_lib.widgets.quantizer_explorer import QuantizerExplorer
from course_lib.widgets.sensitivity_explorer import SensitivityExplorer
from course_lib.widgets.source import show_source
from course_lib.widgets.temperature_explorer import TemperatureExplorer

__all__ = [
    "ArchitectureMap",
    "BackendBoard",
    "BlockExplorer",
    "CalibrationExplorer",
    "CompressionExplorer",
    "FusionExplorer",
    "Prediction",
    "PruningMicroscope",
    "QuantizerExplorer",
    "SensitivityExplorer",
    "TemperatureExplorer",
    "show_source",
]
