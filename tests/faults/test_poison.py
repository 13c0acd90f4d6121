"""Records that a sink refuses, while processes are killed: each is in the sink once or among the dead letters, and none is lost in between."""

import time

import pytest
from confluent_kafka import Consumer, TopicPartition

from harness.database import Database
from harness.http_server import CUT, Answer, HttpEndpoint, misbehaving
from harness.kills import kill_in_flow
from harness.knobs import knob
from harness.records import Stream
from harness.waiting import wait_until

PARTITIONS = 2
EVERY = 500  # one record in so many is poison


@pytest.fixture
def database(postgres_server):
    database = Database(postgres_server.make_database())
    database.run(f'CREATE TABLE kept ("partition" int, "offset" bigint CHECK ("offset" % {EVERY} <> 7), value text)')
    yield database
    database.close()


def letters_of(cluster, topic):
    """(partition, offset) of each record in a dead-letter topic, with repetitions."""
    consumer = Consumer({"bootstrap.servers": cluster.servers, "group.id": "reader", "enable.auto.commit": False, "log_level": 2})
    found = []
    try:
        end = cluster.end_offsets(topic, 1)[0]
        consumer.assign([TopicPartition(topic, 0, 0)])
        while len(found) < end:
            messages = consumer.consume(1000, 10)
            assert messages, "the dead letters can be read"
            for message in messages:
                headers = dict(message.headers())
                found.append((int(headers["kafka-fetcher-partition"]), int(headers["kafka-fetcher-offset"])))
    finally:
        consumer.close()
    return found


@pytest.mark.timeout(400)
def test_kills_between_dead_letter_and_commit_lose_no_record(make_server, cluster, group, database, dice):
    topic, dead = cluster.make_topic("poison", PARTITIONS), cluster.make_topic("dead", 1)
    stream = Stream(cluster.servers, topic, PARTITIONS)
    server = make_server().start()
    columns = {"partition": "$partition", "offset": "$offset", "value": "$value"}
    sink = ("database_sync", {"db_dsn": database.url, "table": "kept", "columns": columns})
    server.create(cluster, topic, group, [sink], dead_letter={"topic": dead})
    with stream.sending(rate=20_000):
        for _ in range(knob("POISON_KILLS", 6)):
            kill_in_flow(server, lambda: cluster.end_offsets(dead, 1)[0], dice, pause=(0, 0.3))
    server.wait_ready()
    wait_until(lambda: cluster.committed(group, topic) == stream.next, 150, lambda: f"everything is committed: {cluster.committed(group, topic)}")
    letters = letters_of(cluster, dead)
    poison = {(p, offset) for p, end in stream.next.items() for offset in range(7, end, EVERY)}
    assert set(letters) == poison, f"too few {sorted(poison - set(letters))[:5]}, too many {sorted(set(letters) - poison)[:5]}"
    rows = database.query('SELECT "partition", count(*), count(DISTINCT "offset"), max("offset") + 1 FROM kept GROUP BY 1 ORDER BY 1')
    poisons = {p: sum(1 for q, _ in poison if q == p) for p in stream.next}
    assert [[str(p), str(end - poisons[p]), str(end - poisons[p])] for p, end in stream.next.items()] == [row[:3] for row in rows]
    print(f"{len(letters) - len(poison)} of {len(letters)} dead letters came twice")


@pytest.fixture
def endpoint(dice):
    """Answers with errors, cuts and stalls, and refuses poison whenever it looks at it."""
    bad = misbehaving(dice)

    def decide(attempt):
        luck = bad(attempt)
        spared = isinstance(luck, Answer) or luck == CUT
        return Answer(400, body=b"poisoned") if b"poison" in attempt.body and not spared else luck

    endpoint = HttpEndpoint(decide, stall_seconds=2)
    yield endpoint
    endpoint.close()


def assert_all_but_poison(endpoint, records):
    """What was kept holds each record but poison once, whole and in order; `records`: partition -> values by offset."""
    assert not endpoint.problems, endpoint.problems
    for partition, spans in endpoint.kept_by_partition().items():
        kept = [(first + i, line) for first, last, body in spans for i, line in enumerate(body.splitlines())]
        assert all(len(body.splitlines()) == last - first + 1 for first, last, body in spans)
        wanted = [(offset, value) for offset, value in enumerate(records[partition]) if b"poison" not in value]
        differ = next((pair for pair in zip(kept, wanted) if pair[0] != pair[1]), None)
        assert kept == wanted, f"partition {partition}: {len(kept)} of {len(wanted)}, the first that differ: {differ}"


