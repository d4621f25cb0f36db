"""Draw the decks' figures from recorded runs: ``python -m slides.figures`` fills ``slides/figures``.

Nothing is measured here. Each figure carries the machine and the date of its run.
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import matplotlib

from course_lib.edge import MICROCONTROLLERS, choose
from course_lib.pipelines.sparsity_pays import SparsityStudy
from course_lib.registry import look_up
from course_lib.widgets.architecture_charts import (
    families_chart,
    gains_chart,
    kernels_chart,
    memory_chart,
    pace_chart,
    parts_chart,
)
from course_lib.widgets.chart import TALL, Chart
from course_lib.widgets.charts import (
    blocks_chart,
    choice_chart,
    comparison_chart,
    latency_chart,
    layer_chart,
    sparsity_chart,
    throughput_chart,
)
from course_lib.widgets.distillation_charts import (
    careless_chart,
    certainty_chart,
    entropy_chart,
    gradient_chart,
    looks_chart,
    soft_targets_chart,
)
from course_lib.widgets.pruning_charts import (
    gating_chart,
    layers_chart,
    pruned_chart,
    rank_chart,
    removal_chart,
    rounds_chart,
    stored_chart,
    tickets_chart,
)
from course_lib.widgets.quantization_charts import (
    accuracy_chart,
    channels_chart,
    claims_chart,
    ranges_chart,
    sqnr_chart,
)
from course_lib.widgets.sensitivity_charts import (
    allocation_chart,
    bits_chart,
    fisher_chart,
    sensitivity_chart,
    staircase_chart,
    training_chart,
)
from course_lib.widgets.sparsity_charts import break_even_chart
from course_lib.widgets.student_charts import (
    cache_chart,
    forest_chart,
    learning_chart,
    networks_chart,
    seeds_chart,
)
from slides.recording import FOLDER, Recording, load_recording
from slides.runtime_figures import draw_week07, draw_week08

FIGURES = Path(__file__).parent / "figures"

LEGIBLE = {
    "font.size": 16,
    "axes.titlesize": "medium",
    "legend.fontsize": "small",
    "lines.linewidth": 2.5,
    "axes.linewidth": 1.5,
}
"""Type and lines that can be read from the last row."""


FAMILY_PARAMS = 29_000, 60_000
"""Networks of so many parameters are compared as families."""


def draw_week01(recording: Recording) -> dict[str, Chart]:
    """Return the figures of week 1, name → chart."""
    results = recording.results
    choice = choose(results["candidates"], results["weights"], results["limits"])
    return {
        "week01_latency": latency_chart(results["latency"], TALL),
        "week01_repeats": blocks_chart(results["repeats"], TALL),
        "week01_a_against_a": comparison_chart(results["a_against_a"], TALL),
        "week01_layers": layer_chart(results["layers"], TALL),
        "week01_steps": comparison_chart(results["steps"], TALL),
        "week01_throughput": throughput_chart(results["throughput"], TALL),
        "week01_sparsity": sparsity_chart(results["sparsity"], TALL),
        "week01_kernels": comparison_chart(results["kernels"], TALL),
        "week01_choice": choice_chart(choice, TALL),
    }


def draw_week02(recording: Recording) -> dict[str, Chart]:
    """Return the figures of week 2, name → chart."""
    results = recording.results
    rules, zoo = results["rules"], results["zoo"]
    small = MICROCONTROLLERS["cortex_m3_20k"]
    moved = results["rules_moved"]
    first = moved[rules.race.baseline]
    at_equal_macs = {
        name: {"numbers moved": moved[name] / first, "latency": parts["latency"]}
        for name, parts in rules.parts().items()
    }
    return {
        "week02_separable": gains_chart(results["separable"], TALL),
        "week02_blocks": parts_chart(results["blocks"].parts(), "the standard convolution", TALL),
        "week02_kernels": kernels_chart(results["kernels"], TALL),
        "week02_rules": parts_chart(at_equal_macs, rules.race.baseline, TALL),
        "week02_pace": pace_chart(zoo, TALL),
        "week02_families": families_chart(zoo.of_size(*FAMILY_PARAMS), size=TALL),
        "week02_macs": families_chart(zoo.of_size(*FAMILY_PARAMS), "macs", TALL),
        "week02_scaled": gains_chart(
            {
                "thinner": list(results["widths"].gains().values()),
                "shallower": list(results["depths"].gains().values()),
            },
            TALL,
        ),
        "week02_memory": memory_chart(results["memory"], {f"SRAM of {small.title}": small.sram_bytes}, TALL),
        "week02_conversion": accuracy_chart(results["conversion"], TALL),
        "week02_conversion_race": comparison_chart(results["conversion_race"], TALL),
    }


def draw_week03(recording: Recording) -> dict[str, Chart]:
    """Return the figures of week 3, name → chart."""
    results = recording.results
    asked = results["scores"], results["class_names"], results["label"]
    return {
        "week03_soft_targets": soft_targets_chart(*asked, size=TALL),
        "week03_entropy": entropy_chart(results["entropies"], TALL),
        "week03_gradient": gradient_chart(results["gradients"], TALL),
        "week03_certainty": certainty_chart(results["certainty"], TALL),
        "week03_looks": looks_chart(results["picture"], results["looks"], TALL),
        "week03_learning": learning_chart(results["learning"], TALL),
        "week03_cache": cache_chart(results["cache"], TALL),
        "week03_careless": careless_chart(results["careless"], TALL),
        "week03_forest": forest_chart(results["study"], TALL),
        "week03_seeds": seeds_chart(results["study"], ("response", "self"), TALL),
        "week03_networks": networks_chart(results["networks"], TALL),
    }


def draw_week04(recording: Recording) -> dict[str, Chart]:
    """Return the figures of week 4, name → chart."""
    results = recording.results
    dense, dense_watched = results["dense_accuracy"], results["rounds_dense"]
    gone = "channels removed"
    return {
        "week04_masks": pruned_chart(results["masks"], dense, TALL),
        "week04_stored": stored_chart({float(zeros): way for zeros, way in results["stored"].items()}, TALL),
        "week04_zeros": comparison_chart(results["zeros_race"], TALL),
        "week04_removed": removal_chart(results["removed"], TALL),
        "week04_widths": removal_chart(
            {"whole blocks": results["removed"]["depthwise"], "any width": results["any_width"]}, TALL
        ),
        "week04_rankings": pruned_chart(results["rankings"], dense, TALL, pruned=gone),
        "week04_layers": layers_chart(results["layers"], TALL),
        "week04_rounds": rounds_chart(results["weight_rounds"], dense_watched, size=TALL),
        "week04_floor": rounds_chart(
            {"two epochs a round": results["channel_rounds"]},
            dense_watched,
            results["floor"] * dense_watched,
            TALL,
            pruned="MACs that are gone",
        ),
        "week04_tickets": tickets_chart(results["lottery"], TALL),
        "week04_one_column": break_even_chart(study_of(results["break_even_1"]), size=TALL),
        "week04_columns": break_even_chart(study_of(results["break_even_64"]), size=TALL),
        "week04_ranks": rank_chart(results["ranks"], results["ranks_macs"], TALL),
        "week04_factors": accuracy_chart(results["factors"], TALL),
        "week04_best": accuracy_chart(results["best"], TALL),
        "week04_gating": gating_chart(results["gating"], TALL),
    }


def study_of(read: SparsityStudy) -> SparsityStudy:
    """Return a study as it was measured: JSON keeps the sizes among its keys as text."""
    return replace(read, baselines={int(size): name for size, name in read.baselines.items()})


WEEK05: dict[str, Callable[..., Chart]] = {
    "granularity": accuracy_chart,
    "lines": sqnr_chart,
    "observers": accuracy_chart,
    "repairs": accuracy_chart,
    "size": claims_chart,
    "speed": claims_chart,
    "drop": claims_chart,
    "transformer": comparison_chart,
    "formats": accuracy_chart,
}
"""Result of week 5 → the chart that draws it as it is."""


def draw_week05(recording: Recording) -> dict[str, Chart]:
    """Return the figures of week 5, name → chart."""
    results = recording.results
    channels, ranges = results["channels"], results["ranges"]
    return {
        **{f"week05_{name}": chart(results[name], size=TALL) for name, chart in WEEK05.items()},
        "week05_channels": channels_chart(**channels, name="the first depthwise layer", size=TALL),
        "week05_ranges": ranges_chart(**ranges, name="an activation behind a ReLU", size=TALL),
        "week05_codebooks": sqnr_chart(results["codebooks"], TALL, bits="stored bits a weight"),
    }


def draw_week06(recording: Recording) -> dict[str, Chart]:
    """Return the figures of week 6, name → chart."""
    results = recording.results
    table, validation = results["sensitivity"], results["validation"]
    return {
        "week06_bits": bits_chart(
            {"nearest": results["roundings"]["nearest, min-max grid"]}, results["float_accuracy"], TALL
        ),
        "week06_roundings": bits_chart(results["roundings"], results["float_accuracy"], TALL),
        "week06_staircase": staircase_chart(size=TALL),
        "week06_training": training_chart(
            results["training"], validation["calibrated"], validation["float"], TALL
        ),
        "week06_sensitivity": sensitivity_chart(table, TALL),
        "week06_screening": comparison_chart(results["screening"]["depthwise"], TALL),
        "week06_fisher": fisher_chart(table, results["fisher"], TALL),
        "week06_transformer": sensitivity_chart(results["transformer"], TALL),
        "week06_choices": allocation_chart(results["choices"], results["choice_accuracies"], TALL),
    }


DECKS: dict[str, Callable[[Recording], dict[str, Chart]]] = {
    "week01_measure_first": draw_week01,
    "week02_efficient_architectures": draw_week02,
    "week03_knowledge_distillation": draw_week03,
    "week04_pruning_and_low_rank": draw_week04,
    "week05_post_training_quantization": draw_week05,
    "week06_quantization_aware_training": draw_week06,
    "week07_onnx_runtime": draw_week07,
    "week08_edge_compilers": draw_week08,
}
"""Deck → the function that draws its figures."""


def draw(deck: str, folder: Path = FIGURES, recorded: Path = FOLDER) -> list[Path]:
    """Draw the figures of a deck as SVG and return their paths.

    Raises
    ------
    UnknownNameError
        If no such deck has figures.
    DataError
        If the deck was never recorded.
    """
    make = look_up(DECKS, "deck", deck)
    recording = load_recording(deck, recorded)
    paths = []
    with matplotlib.rc_context(LEGIBLE):
        for name, chart in make(recording).items():
            paths.append(folder / f"{name}.svg")
            chart.save(paths[-1], footnote=recording.footnote)
    return paths


if __name__ == "__main__":
    for deck in sys.argv[1:] or DECKS:
        print(f"{deck}: {len(draw(deck))} figures drawn")
