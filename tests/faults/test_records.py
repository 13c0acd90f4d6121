"""Odd records through every sink: what came in is there byte for byte, or is a dead letter."""

import base64
import json
import time
from random import Random

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from harness import process, raw_produce
from harness.http_server import HttpEndpoint
from harness.waiting import wait_until

LARGEST = 20 << 20  # what the broker of scripts/kafka takes, a whole batch
BINARY = bytes(range(256))

# (value, key, headers, timestamp). No NUL in the names of headers: there librdkafka, which tells them as C strings, ends them.
PLAIN = [
    (b"plain", b"key", [(b"h", b"v"), (b"h", b"again"), (b"none", None), (b"", b"no name"), (b"empty", b"")], 1_700_000_000_000),
    (None, b"tombstone", [], 1_700_000_000_000),
    (None, None, [], 1_700_000_000_000),
    (b"", b"", [], 1_700_000_000_000),
    (b"two\nlines\r\n", b"k\n\n", [(b"l\n", b"\r\n")], 1_700_000_000_000),
    ('"quoted" \\ äöü € \u2028 😀'.encode(), "ключ".encode(), [("имя".encode(), "значение".encode())], 1_700_000_000_000),
    (b"epoch", None, [], 0),
    (b"no time", None, [], raw_produce.EARLIEST_TIMESTAMP),
    (b"the year 2100", None, [], 4_102_444_800_000),
    (b"the year 9999", None, [], 253_402_300_799_999),
    (b"many headers", None, [(b"h%d" % n, None if n % 5 == 0 else b"v" * (n % 50)) for n in range(1000)], 1_700_000_000_000),
]
BYTES = [
    (b"nul\0inside", b"k\0", [(b"n", b"\0")], 1_700_000_000_000),
    (b"\xff\xfe no text", b"\xc3", [(b"\xff", b"\x80")], 1_700_000_000_000),
    (b"\xed\xa0\x80 half a pair, \xc0\x80 too long, \xf4\x90\x80\x80 too high", None, [], 1_700_000_000_000),
    (BINARY, BINARY, [(BINARY[1:], BINARY)], 1_700_000_000_000),
]
ODD = PLAIN + BYTES


@pytest.fixture
def topic(cluster):
    forever = str(2**63 - 1)
    return cluster.make_topic("odd", message_timestamp_before_max_ms=forever, message_timestamp_after_max_ms=forever)


@pytest.fixture
def endpoint():
    endpoint = HttpEndpoint()
    yield endpoint
    endpoint.close()


def told_bytes(field):
    """A field of an envelope: null, text, or {"base64": …}."""
    return base64.b64decode(field["base64"]) if isinstance(field, dict) else None if field is None else field.encode()


def assert_envelopes(lines, topic, records):
    assert len(lines) == len(records)
    for offset, (line, (value, key, headers, timestamp)) in enumerate(zip(lines, records)):
        told = json.loads(line)
        assert (told["topic"], told["partition"], told["offset"], told["timestamp"]) == (topic, 0, offset, timestamp)
        assert (told_bytes(told["value"]), told_bytes(told["key"])) == (value, key)
        assert [(told_bytes(header["name"]), told_bytes(header["value"])) for header in told["headers"]] == headers


def wait_committed(server, cluster, consumer, group, topic, end):
    wait_until(lambda: cluster.committed(group, topic) == {0: end}, 60, lambda: f"everything is committed: {server.consumer(consumer)}")


@pytest.mark.timeout(90)
def test_odd_records_are_in_files_byte_for_byte(server, cluster, topic, group):
    raw_produce.produce(cluster, topic, ODD)
    raw, envelopes = server.out / "odd.log", server.out / "odd.ndjson"
    sinks = [("file_sink", {"file_path": str(raw)}), ("file_sink", {"file_path": str(envelopes), "format": "ndjson"})]
    consumer = server.create(cluster, topic, group, sinks)
    wait_committed(server, cluster, consumer, group, topic, len(ODD))
    assert raw.read_bytes() == b"".join((value or b"") + b"\n" for value, *_ in ODD)
    assert_envelopes(envelopes.read_bytes().split(b"\n")[:-1], topic, ODD)


