"""The chart of where sparsity pays: measured ratios as they are, and the break-even points that follow."""

from matplotlib.ticker import PercentFormatter, StrMethodFormatter

from course_lib.errors import SettingError
from course_lib.pipelines.sparse_kernels import FORMATS, ZEROS
from course_lib.pipelines.sparsity_pays import SparsityStudy
from course_lib.widgets.chart import BLUE, GREEN, GREY, ORANGE, WIDE, Chart, Size, panels

COLOURS = (BLUE, ORANGE, GREEN, "#7c3aed", "#0e7490", "#a16207")
MARKS = "osD^vX"


def break_even_chart(study: SparsityStudy, chosen: int | None = None, size: Size = WIDE) -> Chart:
    """Draw latency against sparsity for matrices of one size, and the break-even sparsity of every size.

    Parameters
    ----------
    chosen
        The side of the matrices whose ratios are drawn; None for the largest.

    Raises
    ------
    SettingError
        If that size was not measured.
    """
    side = max(study.sizes) if chosen is None else chosen
    if side not in study.sizes:
        raise SettingError(f"Matrices of {side}×{side} were not measured; choose one of {study.sizes}.")
    figure, (ratios, points) = panels(2, size)
    kernels = (*FORMATS, *ZEROS)
    styles = dict(zip(kernels, zip(COLOURS, MARKS, strict=True), strict=True))
    places = {
        kernel: [(each.size, each.sparsity) for each in study.break_even if each.kernel == kernel]
        for kernel in kernels
    }
    for kernel, (colour, mark) in styles.items():
        curve = study.curve(kernel, side)
        sparsities, values = [each.sparsity for each in curve], [each.ratio.value for each in curve]
        low, high = zip(*(each.ratio.interval for each in curve), strict=True)
        ratios.fill_between(sparsities, low, high, color=colour, alpha=0.2, linewidth=0)
        ratios.plot(sparsities, values, f"{mark}-", color=colour, label=kernel, markersize=5)
        found = [(where, zeros) for where, zeros in places[kernel] if zeros is not None]
        if found:
            points.plot(*zip(*found, strict=True), f"{mark}-", color=colour, markersize=6)
    ratios.axhline(1, color=GREY, linewidth=1)
    ratios.set(
        xlabel=f"weights of a {side} × {side} matrix that are zero",
        title=f"latency, as a multiple of {study.baselines[side]}",
    )
    ratios.set_yscale("log", base=2)
    ratios.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ratios.xaxis.set_major_formatter(PercentFormatter(1))
    points.set(xlabel="side of the matrix", title="zeros needed to be faster than dense", ylim=(0.4, 1.02))
    points.set_xscale("log", base=2)
    points.set_xticks(study.sizes, [str(each) for each in study.sizes])
    points.yaxis.set_major_formatter(PercentFormatter(1))
    # Above, for slides have a footnote below.
    figure.legend(loc="outside upper center", ncols=3 if size[0] > size[1] else 2, fontsize="small")
    at_side = {each.kernel: each.sparsity for each in study.break_even if each.size == side}
    texts = [
        f"{kernel} never" if zeros is None else f"{kernel} from {zeros:.0%}"
        for kernel, zeros in at_side.items()
    ]
    return Chart(
        figure,
        f"Zeros with which a {side}×{side} matrix is faster than the best dense kernel (columns: "
        f"{study.columns}), measured up to {study.sparsities[-1]:.0%}: {', '.join(texts)}.",
    )
