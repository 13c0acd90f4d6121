"""What happens to records that a sink refuses for good, and to consumers whose sinks fail: dead letters, retry, restart."""

import json
import sqlite3
import time

import pytest
from confluent_kafka import Consumer, TopicPartition

from harness.http_server import Answer, HttpEndpoint
from harness.waiting import wait_until
from test_api_support import assert_problem, consumer_body, make_api  # noqa: F401

PREFIX = "kafka-fetcher-"


@pytest.fixture
def endpoint():
    """Refuses records whose value holds `poison`, whatever else is in the request."""
    endpoint = HttpEndpoint(lambda attempt: Answer(400, body=b"poisoned") if b"poison" in attempt.body else None)
    yield endpoint
    endpoint.close()


def letters_in(cluster, topic, count, partitions=1):
    """The records of a dead-letter topic, once there are `count` of them."""
    consumer = Consumer({"bootstrap.servers": cluster.servers, "group.id": "reader", "enable.auto.commit": False})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(partitions)])
    found = []
    until = time.monotonic() + 30
    try:
        while len(found) < count and time.monotonic() < until:
            message = consumer.poll(0.5)
            if message is not None and not message.error():
                found.append(message)
        message = consumer.poll(0.5)
        assert message is None or message.error(), "there are more than expected"
    finally:
        consumer.close()
    assert len(found) == count, f"{len(found)} of {count} dead letters"
    return found


def ours(message):
    return {name.removeprefix(PREFIX): value.decode() for name, value in message.headers() if name.startswith(PREFIX)}


def theirs(message):
    return [(name, value) for name, value in message.headers() if not name.startswith(PREFIX)]


@pytest.mark.timeout(90)
@pytest.mark.parametrize("format", ["single", "ndjson"])
def test_records_that_an_endpoint_refuses_become_dead_letters(server, cluster, group, endpoint, format):
    topic, dead = cluster.make_topic("letters", 1), cluster.make_topic("dead", 1)
    records = [(0, b"poison %d" % n if n % 7 == 3 else b"good %d" % n, b"k%d" % n, [("h", b"v%d" % n), ("null", None)]) for n in range(50)]
    cluster.produce(topic, records)
    consumer = server.create(
        cluster, topic, group, [("streaming_forwarder", {"endpoint_url": endpoint.url, "format": format})], dead_letter={"topic": dead}
    )
    wait_until(lambda: cluster.committed(group, topic) == {0: 50}, 30, "everything is committed")
    expected = [n for n in range(50) if n % 7 == 3]
    letters = letters_in(cluster, dead, len(expected))
    for n, letter in zip(expected, letters):
        assert letter.value() == records[n][1] and letter.key() == records[n][2] and theirs(letter) == records[n][3]
        told = ours(letter)
        assert told.pop("failed-at").endswith("Z")
        assert "400" in told.pop("error")
        assert told.pop("timestamp") == str(letter.timestamp()[1])
        shown = server.consumer(consumer)
        assert told == {
            "processor-id": shown["processor_configs"][0]["id"], "processor-type": "streaming_forwarder", "consumer-id": consumer, "group": group,
            "topic": topic, "partition": "0", "offset": str(n), "replays": "0",
        }  # fmt: skip
    arrived = [line for body in (kept[2] for kept in endpoint.kept_by_partition()[0]) for line in body.split(b"\n") if line]
    assert arrived == [record[1] for n, record in enumerate(records) if n not in expected]
    counted = lambda: (seen := server.consumer(consumer))["metrics"]["dead_letters"] == len(expected) and seen
    shown = wait_until(counted, 10, lambda: f"each is counted: {server.consumer(consumer)['metrics']}")
    assert shown["status"] == "ACTIVE" and shown["metrics"]["processors"][0]["dead_letters"] == len(expected)


