"""Who may ask, and what is not even read: tokens, hosts, origins, framing, sizes, slow clients."""

import contextlib
import json
import time

import pytest

from test_api_support import RawConnection, api, assert_problem, consumer_body, make_api  # noqa: F401

TOKEN = "correct-horse-battery"


def raw(server, text):
    with RawConnection(server) as connection:
        return connection.send(text).status()


# --- tokens ----------------------------------------------------------------------------------------------------------


def test_a_token_is_asked_for_by_everything_but_health(make_api):
    server = make_api(API_TOKEN=TOKEN)
    for path in ("/livez", "/readyz"):
        assert server.api("GET", path).status == 200
    for method, path in (("GET", "/api/consumers"), ("POST", "/api/consumers"), ("GET", "/api/processor-types"), ("GET", "/no/such/path"), ("GET", "/monitor/consumer-group-lag")):
        answer = server.api(method, path)
        assert_problem(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN} {TOKEN}"])
def test_a_wrong_token_is_refused(make_api, given):
    assert_problem(make_api(API_TOKEN=TOKEN).api("GET", "/api/consumers", headers={"Authorization": given}), 401)


def test_the_right_token_opens(make_api):
    server = make_api(API_TOKEN=TOKEN)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    made = server.expect(201, "POST", "/api/consumers", consumer_body(server), headers=headers)
    assert server.api("GET", f"/api/consumers/{made['consumer_id']}", headers=headers | {"Host": "any.name:1"}).status == 200
    assert TOKEN not in server.log.read_text()


# --- pages on the web ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "192.168.0.1:8000", "169.254.169.254"])
def test_without_a_token_foreign_hosts_are_refused(api, host):
    assert_problem(api.api("GET", "/api/consumers", headers={"Host": host}), 403)


@pytest.mark.parametrize("host", ["localhost", "localhost:1234", "127.0.0.1", "[::1]:8000", "fetcher.example:80"])
def test_own_and_allowed_hosts_are_served(make_api, host):
    assert make_api(ALLOWED_HOSTS="fetcher.example, other.example").api("GET", "/api/consumers", headers={"Host": host}).status == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:1", "https://localhost.evil.example"])
def test_foreign_origins_are_refused(api, origin):
    for method, body in (("GET", None), ("POST", consumer_body(api))):
        assert_problem(api.api(method, "/api/consumers", body, headers={"Origin": origin}), 403)
    assert api.expect(200, "GET", "/api/consumers")["items"] == []


def test_pages_of_other_programs_on_this_machine_are_refused(api):
    consumer_id = api.expect(201, "POST", "/api/consumers", consumer_body(api))["consumer_id"]
    for origin in (f"http://127.0.0.1:{api.port + 1}", "http://127.0.0.1", f"http://localhost:{api.port}"):
        assert_problem(api.api("POST", f"/api/consumers/{consumer_id}/start", headers={"Origin": origin}), 403)
    assert api.consumer(consumer_id)["status"] == "INACTIVE"


def test_the_own_origin_is_served(api):
    host = f"127.0.0.1:{api.port}"
    assert api.api("GET", "/api/consumers", headers={"Origin": f"http://{host}"}).status == 200


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""])
def test_a_change_needs_json(api, kind):
    assert_problem(api.api("POST", "/api/consumers", json.dumps(consumer_body(api)).encode(), headers={"Content-Type": kind}), 415)
    assert api.expect(200, "GET", "/api/consumers")["items"] == []


def test_answers_tell_browsers_to_keep_out(api):
    headers = api.api("GET", "/api/consumers").headers
    assert headers["x-content-type-options"] == "nosniff" and "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store" and "server" not in headers


# --- framing ---------------------------------------------------------------------------------------------------------

