"""What the tests of the API share. Most of them need no broker: the server runs without one."""

import socket

import pytest

from harness.server import Server

NOWHERE = "127.0.0.1:1"  # nobody listens there


@pytest.fixture
def make_api(tmp_path):
    """make_api(**environment) -> a running server without a broker."""
    servers = []

    def make(start=True, **environment):
        server = Server(tmp_path / f"api{len(servers)}", NOWHERE, **environment)
        servers.append(server)
        return server.start() if start else server

    yield make
    for server in servers:
        print(server.close_and_tell())


@pytest.fixture
def api(make_api):
    return make_api()


def consumer_body(server, name="payments", **fields):
    """A valid body; `fields` replace its own, a field of None is left out."""
    body = {
        "broker_ip": "127.0.0.1",
        "broker_port": 1,
        "topic": name,
        "consumer_group": f"{name}_group",
        "processor_configs": [{"processor_type": "file_sink", "config": {"file_path": str(server.out / f"{name}.log")}}],
        **fields,
    }
    return {field: value for field, value in body.items() if value is not None}


def assert_problem(answer, status, *pointers):
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body["status"] == status and answer.body["title"] and answer.body["detail"] and answer.body["type"]
    assert [sorted(error) for error in answer.body["errors"]] == [["detail", "pointer"]] * len(answer.body["errors"])
    if pointers:
        assert sorted(error["pointer"] for error in answer.body["errors"]) == sorted(pointers), answer.body


class RawConnection:
    """Bytes as they are, for what no HTTP library would send."""

    def __init__(self, server, timeout=20):
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=timeout)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())
        return self

    def receive(self):
        """Everything until the server closes."""
        received = b""
        while True:
            try:
                more = self.socket.recv(65536)
            except ConnectionResetError:
                more = b""
            if not more:
                return received.decode(errors="replace")
            received += more

    def status(self):
        text = self.receive()
        return int(text.split(" ", 2)[1]) if text.startswith("HTTP/1.1 ") else None
