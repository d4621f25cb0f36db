"""Run every benchmark and record its figures with their machine: ``python -m benchmarks [NAME …]``.

The record of a script goes to ``benchmarks/results/NAME.json``. A quick run is a trial: it is printed and not
recorded. One script that fails does not stop the others.
"""

import argparse
import ast
import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from course_lib.errors import CourseError, MeasurementError
from course_lib.registry import look_up
from course_lib.reproducibility import write_atomically

HERE = Path(__file__).resolve().parent
TIME_LIMIT_S = 3600
"""Most take under ten minutes on two CPUs, those that train half an hour; then a script counts as hung."""


def find_scripts(folder: Path) -> dict[str, Path]:
    """Return name → file of every benchmark: each module that defines ``measure``; the others are helpers."""
    scripts = {}
    for path in sorted(folder.glob("*.py")):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        if any(isinstance(node, ast.FunctionDef) and node.name == "measure" for node in body):
            scripts[path.stem] = path
    return scripts


def run_script(script: Path, quick: bool) -> dict[str, Any]:
    """Run one benchmark in a process of its own, print its table, and return its JSON object.

    Raises
    ------
    MeasurementError
        If the script fails, hangs, or does not end with a JSON object.
    """
    module = f"{script.parent.name}.{script.stem}"
    command = [sys.executable, "-m", module, "--json", *(["--quick"] if quick else [])]
    try:
        done = subprocess.run(
            command, cwd=script.parent.parent, stdout=subprocess.PIPE, text=True, timeout=TIME_LIMIT_S
        )
    except subprocess.TimeoutExpired as error:
        raise MeasurementError(
            f"{script.stem} was stopped after {TIME_LIMIT_S} s; "
            f"see where it hangs with: python -m {module} --quick"
        ) from error
    table, _, last_line = done.stdout.rstrip().rpartition("\n")
    print(table, flush=True)
    try:
        result = json.loads(last_line)
    except json.JSONDecodeError:
        result = None
    if done.returncode != 0 or not isinstance(result, dict):
        raise MeasurementError(
            f"{script.stem} ended with status {done.returncode} instead of a JSON object on its last line; "
            f"run it alone with: python -m {module} --json"
        )
    return result


def record(name: str, result: dict[str, Any], folder: Path) -> Path:
    """Write a result and the time it was recorded to ``NAME.json`` in the folder; return the file's path."""
    path = folder / f"{name}.json"
    recorded_at = datetime.now(UTC).isoformat(timespec="seconds")
    text = json.dumps({"benchmark": name, "recorded_at": recorded_at, **result}, indent=2, ensure_ascii=False)

    def write(temporary: Path) -> None:
        temporary.write_text(text + "\n", encoding="utf-8")

    write_atomically(path, write)
    return path


def main(arguments: list[str] | None = None, folder: Path = HERE) -> int:
    """Run the named benchmarks, or all; return the exit status: 0 when every one ran."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="which benchmarks to run; all when left out")
    parser.add_argument("--quick", action="store_true", help="smaller runs, printed and not recorded")
    options = parser.parse_args(arguments)
    scripts = find_scripts(folder)
    failures = 0
    names = options.names or list(scripts)
    for position, name in enumerate(names, start=1):
        start = time.monotonic()
        print(f"[{position}/{len(names)}] {name} …", flush=True)
        try:
            result = run_script(look_up(scripts, "benchmark", name), options.quick)
        except CourseError as error:
            print(error, file=sys.stderr, flush=True)
            failures += 1
            continue
        saved = "not recorded" if options.quick else f"recorded in {record(name, result, folder / 'results')}"
        print(f"[{position}/{len(names)}] {name}: {time.monotonic() - start:.0f} s, {saved}\n", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