@pytest.mark.timeout(240)
@pytest.mark.parametrize("kills", [0, 3])
def test_a_bad_endpoint_gets_each_record_once_and_the_dead_letters_are_the_poison(make_server, cluster, group, endpoint, kills):
    topic, dead = cluster.make_topic("poison", PARTITIONS), cluster.make_topic("dead", 1)
    records = {p: [b"poison %d" % n if n % 97 == 13 else b"good %d of %d" % (n, p) for n in range(1500)] for p in range(PARTITIONS)}
    cluster.produce(topic, [(p, value) for values in zip(*records.values()) for p, value in enumerate(values)])
    server = make_server().start()
    config = {"endpoint_url": endpoint.url, "format": "ndjson", "max_batch_records": 20, "request_timeout": "1s"}
    server.create(cluster, topic, group, [("streaming_forwarder", config)], dead_letter={"topic": dead}, retry={"initial": "20ms", "max": "200ms"})
    for kill in range(kills):
        wait_until(lambda: endpoint.records() > 600 * (kill + 1), 40, lambda: f"records arrive: {endpoint.records()}")
        server.kill9()
        server.start(wait=False)
    ends = {p: len(values) for p, values in records.items()}
    wait_until(lambda: cluster.committed(group, topic) == ends, 120, lambda: f"everything is committed: {cluster.committed(group, topic)}")
    assert_all_but_poison(endpoint, records)
    letters = letters_of(cluster, dead)
    poison = {(p, offset) for p, values in records.items() for offset, value in enumerate(values) if b"poison" in value}
    assert set(letters) == poison
    assert kills or len(letters) == len(poison), "without a kill each comes once"


@pytest.mark.timeout(240)
def test_kills_between_dead_letter_and_commit_repeat_nothing_but_the_letter(make_server, cluster, group, out_folder):
    """A file and an endpoint of one consumer; the endpoint refuses. Killed as soon as a letter is there, of which the group knows nothing yet."""
    topic, dead = cluster.make_topic("poison", PARTITIONS), cluster.make_topic("dead", 1)
    records = {p: [b"poison %d" % n if n % 97 == 13 else b"good %d of %d" % (n, p) for n in range(2500)] for p in range(PARTITIONS)}
    cluster.produce(topic, [(p, value) for values in zip(*records.values()) for p, value in enumerate(values)])

    def refuse(attempt):
        time.sleep(0.005)
        return Answer(400, body=b"poisoned") if b"poison" in attempt.body else None

    endpoint = HttpEndpoint(refuse)
    try:
        server = make_server(roots=str(out_folder)).start()
        consumer = server.create(cluster, topic, group, [
            ("file_sink", {"file_path": str(out_folder / "p{partition}")}),
            ("streaming_forwarder", {"endpoint_url": endpoint.url, "format": "ndjson", "max_batch_records": 20}),
        ], dead_letter={"topic": dead})  # fmt: skip
        letters = lambda: cluster.end_offsets(dead, 1)[0]
        kills = between = 0
        while between < knob("POISON_KILLS", 6) // 2:
            before = letters()
            wait_until(lambda: letters() > before, 40, lambda: f"dead letters come: {before}, {between} of {kills} kills fell in between", interval=0.005)
            server.kill9()
            kills += 1
            p, offset = letters_of(cluster, dead)[-1]
            between += offset >= cluster.committed(group, topic).get(p, 0)
            server.start(wait=False)
        ends = {p: len(values) for p, values in records.items()}
        wait_until(lambda: cluster.committed(group, topic) == ends, 120, lambda: f"everything is committed: {cluster.committed(group, topic)}")
    finally:
        endpoint.close()
    found = letters_of(cluster, dead)
    poison = {(p, offset) for p, values in records.items() for offset, value in enumerate(values) if b"poison" in value}
    assert set(found) == poison
    told = server.expect(200, "GET", f"/api/consumers/{consumer}/dead-letters?limit=1000")["items"]
    assert len(told) == len(found) and len({letter["id"] for letter in told}) == len(poison), "what is there twice has one id"
    assert {p: (out_folder / f"p{p}").read_bytes() for p in records} == {p: b"".join(value + b"\n" for value in values) for p, values in records.items()}
    assert_all_but_poison(endpoint, records)
    print(f"{len(found) - len(poison)} of {len(found)} dead letters came twice, {between} of {kills} kills fell in between")
