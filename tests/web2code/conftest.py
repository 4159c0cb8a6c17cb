import threading

import pytest

from tests.web2code.chat import ChatServer


@pytest.fixture
def chat():
    """A chat model's server, new for each test."""
    server = ChatServer()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.released.set()
    server.shutdown()
    server.server_close()
