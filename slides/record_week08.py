"""What the deck of week 8 shows, measured: one network on every target, kernels, rules, and first launches.

All compilers should be installed; the targets that are not would be missing in the figures.
"""

from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from course_lib.benchmarking import compare_latency
from course_lib.errors import SettingError
from course_lib.pipelines.compile import TARGETS, compile_model
from course_lib.pipelines.level_diff import diff_levels
from course_lib.pipelines.model_forms import ModelForms, prepare_forms
from course_lib.runtimes.compilation import Compiler
from course_lib.runtimes.engine_cache import EngineCache
from course_lib.runtimes.onnx_runtime import OnnxRuntime
from course_lib.runtimes.tensorrt import TensorRtRtx

MODEL = "residual"
KERNELS_OF = ("depthwise", "residual", "mobilenet_v2", "squeezenet")
RUNS, QUICK_RUNS = 300, 20
BUILDS = 8
CACHED = ("onnxruntime", "openvino", "tensorrt_rtx_sm89")
NOT_NEEDED = ("tensorrt",)
"""The full TensorRT, which comes with NVIDIA's own installer and needs a GPU to build."""


def measure_week08(quick: bool = False) -> dict[str, Any]:
    """Return the results of week 8, name → measured result; ``quick`` only tries whether all of it works.

    Raises
    ------
    SettingError
        If a compiler is missing, unless ``quick``.
    """
    torch.set_num_threads(1)
    missing = [name for name, make in TARGETS.items() if make().why_unavailable() and name not in NOT_NEEDED]
    if missing and not quick:
        raise SettingError(
            f"The deck of week 8 shows every target, and {', '.join(missing)} is not installed; "
            "run make compilers first, or try it with --quick."
        )
    forms, runs = prepare_forms(MODEL), QUICK_RUNS if quick else RUNS
    targets = ("onnxruntime", "openvino", "tensorrt_rtx_sm89") if quick else tuple(TARGETS)
    return {
        "table": compile_model(forms, tuple(name for name in targets if name not in NOT_NEEDED), runs=runs),
        "race": measure_race(forms, targets, runs),
        "rules": measure_rules(forms, runs),
        "kernels": {name: count_kernels(prepare_forms(name)) for name in KERNELS_OF[: 2 if quick else None]},
        "launches": {
            name: measure_launches(TARGETS[name](), forms, 3 if quick else BUILDS)
            for name in CACHED
            if name not in missing
        },
        "engines": measure_engines(forms, ("SM86", "SM89")),
    }


def measure_race(forms: ModelForms, targets: tuple[str, ...], runs: int) -> Any:
    """Time the files of all targets that run here, in every precision, in the same rounds."""
    image, calls = forms.inputs[:1], {}
    with TemporaryDirectory() as folder:
        for target in targets:
            compiler = TARGETS[target]()
            if compiler.why_unavailable() or compiler.why_not_run():
                continue
            for precision in compiler.precisions:
                path = Path(folder) / target / precision / f"model{compiler.suffix}"
                path.parent.mkdir(parents=True)
                loaded = compiler.load(compiler.compile(forms.model, path, precision))
                calls[f"{target} {precision}"] = partial(loaded.run, image)
        return compare_latency(calls, baseline="onnxruntime fp32", runs=runs)


def measure_rules(forms: ModelForms, runs: int) -> Any:
    """Time ONNX Runtime on float32 and on int8 by its own rules and by TensorRT's."""
    files = {
        "float32": forms.model.onnx("fp32", "onnxruntime"),
        "int8, its own rules": forms.model.onnx("int8", "onnxruntime"),
        "int8, TensorRT's rules": forms.model.onnx("int8", "tensorrt"),
    }
    image = forms.inputs[:1]
    calls = {name: partial(OnnxRuntime().load(file).run, image) for name, file in files.items()}
    return compare_latency(calls, baseline="float32", runs=runs)


def count_kernels(forms: ModelForms) -> dict[str, int]:
    """Return how many operators the file has, and how many kernels are left of them."""
    report = diff_levels(forms.model.onnx("fp32", "onnxruntime"), ("all",))
    counts = {"in the file": len(report.file.nodes), "ONNX Runtime": len(report.level("all").facts.nodes)}
    if TensorRtRtx().why_unavailable() is None:
        counts["TensorRT"] = len(TensorRtRtx().build(forms.model.onnx("fp32", "tensorrt")).layers)
    return counts


def measure_launches(compiler: Compiler, forms: ModelForms, builds: int) -> Any:
    """Time a first launch, which builds into an empty cache, and a later one, which finds."""
    with TemporaryDirectory() as folder:
        numbers, kept = count(), EngineCache(Path(folder) / "kept")
        forms.model.onnx("fp32", "tensorrt")  # export once, before anything is timed
        kept.find_or_build(compiler, forms.model)

        def build() -> object:
            return EngineCache(Path(folder) / f"empty{next(numbers)}").find_or_build(compiler, forms.model)

        calls = {"first launch": build, "later launch": partial(kept.find_or_build, compiler, forms.model)}
        return compare_latency(calls, baseline="later launch", runs=max(builds, 6), warmup=1)


def measure_engines(forms: ModelForms, capabilities: tuple[str, str]) -> dict[str, Any]:
    """Return the sizes of engines for two kinds of GPU, and which share of their bytes differs."""
    if TensorRtRtx().why_unavailable():
        return {}
    content = forms.model.onnx("fp32", "tensorrt")
    engines = [TensorRtRtx(compute_capability=each).build(content).content for each in capabilities]
    differing = sum(one != other for one, other in zip(*engines, strict=False)) / min(map(len, engines))
    sizes = {each: len(engine) for each, engine in zip(capabilities, engines, strict=True)}
    return {"size_bytes": sizes, "differing": differing}
