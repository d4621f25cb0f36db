"""How long until a viewer can use the explorer, and what does a viewer cost?

The dashboard under Voilà with warm kernels, opened in Chromium several times; the import of the library in
fresh processes; the memory of one viewer's kernel.
"""

import subprocess
import sys
import time
from statistics import median
from typing import Any

from benchmarks.cli import Target, run
from benchmarks.pages import browser, open_explorer, voila_server

MEGABYTE = 1_000_000
TIMED_IMPORT = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def measure(quick: bool) -> dict[str, Any]:
    """Return the figures of the page, the imports and the memory."""
    visits, imports = (2, 3) if quick else (7, 9)
    interactive_s = []
    with voila_server() as server, browser() as chromium:
        for _ in range(visits):
            server.wait_until_warm(kernels=2)
            context = chromium.new_context()
            page = context.new_page()
            started = time.perf_counter()
            open_explorer(page, server)
            interactive_s.append(time.perf_counter() - started)
            rss_mb = max(kernel.memory_info().rss for kernel in server.kernels()) / MEGABYTE
            context.close()
    return {
        "voila_interactive_s": median(interactive_s),
        "import_s": median(_import_s("course_lib") for _ in range(imports)),
        "import_explorer_s": median(_import_s("course_lib.widgets") for _ in range(imports)),
        "kernel_rss_mb": rss_mb,
        "interactive_samples_s": interactive_s,
    }


def _import_s(module: str) -> float:
    command = [sys.executable, "-c", TIMED_IMPORT.format(module)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


if __name__ == "__main__":
    run(measure, {"voila_interactive_s": Target(high=3)}, threads=2)
