"""The figures of weeks 7 and 8, drawn from recorded runs as `slides.figures` does."""

from course_lib.widgets.chart import TALL, Chart
from course_lib.widgets.charts import comparison_chart
from course_lib.widgets.quantization_charts import claims_chart
from course_lib.widgets.runtime_charts import (
    cells_chart,
    launches_chart,
    operators_chart,
    session_memory_chart,
)
from course_lib.widgets.timeline_chart import timeline_chart
from slides.recording import Recording


def draw_week07(recording: Recording) -> dict[str, Chart]:
    """Return the figures of week 7, name → chart."""
    results = recording.results
    versions = ("in the file", "off", "basic", "extended", "all")
    races = ("levels", "passes", "int8", "function", "binding", "tuning")
    return {
        **{f"week07_{name}": comparison_chart(results[name], TALL) for name in races},
        "week07_operators": operators_chart(results["operators"], versions, TALL),
        "week07_eager": claims_chart(results["eager"], TALL),
        "week07_timeline": timeline_chart(results["timeline"], TALL),
        "week07_memory": session_memory_chart(results["memory"], TALL),
        "week07_int8_operators": operators_chart(results["int8_operators"], versions, TALL),
        "week07_threads_one": comparison_chart(results["threads"]["one picture"], TALL),
        "week07_threads_batch": comparison_chart(results["threads"]["batch of 64"], TALL),
    }


def draw_week08(recording: Recording) -> dict[str, Chart]:
    """Return the figures of week 8, name → chart."""
    results = recording.results
    table = results["table"]
    return {
        "week08_sizes": cells_chart(table, "size", TALL),
        "week08_parity": cells_chart(table, "parity", TALL),
        "week08_speed": comparison_chart(results["race"], TALL),
        "week08_build": cells_chart(table, "build", TALL),
        "week08_rules": comparison_chart(results["rules"], TALL),
        "week08_kernels": launches_chart(results["kernels"], TALL),
        **{
            f"week08_launch_{name}": comparison_chart(race, TALL)
            for name, race in results["launches"].items()
            if name != "onnxruntime"
        },
    }
