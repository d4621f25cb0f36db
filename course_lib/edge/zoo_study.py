"""Trained networks beside each other: accuracy, MACs, parameters, memory, and latency measured in turns.

Accuracies and their intervals come from the networks' cards, where they stand for the whole test set; MACs,
parameters and the peak of the activations are counted here; latencies are measured here, all networks in
turns, one picture on one thread.

Worked example: three networks with 1, 2 and 4 million MACs that take 50, 40 and 80 µs make three pairs. In
two of them the network with fewer MACs is the faster one, so MACs order 67 % of the pairs as latency does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray

from course_lib.architectures import input_shape, load_card, load_pretrained
from course_lib.benchmarking import LatencyComparison, compare_latency, format_bytes
from course_lib.benchmarking.macs import profile_layers
from course_lib.benchmarking.number_text import significant
from course_lib.benchmarking.table import MeasuredResult, Row
from course_lib.edge.measured import MeasuredNetwork
from course_lib.edge.memory_plan import plan_memory
from course_lib.errors import SettingError
from course_lib.runtimes import get_runtime

BASELINE = "depthwise"


@dataclass(frozen=True, kw_only=True)
class ZooStudy(MeasuredResult):
    """Networks with what is known of each, and the race that their latencies come from."""

    networks: tuple[MeasuredNetwork, ...]
    race: LatencyComparison

    def table_rows(self) -> list[Row]:
        return [self._row(network) for network in self.networks]

    def _row(self, network: MeasuredNetwork) -> Row:
        ratio = self.race.ratios[network.name]
        low, high = ratio.interval
        between = "" if network.name == self.race.baseline else f" ({low:.2f} to {high:.2f})"
        return {
            "network": network.name,
            "accuracy": network.accuracy_text,
            "MACs": f"{network.macs:,}",
            "parameters": f"{network.params:,}",
            "p50 µs": significant(1000 * network.p50_ms),
            f"latency / {self.race.baseline}": f"{ratio.value:.2f}{between}",
            "activation memory": format_bytes(network.peak_activation_bytes),
            "file": format_bytes(network.size_bytes),
        }

    def of_size(self, low: int, high: int) -> "ZooStudy":
        """Return the study of the networks with ``low`` to ``high`` parameters, both included.

        Raises
        ------
        SettingError
            If there is none.
        """
        kept = tuple(network for network in self.networks if low <= network.params <= high)
        if not kept:
            sizes = ", ".join(f"{network.name} {network.params:,}" for network in self.networks)
            raise SettingError(f"No network has {low:,} to {high:,} parameters; these have: {sizes}.")
        return replace(self, networks=kept)

    def ordered_alike(self, cost: str = "macs") -> float:
        """Return in which fraction of the pairs the network with less ``cost`` is the faster one.

        Pairs of equal cost do not count. 0.5 is what a coin would reach.

        Parameters
        ----------
        cost
            A field of `MeasuredNetwork`, such as "macs", "params" or "peak_activation_bytes".

        Raises
        ------
        SettingError
            If all networks cost the same, so that there is no pair.
        """
        pairs: list[tuple[float, float]] = [
            (getattr(a, cost) - getattr(b, cost), a.p50_ms - b.p50_ms)
            for a, b in combinations(self.networks, 2)
            if getattr(a, cost) != getattr(b, cost)
        ]
        if not pairs:
            raise SettingError(f"All networks have the same {cost}; compare at least two different ones.")
        return sum(more_cost * more_time > 0 for more_cost, more_time in pairs) / len(pairs)


def study_networks(
    files: Mapping[str, bytes],
    image: NDArray[np.float32],
    *,
    baseline: str = BASELINE,
    runs: int = 200,
) -> ZooStudy:
    """Compare networks of the zoo.

    Parameters
    ----------
    files
        Name in the zoo → its ONNX file.
    image
        (1, C, H, W), what every network is timed on.
    baseline
        The network that latencies are divided by.

    Raises
    ------
    UnknownNameError
        If a name is not in the zoo, or the baseline not among the files.
    """
    runtime = get_runtime("onnxruntime")
    calls = {name: partial(runtime.load(file).run, image) for name, file in files.items()}
    race = compare_latency(calls, baseline=baseline, runs=runs)
    networks = [_known(name, len(file), race.results[name].p50_ms) for name, file in files.items()]
    return ZooStudy(machine=race.machine, networks=tuple(networks), race=race)


def _known(name: str, size_bytes: int, p50_ms: float) -> MeasuredNetwork:
    card, model = load_card(name), load_pretrained(name)
    example = torch.zeros(1, *input_shape(name))
    profile = profile_layers(model, example)
    return MeasuredNetwork(
        name=name,
        accuracy=card.accuracy,
        accuracy_low=card.accuracy_low,
        accuracy_high=card.accuracy_high,
        macs=profile.macs,
        params=profile.params,
        size_bytes=size_bytes,
        p50_ms=p50_ms,
        peak_activation_bytes=plan_memory(model, example).peak_bytes,
    )
