"""Real servers, started with the README's commands, and real pages in Chromium."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from benchmarks import pages
from benchmarks.pages import Server


@pytest.fixture(scope="session")
def voila() -> Iterator[Server]:
    """`make demo`, with a warm kernel waiting."""
    port = pages.free_port()
    command = ["make", "demo", f"DEMO_ARGS=--no-browser --port={port}"]
    with pages.served(command, f"http://127.0.0.1:{port}/") as server:
        server.wait_until_warm()
        yield server


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`make lab`, without a token, with its workspaces and settings in a folder of their own."""
    port = pages.free_port()
    options = f"--no-browser --port={port} --IdentityProvider.token= --ServerApp.password="
    home = tmp_path_factory.mktemp("jupyter")
    kept = os.environ.get("JUPYTER_CONFIG_DIR")
    os.environ["JUPYTER_CONFIG_DIR"] = str(home)
    try:
        with pages.served(["make", "lab", f"LAB_ARGS={options}"], f"http://127.0.0.1:{port}/lab") as server:
            yield server
    finally:
        if kept is None:
            del os.environ["JUPYTER_CONFIG_DIR"]
        else:
            os.environ["JUPYTER_CONFIG_DIR"] = kept


@pytest.fixture(scope="session")
def chromium(chromium_path: Path) -> Iterator[Browser]:
    with pages.browser() as browser:
        yield browser


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 1280, "height": 1100}, accept_downloads=True)
    context.set_default_timeout(60_000)
    yield context
    context.close()


@pytest.fixture(params=["voila", "jupyterlab"])
def explorer_page(request: pytest.FixtureRequest, context: BrowserContext) -> Page:
    """A page with the explorer ready to use, once under Voilà and once in JupyterLab."""
    if request.param == "voila":
        return pages.open_explorer(context.new_page(), request.getfixturevalue("voila"))
    return pages.open_in_lab(context.new_page(), request.getfixturevalue("lab"))
