"""Opening a dashboard's notebook the two ways that people do."""

import pytest
from playwright.sync_api import BrowserContext, Page

from benchmarks import pages


def open_dashboard(name: str, request: pytest.FixtureRequest, context: BrowserContext) -> Page:
    """Open a dashboard in Voilà or in JupyterLab, as the fixture's parameter says, and wait for results."""
    opened = context.new_page()
    if request.param == "voila":
        opened.goto(f"{request.getfixturevalue('voila').url}voila/render/{name}")
        opened.wait_for_selector(pages.EXPLORER, timeout=pages.WAIT_MS)
    else:
        opened.goto(f"{request.getfixturevalue('lab').url}/tree/notebooks/dashboards/{name}?reset")
        pages.run_all_cells(opened)
    pages.wait_until_exact(opened)
    return opened
