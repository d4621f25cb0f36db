"""A study of made-up ratios, for the tests of what follows from one."""

from course_lib.benchmarking import Interval, Ratio, record_machine
from course_lib.pipelines.sparse_kernels import DENSE, FORMATS, ZEROS
from course_lib.pipelines.sparsity_pays import SparseTiming, SparsityStudy

RATIOS = {
    **dict.fromkeys(ZEROS, (1.0, 1.0, 1.0)),
    FORMATS[0]: (4.0, 2.0, 0.5),
    FORMATS[1]: (8.0, 4.0, 2.0),
    FORMATS[2]: (0.9, 0.8, 0.1),
    FORMATS[3]: (2.0, 0.9, 0.5),
}


def make_study() -> SparsityStudy:
    """Return ratios at 50, 80 and 90 % zeros; intervals reach from half to twice the ratio."""
    sparsities = (0.5, 0.8, 0.9)
    timings = [
        SparseTiming(64, sparsity, name, ratio, Ratio(ratio, Interval(ratio / 2, 2 * ratio, 0.95)))
        for name, ratios in RATIOS.items()
        for sparsity, ratio in zip(sparsities, ratios, strict=True)
    ]
    return SparsityStudy(
        machine=record_machine(),
        columns=1,
        sizes=(64,),
        baselines={64: DENSE[1]},
        sparsities=sparsities,
        timings=tuple(timings),
    )
