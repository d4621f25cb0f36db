"""Does tuning ONNX Runtime's session options pay, and does it ever make a model slower?

Every network of the zoo, and torchvision's MobileNetV2 at 224×224 with random weights, is tuned for one
picture (`course_lib.pipelines.ort_tuner`); the quick run takes two small ones. Then the tuned and the default
session, both made anew, run in turns once more, in rounds that had no part in any choice: ``gain.<model>``
is the default's median latency divided by the tuned one's, exactly 1 where the default stayed.
``slower_beyond_noise`` counts the models whose 95 % interval lies above 1 there: where both are equally fast,
that is one in forty by chance alone.
"""

import sys
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from benchmarks.cli import Target, run
from benchmarks.ort_levels import networks
from course_lib.benchmarking.number_text import significant
from course_lib.export.onnx_export import build_onnx
from course_lib.pipelines.ort_settings import physical_cores
from course_lib.pipelines.ort_tuner import Tuning, compare_with_default, tune_session

QUICK_MODELS = ("tiny", "depthwise")
CHECK_ROUNDS, QUICK_CHECK_ROUNDS = 300, 30
TARGETS = {"slower_beyond_noise": Target(high=0)}


def examine(content: bytes, shape: tuple[int, ...], quick: bool, seed: int = 0) -> dict[str, Any]:
    """Tune one model and compare what was chosen with the default once more."""
    picture = np.random.default_rng(seed).random(shape, np.float32)
    rounds = {"rounds": 6, "confirmation_rounds": 30} if quick else {}
    with tqdm(unit="step", leave=False, file=sys.stderr) as bar:

        def show(progress: Any) -> None:
            bar.total, bar.n = progress.total, progress.done
            bar.set_description(progress.stage)

        tuning = tune_session(content, picture, seed=seed, on_progress=show, **rounds)
    return figures_of(tuning, content, picture, QUICK_CHECK_ROUNDS if quick else CHECK_ROUNDS, seed + 1)


def figures_of(tuning: Tuning, content: bytes, picture: np.ndarray, rounds: int, seed: int) -> dict[str, Any]:
    """Return what was chosen and how it does in rounds of its own."""
    figures: dict[str, Any] = {
        "setting": str(tuning.best),
        "kept_default": tuning.kept_default,
        "candidate": str(tuning.candidate),
        "confirmation_ratio": tuning.confirmation.ratios["candidate"].value,
        "confirmation_interval": list(tuning.confirmation.ratios["candidate"].interval),
        "settings_tried": len({trial.setting for trial in tuning.trials}),
        "left_out": len(tuning.refused),
        "ratio": 1.0,
        "ratio_interval": [1.0, 1.0],
        "default_p50_ms": tuning.confirmation.results["default"].p50_ms,
    }
    if not tuning.kept_default:
        checked = compare_with_default(content, picture, tuning.best, rounds, seed=seed)
        ratio = checked.ratios["candidate"]
        figures |= {
            "ratio": ratio.value,
            "ratio_interval": list(ratio.interval),
            "default_p50_ms": checked.results["default"].p50_ms,
        }
    return figures


def is_slower(figures: dict[str, Any]) -> bool:
    """Return whether the whole interval of the ratio to the default lies above 1."""
    low: float = figures["ratio_interval"][0]
    return low > 1


def measure(quick: bool) -> dict[str, Any]:
    """Return each network's gain, and what was chosen for it."""
    models = {}
    makers = {name: make for name, make in networks().items() if not quick or name in QUICK_MODELS}
    for name, make in tqdm(makers.items(), unit="network", file=sys.stderr):
        model, shape = make()
        models[name] = examine(build_onnx(model, torch.zeros(shape)), shape, quick)
        print(f"{name}: {models[name]['setting']}, {significant(models[name]['ratio'])}", file=sys.stderr)
    return {
        "slower_beyond_noise": sum(map(is_slower, models.values())),
        "defaults_kept": sum(figures["kept_default"] for figures in models.values()),
        **{f"gain.{name}": 1 / figures["ratio"] for name, figures in models.items()},
        "models": models,
    }


if __name__ == "__main__":
    run(measure, TARGETS, threads=physical_cores())
