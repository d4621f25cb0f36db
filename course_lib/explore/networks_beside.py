"""Networks of the zoo beside their teacher: what a small one keeps, and what it saves.

Cards say what each is right on; files are measured in bytes, and latencies in turns.

Worked example: a student of 10,000 parameters that is right on 900 images, beside a teacher of 100,000 that
is right on 950, has a compression of 10 and keeps 0.947 of the teacher's accuracy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from course_lib.architectures import load_card
from course_lib.benchmarking import LatencyComparison
from course_lib.benchmarking.intervals import proportion_interval
from course_lib.benchmarking.number_text import significant
from course_lib.benchmarking.table import MeasuredResult, Row
from course_lib.explore.model_source import onnx_of
from course_lib.explore.pruning_studies import race_files


@dataclass(frozen=True)
class NetworkFacts:
    """What is known of a trained network of the zoo.

    Parameters
    ----------
    params, macs
        Trainable numbers, and multiplications for one picture.
    correct, total
        Test images classified rightly, out of how many.
    size_bytes
        Of its ONNX file.
    """

    params: int
    macs: int
    correct: int
    total: int
    size_bytes: int

    @property
    def accuracy(self) -> float:
        """On the test images, in [0, 1]."""
        return self.correct / self.total


@dataclass(frozen=True, kw_only=True)
class NetworksBeside(MeasuredResult):
    """Networks beside their teacher: accuracy, bytes and the latency of one picture.

    Parameters
    ----------
    teacher
        One of the networks.
    facts
        Network → what its card says.
    race
        All of them in turns, the teacher as baseline.
    """

    teacher: str
    facts: Mapping[str, NetworkFacts]
    race: LatencyComparison
    derived: ClassVar[tuple[str, ...]] = ()

    def compression(self, name: str) -> float:
        """Return how many times fewer parameters a network has than the teacher."""
        return self.facts[self.teacher].params / self.facts[name].params

    def kept(self, name: str) -> float:
        """Return a network's right answers as a part of the teacher's."""
        return self.facts[name].accuracy / self.facts[self.teacher].accuracy

    def faster(self, name: str) -> float:
        """Return how many times faster than the teacher a network answers."""
        return 1 / self.race.ratios[name].value

    def table_rows(self) -> list[Row]:
        return [self._row(name, facts) for name, facts in self.facts.items()]

    def _row(self, name: str, facts: NetworkFacts) -> Row:
        low, high = proportion_interval(facts.correct, facts.total)
        return {
            "network": name,
            "parameters": f"{facts.params:,}",
            "fewer than the teacher": f"{significant(self.compression(name))} times",
            "MACs": f"{facts.macs:,}",
            "accuracy": f"{facts.accuracy:.2%} ({low:.2%} to {high:.2%})",
            "of the teacher's": f"{self.kept(name):.1%}",
            "file": f"{facts.size_bytes / 1000:,.0f} kB",
            "p50 for one picture": f"{significant(self.race.results[name].p50_ms)} ms",
            "faster": f"{significant(self.faster(name))} times",
        }

    def notes(self) -> list[str]:
        total = self.facts[self.teacher].total
        return [f"Accuracy on {total:,} test images, as on the cards of the zoo.", *self.race.notes()]


def networks_beside(
    teacher: str, names: Sequence[str], image: NDArray[np.float32], *, runs: int = 200
) -> NetworksBeside:
    """Read the cards of a teacher and of other networks of the zoo, and time them in turns.

    Raises
    ------
    UnknownNameError
        If a name is not in the zoo.
    """
    every = [teacher, *(name for name in names if name != teacher)]
    cards = {name: load_card(name) for name in every}
    files = {name: onnx_of(name) for name in every}
    race = race_files(files, image, runs=runs)
    facts = {
        name: NetworkFacts(card.params, card.macs, card.correct, card.total, len(files[name]))
        for name, card in cards.items()
    }
    return NetworksBeside(machine=race.machine, teacher=teacher, facts=facts, race=race)