@pytest.mark.timeout(90)
def test_rows_that_postgresql_refuses_become_lines_of_a_file(server, cluster, group, database):
    database.run("CREATE TABLE amounts (id bigint, amount int CHECK (amount < 100))")
    topic = cluster.make_topic("letters", 1)
    values = [b'{"id": %d, "amount": %d}' % (n, n) for n in range(98, 103)] + [b"no JSON", b'{"id": 7, "amount": "much"}', b'{"id": 8, "amount": 8}']
    cluster.produce(topic, [(0, value, b"key") for value in values])
    path = server.out / "{consumer_id}.jsonl"
    consumer = server.create(
        cluster, topic, group,
        [("database_sync", {"db_dsn": database.url, "table": "amounts", "columns": {"id": "/id", "amount": "/amount"}})],
        dead_letter={"file_path": str(path)},
    )  # fmt: skip
    wait_until(lambda: cluster.committed(group, topic) == {0: len(values)}, 30, "everything is committed")
    assert database.query("SELECT id FROM amounts ORDER BY id") == [["8"], ["98"], ["99"]]
    lines = [json.loads(line) for line in (server.out / f"{consumer}.jsonl").read_text().splitlines()]
    assert sorted(line["offset"] for line in lines) == [2, 3, 4, 5, 6]
    for line in lines:
        assert line["value"].encode() == values[line["offset"]] and line["key"] == "key" and line["error"] and line["topic"] == topic
    assert any("amount" in line["error"] for line in lines)


@pytest.mark.timeout(120)
def test_a_destination_that_is_missing_holds_everything_behind_it_back(server, cluster, group, endpoint):
    topic, dead = cluster.make_topic("letters", 1), f"dead-{group}"
    cluster.produce(topic, [(0, b"good"), (0, b"poison"), (0, b"later")])
    consumer = server.create(cluster, topic, group, [("streaming_forwarder", {"endpoint_url": endpoint.url})], dead_letter={"topic": dead})

    def blocked(detail=""):
        reasons = {reason["code"]: reason for reason in server.consumer(consumer)["health"]["reasons"] if detail in reason["detail"]}
        return reasons.get("dead_letter_blocked")

    # Before its client knows that there is no such topic it may give another reason.
    reason = wait_until(lambda: blocked("Create the topic"), 30, lambda: f"it is told: {blocked()}")
    assert dead in reason["detail"] and reason["next_try_at"] and reason["processor_id"]
    assert endpoint.records() == 1 and cluster.committed(group, topic).get(0, 0) <= 1
    cluster.make_topic_named(dead)
    wait_until(lambda: cluster.committed(group, topic) == {0: 3}, 30, "it flows once the topic is there")
    wait_until(lambda: not blocked(), 10, "the reason goes")
    letters_in(cluster, dead, 1)

    cluster.delete_topic(dead)
    cluster.produce(topic, [(0, b"poison again"), (0, b"last")])
    wait_until(blocked, 40, "it is told again")
    assert cluster.committed(group, topic) == {0: 3}
    # A stop does not wait for it for ever, and nothing is lost by that.
    server.stop_consumer(consumer)
    cluster.make_topic_named(dead)
    server.expect(200, "POST", f"/api/consumers/{consumer}/start")
    wait_until(lambda: cluster.committed(group, topic) == {0: 5}, 30, "it goes on")
    assert letters_in(cluster, dead, 1)[0].value() == b"poison again"


@pytest.mark.timeout(90)
def test_a_restart_mends_at_once_what_waits_for_its_backoff(server, cluster, group, database):
    topic = cluster.make_topic("letters", 1)
    cluster.produce(topic, [(0, b"x")])
    database.run("CREATE VIEW rows AS SELECT 1 AS x")
    body = {"restart": {"initial": "1h", "max": "1h"}}
    consumer = server.create(cluster, topic, group, [("database_sync", {"db_dsn": database.url, "table": "rows"})], **body)
    server.wait_status(consumer, "ERROR")
    assert server.consumer(consumer)["restart"] == {"initial": "3600s", "max": "3600s", "attempts": None}
    database.run("DROP VIEW rows")
    time.sleep(2)  # nothing happens by itself
    assert server.consumer(consumer)["status"] == "ERROR"
    answer = server.expect(200, "POST", f"/api/consumers/{consumer}/restart")
    assert answer["consumer_id"] == consumer
    wait_until(lambda: cluster.committed(group, topic) == {0: 1}, 20, "it flows")
    assert server.consumer(consumer)["status"] == "ACTIVE"

    # A restart of one that is well drains it and begins anew; of one that is stopped it is refused.
    starts = server.log.read_text().count(f"{consumer}: started")
    server.expect(200, "POST", f"/api/consumers/{consumer}/restart")
    wait_until(lambda: server.log.read_text().count(f"{consumer}: started") == starts + 1, 15, "another start")
    server.expect(200, "POST", f"/api/consumers/{consumer}/stop")
    assert_problem(server.api("POST", f"/api/consumers/{consumer}/restart"), 409)
    assert server.api("POST", "/api/consumers/3b8c7a52-4f43-4bb0-8b8c-4d1cd9dd0000/restart").status == 404


