"""How long does it take to find what depends on what in resnet50, and to remove half of the channels?

Timed is everything from the model to the smaller one, without the proof: the dependency graph (tracing,
shapes, labels, groups), and the removal of the first half of every group. Where torch-pruning is installed,
it does the same in turns: its dependency graph, then half of each of its groups. It changes the model that it
is given; the copy that it works on is made before its clock starts, while ours makes a new model inside.
"""

import sys
from collections.abc import Callable
from copy import deepcopy
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from benchmarks.cli import Target, run
from benchmarks.pruning_peers import HOW_TO_GET_IT, has_peer, remove_half
from course_lib.data.torchvision_import import import_torchvision
from course_lib.pruning.structure.dependency import DependencyGraph
from course_lib.pruning.structure.removal import remove

ROUNDS, QUICK_ROUNDS = 15, 3
THREADS = 1


def ours(model: nn.Module, example: Tensor) -> tuple[float, float]:
    """Return the seconds of the dependency graph and of one removal."""
    start = perf_counter()
    graph = DependencyGraph(model, example)
    found = perf_counter()
    remove(graph, {group.name: range(group.channels // 2) for group in graph.groups}, check=False)
    return found - start, perf_counter() - found


def seconds(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    start = perf_counter()
    work()
    return perf_counter() - start


def measure(quick: bool) -> dict[str, Any]:
    """Return the median seconds of both, and their ratio (below 1: faster than torch-pruning)."""
    torch.set_num_threads(THREADS)
    import_torchvision()
    from torchvision.models import resnet50

    return figures(
        resnet50(weights=None).eval(), torch.zeros(1, 3, 224, 224), QUICK_ROUNDS if quick else ROUNDS
    )


def figures(model: nn.Module, example: Tensor, rounds: int) -> dict[str, Any]:
    """Return the figures of one model; both take turns, and a round before the others does not count."""
    graphs, removals, peers = [], [], []
    for _ in tqdm(range(rounds + 1), unit="round", file=sys.stderr):
        graph_s, removal_s = ours(model, example)
        graphs.append(graph_s)
        removals.append(removal_s)
        if has_peer():
            copied = deepcopy(model)
            peers.append(seconds(lambda model=copied: remove_half(model, example)))
    totals = [graph_s + removal_s for graph_s, removal_s in zip(graphs[1:], removals[1:], strict=True)]
    return {
        "resnet50_s": median(totals),
        "graph_s": median(graphs[1:]),
        "removal_s": median(removals[1:]),
        "torch_pruning_s": median(peers[1:]) if peers else None,
        "ratio_to_torch_pruning": median(totals) / median(peers[1:]) if peers else None,
        "fastest_s": min(totals),
        "rounds": rounds,
        "peer": "torch-pruning" if peers else HOW_TO_GET_IT,
        "samples_s": totals,
    }


if __name__ == "__main__":
    run(measure, {"resnet50_s": Target(high=0.25), "ratio_to_torch_pruning": Target(high=1)}, threads=THREADS)
