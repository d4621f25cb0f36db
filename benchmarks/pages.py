"""Serve the course and open its pages in Chromium, for the benchmarks and the browser tests.

``python -m benchmarks.pages`` takes the README's picture of the explorer.
"""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from playwright.sync_api import Browser, Page, expect, sync_playwright

from benchmarks.chromium import MISSING, find_chromium
from course_lib.errors import MeasurementError

ROOT = Path(__file__).resolve().parent.parent
EXPLORER_PATH = "voila/render/compression_explorer.ipynb"
NOTEBOOK = "notebooks/dashboards/compression_explorer.ipynb"
EXPLORER = ".ce[data-generation]"
START_S = 120
WAIT_MS = 90_000
PICTURE = ROOT / "notebooks" / "images" / "compression_explorer.png"


@dataclass(frozen=True)
class Server:
    """A running server: where it answers, and its process."""

    url: str
    process: psutil.Process

    def kernels(self) -> list[psutil.Process]:
        """Return the processes of its kernels."""
        found = []
        for child in self.process.children(recursive=True):
            # One that has just ended has no command line.
            with suppress(psutil.NoSuchProcess):
                if "ipykernel_launcher" in child.cmdline():
                    found.append(child)
        return found

    def wait_until_warm(self, kernels: int = 1) -> None:
        """Return once at least so many kernels exist and all of them have nothing left to do.

        Raises
        ------
        MeasurementError
            If that takes more than two minutes.
        """
        give_up = time.monotonic() + START_S
        while time.monotonic() < give_up:
            # A pool may replace a kernel meanwhile; then it is looked at again.
            with suppress(psutil.NoSuchProcess):
                running = self.kernels()
                before = [sum(kernel.cpu_times()[:2]) for kernel in running]
                time.sleep(1.5)
                used = [sum(kernel.cpu_times()[:2]) for kernel in running]
                if len(running) >= kernels and all(u - b < 0.1 for b, u in zip(before, used, strict=True)):
                    return
        raise MeasurementError("No kernel became warm in two minutes; look at the output of make demo.")


@contextmanager
def served(command: list[str], url: str) -> Iterator[Server]:
    """Run a server until the block ends, once ``url`` answers; all its kernels end with it.

    Raises
    ------
    MeasurementError
        If the server stops or does not answer in two minutes; the message ends with what it printed last.
    """
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        log = Path(folder) / "log"
        environment = {**os.environ, "JUPYTER_RUNTIME_DIR": folder}
        with log.open("wb") as file:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=file, stderr=file, start_new_session=True
            )
        try:
            _wait_for(url, process, log)
            yield Server(url, psutil.Process(process.pid))
        finally:
            _end(process)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + START_S
    while time.monotonic() < give_up and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise MeasurementError(f"The server did not come up; its last words: {log.read_text()[-600:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    # Kernels have sessions of their own, so ending the server's group would leave them behind.
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        with suppress(psutil.NoSuchProcess):
            member.terminate()
    _, alive = psutil.wait_procs(family, timeout=10)
    for member in alive:
        member.kill()
    process.wait()


@contextmanager
def voila_server() -> Iterator[Server]:
    """Serve the dashboards as `make demo` does, with a warm kernel waiting."""
    port = free_port()
    options = ["--Voila.config_file_paths=notebooks/dashboards", "--no-browser", f"--port={port}"]
    command = [sys.executable, "-m", "voila", *options, "notebooks/dashboards"]
    with served(command, f"http://127.0.0.1:{port}/") as server:
        server.wait_until_warm()
        yield server


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def browser() -> Iterator[Browser]:
    """Start the installed Chromium without a window.

    Raises
    ------
    MeasurementError
        If there is none.
    """
    path = find_chromium()
    if path is None:
        raise MeasurementError(MISSING)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def open_explorer(page: Page, server: Server) -> Page:
    """Open the compression explorer under Voilà and return once it is usable."""
    page.goto(server.url + EXPLORER_PATH)
    page.wait_for_selector(EXPLORER, timeout=WAIT_MS)
    return page


def open_in_lab(page: Page, server: Server) -> Page:
    """Open the explorer's notebook in JupyterLab with a fresh kernel and run all its cells."""
    page.goto(f"{server.url}/tree/{NOTEBOOK}?reset")
    run_all_cells(page)
    return page


def run_all_cells(page: Page) -> None:
    """Run the notebook that JupyterLab shows, once its kernel is there, and wait for the explorer."""
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_selector(EXPLORER, timeout=WAIT_MS)


def wait_until_exact(page: Page) -> None:
    """Return once the page shows the exact result of the controls' position."""
    page.wait_for_function(
        "() => [...document.querySelectorAll('.ce')].every((e) => e.dataset.exact === 'true' && "
        "e.dataset.generation === (e.dataset.sent ?? e.dataset.generation))",
        timeout=WAIT_MS,
    )


def take_picture() -> None:
    """Visit some settings of the explorer and save what the page then shows for the README."""
    with voila_server() as server, browser() as chromium:
        page = chromium.new_page(viewport={"width": 1200, "height": 1240})
        open_explorer(page, server)
        names = ("Channels removed", "Sparsity", "Weight bits")
        sliders = [page.get_by_label(name, exact=True) for name in names]
        # Channels can be removed once PyTorch is loaded.
        expect(sliders[0]).to_be_enabled(timeout=WAIT_MS)
        for presses in ((0, 30, 2), (0, 20, 2), (0, 15, 1), (0, -45, -3), (3, 0, 0), (2, 0, 0), (-3, 0, 0)):
            for slider, count in zip(sliders, presses, strict=True):
                for _ in range(abs(count)):
                    slider.press("ArrowRight" if count > 0 else "ArrowLeft")
            wait_until_exact(page)
        page.locator(".ce").screenshot(path=PICTURE)


if __name__ == "__main__":
    take_picture()
