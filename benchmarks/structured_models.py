"""Which networks can channels be removed from, and is what remains right?

From 13 networks of torchvision and all of the course's own for 28×28 pictures, random channels of every group
are removed: 25 %, then 50 %. A network is proved if the smaller model returns what the old one returns with
these channels masked, on an input that the library's own proof has not seen; "refused" gives the library's
reason, and "wrong" counts those that the library accepted and this script does not. Weights are random. Batch
norms, scales and zero-initialized heads get numbers at random as well, so that no path is dead and every
channel counts.

Where torch-pruning is installed it removes the same channels; its groups, parameters and MACs are compared.
"""

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from benchmarks.cli import Target, run
from benchmarks.pruning_peers import HOW_TO_GET_IT, difference, has_peer
from course_lib.architectures import create_model, list_models
from course_lib.data.torchvision_import import import_torchvision
from course_lib.errors import CourseError
from course_lib.pruning.structure.dependency import DependencyGraph
from course_lib.pruning.structure.proof import TOLERANCE, compare, prove
from course_lib.pruning.structure.removal import remove

TORCHVISION: dict[str, dict[str, Any]] = {
    "resnet18": {},
    "resnet50": {},
    "vgg11_bn": {},
    "mobilenet_v2": {},
    "mobilenet_v3_small": {},
    "shufflenet_v2_x1_0": {},
    "squeezenet1_1": {},
    "efficientnet_b0": {},
    "densenet121": {},
    "googlenet": {"init_weights": False, "aux_logits": False},
    "regnet_x_400mf": {},
    "convnext_tiny": {},
    "vit_b_16": {"image_size": 64},
}
"""Name → settings; all take pictures of 3×64×64."""

RATIOS = (0.25, 0.5)
THREADS = 1


def models() -> dict[str, tuple[Callable[[], nn.Module], Tensor]]:
    """Return name → (what builds the network, an example input); ``_28`` is ours where both have the name."""
    import_torchvision()
    from torchvision.models import get_model

    big, small = torch.zeros(1, 3, 64, 64), torch.zeros(1, 1, 28, 28)
    found: dict[str, tuple[Callable[[], nn.Module], Tensor]] = {
        name: (lambda name=name, settings=settings: get_model(name, weights=None, **settings), big)
        for name, settings in TORCHVISION.items()
    }
    ours = {name: f"{name}_28" if name in found else name for name in list_models((1, 28, 28))}
    return found | {key: (lambda name=name: create_model(name), small) for name, key in ours.items()}


def enliven(model: nn.Module, seed: int = 0) -> nn.Module:
    """Give numbers at random to whatever is constant after initialization, in place; return the model."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if (
                tensor.is_floating_point()
                and tensor.numel() > 1
                and bool((tensor == tensor.flatten()[0]).all())
            ):
                scale = name.endswith(("weight", "running_var", "layer_scale")) and tensor.squeeze().ndim == 1
                numbers = torch.rand(tensor.shape, generator=generator)
                tensor.copy_(0.5 + numbers if scale else 0.2 * (numbers - 0.5))
    return model.eval()


def chosen_at_random(graph: DependencyGraph, ratio: float, seed: int) -> dict[str, list[int]]:
    """Return group name → channels, the ratio of each group rounded down; at least one remains."""
    generator = torch.Generator().manual_seed(seed)
    return {
        group.name: torch.randperm(group.channels, generator=generator)[
            : int(ratio * group.channels)
        ].tolist()
        for group in graph.groups
    }


def model_figures(model: nn.Module, example: Tensor, ratios: tuple[float, ...]) -> dict[str, Any]:
    """Return status, reason, and the largest relative difference of one network."""
    unseen = torch.randn(2, *example.shape[1:], generator=torch.Generator().manual_seed(99))
    figures: dict[str, Any] = {"status": "proved", "max_rel_diff": 0.0}
    try:
        graph = DependencyGraph(model, example)
        if not graph.groups:
            return {"status": "refused", "reason": "no group of channels can be removed"}
        for ratio in ratios:
            chosen = chosen_at_random(graph, ratio, seed=int(100 * ratio))
            pruned = remove(graph, chosen)
            with torch.no_grad():
                traced = compare([model(unseen)], [graph.graph(unseen)])
            proof = prove(graph, chosen, pruned, unseen)
            worst = max(traced.max_rel_diff, proof.max_rel_diff)
            figures["max_rel_diff"] = max(figures["max_rel_diff"], worst)
            if not worst <= TOLERANCE:
                return {**figures, "status": "wrong", "reason": f"differs by {worst:.2g} at {ratio:.0%}"}
    except CourseError as error:
        return {"status": "refused", "reason": str(error)}
    figures["groups"] = len(graph.groups)
    figures["channels"] = sum(group.channels for group in graph.groups)
    figures["params_kept"] = _params(pruned) / _params(graph.graph)
    if has_peer():
        figures["differs_from_torch_pruning"] = difference(model, example, graph, chosen, pruned)
    return figures


def measure(quick: bool) -> dict[str, Any]:
    """Return the counts, and the figures of each network; the quick run removes only the larger part."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    figures = {
        name: model_figures(enliven(build()), example, RATIOS[1:] if quick else RATIOS)
        for name, (build, example) in tqdm(models().items(), unit="network", file=sys.stderr)
    }
    return summary(figures)


def summary(figures: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the counts over all networks."""

    def count(status: str) -> int:
        return sum(each["status"] == status for each in figures.values())

    proved = [name for name, each in figures.items() if each["status"] == "proved"]
    same = [name for name in proved if figures[name].get("differs_from_torch_pruning") == ""]
    return {
        "proved": count("proved"),
        "proved_of_torchvision": sum(name in TORCHVISION for name in proved),
        "refused": count("refused"),
        "wrong": count("wrong"),
        "max_rel_diff": max((figures[name]["max_rel_diff"] for name in proved), default=None),
        "same_as_torch_pruning": same,
        "peer": "torch-pruning" if has_peer() else HOW_TO_GET_IT,
        "models": figures,
    }


def _params(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


if __name__ == "__main__":
    targets = {
        "proved_of_torchvision": Target(low=12),
        "wrong": Target(high=0),
        "max_rel_diff": Target(high=TOLERANCE),
    }
    run(measure, targets, threads=THREADS)
