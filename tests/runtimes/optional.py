"""Tests of optional packages: left out where a package is not installed, and failures where it must be."""

import os
import platform
import sys
from importlib.util import find_spec

import pytest

REQUIRED = "CI_COMPILERS"
"""With this environment variable at 1 every compiler has to be there, so that none is left out unseen."""

NOT_EVERYWHERE = {"tensorrt_rtx_bindings": sys.platform == "linux" and platform.machine() == "x86_64"}
"""Package → whether `make compilers` installs it on this machine; the others it installs everywhere."""


def needs(package: str) -> None:
    """Leave the test (or, called at the top of a file, all of its tests) out if ``package`` is missing.

    With ``CI_COMPILERS=1``, which `make test` sets, a missing package is a failure instead.
    """
    if find_spec(package) is not None:
        return
    reason = f"{package} is not installed; install it with: make compilers"
    if os.environ.get(REQUIRED) == "1" and NOT_EVERYWHERE.get(package, True):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason, allow_module_level=True)
