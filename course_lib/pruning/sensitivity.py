"""How much accuracy does a layer cost? One at a time is pruned, without fine-tuning, and the model is judged.

The layers at the top of the list are those to protect; the rest can give up more. Losses of layers that are
pruned together do not simply add up, and fine-tuning wins most of them back, so this ranks layers and does
not predict the end result (Li et al. 2017, section 3.2 and fig. 2).

Worked example: with layer "a" at ratio 0.5 a model of 90 % has 88 %, with layer "b" 61 %: drops of 2 and 29
points. `sensitive_layers` with at most 5 points names "b".
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from course_lib.errors import SettingError
from course_lib.pruning.importance import Importance
from course_lib.pruning.masked import bake_masks, hold_masks, prunable_weights
from course_lib.pruning.masks import magnitude_mask
from course_lib.pruning.selection import select_in_layers
from course_lib.pruning.structure.dependency import DependencyGraph
from course_lib.pruning.structure.removal import remove
from course_lib.registry import look_up
from course_lib.training.evaluate import Examples, accuracy

RATIOS = (0.25, 0.5, 0.75)


@dataclass(frozen=True)
class LayerResult:
    """A model with one layer pruned.

    Attributes
    ----------
    layer
        Name of the weight, or of the group of channels.
    ratio
        Fraction of its weights or channels that is gone, in [0, 1).
    accuracy
        Fraction of the images classified rightly, in [0, 1].
    drop_pt
        Percentage points below the dense model; negative where pruning happened to help.
    """

    layer: str
    ratio: float
    accuracy: float
    drop_pt: float


def weight_sensitivity(
    model: nn.Module,
    examples: Examples,
    sparsities: Sequence[float] = RATIOS,
    *,
    layers: Sequence[str] | None = None,
) -> Iterator[LayerResult]:
    """Yield the accuracy with one weight at one sparsity, layer by layer, as it is measured.

    Parameters
    ----------
    model
        Left as it is.
    examples
        Images to judge by; not the test images, for what is protected by them is a choice.
    sparsities
        Fractions of the smallest weights to prune, each in [0, 1).
    layers
        Names as in `prunable_weights`; None for all.

    Raises
    ------
    UnknownNameError
        If there is no such layer.
    SettingError
        If a sparsity is outside [0, 1).
    """
    weights = prunable_weights(model)
    chosen = {name: look_up(weights, "weight", name) for name in (layers or weights)}
    masks = [
        (name, sparsity, magnitude_mask(weight, sparsity))
        for name, weight in chosen.items()
        for sparsity in sparsities
    ]
    dense = accuracy(model, examples)
    for name, sparsity, mask in masks:
        pruned = bake_masks(hold_masks(model, {name: mask}))
        yield _result(name, sparsity, accuracy(pruned, examples), dense)


def channel_sensitivity(
    graph: DependencyGraph,
    examples: Examples,
    importance: Importance,
    ratios: Sequence[float] = RATIOS,
) -> Iterator[LayerResult]:
    """Yield the accuracy with the least important channels of one group removed, group by group.

    Parameters
    ----------
    graph
        Of the model to judge.
    examples
        As for `weight_sensitivity`.
    importance
        Which channels of a group go first.
    ratios
        Fractions of the channels to remove, each in [0, 1); one channel always stays.

    Raises
    ------
    SettingError
        If a ratio is outside [0, 1).
    """
    chosen = [
        (group.name, ratio, select_in_layers([group], importance, {group.name: ratio}))
        for group in graph.groups
        for ratio in ratios
    ]
    dense = accuracy(graph.graph, examples)
    for name, ratio, channels in chosen:
        yield _result(name, ratio, accuracy(remove(graph, channels), examples), dense)


def sensitive_layers(results: Iterable[LayerResult], max_drop_pt: float) -> tuple[str, ...]:
    """Return the layers that lost more than so many points at any ratio tried, in their first order.

    Raises
    ------
    SettingError
        If ``max_drop_pt`` is below 0.
    """
    if not max_drop_pt >= 0:
        raise SettingError(f"max_drop_pt is {max_drop_pt}; a loss to put up with is at least 0 points.")
    return tuple(dict.fromkeys(result.layer for result in results if result.drop_pt > max_drop_pt))


def _result(layer: str, ratio: float, found: float, dense: float) -> LayerResult:
    return LayerResult(layer, ratio, found, 100 * (dense - found))
