"""One model, every target: ``python -m course_lib.pipelines.compile MODEL --targets all``.

MODEL is a network of the course (mobilenet_v2), one of torchvision (torchvision:resnet18), or an ONNX file.
For each target and precision the real compiler builds a file. Where that runs on this machine, its outputs
are compared with the original's, and its latency with that of ONNX Runtime in fp32, in interleaved rounds.

A target that fails says why, and the others go on. Ctrl-C keeps what is done.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from json import dumps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from tqdm import tqdm

from course_lib.benchmarking.checks import require_count
from course_lib.benchmarking.machine import record_machine
from course_lib.errors import CourseError, ExportError
from course_lib.pipelines.compile_cell import CellMaker
from course_lib.pipelines.compile_report import CompileReport
from course_lib.pipelines.compile_targets import TARGETS
from course_lib.pipelines.model_forms import ModelForms, Source, prepare_forms
from course_lib.registry import look_up
from course_lib.reproducibility import write_text_atomically
from course_lib.runtimes.compilation import PRECISIONS, Precision
from course_lib.runtimes.protocol import check_threads

__all__ = ["TARGETS", "compile_model", "main"]

RUNS = 100


def compile_model(
    source: Source | ModelForms,
    targets: Sequence[str] | None = None,
    precisions: Sequence[Precision] = PRECISIONS,
    *,
    batch: int = 1,
    threads: int = 1,
    runs: int = RUNS,
    folder: Path | None = None,
    on_start: Callable[[str, Precision], None] = lambda target, precision: None,
    on_cell: Callable[[CompileReport], None] = lambda report: None,
) -> CompileReport:
    """Build, check and time a model on every target in every precision.

    Parameters
    ----------
    source
        As in `prepare_forms`, or what that returned; then ``batch`` is not looked at.
    targets
        Names of `TARGETS`; all when left out.
    runs
        Rounds of each latency comparison, at least 6.
    folder
        Where compiled files are kept, each in a folder TARGET_PRECISION; by default they are thrown away.
    on_start, on_cell
        Called before each cell, and after it with the report so far.

    Returns
    -------
    CompileReport
        With all cells, or after Ctrl-C with those that were done.

    Raises
    ------
    UnknownNameError, SettingError
        If there is no such target or precision, or a number is too small; before anything is built.
    ModelError, ExportError, DataError
        As `prepare_forms`; what goes wrong on one target is said in its cell.
    """
    targets = list(TARGETS) if targets is None else list(targets)
    for target in targets:
        look_up(TARGETS, "target", target)
    for precision in precisions:
        look_up(dict.fromkeys(PRECISIONS), "precision", precision)
    check_threads(threads)
    require_count("runs", runs, 6)
    forms = source if isinstance(source, ModelForms) else prepare_forms(source, batch=batch)
    wanted = list(product(targets, precisions))
    report = CompileReport(
        machine=record_machine(threads),
        model=forms.model.name,
        batch=len(forms.model.example_inputs),
        input_shape=forms.model.example_inputs.shape,
        cells=(),
        remarks=forms.notes,
        unfinished=len(wanted),
    )
    with TemporaryDirectory() as temporary:
        maker = CellMaker(forms, folder or Path(temporary), folder is not None, threads, runs)
        try:
            for target, precision in wanted:
                on_start(target, precision)
                cell = maker.make(target, precision)
                report = replace(report, cells=(*report.cells, cell), unfinished=report.unfinished - 1)
                on_cell(report)
        except KeyboardInterrupt:
            pass  # what is done is the answer, and the report says how many are missing
    return report


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 1 if nothing was built, 130 after Ctrl-C."""
    options = _parse(arguments)
    targets = tuple(TARGETS) if options.targets == "all" else tuple(options.targets.split(","))
    precisions = cast(tuple[Precision, ...], tuple(options.precisions.split(",")))
    source = options.model
    try:
        with tqdm(total=len(targets) * len(precisions), unit="cell", file=sys.stderr) as bar:
            bar.set_description("preparing")

            def finish(report: CompileReport) -> None:
                bar.update()
                if options.json:
                    write_json(report, options.json)

            report = compile_model(
                source,
                targets,
                precisions,
                batch=options.batch,
                threads=options.threads,
                runs=options.runs,
                folder=options.out,
                on_start=lambda target, precision: bar.set_description(f"{target} {precision}"),
                on_cell=finish,
            )
        if options.json:
            write_json(report, options.json)
    except CourseError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted before anything was built.", file=sys.stderr)
        return 130
    print(report)
    if report.unfinished:
        return 130
    return 0 if any(cell.built for cell in report.cells) else 1


def write_json(report: CompileReport, path: Path) -> None:
    """Write a report as JSON, whole or not at all.

    Raises
    ------
    ExportError
        If the file cannot be written.
    """
    try:
        write_text_atomically(
            path, dumps(report.as_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        )
    except OSError as error:
        raise ExportError(
            f"The report {path} could not be written ({error.strerror}); free some space or pass another "
            "path."
        ) from error


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m course_lib.pipelines.compile",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("model", metavar="MODEL", help="a network's name, or the path of an ONNX file")
    parser.add_argument("--targets", default="all", help=f"all, or some of {','.join(TARGETS)}")
    parser.add_argument("--precisions", default=",".join(PRECISIONS), help="fp32,fp16,int8 by default")
    parser.add_argument("--batch", type=int, default=1, help="of the compiled files; 1 by default")
    parser.add_argument("--threads", type=int, default=1, help="of the latency comparison; 1 by default")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"rounds of it; {RUNS} by default")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write a report here after every cell")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="keep the compiled files here")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
