"""One network on the architecture map in detail, as plain values: figures in words, and two bar charts."""

from typing import Any

from course_lib.architectures.notes import network_note
from course_lib.benchmarking.number_text import format_bytes, significant
from course_lib.explore.architecture_map import MapState
from course_lib.explore.network_survey import NetworkSurvey

COSTLIEST = 6


def details_view(state: MapState, name: str) -> dict[str, Any]:
    """Return what is known of a network; what is not yet measured is shown as "…"."""
    note, figures, survey = network_note(name), state.figures.get(name), state.surveys.get(name)
    return {
        "name": name,
        "title": note.title,
        "paper": note.paper,
        "idea": note.idea,
        "tiles": {
            "accuracy": _tile(
                f"{figures.accuracy:.2%}" if figures else "",
                f"{figures.accuracy_low:.2%} to {figures.accuracy_high:.2%}, over {figures.images:,} test "
                "images"
                if figures
                else "",
            ),
            "latency": _latency_tile(state, name),
            "macs": _tile(f"{figures.macs:,}" if figures else "", "MACs for one picture"),
            "params": _tile(f"{figures.params:,}" if figures else "", "trained numbers"),
            "memory": _memory_tile(survey),
            "storage": _tile(
                format_bytes(survey.size_bytes) if survey else "", "its ONNX file, 32-bit weights"
            ),
        },
        "layers": _costliest(survey) if survey else [],
        "memory": _memory(survey) if survey else None,
    }


def _tile(value: str, detail: str) -> dict[str, str]:
    return {"value": value or "…", "detail": detail if value else "not there yet"}


def _latency_tile(state: MapState, name: str) -> dict[str, str]:
    measured = state.latencies
    if measured is None or name not in measured.results:
        return _tile("", "")
    result, ratio = measured.results[name], measured.ratios[name]
    low, high = result.p50_interval_ms
    told = f"median of {len(result.samples_ms)} rounds, {significant(low)} to {significant(high)} ms"
    if name != measured.baseline:
        ends = f"{significant(ratio.interval.low)} to {significant(ratio.interval.high)}"
        told = f"{significant(ratio.value)}× {measured.baseline} ({ends}); {told}"
    noisy = "; a noisy moment" if result.noise_warning else ""
    return _tile(f"{significant(result.p50_ms)} ms", told + noisy)


def _memory_tile(survey: NetworkSurvey | None) -> dict[str, str]:
    if survey is None:
        return _tile("", "")
    peak = max(survey.memory_by_step, key=lambda step: step.amount)
    return _tile(format_bytes(survey.peak_activation_bytes), f"at {peak.name} ({peak.kind}), 32-bit values")


def _costliest(survey: NetworkSurvey) -> list[dict[str, Any]]:
    """Return the layers with the most MACs, the costliest first."""
    most = sorted(survey.macs_by_layer, key=lambda layer: -layer.amount)[:COSTLIEST]
    return [
        {
            "name": layer.name,
            "kind": layer.kind,
            "share": layer.amount / most[0].amount,
            "text": f"{layer.amount:,}, {layer.amount / survey.figures.macs:.0%}",
        }
        for layer in most
    ]


def _memory(survey: NetworkSurvey) -> dict[str, Any]:
    """Return the live bytes of all steps in their order, relative to the peak."""
    amounts = [step.amount for step in survey.memory_by_step]
    peak = amounts.index(max(amounts))
    step = survey.memory_by_step[peak]
    return {
        "shares": [amount / amounts[peak] for amount in amounts],
        "texts": [
            f"{each.name} ({each.kind}): {format_bytes(each.amount)}" for each in survey.memory_by_step
        ],
        "peak": peak,
        "words": f"{format_bytes(step.amount)} at {step.name}",
    }
