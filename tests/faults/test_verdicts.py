"""What compares the sinks record by record finds each planted mistake: a record lost, doubled, swapped with its neighbour, damaged."""

import pytest
from confluent_kafka import Consumer, TopicPartition

from harness.database import Database
from harness.http_server import Attempt
from harness.records import Stream
from storm import verdicts

PARTITIONS = 2
RECORDS = 200


@pytest.fixture(scope="session")
def stream(cluster):
    stream = Stream(cluster.servers, cluster.make_topic("verdicts", PARTITIONS), PARTITIONS, size=120)
    stream.send(RECORDS)
    return stream


@pytest.fixture(scope="session")
def sent(cluster, stream):
    """partition -> its records, read back."""
    consumer = Consumer({"bootstrap.servers": cluster.servers, "group.id": "verdicts", "enable.auto.commit": False, "log_level": 2})
    found = {partition: [] for partition in range(PARTITIONS)}
    try:
        consumer.assign([TopicPartition(stream.topic, partition, 0) for partition in range(PARTITIONS)])
        while sum(map(len, found.values())) < PARTITIONS * RECORDS:
            messages = consumer.consume(PARTITIONS * RECORDS, 10)
            assert messages, "the records can be read"
            for message in messages:
                found[message.partition()].append(message.value())
    finally:
        consumer.close()
    return found


def lose(lines):
    return lines[:120] + lines[121:]


def lose_the_last(lines):
    return lines[:-1]


def double(lines):
    return lines[:121] + lines[120:]


def double_later(lines):
    return [*lines, lines[120]]


def swap(lines):
    return [*lines[:120], lines[121], lines[120], *lines[122:]]


def damage(lines):
    return [*lines[:120], lines[120][:-3] + b"#" + lines[120][-2:], *lines[121:]]


def nothing(lines):
    return lines


MISTAKES = {nothing: None, lose: "missing", lose_the_last: "missing", double: "duplicates", double_later: "duplicates", swap: "out_of_order", damage: "corrupt"}


def assert_found(wrong, kind):
    if kind is None:
        assert wrong == []
    else:
        assert kind in str(wrong), f"{kind} is found: {wrong}"


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_mistake_in_a_file_is_found(stream, sent, tmp_path, mistake):
    files = []
    for partition, lines in sent.items():
        files.append(tmp_path / f"p{partition}")
        files[-1].write_bytes(b"".join(line + b"\n" for line in (mistake(lines) if partition else lines)))
    assert_found(verdicts.of_files(files, stream), MISTAKES[mistake])


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_mistake_in_a_table_is_found(stream, sent, tmp_path, postgres_server, mistake):
    database = Database(postgres_server.make_database())
    try:
        database.run('CREATE TABLE kafka_messages (partition int, "offset" bigint, value text)')
        rows = []
        for partition, lines in sent.items():
            rows += [f"({partition}, {offset}, '{line.decode()}')" for offset, line in enumerate(mistake(lines) if partition else lines)]
        database.run(f"INSERT INTO kafka_messages VALUES {', '.join(rows)}")
        assert_found(verdicts.of_table(database, "kafka_messages", stream, tmp_path), MISTAKES[mistake])
    finally:
        database.close()


def test_a_row_under_a_wrong_offset_is_found(stream, sent, tmp_path, postgres_server):
    database = Database(postgres_server.make_database())
    try:
        database.run('CREATE TABLE kafka_messages (partition int, "offset" bigint, value text)')
        rows = [f"({partition}, {offset + 1}, '{line.decode()}')" for partition, lines in sent.items() for offset, line in enumerate(lines)]
        database.run(f"INSERT INTO kafka_messages VALUES {', '.join(rows)}")
        assert_found(verdicts.of_table(database, "kafka_messages", stream, tmp_path), f"{PARTITIONS * RECORDS} rows say another")
    finally:
        database.close()


def post(ledger, partition, first, lines):
    key = f"consumer/topic/{partition}/{first}-{first + len(lines) - 1}"
    ledger.keep(Attempt("POST", "/", {"idempotency-key": key}, b"\n".join(lines) + b"\n", 0))


@pytest.fixture
def ledger(tmp_path):
    ledger = verdicts.Ledger(tmp_path)
    yield ledger
    ledger.close()


def send_in_pieces(ledger, sent, order=lambda pieces: pieces):
    """Ten records a request; `order` decides what happens to the requests of partition 1."""
    for partition, lines in sent.items():
        pieces = [(first, lines[first : first + 10]) for first in range(0, len(lines), 10)]
        for first, piece in order(pieces) if partition else pieces:
            post(ledger, partition, first, piece)


def test_repeated_requests_are_no_mistake_of_an_endpoints_sender(ledger, stream, sent):
    send_in_pieces(ledger, sent, lambda pieces: [*pieces[:5], *pieces])
    post(ledger, 1, 15, sent[1][15:25])
    assert verdicts.of_endpoint(ledger, stream) == []
    assert ledger.repeated_records == 60
    assert ledger.positions() == {0: RECORDS, 1: RECORDS}


@pytest.mark.parametrize(
    "order, kind",
    [
        (lambda pieces: pieces[:5] + pieces[6:], "missing"),
        (lambda pieces: pieces[:-1], "missing"),
        (lambda pieces: [*pieces[:5], pieces[6], pieces[5], *pieces[7:]], "out_of_order"),
        (lambda pieces: [(first, swap_first(lines) if first == 50 else lines) for first, lines in pieces], "out_of_order"),
        (lambda pieces: [*pieces, (0, pieces[1][1])], "another body under the same key"),
        (lambda pieces: [(first, [lines[0][:-1] + b"#", *lines[1:]] if first == 50 else lines) for first, lines in pieces], "corrupt"),
    ],
    ids=("lost", "last lost", "swapped requests", "swapped records", "other body", "damaged"),
)
def test_a_mistake_at_the_endpoint_is_found(ledger, stream, sent, order, kind):
    send_in_pieces(ledger, sent, order)
    assert_found(verdicts.of_endpoint(ledger, stream), kind)


def swap_first(lines):
    return [lines[1], lines[0], *lines[2:]]


def test_a_gap_holds_up_the_endpoints_position(ledger, sent):
    send_in_pieces(ledger, sent, lambda pieces: pieces[:5] + pieces[6:])
    assert ledger.positions() == {0: RECORDS, 1: 50}


def test_a_commit_beyond_a_sink_is_found():
    held = {"file": {0: 10, 1: 20}, "table": {0: 10}}
    assert verdicts.of_commits({0: 10}, held) == []
    assert "11 is committed, file holds 10" in str(verdicts.of_commits({0: 11}, held))
    assert "1 is committed, table holds 0" in str(verdicts.of_commits({1: 1}, held))