@pytest.mark.timeout(90)
def test_odd_records_arrive_at_an_endpoint_byte_for_byte(server, cluster, topic, group, endpoint):
    raw_produce.produce(cluster, topic, ODD)
    plain = server.create(cluster, topic, group, [("streaming_forwarder", {"endpoint_url": endpoint.url})])
    wait_committed(server, cluster, plain, group, topic, len(ODD))
    assert [body for _, _, body in endpoint.kept_by_partition()[0]] == [value or b"" for value, *_ in ODD]
    endpoint.kept.clear()
    in_envelopes = {"endpoint_url": endpoint.url + "/envelopes", "envelope": True, "format": "ndjson"}
    wrapped = server.create(cluster, topic, group + "-envelopes", [("streaming_forwarder", in_envelopes)])
    wait_committed(server, cluster, wrapped, group + "-envelopes", topic, len(ODD))
    assert_envelopes(b"".join(body for _, _, body in endpoint.kept_by_partition()[0]).split(b"\n")[:-1], topic, ODD)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("value_type", ("bytea", "text", "jsonb"))
def test_odd_records_are_rows_byte_for_byte_or_dead_letters(server, cluster, topic, group, database, value_type):
    texts = [json.dumps({"n": 1}).encode(), b'"\\u0000"', b'{"a": 1, "a": 2}', b"[]  "] if value_type == "jsonb" else []
    records = ODD + [(text, None, [], 1_700_000_000_000) for text in texts]
    raw_produce.produce(cluster, topic, records)
    letters = server.out / "letters.ndjson"
    config = {"db_dsn": database.url, "value_type": value_type}
    consumer = server.create(cluster, topic, group, [("database_sync", config)], dead_letter={"file_path": str(letters)})
    wait_committed(server, cluster, consumer, group, topic, len(records))

    as_hex = lambda column: f"encode({column}, 'hex')" if value_type == "bytea" else f"encode(convert_to({column}::text, 'UTF8'), 'hex')"
    rows = database.query(
        f'SELECT "offset", {as_hex("key")}, {as_hex("value")}, value IS NULL, key IS NULL, coalesce(headers::text, \'null\'), '
        'round(extract(epoch from "timestamp") * 1000)::bigint FROM kafka_messages ORDER BY "offset"'
    )
    offsets = []
    for offset, key_hex, value_hex, value_null, key_null, row_headers, timestamp in rows:
        value, key, headers, sent_at = records[int(offset)]
        offsets.append(int(offset))
        assert (bytes.fromhex(key_hex), key_null == "t") == (key or b"", key is None), records[int(offset)]
        assert (value_null == "t") == (value is None)
        if value_type == "jsonb" and value is not None:
            assert json.loads(bytes.fromhex(value_hex)) == json.loads(value)
        else:
            assert bytes.fromhex(value_hex) == (value or b"")
        assert timestamp == ("" if sent_at < 0 else str(sent_at))
        assert [(told_bytes(h["name"]), told_bytes(h["value"])) for h in json.loads(row_headers) or []] == headers

    dead = [json.loads(line) for line in letters.read_bytes().split(b"\n")[:-1]] if letters.exists() else []
    for letter in dead:
        value, key, headers, _ = records[letter["offset"]]
        assert (told_bytes(letter["value"]), told_bytes(letter["key"])) == (value, key)
        assert [(told_bytes(h["name"]), told_bytes(h["value"])) for h in letter["headers"]] == headers
    assert sorted(offsets + [letter["offset"] for letter in dead]) == list(range(len(records))), "what came in is a row or a dead letter, once"
    wrong = {offset for offset, (value, key, *_) in enumerate(records) if not may_be_row(value_type, value, key)}
    assert {letter["offset"] for letter in dead} == wrong