@pytest.mark.timeout(90)
def test_attempts_and_give_up_after_are_limits(server, cluster, group, endpoint, database):
    topic = cluster.make_topic("letters", 1)
    cluster.produce(topic, [(0, b"x")])
    database.run("CREATE VIEW rows AS SELECT 1 AS x")
    limited = {"restart": {"initial": "50ms", "max": "50ms", "attempts": 2}}
    consumer = server.create(cluster, topic, group, [("database_sync", {"db_dsn": database.url, "table": "rows"})], **limited)
    seen = wait_until(lambda: "restart.attempts" in json.dumps(server.consumer(consumer)["health"]) and server.consumer(consumer), 20, "it gives up")
    assert seen["status"] == "ERROR" and seen["health"]["next_retry_at"] is None
    assert server.log.read_text().count(f"{consumer}: started") == 3

    endpoint.close()
    impatient = {"retry": {"initial": "50ms", "max": "100ms", "jitter": 0, "give_up_after": "1s"}, "restart": {"initial": "1h", "max": "1h"}}
    other = server.create(cluster, topic, f"{group}-2", [("streaming_forwarder", {"endpoint_url": endpoint.url})], **impatient)
    server.wait_status(other, "ERROR")
    assert "give_up_after" in server.consumer(other)["last_error"]["detail"]


def test_the_fields_are_checked_kept_and_shown(make_api):
    server = make_api()
    shown = server.expect(201, "POST", "/api/consumers", consumer_body(server))
    assert shown["dead_letter"] is None and shown["processor_configs"][0]["required"] is True
    assert shown["retry"] == {"initial": "100ms", "max": "5s", "jitter": 0.5, "give_up_after": None}
    assert shown["restart"] == {"initial": "1s", "max": "60s", "attempts": None}

    wrong = {
        "/dead_letter": [{"dead_letter": {}}, {"dead_letter": {"topic": "a", "file_path": "/a"}}, {"dead_letter": "a"}],
        "/dead_letter/topic": [{"dead_letter": {"topic": "__x"}}, {"dead_letter": {"topic": "other"}, "topic": "other"}],
        "/dead_letter/file_path": [{"dead_letter": {"file_path": "/etc/x"}}, {"dead_letter": {"file_path": "relative"}}],
        "/dead_letter/nonsense": [{"dead_letter": {"topic": "a", "nonsense": 1}}],
        "/retry/initial": [{"retry": {"initial": "0s"}}, {"retry": {"initial": 5}}, {"retry": {"initial": "1h"}}],
        "/retry/jitter": [{"retry": {"jitter": 1.5}}],
        "/restart/attempts": [{"restart": {"attempts": -1}}],
    }
    for pointer, bodies in wrong.items():
        for fields in bodies:
            answer = server.api("POST", "/api/consumers", consumer_body(server, name="other", **fields))
            assert answer.status == 422, (fields, answer)
            assert pointer in [error["pointer"] for error in answer.body["errors"]], (fields, answer.body)
    best_effort = consumer_body(server, name="third")
    best_effort["processor_configs"][0]["required"] = False
    assert_problem(server.api("POST", "/api/consumers", best_effort), 422, "/processor_configs")

    path = f"/api/consumers/{shown['consumer_id']}"
    fields = {"dead_letter": {"topic": "letters"}, "retry": {"max": "7s"}, "restart": {"attempts": 3}}
    changed = server.expect(200, "PUT", path, fields)
    assert changed["dead_letter"] == {"topic": "letters"} and changed["retry"]["max"] == "7s" and changed["restart"]["attempts"] == 3
    # What an answer shows can be sent back and changes nothing.
    again = server.expect(200, "PUT", path, {name: changed[name] for name in ("dead_letter", "retry", "restart")})
    assert again["retry"] == changed["retry"] and again["restart"] == changed["restart"]
    server.kill9()
    server.start()
    kept = server.expect(200, "GET", path)
    assert kept["dead_letter"] == {"topic": "letters"} and kept["restart"]["attempts"] == 3
    assert server.expect(200, "PUT", path, {"dead_letter": None, "retry": None})["dead_letter"] is None
    versions = server.expect(200, "GET", path + "/versions")["items"]
    assert versions[-1]["config"]["dead_letter"] is None and versions[1]["config"]["dead_letter"] == {"topic": "letters"}


