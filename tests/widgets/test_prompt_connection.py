import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection
from traitlets import import_item

from course_lib.widgets.prompt_connection import PromptConnection

ROOT = Path(__file__).resolve().parents[2]


def test_waiting_is_off_before_the_first_message(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[object] = []
    monkeypatch.setattr(ZMQChannelsWebsocketConnection, "connect", lambda self: done.append("connected"))
    handler = SimpleNamespace(set_nodelay=done.append)
    monkeypatch.setattr(PromptConnection, "websocket_handler", handler)
    PromptConnection.__new__(PromptConnection).connect()
    assert done == [True, "connected"]


@pytest.mark.parametrize("file", ["Makefile", "notebooks/dashboards/voila.py"])
def test_both_servers_start_with_it(file: str) -> None:
    named = re.search(r"kernel_websocket_connection_class\W+([\w.]+)", (ROOT / file).read_text())
    assert named is not None
    assert import_item(named[1]) is PromptConnection
