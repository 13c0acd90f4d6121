"""streaming_forwarder against a real HTTP server that misbehaves: every record arrives, repeated requests are the very same, order is kept."""

import json
import threading
import time

import pytest

from harness.certificates import make_authority, make_server_certificate
from harness.http_server import Answer, HttpEndpoint, misbehaving, token_answer
from harness.kills import kill_in_flow
from harness.knobs import knob
from harness.records import Stream, run_checker
from harness.waiting import wait_until

PARTITIONS = 4


@pytest.fixture
def make_endpoint():
    made = []

    def make(*arguments, **options):
        made.append(HttpEndpoint(*arguments, **options))
        return made[-1]

    yield make
    for endpoint in made:
        endpoint.close()


def create(server, cluster, topic, group, endpoint, **config):
    return server.create(cluster, topic, group, [("streaming_forwarder", {"endpoint_url": endpoint.url, **config})])


def assert_in_order(endpoint, expected=None):
    """Kept ranges follow each other in each partition without gap or overlap; `expected`: records of each partition."""
    assert not endpoint.problems, endpoint.problems
    for partition, spans in endpoint.kept_by_partition().items():
        at = 0
        for first, last, _ in spans:
            assert first == at, f"partition {partition}: {first}-{last} was kept after everything below {at}"
            at = last + 1
        assert expected is None or at == expected[partition], f"partition {partition}: {at} of {expected[partition]}"


def assert_exact(endpoint, stream, tmp_path):
    """The checker finds every record of the stream once, whole and in order, in the bodies that were kept."""
    file = tmp_path / "kept"
    with open(file, "wb") as out:
        for spans in endpoint.kept_by_partition().values():
            for first, last, body in spans:
                lines = [line for line in body.split(b"\n") if line]
                assert len(lines) == last - first + 1, f"{first}-{last} holds {len(lines)} records"
                out.write(b"\n".join(lines) + b"\n")
    report = run_checker([file], expect=stream.next, run=stream.run)
    assert report["ok"], report


def wait_kept(endpoint, count, timeout=60):
    wait_until(lambda: endpoint.records() >= count, timeout, lambda: f"{count} records arrive, {endpoint.records()} did")


def wait_committed(cluster, group, stream, timeout=20):
    wait_until(lambda: cluster.committed(group, stream.topic) == stream.next, timeout, lambda: f"commits: {cluster.committed(group, stream.topic)}")


def wait_error(server, consumer, text, timeout=20):
    """The consumer is ERROR, and its last_error holds `text`."""
    wait_until(lambda: server.consumer(consumer)["last_error"], timeout, "an error")
    found = server.wait_status(consumer, "ERROR", timeout)
    assert text in found["last_error"]["detail"], found["last_error"]
    return found


# --- what is sent ---------------------------------------------------------------------------------------------------


@pytest.mark.timeout(60)
def test_each_record_is_a_request_by_default(server, cluster, group, make_endpoint):
    topic = cluster.make_topic("forward", 1)
    endpoint = make_endpoint()
    cluster.produce(topic, [(0, b'{"amount": 1}', b"k"), (0, b"two\nlines"), (0, None), (0, b"")])
    consumer = create(server, cluster, topic, group, endpoint)
    wait_kept(endpoint, 4)
    assert [(a.method, a.path, a.body) for a in endpoint.attempts] == [
        ("POST", "/records", body) for body in (b'{"amount": 1}', b"two\nlines", b"", b"")
    ]
    first = endpoint.attempts[0].headers
    assert first["idempotency-key"] == f"{consumer}/{topic}/0/0-0"
    assert first["content-type"] == "application/json"
    assert "expect" not in first and "transfer-encoding" not in first
    wait_until(lambda: cluster.committed(group, topic) == {0: 4}, 10, "everything is committed")
    assert server.consumer(consumer)["status"] == "ACTIVE"