def damaged(random, text):
    """Some bytes of it are changed, in most cases so that it is no JSON any more."""
    alphabet = b'""\\\\{}[]:,, 0129eE+-.tfn\n\xc3\xbc\0'
    text = bytearray(text)
    for _ in range(random.randrange(4)):
        at = random.randrange(len(text)) if text else 0
        match random.randrange(3):
            case 0: del text[at : at + random.randint(1, 3)]
            case 1: text.insert(at, random.choice(alphabet))
            case _: text[at : at + 1] = bytes([random.choice(alphabet)])  # fmt: skip
    return bytes(text)


def members_of(text):
    """None where it is no JSON, or neither object nor array."""

    def refuse(constant):
        raise ValueError(constant)

    try:
        found = json.loads(text.decode(), parse_constant=refuse, parse_float=str, parse_int=str, object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    except ValueError:
        return None
    return found if isinstance(found, dict) else {} if isinstance(found, list) else None


@pytest.mark.timeout(120)
def test_damaged_json_becomes_dead_letters_and_ends_nothing(server, cluster, group, database):
    random = Random(20261127)
    whole = [
        b'{"id":%d,"name":"n%d","tags":["a",{"b":null}],"more":{"x":-1.5e3,"y":"\\"\\\\"},"last":true}',
        b'{ "name" : "%d", "more" : { "y" : [ ] }, "id" : %d }',
        b'{"id":%d,"seen":[%d,[2,3]],"last":false}',
    ]
    values = [damaged(random, random.choice(whole) % (n, n)) for n in range(6_000)]
    database.run("CREATE TABLE damaged (at bigint, id text, name text, last text)")
    topic = cluster.make_topic("damaged", 1)
    cluster.produce(topic, [(0, value) for value in values])
    letters = server.out / "letters.ndjson"
    config = {"db_dsn": database.url, "table": "damaged", "columns": {"at": "$offset", "id": "/id", "name": "/name", "last": "/last"}}
    pid = server.pid
    consumer = server.create(cluster, topic, group, [("database_sync", config)], dead_letter={"file_path": str(letters)})
    wait_committed(server, cluster, consumer, group, topic, len(values))
    assert server.pid == pid and server.log.read_text().count(f"{consumer}: started") == 1
    found = [members_of(value) for value in values]
    dead = sorted(json.loads(line)["offset"] for line in letters.read_bytes().split(b"\n")[:-1])
    assert dead == [offset for offset, members in enumerate(found) if members is None]
    assert 1_000 < len(dead) < 5_000
    rows = database.query("SELECT at, id IS NOT NULL, name IS NOT NULL, coalesce(last, '') FROM damaged ORDER BY at")
    there = lambda members, name: "t" if members.get(name) is not None else "f"
    last = lambda members: members["last"] if isinstance(members.get("last"), str) else json.dumps(members["last"], separators=(",", ":")) if members.get("last") is not None else ""
    assert rows == [[str(at), there(members, "id"), there(members, "name"), last(members)] for at, members in enumerate(found) if members is not None]


@pytest.mark.timeout(120)
def test_a_hundred_thousand_headers_arrive_byte_for_byte(server, cluster, topic, group, database, endpoint):
    some = [None, b"", b"text", "значение".encode(), b"\xff\x80", b"n\0l", b'"quoted" \\', b"v" * 40]
    headers = [(b"h%d" % (n % 70_000), some[n % len(some)]) for n in range(100_000)]
    records = [(b"before", None, [], 1_700_000_000_000), (b"many", b"key", headers, 1_700_000_000_000), (b"after", None, [], 1_700_000_000_000)]
    raw_produce.produce(cluster, topic, records)
    file, letters = server.out / "many.ndjson", server.out / "letters.ndjson"
    sinks = [
        ("file_sink", {"file_path": str(file), "format": "ndjson"}),
        ("streaming_forwarder", {"endpoint_url": endpoint.url, "envelope": True, "format": "ndjson"}),
        ("database_sync", {"db_dsn": database.url}),
    ]
    consumer = server.create(cluster, topic, group, sinks, dead_letter={"file_path": str(letters)})
    wait_committed(server, cluster, consumer, group, topic, len(records))
    peak = process.peak_rss_bytes(server.pid)
    print(f"peak RSS: {peak >> 20} MiB")
    assert peak < 256 << 20
    assert_envelopes(file.read_bytes().split(b"\n")[:-1], topic, records)
    assert_envelopes(b"".join(body for _, _, body in endpoint.kept_by_partition()[0]).split(b"\n")[:-1], topic, records)
    rows = database.query("SELECT value, coalesce(headers::text, '[]') FROM kafka_messages ORDER BY \"offset\"")
    told = [(value.encode(), [(told_bytes(h["name"]), told_bytes(h["value"])) for h in json.loads(row_headers)]) for value, row_headers in rows]
    assert told == [(value, its) for value, _, its, _ in records]
    assert not letters.exists() or not letters.read_bytes()


def may_be_row(value_type, value, key):
    """Whether PostgreSQL can hold it: text without NUL, jsonb that is JSON and whose strings have none; bytea takes everything. In headers what
    it could not hold is base64."""

    def is_text(data):
        try:
            return data is None or b"\0" not in data and data.decode("utf-8") is not None
        except UnicodeDecodeError:
            return False

    if value_type == "bytea":
        return True
    if value_type == "jsonb" and value is not None:
        try:
            return is_text(key) and is_text(value) and "\0" not in str(json.loads(value))
        except ValueError:
            return False
    return is_text(key) and is_text(value)


# --- gaps ---------------------------------------------------------------------------------------------------------------


def read_back(cluster, topic, end):
    """[(offset, value)] as an independent client sees them."""
    reader = Consumer({"bootstrap.servers": cluster.servers, "group.id": "reader", "enable.auto.commit": False, "enable.partition.eof": True})
    reader.assign([TopicPartition(topic, 0, 0)])
    found = []
    while message := reader.poll(15):
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            if message.offset() >= end:
                break
            continue  # a transaction whose end is still on its way: nobody is shown more yet
        found.append((message.offset(), message.value()))
    reader.close()
    return found


@pytest.mark.timeout(120)
def test_transactions_and_compacted_gaps_are_passed_and_lag_reaches_zero(server, cluster, group, database, endpoint):
    topic = cluster.make_topic("gaps", cleanup_policy="compact", segment_ms=100, min_cleanable_dirty_ratio=0.001, min_compaction_lag_ms=0)
    producer = Producer({"bootstrap.servers": cluster.servers, "transactional.id": group, "log_level": 2})
    producer.init_transactions(15)

    def transaction(name, commit):
        producer.begin_transaction()
        for number in range(40):
            producer.produce(topic, f"{name} {number}".encode(), b"key %d" % (number % 7), partition=0)
        producer.commit_transaction(15) if commit else producer.abort_transaction(15)

    for name, commit in (("one", True), ("two", False), ("three", True), ("four", False)):
        transaction(name, commit)
    segments_end = cluster.end_offsets(topic, 1)[0]
    time.sleep(0.2)  # segment.ms: what follows begins a new segment, and what came before may be compacted
    transaction("five", True)
    transaction("six", False)  # the log ends with what nobody is shown
    end = cluster.end_offsets(topic, 1)[0]
    old = lambda: [offset for offset, _ in read_back(cluster, topic, end) if offset < segments_end]
    wait_until(lambda: len(old()) <= 14, 60, lambda: f"the log is compacted: {old()}", interval=0.5)
    end = cluster.end_offsets(topic, 1)[0]  # anew: the marker of the last abort is written after its answer
    expected = read_back(cluster, topic, end)
    assert expected[-1][1] == b"five 39" and all(b"two" not in value and b"four" not in value and b"six" not in value for _, value in expected)

    file = server.out / "gaps.ndjson"
    sinks = [
        ("file_sink", {"file_path": str(file), "format": "ndjson"}),
        ("database_sync", {"db_dsn": database.url}),
        ("streaming_forwarder", {"endpoint_url": endpoint.url, "envelope": True, "format": "ndjson", "max_batch_records": 10}),
    ]
    consumer = server.create(cluster, topic, group, sinks)
    wait_committed(server, cluster, consumer, group, topic, end)
    wait_until(lambda: server.consumer(consumer)["metrics"]["lag"] == 0, 20, lambda: f"lag 0: {server.consumer(consumer)['metrics']}")
    seen = lambda lines: [(told["offset"], told["value"].encode()) for told in map(json.loads, lines)]
    assert seen(file.read_bytes().splitlines()) == expected
    assert seen(b"".join(body for _, _, body in endpoint.kept_by_partition()[0]).splitlines()) == expected
    rows = database.query('SELECT "offset", value FROM kafka_messages ORDER BY "offset"')
    assert [(int(offset), value.encode()) for offset, value in rows] == expected
    assert server.consumer(consumer)["metrics"]["gaps"] == 0, "what compaction removed is no loss"
    monitored = server.expect(200, "GET", f"/monitor/consumer-group-lag?group_id={group}&topic={topic}")
    assert monitored == {"0": {"current_offset": end, "log_end_offset": end, "lag": 0}}


# --- the largest --------------------------------------------------------------------------------------------------------


def send_large(cluster, topic, values):
    properties = {"bootstrap.servers": cluster.servers, "message.max.bytes": 2 * LARGEST, "log_level": 2, "queue.buffering.max.messages": 1}
    producer = Producer(properties)
    errors = []
    for value in values:
        producer.produce(topic, value, on_delivery=lambda error, _: errors.append(error) if error else None)
        producer.flush(60)
    if errors:
        raise KafkaException(errors[0])


@pytest.mark.timeout(240)
@pytest.mark.parametrize("budget", ("256MiB", "16MiB"))
def test_the_largest_records_that_the_broker_takes(make_server, cluster, topic, group, database, endpoint, budget):
    overhead = 61 + 13  # of a batch with one record
    values = [bytes([ord("a") + n]) * (LARGEST - overhead) for n in range(4)] + [b"small"]
    with pytest.raises(KafkaException, match="MSG_SIZE_TOO_LARGE"):
        send_large(cluster, topic, [b"x" * (LARGEST - overhead + 1)])
    send_large(cluster, topic, values)
    server = make_server(MEMORY_BUDGET=budget).start()
    raw = server.out / "large.log"
    sinks = [
        ("file_sink", {"file_path": str(raw)}),
        ("database_sync", {"db_dsn": database.url, "workers": 1}),
        ("streaming_forwarder", {"endpoint_url": endpoint.url}),
    ]
    consumer = server.create(cluster, topic, group, sinks)
    wait_committed(server, cluster, consumer, group, topic, len(values))
    peak = process.peak_rss_bytes(server.pid)
    print(f"peak RSS with {budget}: {peak >> 20} MiB")
    assert peak < 12 * LARGEST, "each sink has a copy or two of the record at hand, and Kafka's client the next one"
    assert raw.read_bytes() == b"".join(value + b"\n" for value in values)
    assert [body for _, _, body in endpoint.kept_by_partition()[0]] == values
    rows = database.query('SELECT length(value), left(value, 1), value = repeat(left(value, 1), length(value)) FROM kafka_messages ORDER BY "offset"')
    assert rows == [[str(len(value)), chr(value[0]), "f" if value == b"small" else "t"] for value in values]
