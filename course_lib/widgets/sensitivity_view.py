"""A model with bits for each layer as the page shows it: measured numbers, the layers, and code.

The sensitivities belong to the model, whatever its bits are now, and come apart from the results.
"""

import math
from typing import Any

from course_lib.benchmarking import format_bytes
from course_lib.benchmarking.number_text import significant
from course_lib.explore.assignment import WIDTHS
from course_lib.explore.layer_sensitivity import LayerLoss, SensitivityMap
from course_lib.explore.sensitivity import LayerState, SensitivityResult
from course_lib.explore.setting import FLOAT_BITS
from course_lib.widgets.measured_view import decibels, engine_code, measured_view

COLDEST, HOTTEST = 1e-4, 1.0
"""Divergences, in nats, at the ends of the colour scale, which is logarithmic."""


def result_view(result: SensitivityResult, source: str | None) -> dict[str, Any]:
    """Return one result as plain values: tiles of text, the layers, a point, and code.

    ``source`` is the model's source as a Python literal, or None where only the student's notebook has it.
    """
    average = f"{result.average_bits:.2f} bits a weight on average"
    shared = measured_view(result, size_detail=average, sqnr_detail="of all weights together")
    return shared | {
        "note": result.latency_note,
        "layers": [_layer(layer) for layer in result.layers],
        "code": assignment_code(result, source),
    }


def assignment_code(result: SensitivityResult, source: str | None) -> str:
    """Return Python that computes these bits again."""
    named = {layer.name: layer.bits for layer in result.layers if layer.bits != FLOAT_BITS}
    if len(set(result.setting.bits)) == 1:
        use = f"bits = engine.uniform({result.setting.bits[0]})\n"
    else:
        entries = "".join(f"        {name!r}: {bits},\n" for name, bits in named.items())
        use = f"bits = engine.assignment(\n    {{\n{entries}    }}\n)\n"
    return engine_code("SensitivityEngine", source, "", f"{use}result = engine.exact(bits)\n")


def sensitivity_view(model: str, sensitivities: SensitivityMap, images: str) -> dict[str, Any]:
    """Return the sensitivities known so far as cells to colour.

    Parameters
    ----------
    model
        Whose they are.
    images
        What they are measured on, in words.
    """
    return {
        "model": model,
        "share": sensitivities.share,
        "complete": sensitivities.complete,
        "words": _progress(sensitivities, images),
        "cells": {
            layer: {str(width): _cell(width, row[width]) for width in WIDTHS if width in row}
            for layer, row in sensitivities.losses.items()
        },
    }


def _layer(layer: LayerState) -> dict[str, Any]:
    at = "32-bit float" if layer.bits == FLOAT_BITS else f"{layer.bits} bits"
    return {
        "name": layer.name.removesuffix(".weight"),
        "weight": layer.name,
        "bits": layer.bits,
        "text": at,
        "params": f"{layer.params:,}",
        "macs": "unknown" if layer.macs is None else _count(layer.macs),
        "size": format_bytes(layer.size_bytes),
        "sqnr": decibels(layer.sqnr_db),
        "shape": f"{' × '.join(map(str, layer.shape))} = {layer.params:,} weights",
    }


def _count(number: int) -> str:
    if number < 10_000:
        return f"{number:,}"
    return f"{number / 1000:,.0f} k" if number < 10_000_000 else f"{number / 1e6:,.1f} M"


def _cell(width: int, loss: LayerLoss) -> dict[str, Any]:
    reach = math.log(HOTTEST / COLDEST)
    heat = math.log(max(loss.divergence, COLDEST) / COLDEST) / reach
    rise = f"{loss.loss_increase:+.4f}".replace("-", "−")
    moved = "less than 0.0001" if loss.divergence < COLDEST else significant(loss.divergence)
    return {
        "heat": round(min(1.0, heat), 3),
        "text": f"alone at {width} bits the answers move by {moved} nats, the loss by {rise}",
    }


def _progress(sensitivities: SensitivityMap, images: str) -> str:
    layers = len(sensitivities.params)
    count = layers * len(WIDTHS)
    done = round(sensitivities.share * count)
    if sensitivities.complete:
        return (
            f"Measured on {images}: each of {len(sensitivities.params)} layers alone at {len(WIDTHS)} widths."
        )
    return f"Measuring each layer alone on {images}: {done} of {count} done …"
