"""`make test` really runs without a network, and its launcher says so where it cannot switch it off."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

LAUNCHER = Path(__file__).resolve().parent / "offline.py"

spec = importlib.util.spec_from_file_location("offline", LAUNCHER)
assert spec
assert spec.loader
offline = importlib.util.module_from_spec(spec)
spec.loader.exec_module(offline)

ASK = """
import json, os, socket
try:
    socket.create_connection(("192.0.2.1", 80), timeout=2).close()
    outside = "connected"
except OSError as error:
    outside = error.strerror
print(json.dumps({"names": [name for _, name in socket.if_nameindex()], "outside": outside,
                  "mark": os.environ.get("COURSE_NETWORK")}))
"""


def test_these_tests_run_without_a_network() -> None:
    if os.environ.get(offline.MARK) != "off":
        if os.environ.get("CI") == "true":
            pytest.fail("with CI=true the tests run through: python tests/offline.py python -m pytest")
        pytest.skip(
            "the network is on: these tests were not started by `make test`, or it said that it cannot"
        )
    assert [name for _, name in socket.if_nameindex()] == ["lo"]
    with pytest.raises(OSError, match="unreachable"):
        socket.create_connection(("192.0.2.1", 80), timeout=2)
    with pytest.raises(OSError, match="resolution"):
        socket.getaddrinfo("example.org", 80)


def test_loopback_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=lambda: server.accept()[0].sendall(b"here"), daemon=True).start()
        with socket.create_connection(server.getsockname(), timeout=5) as client:
            assert client.recv(4) == b"here"


def test_launcher_switches_the_network_off() -> None:
    reason = offline.reason_against()
    if reason is not None:
        pytest.skip(f"network namespaces cannot be made here: {reason}")
    command = [sys.executable, LAUNCHER, sys.executable, "-c", ASK]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert answer == {"names": ["lo"], "outside": "Network is unreachable", "mark": "off"}


def test_launcher_keeps_the_exit_status() -> None:
    command = [sys.executable, LAUNCHER, sys.executable, "-c", "raise SystemExit(7)"]
    assert subprocess.run(command, capture_output=True).returncode == 7


@pytest.fixture
def no_namespaces(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Pretend that namespaces are not allowed; return the list of commands that were started."""
    started: list[list[str]] = []
    monkeypatch.setattr(offline, "reason_against", lambda: "Operation not permitted")
    monkeypatch.setattr(offline.os, "execvp", lambda _, command: started.append(command))
    # main changes the variable itself: this puts the present value back after the test.
    monkeypatch.setenv(offline.MARK, os.environ.get(offline.MARK, "on"))
    return started


def test_without_namespaces_it_says_so_and_goes_on(
    no_namespaces: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CI", raising=False)
    offline.main(["pytest", "-q"])
    assert no_namespaces == [["pytest", "-q"]]
    message = "The network cannot be switched off here (Operation not permitted), so it stays on.\n"
    assert capsys.readouterr().err == message
    assert offline.MARK not in os.environ


def test_without_namespaces_ci_fails(no_namespaces: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(SystemExit, match="with CI=true that is an error"):
        offline.main(["pytest"])
    assert no_namespaces == []


def test_nothing_to_run_is_an_error() -> None:
    with pytest.raises(SystemExit, match=r"Call: python tests/offline\.py COMMAND"):
        offline.main([])