HEAD = "POST /api/consumers HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    "text, status",
    [
        (HEAD + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (HEAD + "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (HEAD + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 411),
        (HEAD + "Transfer-Encoding: xchunked\r\n\r\n", 411),
        (HEAD + "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 400),
        (HEAD + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
        (HEAD + "Content-Length: +2\r\n\r\n{}", 400),
        (HEAD + "Content-Length: 0x2\r\n\r\n{}", 400),
        (HEAD + "Content-Length: -1\r\n\r\n", 400),
        (HEAD + "Content-Length : 2\r\n\r\n{}", 400),
        (HEAD + "Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 415),
        (HEAD + "\r\n{}", 411),
        (HEAD + "X: a\nY: b\r\n\r\n", 400),
        (HEAD + "X: a\r\n folded\r\n\r\n", 400),
        (HEAD + "X: a\0b\r\n\r\n", 400),
        (HEAD + "Host: evil.example\r\n\r\n", 400),
        ("GET /livez HTTP/1.1\r\n\r\n", 400),
        ("GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("GET /livez HTTP/3.0\r\nHost: localhost\r\n\r\n", 505),
        ("BREW /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", 501),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", 400),
        ("GET /" + "a" * 9_000 + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        ("GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + "a" * 9_000 + "\r\n\r\n", 431),
        ("GET /livez HTTP/1.1\r\nHost: localhost\r\n" + "X: a\r\n" * 100 + "\r\n", 431),
    ],
)
def test_ambiguous_or_oversized_requests_are_refused(api, text, status):
    assert raw(api, text) == status
    assert api.expect(200, "GET", "/api/consumers")["items"] == []


def test_a_refused_request_cannot_hide_another(api):
    hidden = "GET /api/consumers HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with RawConnection(api) as connection:
        text = connection.send(HEAD + f"Content-Length: {len(hidden)}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + hidden).receive()
    assert text.count("HTTP/1.1 ") == 1 and text.startswith("HTTP/1.1 400")


def test_several_requests_on_one_connection(api):
    ask = "GET /livez HTTP/1.1\r\nHost: localhost\r\n"
    with RawConnection(api) as connection:
        text = connection.send((ask + "\r\n") * 3 + ask + "Connection: close\r\n\r\n").receive()
    assert text.count("HTTP/1.1 200 OK") == 4


def test_a_body_over_one_mebibyte_is_a_413(api):
    body = consumer_body(api)
    for size in (1 << 20, 5 << 20):
        assert_problem(api.api("POST", "/api/consumers", json.dumps(body | {"topic": "x" * size}).encode()), 413)
    with RawConnection(api) as connection:  # one that asks first is told before it sends
        assert connection.send(HEAD + "Content-Length: 999999999999\r\nExpect: 100-continue\r\n\r\n").status() == 413


def test_a_client_that_waits_is_asked_for_its_body(api):
    with RawConnection(api) as connection:
        connection.send(HEAD + "Content-Length: 2\r\nConnection: close\r\nExpect: 100-continue\r\n\r\n")
        assert connection.socket.recv(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert connection.send("{}").status() == 422


def test_start_and_stop_need_no_body_and_no_length(api):
    consumer_id = api.expect(201, "POST", "/api/consumers", consumer_body(api))["consumer_id"]
    for verb in ("start", "stop"):
        assert raw(api, f"POST /api/consumers/{consumer_id}/{verb} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") == 200


# --- slow clients ----------------------------------------------------------------------------------------------------


def test_health_answers_while_hundreds_of_slow_clients_hold_on(api):
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(RawConnection(api)) for _ in range(400)]
        for number, connection in enumerate(slow):
            with contextlib.suppress(OSError):  # the earliest have been displaced by now
                connection.send(("GET /livez HTTP/1.1\r\nHost: loc", HEAD + "Content-Length: 1000\r\n\r\n{")[number % 2])
        took = []
        for _ in range(10):
            begin = time.monotonic()
            assert api.api("GET", "/livez", timeout=20).status == 200
            assert api.api("GET", "/api/consumers", timeout=20).status == 200
            took.append(time.monotonic() - begin)
        assert sorted(took)[5] < 1, took


def test_a_request_that_never_ends_is_cut_off(api):
    with RawConnection(api, timeout=30) as connection:
        begin = time.monotonic()
        connection.send("GET /livez HTTP/1.1\r\nHost: localhost\r\n")
        connection.socket.settimeout(0.5)
        while time.monotonic() - begin < 25:
            try:
                connection.send("X: y\r\n")  # a byte now and then does not buy more time
                if connection.socket.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert 5 < time.monotonic() - begin < 20


def test_clients_that_vanish_leave_nothing_behind(api):
    from harness.process import open_files

    before = open_files(api.pid)
    for number in range(300):
        with RawConnection(api) as connection:
            connection.send(HEAD[: number % len(HEAD)] or "G")
    deadline = time.monotonic() + 10
    while open_files(api.pid) > before + 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert open_files(api.pid) <= before + 2
