"""The pruning microscope's page as plain values: the network, the ranked channels, and measured results.

The network is sent once a model and the ranking once an importance; only results come with every change.
"""

from collections.abc import Mapping
from typing import Any

from course_lib.benchmarking.number_text import significant
from course_lib.explore.microscope import MicroscopeResult
from course_lib.explore.microscope_layers import LayerWidth, Network, NetworkLayer
from course_lib.explore.microscope_scores import IMPORTANCES, GroupScores
from course_lib.widgets.measured_view import engine_code, measured_view

LOSES = "loses the same channels"
READS = "reads them"


def network_view(model: str, network: Network) -> dict[str, Any]:
    """Return the layers of a model, and for each group which of them it touches and how."""
    return {
        "model": model,
        "layers": [_layer(layer) for layer in network.layers],
        "groups": {
            name: {"channels": group.channels, "touches": _touches(network, name)}
            for name, group in network.groups.items()
        },
        "widest": max(layer.outputs for layer in network.layers),
    }


def ranking_view(model: str, importance: str, scores: Mapping[str, GroupScores]) -> dict[str, Any]:
    """Return all channels' scores: as heights (1 is the group's highest), in words, and their order."""
    return {
        "model": model,
        "importance": importance,
        "words": IMPORTANCES[importance],
        "groups": {name: _ranked(group) for name, group in scores.items()},
    }


def result_view(result: MicroscopeResult, network: Network, source: str | None) -> dict[str, Any]:
    """Return one result as plain values: tiles of text, the width of each layer, what is removed, and code.

    ``source`` is the model's source as a Python literal, or None where only the student's notebook has it.
    """
    shared = measured_view(result, size_detail="32-bit floats", sqnr_detail="")
    tiles = {name: shared["tiles"][name] for name in ("accuracy", "latency", "size")}
    return {
        **{name: shared[name] for name in ("model", "label", "exact", "progress")},
        "tiles": tiles
        | {
            "macs": _fewer(result.macs, result.dense_macs, "for one image"),
            "params": _fewer(result.params, result.dense_params, "trained numbers"),
        },
        "removed": {name: list(channels) for name, channels in result.setting.chosen.items()},
        "widths": [_width(layer, left) for layer, left in zip(network.layers, result.widths, strict=True)],
        "note": result.latency_note,
        "code": choice_code(result, source),
    }


def choice_code(result: MicroscopeResult, source: str | None) -> str:
    """Return Python that removes these channels again, and returns the smaller module."""
    chosen = result.setting.chosen
    entries = "".join(f"        {name!r}: {list(channels)},\n" for name, channels in chosen.items())
    removed = f"\n    {{\n{entries}    }}\n" if chosen else "{}"
    return engine_code(
        "MicroscopeEngine",
        source,
        "",
        f"choice = engine.choice({removed})\n"
        "result = engine.exact(choice)\n"
        "smaller = engine.pruned(choice)  # the PyTorch module without these channels, to train further\n",
    )


def _layer(layer: NetworkLayer) -> dict[str, Any]:
    return {
        "path": layer.path,
        "kind": layer.kind,
        "outputs": layer.outputs,
        "groups": list(layer.groups),
        "why": list(layer.why),
        "details": list(layer.details),
    }


def _touches(network: Network, group: str) -> dict[str, str]:
    """Return layer → what removing a channel of the group does to it, in words."""
    words = {}
    for path, roles in network.roles(group).items():
        what = [LOSES] if set(roles) - {"in"} else []
        words[path] = " and ".join(what + [READS] * ("in" in roles))
    return words


def _ranked(group: GroupScores) -> dict[str, Any]:
    highest = max(group.values, default=0.0) or 1.0
    return {
        "heights": [round(max(value, 0.0) / highest, 4) for value in group.values] or [0] * len(group.order),
        "texts": [significant(value) for value in group.values] or ["none"] * len(group.order),
        "order": list(group.order),
        "reason": group.reason,
    }


def _width(layer: NetworkLayer, left: LayerWidth) -> dict[str, Any]:
    whole = left.outputs == layer.outputs
    return {
        "outputs": left.outputs,
        "text": f"{layer.outputs}" if whole else f"{left.outputs} of {layer.outputs}",
        "inputs": "" if left.inputs == layer.inputs else f"{left.inputs} of {layer.inputs} inputs",
    }


def _fewer(now: int, before: int, what: str) -> dict[str, str]:
    if now == before:
        return {"value": _count(now), "detail": what}
    ratio = f"{before / now:.2f}× fewer than {_count(before)}" if now else f"none of {_count(before)}"
    return {"value": _count(now), "detail": f"{ratio}; {what}"}


def _count(number: int) -> str:
    for unit, words in ((1_000_000_000, " G"), (1_000_000, " M"), (1_000, " k")):
        if number >= unit:
            return f"{significant(number / unit, 4)}{words}"
    return f"{number}"
