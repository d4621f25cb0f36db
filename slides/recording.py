"""Recorded runs: measured results as JSON, with the date and the machine, and back again.

Results are dataclasses of the library. Each is written with the name of its class, so that reading gives the
same objects, and the slides' figures are drawn by the functions that draw the notebook's.
"""

import json
import math
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from pathlib import Path
from typing import Any

from course_lib.benchmarking import (
    Interval,
    LatencyComparison,
    LatencyResult,
    LayerProfile,
    MachineRecord,
    ModelProfile,
    Ratio,
    ThroughputResult,
)
from course_lib.distillation.trainer import DistillationRecord
from course_lib.edge import Candidate, EdgeLimits, EdgeWeights, MeasuredNetwork
from course_lib.edge.memory_plan import MemoryPlan, MemoryStep
from course_lib.edge.zoo_study import ZooStudy
from course_lib.errors import DataError
from course_lib.explore.architecture_studies import CostRace, Gain
from course_lib.explore.compress import Histogram
from course_lib.explore.distillation_studies import CertaintyBin, GradientStudy
from course_lib.explore.estimate import AccuracyEstimate
from course_lib.explore.networks_beside import NetworkFacts, NetworksBeside
from course_lib.explore.pruning_studies import RemovalRace
from course_lib.explore.result import CompressionResult, MeasuredLatency
from course_lib.explore.setting import CompressionSetting
from course_lib.lowrank.ranks import Choice
from course_lib.pipelines.accuracy_comparison import AccuracyComparison, VersionAccuracy
from course_lib.pipelines.claims import Claim
from course_lib.pipelines.compile_report import CompiledCell, CompileReport
from course_lib.pipelines.distillation_records import RunRecord
from course_lib.pipelines.distillation_result import StudyResult
from course_lib.pipelines.sparsity_pays import SparseTiming, SparsityStudy
from course_lib.pruning.gating_speed import GatingPoint, GatingSpeed
from course_lib.pruning.iterative_state import RoundRecord
from course_lib.pruning.lottery_result import LotteryResult, TicketRecord
from course_lib.pruning.sensitivity import LayerResult
from course_lib.quantization.models.advice import Advice
from course_lib.quantization.models.fisher import FisherScore
from course_lib.quantization.models.sensitivity import LayerSensitivity, SensitivityTable
from course_lib.reproducibility import write_text_atomically
from course_lib.runtimes.session_memory import SessionBytes, SessionMemory
from course_lib.runtimes.timeline import OperatorSum, Timeline, TimelineEvent
from course_lib.training import EpochRecord

FOLDER = Path(__file__).parent / "recorded"

TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (
        *(AccuracyEstimate, Candidate, CompressionResult, CompressionSetting, EdgeLimits, EdgeWeights),
        *(Histogram, Interval, LatencyComparison, LatencyResult, LayerProfile, MachineRecord),
        *(MeasuredLatency, ModelProfile, Ratio, ThroughputResult),
        *(AccuracyComparison, Advice, Claim, VersionAccuracy),
        *(CostRace, Gain, MeasuredNetwork, MemoryPlan, MemoryStep, ZooStudy),
        *(CertaintyBin, DistillationRecord, GradientStudy, NetworkFacts, NetworksBeside, RunRecord),
        *(EpochRecord, FisherScore, LayerSensitivity, SensitivityTable),
        *(Choice, GatingPoint, GatingSpeed, LayerResult, LotteryResult, RemovalRace, RoundRecord),
        *(SparseTiming, SparsityStudy, StudyResult, TicketRecord),
        *(OperatorSum, SessionBytes, SessionMemory, Timeline, TimelineEvent),
        *(CompiledCell, CompileReport),
    )
}


@dataclass(frozen=True)
class Recording:
    """One run of a deck's measurements: when, on which machine, with which seed, and what came out."""

    deck: str
    date: str
    machine: MachineRecord
    results: dict[str, Any]

    @property
    def footnote(self) -> str:
        """The two lines under each figure: date and machine, then the versions that matter and the seed."""
        machine = self.machine
        versions = ", ".join(f"{name} {machine.versions[name]}" for name in ("torch", "onnxruntime"))
        place = f"{machine.cpu}, {machine.logical_cores} cores, {machine.threads} thread"
        return f"Measured {self.date} on {place}\n{versions}; seed {machine.seed}"

    def save(self, folder: Path = FOLDER) -> Path:
        """Write the recording, whole or not at all, and return its path."""
        head = {"deck": self.deck, "date": self.date, "machine": _encode(self.machine)}
        lines = [f"{json.dumps(name)}: {_dump(_encode(value))}" for name, value in self.results.items()]
        body = ",\n".join(lines)
        path = folder / f"{self.deck}.json"
        write_text_atomically(path, f'{json.dumps(head)[:-1]}, "results": {{\n{body}\n}}}}\n')
        return path


def new_recording(deck: str, machine: MachineRecord, results: dict[str, Any]) -> Recording:
    """Return a recording of today."""
    return Recording(deck, date.today().isoformat(), machine, results)


def load_recording(deck: str, folder: Path = FOLDER) -> Recording:
    """Read the recording of a deck.

    Raises
    ------
    DataError
        If there is none, or it does not fit today's classes.
    """
    path = folder / f"{deck}.json"
    again = f"measure again with: python -m slides.record {deck}"
    if not path.exists():
        raise DataError(f"There is no recorded run of {deck}; {again}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        results = {name: _decode(value) for name, value in content["results"].items()}
        return Recording(content["deck"], content["date"], _decode(content["machine"]), results)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"The recorded run {path.name} cannot be read ({error}); {again}") from error


def _dump(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def _encode(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        entries = {field.name: _encode(getattr(value, field.name)) for field in fields(value)}
        return {"type": type(value).__name__, **entries}
    if isinstance(value, dict):
        return {name: _encode(item) for name, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_encode(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return {"type": "float", "text": str(value)}  # strict JSON has no infinity
    return value


def _decode(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_decode(item) for item in value)
    if not isinstance(value, dict):
        return value
    entries = {name: _decode(item) for name, item in value.items() if name != "type"}
    match value.get("type"):
        case None:
            return entries
        case "float":
            return float(entries["text"])
        case kind:
            return TYPES[kind](**entries)
