"""From how many zeros on is a sparse format faster than the dense kernel on this CPU?

Square matrices of several sizes are multiplied with 1 and with 64 columns on one thread: dense, with zeros in
dense kernels, in sparse formats (CSR, blocks), and with 2:4 zeros, all in turns, as ratios to the faster of
PyTorch's and ONNX Runtime's dense kernels. Figures are for the largest size: the sparsity from which on a
format is faster (none where it never is), and the latency of zeros in a dense kernel, as a ratio to the same
kernel without. On a GPU with sparse tensor cores 2:4 is timed there too.
"""

import re
import sys
from typing import Any

from tqdm import tqdm

from benchmarks.cli import run
from course_lib.pipelines.sparse_kernels import DENSE, TWO_FOUR, ZEROS
from course_lib.pipelines.sparsity_pays import SIZES, SPARSITIES, SparsityStudy, measure_sparsity_pays
from course_lib.pipelines.two_four_gpu import measure_two_four, why_no_two_four

COLUMNS = (1, 64)
QUICK_SIZES, QUICK_SPARSITIES = (64, 128), (0.5, 0.9, 0.98)


def study(columns: int, quick: bool) -> SparsityStudy:
    """Measure one number of columns, with a progress bar."""
    sizes, sparsities = (QUICK_SIZES, QUICK_SPARSITIES) if quick else (SIZES, SPARSITIES)
    total = len(sizes) * len(sparsities)
    with tqdm(total=total, desc=f"{columns} columns", unit="point", file=sys.stderr) as bar:

        def show(size: int, sparsity: float) -> None:
            bar.update()

        runs = 10 if quick else 60
        return measure_sparsity_pays(sizes, sparsities, columns=columns, runs=runs, on_point=show)


def measure(quick: bool) -> dict[str, Any]:
    """Return the break-even sparsities at the largest size, and all ratios and break-even points."""
    studies = [study(columns, quick) for columns in COLUMNS]
    largest = max(studies[0].sizes)
    headline = {
        f"{key_of(each.kernel)}_{one.columns}_columns_break_even": each.sparsity
        for one in studies
        for each in one.break_even
        if each.size == largest
    }
    unchanged = {
        f"{key_of(zeros)}_{one.columns}_columns_ratio": last_ms(one, zeros) / last_ms(one, dense)
        for one in studies
        for zeros, dense in zip((*ZEROS, TWO_FOUR), (*DENSE, DENSE[0]), strict=True)
    }
    return {
        **headline,
        **unchanged,
        "sizes": list(studies[0].sizes),
        "sparsities": list(studies[0].sparsities),
        "results": [timing for one in studies for timing in timings(one)],
        "break_even": [{"columns": one.columns, **vars(each)} for one in studies for each in one.break_even],
        "gpu_two_four": two_four(quick),
    }


def last_ms(one: SparsityStudy, kernel: str) -> float:
    """Return the median of a kernel at the largest size and its highest sparsity."""
    return one.curve(kernel, max(one.sizes))[-1].p50_ms


def key_of(kernel: str) -> str:
    """Return the name of a kernel as part of a key: ``"CSR, SciPy"`` becomes ``"csr_scipy"``."""
    return re.sub(r"\W+", "_", kernel.replace("×", "x")).lower()


def timings(one: SparsityStudy) -> list[dict[str, Any]]:
    """Return all timings of a study as plain values."""
    return [
        {
            "columns": one.columns,
            "size": each.size,
            "sparsity": each.sparsity,
            "kernel": each.kernel,
            "p50_ms": each.p50_ms,
            "ratio": each.ratio.value,
            "ratio_interval": list(each.ratio.interval),
        }
        for each in one.timings
    ]


def two_four(quick: bool) -> dict[str, Any]:
    """Return size → ratio of 2:4 on the GPU and its interval, or why there is none."""
    missing = why_no_two_four()
    if missing:
        print(missing, file=sys.stderr)
        return {"missing": missing}
    found = measure_two_four((1024,)) if quick else measure_two_four()
    ratios = {size: each.ratios["2:4"] for size, each in found.items()}
    return {str(size): [ratio.value, *ratio.interval] for size, ratio in ratios.items()}


if __name__ == "__main__":
    run(measure)
