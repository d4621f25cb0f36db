"""Finding Chromium, and what is said when there is none."""

import sys
from pathlib import Path

import pytest

from benchmarks import chromium


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an executable called chromium that alone is on the PATH."""
    path = tmp_path / "chromium"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CHROME_PATH", raising=False)
    monkeypatch.setattr(chromium, "NAMES", ("google-chrome", "chromium"))
    monkeypatch.setattr(sys, "argv", ["chromium.py"])
    return path


def test_path_is_found_and_printed(fake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert chromium.find_chromium() == fake
    assert chromium.main() == 0
    assert capsys.readouterr().out == f"{fake}\n"


def test_chrome_path_decides(fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = fake.rename(tmp_path / "my-chrome")
    monkeypatch.setenv("CHROME_PATH", str(other))
    assert chromium.find_chromium() == other
    monkeypatch.setenv("CHROME_PATH", str(tmp_path / "gone"))
    assert chromium.find_chromium() is None


def test_missing_is_one_sentence(fake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fake.unlink()
    assert chromium.main() == 1
    assert capsys.readouterr().err == chromium.MISSING + "\n"
    assert "apt-get install chromium" in chromium.MISSING


def test_install_is_tried_only_when_asked(fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = fake.read_bytes()
    fake.unlink()

    def install() -> bool:
        fake.write_bytes(content)
        fake.chmod(0o755)
        return True

    monkeypatch.setattr(chromium, "install_chromium", install)
    assert chromium.main() == 1
    monkeypatch.setattr(sys, "argv", ["chromium.py", "--install"])
    assert chromium.main() == 0


def test_no_package_manager_means_no_installation(fake: Path) -> None:
    assert chromium.install_chromium() is False


def test_no_right_to_install_means_no_installation(
    fake: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in [("apt-get", "#!/bin/sh\nexit 9\n"), ("sudo", "#!/bin/sh\nexit 1\n")]:
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setattr(chromium.os, "geteuid", lambda: 1000)
    assert chromium.install_chromium() is False
