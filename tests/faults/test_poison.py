"""Records that a sink refuses, while processes are killed: each is in the table once or among the dead letters, and none is lost in between."""

import time

import pytest
from confluent_kafka import Consumer, TopicPartition

from harness.database import Database
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


@pytest.mark.timeout(180)
def test_kills_between_dead_letter_and_commit_lose_no_record(make_server, cluster, group, database, dice):
    topic, dead = cluster.make_topic("poison", PARTITIONS), cluster.make_topic("dead", 1)
    stream = Stream(cluster.servers, topic, PARTITIONS)
    server = make_server().start()
    columns = {"partition": "$partition", "offset": "$offset", "value": "$value"}
    sink = ("database_sync", {"db_dsn": database.url, "table": "kept", "columns": columns})
    server.create(cluster, topic, group, [sink], dead_letter={"topic": dead})
    with stream.sending(rate=20_000):
        for _ in range(knob("POISON_KILLS", 6)):
            end = cluster.end_offsets(dead, 1)[0]
            wait_until(lambda: cluster.end_offsets(dead, 1)[0] > end, 40, "dead letters come")
            time.sleep(dice.uniform(0, 0.3))
            server.kill9()
            server.start(wait=False)
    server.wait_ready()
    wait_until(lambda: cluster.committed(group, topic) == stream.next, 60, lambda: f"everything is committed: {cluster.committed(group, topic)}")
    letters = letters_of(cluster, dead)
    poison = {(p, offset) for p, end in stream.next.items() for offset in range(7, end, EVERY)}
    assert set(letters) == poison, f"too few {sorted(poison - set(letters))[:5]}, too many {sorted(set(letters) - poison)[:5]}"
    rows = database.query('SELECT "partition", count(*), count(DISTINCT "offset"), max("offset") + 1 FROM kept GROUP BY 1 ORDER BY 1')
    poisons = {p: sum(1 for q, _ in poison if q == p) for p in stream.next}
    assert [[str(p), str(end - poisons[p]), str(end - poisons[p])] for p, end in stream.next.items()] == [row[:3] for row in rows]
    print(f"{len(letters) - len(poison)} of {len(letters)} dead letters came twice")
