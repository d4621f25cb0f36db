"""What the deck of week 7 shows, measured: levels, fusions, a timeline, memory, threads, and the tuner.

The residual network of the zoo unless a name says otherwise, one picture, one thread, as in the notebook.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch

from course_lib.architectures import list_zoo, load_pretrained
from course_lib.benchmarking import compare_latency
from course_lib.data import load_dataset
from course_lib.explore.model_source import onnx_of
from course_lib.export.passes.conv_bn import fold_batch_norm
from course_lib.pipelines.claims import Claim
from course_lib.pipelines.level_diff import ALL_LEVELS, diff_levels
from course_lib.pipelines.model_forms import prepare_forms
from course_lib.pipelines.ort_tuner import tune_session
from course_lib.runtimes import get_runtime
from course_lib.runtimes.custom_functions import HardSwish4
from course_lib.runtimes.custom_operators import use_function
from course_lib.runtimes.io_binding import bind
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from course_lib.runtimes.protocol import Array
from course_lib.runtimes.session_memory import measure_session_memory
from course_lib.runtimes.timeline import record_timeline

MODEL, SMALL = "residual", "depthwise"
RUNS, QUICK_RUNS = 300, 30
EAGER = "eager PyTorch"


def measure_week07(quick: bool = False) -> dict[str, Any]:
    """Return the results of week 7, name → measured result; ``quick`` only tries whether all of it works."""
    torch.set_num_threads(1)
    runs = QUICK_RUNS if quick else RUNS
    images = load_dataset("fashion-mnist")
    image, content = images.inputs(slice(0, 1)), onnx_of(MODEL)
    report = diff_levels(content)
    folded = fold_batch_norm(content).SerializeToString()
    swished = use_function(onnx_of(SMALL), "Relu", HardSwish4)
    forms = prepare_forms(MODEL).model.onnx
    static = forms("int8", "onnxruntime")
    bound = bind(OnnxRuntime().load(onnx_of(SMALL)), image)
    return {
        "operators": report.operator_counts,
        "levels": _race({level: (level, content) for level in ALL_LEVELS}, "all", image, runs, eager=True),
        "eager": measure_eager(list_zoo()[:2] if quick else list_zoo(), image, runs),
        "passes": _race(
            {
                "the file, off": ("off", content),
                "our pass, off": ("off", folded),
                "the file, basic": ("basic", content),
            },
            "the file, basic",
            image,
            runs,
        ),
        "timeline": record_timeline(onnx_of(SMALL), image, runs=runs, name=SMALL),
        "timeline_residual": record_timeline(content, image, runs=runs, name=MODEL),
        "memory": measure_session_memory(content, images.inputs(slice(0, 256)), runs=3),
        "threads": measure_threads(content, images.inputs(slice(0, 64)), runs),
        "int8_operators": diff_levels(static).operator_counts,
        "int8": _race(
            {
                "float, all": ("all", forms("fp32", "onnxruntime")),
                "int8, off": ("off", static),
                "int8, all": ("all", static),
            },
            "float, all",
            image,
            runs,
        ),
        "function": _race(
            {"Relu": ("all", onnx_of(SMALL)), "our function": ("all", swished)}, "Relu", image, runs
        ),
        "binding": compare_latency(
            {
                "run": partial(OnnxRuntime().load(onnx_of(SMALL)).run, image),
                "bound": bound.compute,
                "bound, with copies": partial(bound.run, image),
            },
            baseline="run",
            runs=2 * runs,
        ),
        "tuning": tune_session(onnx_of(SMALL), image, confirmation_rounds=max(runs, 30)).confirmation,
    }


def measure_eager(names: list[str], image: Array, runs: int) -> dict[str, Claim]:
    """Return network → how many times faster ONNX Runtime is than eager PyTorch, with the claim about it."""
    claims = {}
    for name in names:
        calls = {
            EAGER: partial(get_runtime("eager").load(load_pretrained(name)).run, image),
            "ONNX Runtime": partial(OnnxRuntime().load(onnx_of(name)).run, image),
        }
        ratio = compare_latency(calls, baseline="ONNX Runtime", runs=runs).ratios[EAGER]
        text = "ONNX Runtime is at least 2 times as fast as eager PyTorch"
        claims[name] = Claim(text, ratio.value, "times as fast as eager", low=2, interval=ratio.interval)
    return claims


def measure_threads(content: bytes, batch: Array, runs: int) -> dict[str, Any]:
    """Return one and two threads in turns, for a single picture and for a batch."""
    loaded = {f"{n} thread{'s' * (n > 1)}": OnnxRuntime().load(content, threads=n) for n in (1, 2)}

    def race(inputs: Array, rounds: int) -> Any:
        calls = {name: partial(model.run, inputs) for name, model in loaded.items()}
        return compare_latency(calls, baseline="1 thread", runs=rounds, threads=2)

    return {"one picture": race(batch[:1], runs), "batch of 64": race(batch, max(runs // 5, 10))}


def _race(
    versions: Mapping[str, tuple[Any, bytes]], baseline: str, image: Array, runs: int, *, eager: bool = False
) -> Any:
    """Time files at levels, name → (level, content), in turns; with ``eager``, PyTorch beside them."""
    calls = {
        name: partial(OnnxRuntime(optimization=level).load(content).run, image)
        for name, (level, content) in versions.items()
    }
    if eager:
        calls = {EAGER: partial(get_runtime("eager").load(load_pretrained(MODEL)).run, image), **calls}
    return compare_latency(calls, baseline=baseline, runs=runs)