# --- looking at them and delivering them anew -------------------------------------------------------------------------


def letters_of(server, consumer, page=100):
    """All that the API shows, page by page."""
    items, cursor = [], None
    while True:
        query = f"?limit={page}" + (f"&cursor={cursor}" if cursor else "")
        answer = server.expect(200, "GET", f"/api/consumers/{consumer}/dead-letters{query}")
        assert len(answer["items"]) <= page
        items += answer["items"]
        if (cursor := answer["next_cursor"]) is None:
            return items


def replay(server, consumer, **body):
    """A replay to its end, the counts added up."""
    total, cursor = {}, None
    while True:
        answer = server.expect(200, "POST", f"/api/consumers/{consumer}/dead-letters/replay" + (f"?cursor={cursor}" if cursor else ""), body)
        for name in ("delivered", "refused_again", "already_replayed", "without_processor"):
            total[name] = total.get(name, 0) + answer[name]
        assert answer["stopped_because"] is None, answer
        if (cursor := answer["next_cursor"]) is None:
            return total


@pytest.mark.timeout(120)
@pytest.mark.parametrize("destination", ["topic", "file"])
def test_dead_letters_are_shown_and_delivered_anew_each_once(server, cluster, group, database, destination):
    database.run("CREATE TABLE amounts (amount int CHECK (amount < 100), part int, off bigint, k text)")
    topic, dead = cluster.make_topic("letters", 2), cluster.make_topic("dead", 3)
    where = {"topic": dead} if destination == "topic" else {"file_path": str(server.out / "dead.jsonl")}
    cluster.produce(topic, [(n % 2, b'{"amount": %d}' % n, b"k%d" % n, [("h", b"\xff")]) for n in range(90, 120)] + [(0, b"\xff\xfe")])
    columns = {"amount": "/amount", "part": "$partition", "off": "$offset", "k": "$key"}
    config = {"db_dsn": database.url, "table": "amounts", "columns": columns}
    consumer = server.create(cluster, topic, group, [("database_sync", config)], dead_letter=where)
    wait_until(lambda: sum(cluster.committed(group, topic).values()) == 31, 30, "everything is committed")
    items = letters_of(server, consumer, page=7)
    assert sorted((item["partition"], item["offset"]) for item in items) == sorted([(n % 2, (n - 90) // 2) for n in range(100, 120)] + [(0, 15)])
    shown = next(item for item in items if item["offset"] == 5 and item["partition"] == 0)
    assert shown["value"] == '{"amount": 100}' and shown["key"] == "k100" and shown["headers"] == [{"name": "h", "value": {"base64": "/w=="}}]
    assert shown["topic"] == topic and shown["replays"] == 0 and not shown["replayed"] and "check" in shown["error"]

    # What is wrong is still wrong: they come back, once, counted.
    assert replay(server, consumer, partition=1) == {"delivered": 0, "refused_again": 10, "already_replayed": 0, "without_processor": 0}
    again = [item for item in letters_of(server, consumer) if item["replays"] == 1]
    assert len(again) == 10 and all(item["partition"] == 1 and not item["replayed"] for item in again)
    assert sum(item["replayed"] for item in letters_of(server, consumer)) == 10

    # The table is mended; one by its id, then all that are left.
    database.run("ALTER TABLE amounts DROP CONSTRAINT amounts_amount_check")
    assert replay(server, consumer, ids=[shown["id"]])["delivered"] == 1
    assert database.query("SELECT amount, part, off, k FROM amounts WHERE amount >= 100") == [["100", "0", "5", "k100"]]
    total = replay(server, consumer)
    assert total == {"delivered": 19, "refused_again": 1, "already_replayed": 11, "without_processor": 0}
    assert database.query("SELECT count(*), count(DISTINCT amount), min(amount), max(amount) FROM amounts") == [["30", "30", "90", "119"]]
    # The one that is no JSON is left. It does not go round and round.
    assert replay(server, consumer)["refused_again"] == 1
    left = [item for item in letters_of(server, consumer) if not item["replayed"]]
    assert [(item["partition"], item["offset"], item["replays"]) for item in left] == [(0, 15, 2)]
    assert left[0]["value"] == {"base64": "//4="}


@pytest.mark.timeout(90)
def test_a_replay_that_dies_before_it_is_noted_writes_nothing_twice(make_server, cluster, group, database):
    """The row is there, the note is not: as after a kill in between."""
    database.run("CREATE TABLE amounts (amount int CHECK (amount < 100))")
    topic = cluster.make_topic("letters", 1)
    cluster.produce(topic, [(0, b'{"amount": 100}'), (0, b'{"amount": 101}')])
    server = make_server(sqlite=True).start()
    config = {"db_dsn": database.url, "table": "amounts", "columns": {"amount": "/amount"}}
    consumer = server.create(cluster, topic, group, [("database_sync", config)], dead_letter={"file_path": str(server.out / "dead.jsonl")})
    wait_until(lambda: cluster.committed(group, topic) == {0: 2}, 30, "everything is committed")
    database.run("ALTER TABLE amounts DROP CONSTRAINT amounts_amount_check")
    assert replay(server, consumer)["delivered"] == 2
    server.kill9()
    with sqlite3.connect(server.data / "kafka-fetcher.db") as store:
        assert store.execute("DELETE FROM replayed_dead_letters").rowcount == 2
    server.start()
    wait_until(lambda: server.consumer(consumer)["status"] == "ACTIVE", 20, "it runs again")
    assert replay(server, consumer)["delivered"] == 2
    assert database.value("SELECT count(*) FROM amounts") == "2"


@pytest.mark.timeout(90)
def test_a_forwarder_gets_its_dead_letters_again(server, cluster, group, endpoint):
    topic, dead = cluster.make_topic("letters", 1), cluster.make_topic("dead", 1)
    cluster.produce(topic, [(0, b"good"), (0, b"poison"), (0, b"last")])
    consumer = server.create(cluster, topic, group, [("streaming_forwarder", {"endpoint_url": endpoint.url, "format": "ndjson"})], dead_letter={"topic": dead})
    wait_until(lambda: cluster.committed(group, topic) == {0: 3}, 30, "everything is committed")
    endpoint.decide = lambda attempt: None
    assert replay(server, consumer)["delivered"] == 1
    assert [body for _, _, body in endpoint.kept_by_partition()[0]] and endpoint.kept[f"{consumer}/{topic}/0/1-1"].body.strip() == b"poison"
    assert replay(server, consumer) == {"delivered": 0, "refused_again": 0, "already_replayed": 1, "without_processor": 0}

    # While the endpoint is away a replay says why it stopped, and where to go on.
    endpoint.decide = lambda attempt: Answer(400) if b"poison" in attempt.body else None
    cluster.produce(topic, [(0, b"poison 2")])
    wait_until(lambda: cluster.committed(group, topic) == {0: 4}, 30, "everything is committed")
    endpoint.decide = lambda attempt: Answer(503)
    answer = server.expect(200, "POST", f"/api/consumers/{consumer}/dead-letters/replay", {})
    assert "503" in answer["stopped_because"] and answer["next_cursor"] and answer["delivered"] == 0
    endpoint.decide = lambda attempt: None
    answer = server.expect(200, "POST", f"/api/consumers/{consumer}/dead-letters/replay?cursor={answer['next_cursor']}", {})
    assert answer["delivered"] == 1 and answer["next_cursor"] is None


def test_what_cannot_be_shown_or_replayed_says_why(make_api):
    server = make_api()
    consumer = server.expect(201, "POST", "/api/consumers", consumer_body(server))["consumer_id"]
    path = f"/api/consumers/{consumer}/dead-letters"
    assert_problem(server.api("GET", path), 409)
    server.expect(200, "PUT", f"/api/consumers/{consumer}", {"dead_letter": {"file_path": str(server.out / "dead.jsonl")}})
    assert server.expect(200, "GET", path) == {"items": [], "next_cursor": None}
    assert_problem(server.api("GET", path + "?limit=0"), 422, "?limit")
    assert_problem(server.api("GET", path + "?cursor=nonsense"), 422, "?cursor")
    assert_problem(server.api("POST", path + "/replay", {"nonsense": 1}), 422, "/nonsense")
    assert_problem(server.api("POST", path + "/replay?cursor=1-2", {}), 422, "?cursor")
    assert server.api("GET", "/api/consumers/3b8c7a52-4f43-4bb0-8b8c-4d1cd9dd0000/dead-letters").status == 404
    server.expect(200, "PUT", f"/api/consumers/{consumer}", {"dead_letter": {"topic": "nowhere"}})
    assert_problem(server.api("GET", path), 504)
