"""Measurement: latency, comparisons, throughput, memory, size and energy, each with its spread and machine.

A measurement takes a callable, keeps every sample, says when they are too noisy to trust, and prints itself
as a table. Counting MACs and parameters needs torch and is imported by its own name:
``from course_lib.benchmarking.macs import profile_layers``.
"""

from course_lib.benchmarking.compare import LatencyComparison, Ratio, compare_latency
from course_lib.benchmarking.energy import EnergyResult, measure_energy
from course_lib.benchmarking.intervals import Interval, median_interval, proportion_interval, ratio_interval
from course_lib.benchmarking.latency import LatencyResult, measure_latency
from course_lib.benchmarking.layer_profile import LayerProfile, ModelProfile
from course_lib.benchmarking.machine import MachineRecord, record_machine
from course_lib.benchmarking.memory import PeakMemoryResult, measure_peak_memory
from course_lib.benchmarking.number_text import format_bytes
from course_lib.benchmarking.size import SizeResult, measure_size
from course_lib.benchmarking.throughput import ThroughputResult, measure_throughput

__all__ = [
    "EnergyResult",
    "Interval",
    "LatencyComparison",
    "LatencyResult",
    "LayerProfile",
    "MachineRecord",
    "ModelProfile",
    "PeakMemoryResult",
    "Ratio",
    "SizeResult",
    "ThroughputResult",
    "compare_latency",
    "format_bytes",
    "measure_energy",
    "measure_latency",
    "measure_peak_memory",
    "measure_size",
    "measure_throughput",
    "median_interval",
    "proportion_interval",
    "ratio_interval",
    "record_machine",
]