@pytest.mark.timeout(60)
def test_formats_envelope_headers_and_compression(server, cluster, group, make_endpoint):
    topic = cluster.make_topic("forward", 1)
    endpoint = make_endpoint()
    cluster.produce(topic, [(0, b'{"n":1}', b"k", [("h", b"v")]), (0, b"plain"), (0, None), (0, b"\xff")])
    formats = [
        {"format": "ndjson"},
        {"format": "json_array", "compression": "gzip"},
        {"format": "json_array", "envelope": True, "method": "PUT", "headers": {"X-Source": "test", "Content-Type": "application/vnd.batch"}},
        {"format": "ndjson", "envelope": True, "method": "PATCH"},
    ]
    for number, config in enumerate(formats):
        create(server, cluster, topic, f"{group}-{number}", endpoint, linger="500ms", **config)
        wait_until(lambda: len(endpoint.kept) == number + 1, 20, "the batch arrives")
    lines, array, enveloped, envelopes = endpoint.attempts
    assert lines.body == b'{"n":1}\nplain\nnull\n\xff\n'
    assert lines.headers["content-type"] == "application/x-ndjson"
    assert array.headers["content-encoding"] == "gzip"
    assert json.loads(array.body) == [{"n": 1}, "plain", None, {"base64": "/w=="}]
    assert (enveloped.method, enveloped.headers["x-source"], enveloped.headers["content-type"]) == ("PUT", "test", "application/vnd.batch")
    first = json.loads(enveloped.body)[0]
    assert first | {"timestamp": 0} == {
        "topic": topic, "partition": 0, "offset": 0, "timestamp": 0, "key": "k", "headers": [{"name": "h", "value": "v"}], "value": '{"n":1}',
    }  # fmt: skip
    assert envelopes.method == "PATCH" and len(envelopes.body.splitlines()) == 4


@pytest.mark.timeout(60)
def test_credentials(make_server, cluster, group, make_endpoint, tmp_path):
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "api_token").write_text("token-that-nobody-sees\n")
    server = make_server(SECRETS_DIR=secrets, FETCHER_SECRET_KEY="key-that-nobody-sees", LOG_LEVEL="DEBUG").start()
    topic = cluster.make_topic("forward", 1)
    cluster.produce(topic, [(0, b"1")])
    tokens = make_endpoint(lambda attempt: token_answer(f"access-{len(tokens.attempts)}"))
    expired = []

    def refuse_first_token(attempt):
        if attempt.headers["authorization"] == "Bearer access-1":
            expired.append(attempt)
            return Answer(401)

    endpoint = make_endpoint(refuse_first_token)
    basic = {"auth": {"type": "basic", "username": "me", "password": "open-sesame"}}
    bearer = {"auth": {"type": "bearer", "token": "${secret:api_token}"}, "headers": {"X-Key": "${secret:KEY}", "X-Open": "literal-secret"}}
    oauth = {"auth": {"type": "oauth2", "token_url": tokens.url, "client_id": "id", "client_secret": "client-hush", "scope": "a b"}}
    shown = []
    for number, config in enumerate((basic, bearer, oauth)):
        consumer = create(server, cluster, topic, f"{group}-{number}", endpoint, **config)
        wait_until(lambda: len(endpoint.kept) == number + 1, 20, lambda: f"it arrives: {server.consumer(consumer)}")
        shown.append(server.consumer(consumer)["processor_configs"][0]["config"])
    used = [a.headers["authorization"] for a in endpoint.attempts]
    assert used == ["Basic bWU6b3Blbi1zZXNhbWU=", "Bearer token-that-nobody-sees", "Bearer access-1", "Bearer access-2"]
    assert endpoint.attempts[1].headers["x-key"] == "key-that-nobody-sees"
    assert endpoint.attempts[1].headers["x-open"] == "literal-secret"
    assert tokens.attempts[0].headers["authorization"] == "Basic aWQ6Y2xpZW50LWh1c2g="
    assert tokens.attempts[0].body == b"grant_type=client_credentials&scope=a%20b"
    assert len(expired) == 1, "after a 401 a new token was fetched"
    assert shown[1]["auth"]["token"] == "${secret:api_token}" and shown[1]["headers"] == {"X-Key": "${secret:KEY}", "X-Open": "***"}
    seen = json.dumps(server.expect(200, "GET", "/api/consumers")) + server.log.read_text()
    for secret in ("token-that", "key-that", "open-sesame", "bWU6b3Bl", "literal-secret", "client-hush", "access-1"):
        assert secret not in seen, f"{secret} is shown"


