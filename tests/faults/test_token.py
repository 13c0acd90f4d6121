"""A server of tokens (OAuth 2) that takes connections and says nothing."""

import json
import threading
import time

import pytest

from harness.http_server import CUT, HttpEndpoint, token_answer
from harness.waiting import wait_until


class Tokens(HttpEndpoint):
    """It hangs until `answers` is set; whoever has waited until then is cut off."""

    def __init__(self):
        self.answers = threading.Event()
        super().__init__(self._token)

    def _token(self, attempt):
        return token_answer("t") if self.answers.is_set() else self.answers.wait(60) and CUT

    def close(self):
        self.answers.set()
        super().close()


@pytest.fixture
def tokens():
    tokens = Tokens()
    yield tokens
    tokens.close()


@pytest.fixture
def endpoint():
    endpoint = HttpEndpoint()
    yield endpoint
    endpoint.close()


@pytest.mark.timeout(90)
def test_a_token_server_that_hangs_holds_nobody_up_and_records_flow_when_it_answers(server, cluster, group, tokens, endpoint):
    topic = cluster.make_topic("token", 2)
    cluster.produce(topic, [(n % 2, b"%d" % n) for n in range(100)])
    auth = {"type": "oauth2", "token_url": tokens.url, "client_id": "id", "client_secret": "hush"}
    sink = lambda timeout: ("streaming_forwarder", {"endpoint_url": endpoint.url, "format": "ndjson", "auth": auth, "request_timeout": timeout})
    asked = lambda: len(tokens.attempts)

    def in_time(expected, method, path, body=None, asks=True):
        before, begin = asked(), time.monotonic()
        server.expect(expected, method, path, body, timeout=30)
        assert time.monotonic() - begin < 7, f"{method} {path}"
        if asks:
            wait_until(lambda: asked() > before, 20, "a token is asked for anew")

    deleted = server.create(cluster, topic, group + "-deleted", [sink("1m")])
    wait_until(lambda: asked() == 1, 20, "a token is asked for")
    in_time(204, "DELETE", f"/api/consumers/{deleted}", asks=False)

    consumer = server.create(cluster, topic, group, [sink("1s")])
    path = f"/api/consumers/{consumer}"
    health = lambda: json.dumps(server.consumer(consumer)["health"])
    wait_until(lambda: "token server" in health(), 20, health)
    found = server.consumer(consumer)
    assert found["status"] == "ACTIVE" and found["health"]["state"] == "degraded", found
    kind, config = sink("1m")
    in_time(200, "PUT", path, {"processor_configs": [{"processor_type": kind, "config": config}]})
    in_time(200, "POST", path + "/restart")
    in_time(200, "POST", path + "/stop", asks=False)
    assert server.consumer(consumer)["status"] == "INACTIVE"
    in_time(200, "POST", path + "/start")
    assert not endpoint.attempts, "nothing goes without a token"
    tokens.answers.set()
    wait_until(lambda: cluster.committed(group, topic) == {0: 50, 1: 50}, 20, health)
    assert endpoint.records() == 100 and {attempt.headers["authorization"] for attempt in endpoint.attempts} == {"Bearer t"}
    assert server.consumer(consumer)["metrics"]["restarts"] == 0
