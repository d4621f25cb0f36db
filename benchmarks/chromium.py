"""The Chromium that drives real pages: find it, and install it where the system allows.

`python -m benchmarks.chromium` prints its path; with ``--install`` it asks the system's package manager first
when there is none. Needs nothing but Python, so that the slides can be built without the course's packages.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome-stable",
    "google-chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)

MISSING = (
    "No Chromium or Chrome was found: install one (on Debian: apt-get install chromium) "
    "or name it with CHROME_PATH=/path/to/it."
)


def find_chromium() -> Path | None:
    """Return the installed Chromium or Chrome, or None; ``CHROME_PATH`` decides when it is set."""
    wanted = os.environ.get("CHROME_PATH")
    for name in [wanted] if wanted else NAMES:
        path = shutil.which(name)
        if path:
            return Path(path)
    return None


def install_chromium() -> bool:
    """Install Chromium with apt-get; return False where there is none, or no right to use it, or it fails."""
    if not shutil.which("apt-get"):
        return False
    become_root: list[str] = []
    if os.geteuid() != 0:
        become_root = ["sudo", "--non-interactive"]
        if not shutil.which("sudo") or subprocess.run([*become_root, "true"], capture_output=True).returncode:
            return False
    # The package lists may never have been fetched; what counts is whether the installation works.
    apt = [*become_root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--yes"]
    subprocess.run([*apt, "update"], stdout=sys.stderr)
    install = [*apt, "install", "--no-install-recommends", "chromium"]
    return subprocess.run(install, stdout=sys.stderr).returncode == 0


def main() -> int:
    """Print the path, or say in one sentence what to do; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.chromium", description=__doc__.split("\n")[0])
    parser.add_argument("--install", action="store_true", help="install Chromium when there is none")
    wants_installation = parser.parse_args().install
    found = find_chromium()
    if found is None and wants_installation and "CHROME_PATH" not in os.environ and install_chromium():
        found = find_chromium()
    if found is None:
        print(MISSING, file=sys.stderr)
        return 1
    print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