# --- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.timeout(240)
@pytest.mark.parametrize("config", [{"format": "ndjson", "max_batch_records": 50, "compression": "gzip"}, {}], ids=["ndjson", "single"])
def test_every_record_arrives_once_and_in_order_at_a_bad_server(server, cluster, group, make_endpoint, dice, tmp_path, config):
    topic = cluster.make_topic("forward", PARTITIONS)
    stream = Stream(cluster.servers, topic, PARTITIONS)
    endpoint = make_endpoint(misbehaving(dice), stall_seconds=3)
    stream.send((knob("FORWARD_RECORDS", 40_000) if config else knob("FORWARD_SINGLE_RECORDS", 2_000)) // PARTITIONS)
    consumer = create(server, cluster, topic, group, endpoint, request_timeout="1s", **config)
    wait_kept(endpoint, stream.total, 200)
    wait_committed(cluster, group, stream)
    assert_in_order(endpoint, stream.next)
    assert_exact(endpoint, stream, tmp_path)
    assert endpoint.most_at_once <= 4 + 2, "no more requests at once than max_in_flight, but for those that nobody waits for any more"
    found = server.consumer(consumer)
    assert found["status"] == "ACTIVE" and found["metrics"]["processors"][0]["retries"] > 0


@pytest.mark.timeout(240)
@pytest.mark.parametrize("config", [{"format": "ndjson", "max_batch_records": 50}, {}], ids=["ndjson", "single"])
def test_kills_lose_nothing_and_repeat_the_same_ranges(server, cluster, group, make_endpoint, dice, tmp_path, config):
    """What was under way when the process was killed comes again under the same key with the same body: kept ranges never overlap."""
    topic = cluster.make_topic("forward", PARTITIONS)
    stream = Stream(cluster.servers, topic, PARTITIONS)
    bad = misbehaving(dice)
    endpoint = make_endpoint(lambda attempt: bad(attempt), stall_seconds=3)
    consumer = create(server, cluster, topic, group, endpoint, request_timeout="1s", linger="20ms", **config)
    with stream.sending(rate=knob("FORWARD_RATE", 4_000) if config else 400) as _:
        for _ in range(knob("FORWARD_KILLS", 8)):
            kill_in_flow(server, endpoint.records, dice, pause=(0.2, 1.2))
    wait_kept(endpoint, stream.total, 120)
    wait_committed(cluster, group, stream)
    assert_in_order(endpoint, stream.next)
    assert_exact(endpoint, stream, tmp_path)
    remembered = server.data / "kafka-fetcher.forwarder"
    assert any(remembered.iterdir())
    server.expect(204, "DELETE", f"/api/consumers/{consumer}")
    assert not any(remembered.iterdir()), "what is remembered goes with its consumer"


@pytest.mark.timeout(120)
def test_poison_stands_alone_and_stops_the_consumer(server, cluster, group, make_endpoint):
    topic = cluster.make_topic("forward", 1)
    endpoint = make_endpoint(lambda attempt: Answer(400, body=b"no poison here") if b"poison" in attempt.body else None)
    cluster.produce(topic, [(0, b"poison" if i == 137 else b"%d" % i) for i in range(300)])
    consumer = create(server, cluster, topic, group, endpoint, format="ndjson")
    found = wait_error(server, consumer, "partition 0 offset 137 was refused")
    assert "no poison here" in found["last_error"]["detail"]
    assert_in_order(endpoint, {0: 137})
    refused = endpoint.attempts[-1]
    assert refused.range() == (0, 137, 137) and refused.body == b"poison\n"
    wait_until(lambda: cluster.committed(group, topic) == {0: 137}, 10, "what is before it is committed")
    time.sleep(3)  # it tries again by itself, and again, and nothing passes the poison
    assert_in_order(endpoint, {0: 137})


@pytest.mark.timeout(60)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_server_that_refuses_large_requests_unread_gets_smaller_ones(make_server, cluster, group, make_endpoint, tmp_path, tls):
    authority = make_authority(tmp_path, "ours") if tls else None
    server = make_server(CERTIFICATES_DIR=tmp_path).start()
    topic = cluster.make_topic("forward", 1)
    endpoint = make_endpoint(tls=make_server_certificate(tmp_path, authority, "IP:127.0.0.1") if tls else None, most_bytes=1_000_000)
    cluster.produce(topic, [(0, b"%d" % i * 400_000) for i in range(8)])
    config = {"format": "ndjson", "max_batch_bytes": 4 << 20, "linger": "1s", **({"ca_file": "ours.pem"} if tls else {})}
    create(server, cluster, topic, group, endpoint, **config)
    wait_kept(endpoint, 8, 30)
    assert_in_order(endpoint, {0: 8})


@pytest.mark.timeout(120)
def test_retry_after_is_obeyed_and_requests_become_fewer(server, cluster, group, make_endpoint):
    topic = cluster.make_topic("forward", PARTITIONS)
    told, refused = threading.Event(), []

    def decide(attempt):
        if not told.is_set():
            refused.append(attempt)
            return Answer(503, {"Retry-After": "2"})

    endpoint = make_endpoint(decide)
    cluster.produce(topic, [(i % PARTITIONS, b"%d" % i) for i in range(40)])
    consumer = create(server, cluster, topic, group, endpoint, format="ndjson")

    def says():
        health = server.consumer(consumer)["health"]
        return health["state"] == "degraded" and next((reason for reason in health["reasons"] if "answered 503" in reason["detail"]), None)

    reason = wait_until(says, 20, lambda: f"the health tells of it: {server.consumer(consumer)['health']}")
    assert "next_try_at" in reason
    told.set()
    wait_kept(endpoint, 40)
    first, at = endpoint.attempts[0], {}
    for attempt in endpoint.attempts:
        at.setdefault(attempt.key, []).append(attempt.at)
    assert len(at[first.key]) > 1 and all(b - a >= 2 for times in at.values() for a, b in zip(times, times[1:])), at
    assert sum(a.at - first.at < 1.9 for a in refused) <= PARTITIONS, "nobody asked again before its time"
    wait_until(lambda: server.consumer(consumer)["health"]["state"] != "degraded", 20, "the health recovers")


@pytest.mark.timeout(120)
def test_a_server_that_hangs_holds_up_no_stop(server, cluster, group, make_endpoint):
    topic = cluster.make_topic("forward", PARTITIONS)
    stuck = threading.Event()
    endpoint = make_endpoint(lambda attempt: stuck.wait(60) and None)
    cluster.produce(topic, [(i % PARTITIONS, b"%d" % i) for i in range(40)])
    consumer = create(server, cluster, topic, group, endpoint, request_timeout="1m")
    wait_until(lambda: len(endpoint.attempts) == 4, 20, "all connections are busy")
    begin = time.monotonic()
    server.api("POST", f"/api/consumers/{consumer}/stop", timeout=20)
    server.wait_status(consumer, "INACTIVE", 20)
    assert time.monotonic() - begin < 25
    stuck.set()
    assert server.terminate()[0] == 0


@pytest.mark.timeout(120)
def test_unordered_requests_overlap_in_one_partition(server, cluster, group, make_endpoint, tmp_path):
    topic = cluster.make_topic("forward", 1)
    stream = Stream(cluster.servers, topic, 1)
    stream.send(200)
    endpoint = make_endpoint(lambda attempt: time.sleep(0.02))
    create(server, cluster, topic, group, endpoint, ordered=False, max_in_flight=8)
    wait_kept(endpoint, stream.total)
    wait_committed(cluster, group, stream)
    assert endpoint.most_at_once > 4
    assert sorted(first for first, _, _ in endpoint.kept_by_partition()[0]) == list(range(200))
    assert not endpoint.problems


@pytest.mark.timeout(60)
def test_redirects_are_not_followed(server, cluster, group, make_endpoint):
    topic = cluster.make_topic("forward", 1)
    elsewhere = make_endpoint()
    endpoint = make_endpoint(lambda attempt: Answer(307, {"Location": elsewhere.url}))
    cluster.produce(topic, [(0, b"1")])
    consumer = create(server, cluster, topic, group, endpoint, headers={"X-Key": "hush-hush"})
    found = wait_error(server, consumer, "answered 307")
    assert "redirects are not followed" in found["last_error"]["detail"]
    assert not elsewhere.attempts
    assert "hush-hush" not in server.log.read_text()


@pytest.mark.timeout(60)
def test_a_server_that_repeats_our_secrets_does_not_spread_them(server, cluster, group, make_endpoint):
    topic = cluster.make_topic("forward", 1)
    endpoint = make_endpoint(lambda attempt: Answer(400, body=f"bad token {attempt.headers['authorization']}".encode()))
    cluster.produce(topic, [(0, b"1")])
    consumer = create(server, cluster, topic, group, endpoint, auth={"type": "bearer", "token": "hush-hush"})
    found = wait_error(server, consumer, "bad token")
    assert "hush-hush" not in json.dumps(found) + server.log.read_text()


# --- where it may go --------------------------------------------------------------------------------------------------


@pytest.mark.timeout(90)
def test_certificates_are_verified(make_server, cluster, group, make_endpoint, tmp_path):
    folder = tmp_path / "certificates"
    folder.mkdir()
    ours, others = make_authority(folder, "ours"), make_authority(folder, "others")
    server = make_server(CERTIFICATES_DIR=folder).start()
    topic = cluster.make_topic("forward", 1)
    cluster.produce(topic, [(0, b"1"), (0, b"2")])
    endpoint = make_endpoint(tls=make_server_certificate(folder, ours, "IP:127.0.0.1"))
    create(server, cluster, topic, f"{group}-ours", endpoint, ca_file="ours.pem")
    wait_kept(endpoint, 2)
    for number, config in enumerate(({"ca_file": "others.pem"}, {})):
        consumer = create(server, cluster, topic, f"{group}-{number}", endpoint, **config)
        wait_error(server, consumer, "signed by nobody who is trusted")
    by_name = {"endpoint_url": endpoint.url.replace("127.0.0.1", "localhost"), "ca_file": "ours.pem"}
    consumer = server.create(cluster, topic, f"{group}-name", [("streaming_forwarder", by_name)])
    wait_error(server, consumer, "for another host")
    assert len(endpoint.attempts) == 2, "nothing was sent to a server that is not to be trusted"


@pytest.mark.timeout(60)
def test_where_nothing_is_sent(make_server, cluster, group, make_endpoint):
    server = make_server(FORWARD_ALLOW="127.0.0.0/8,*.example.com,2852039166").start()
    topic = cluster.make_topic("forward", 1)
    cluster.produce(topic, [(0, b"1")])
    endpoint = make_endpoint()
    create(server, cluster, topic, group, endpoint)
    wait_kept(endpoint, 1)

    def refused(url, **config):
        body = {
            "broker_ip": cluster.host, "broker_port": cluster.port, "topic": topic, "consumer_group": group,
            "processor_configs": [{"processor_type": "streaming_forwarder", "config": {"endpoint_url": url, **config}}],
        }  # fmt: skip
        answer = server.expect(422, "POST", "/api/consumers", body)
        return {error["pointer"].removeprefix("/processor_configs/0/config"): error["detail"] for error in answer["errors"]}

    assert "metadata" in refused("http://169.254.169.254/latest")["/endpoint_url"]
    assert "metadata" in refused("http://[::ffff:169.254.169.254]/")["/endpoint_url"]
    assert "metadata" in refused("http://[fe80::1]/")["/endpoint_url"]
    assert "FORWARD_ALLOW" in refused("http://10.0.0.1/")["/endpoint_url"]
    assert "auth" in refused("http://me:secret@api.example.com/")["/endpoint_url"]
    headers = {"Host": "x", "content-length": "1", "Transfer-Encoding": "x", "Connection": "x", "X-A": "a\r\nX-B: b", "X-C": "a\0b"}
    assert set(refused(endpoint.url, headers=headers)) == {f"/headers/{name}" for name in headers}

    # A name in disguise: only when it is resolved does it become what it is.
    consumer = server.create(cluster, topic, f"{group}-disguised", [("streaming_forwarder", {"endpoint_url": "http://2852039166/"})])
    wait_error(server, consumer, "169.254.169.254 is a link-local or metadata address")
