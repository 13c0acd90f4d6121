"""A real topic into files over the REST API: the life of a consumer, formats, paths, positions."""

import base64
import json
import pathlib
import subprocess
import time

import pytest

from harness import checkpoint, records
from harness.broker import OwnBroker
from harness.flow import FileFlow
from harness.records import Stream
from harness.waiting import wait_until

PARTITIONS = 4


@pytest.fixture
def topic(cluster):
    return cluster.make_topic("flow", PARTITIONS)


@pytest.fixture
def stream(cluster, topic):
    return Stream(cluster.servers, topic, PARTITIONS)


def lines(path):
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


# --- life ---------------------------------------------------------------------------------------------------------------


def test_a_consumer_is_created_stopped_started_updated_and_deleted(server, cluster, topic, stream, group):
    flow = FileFlow(cluster, stream, group, server.out / "flow.log")
    stream.send(1000)
    consumer = server.create_file_sink(cluster, topic, group, flow.path, auto_start=False)
    assert server.consumer(consumer)["status"] == "INACTIVE"
    time.sleep(0.5)
    assert flow.size() == 0, "not started, nothing delivered"

    answer = server.expect(200, "POST", f"/api/consumers/{consumer}/start")
    assert answer == {"consumer_id": consumer, "status": "ACTIVE"}
    flow.wait_complete(15)

    answer = server.expect(200, "POST", f"/api/consumers/{consumer}/stop")
    assert answer == {"consumer_id": consumer, "status": "INACTIVE"}
    flow.wait_committed()  # a stop commits before it answers
    stream.send(1000)
    time.sleep(0.5)
    assert flow.durable() != stream.next, "stopped, nothing delivered"

    server.expect(200, "POST", f"/api/consumers/{consumer}/start")
    flow.wait_complete(15)

    other = cluster.make_topic("flow-other", PARTITIONS)
    other_stream = Stream(cluster.servers, other, PARTITIONS)
    other_stream.send(500)
    other_file = server.out / "other.log"
    body = {"topic": other, "processor_configs": [{"processor_type": "file_sink", "config": {"file_path": str(other_file)}}]}
    answer = server.expect(200, "PUT", f"/api/consumers/{consumer}", body)
    assert (answer["topic"], answer["status"]) == (other, "ACTIVE")
    FileFlow(cluster, other_stream, group, other_file).wait_complete(15)
    flow.assert_exact()

    server.expect(204, "DELETE", f"/api/consumers/{consumer}")
    server.expect(404, "GET", f"/api/consumers/{consumer}")
    other_stream.send(10)
    time.sleep(0.5)
    assert len(lines(other_file)) == 500 * PARTITIONS


def test_consumers_run_again_after_the_process_was_killed(server, cluster, topic, stream, group):
    flow = FileFlow(cluster, stream, group, server.out / "flow.log")
    running = server.create_file_sink(cluster, topic, group, flow.path)
    stopped = server.create_file_sink(cluster, topic, group + "-stopped", server.out / "stopped.log", auto_start=False)
    stream.send(1000)
    flow.wait_complete(15)
    server.kill9()
    stream.send(1000)
    server.start()
    flow.wait_complete(15)
    assert server.consumer(running)["status"] == "ACTIVE"
    assert server.consumer(stopped)["status"] == "INACTIVE"


def test_a_restart_takes_its_partitions_back_at_once(server, cluster, topic, stream, group):
    flow = FileFlow(cluster, stream, group, server.out / "flow.log")
    server.create_file_sink(cluster, topic, group, flow.path, consumer={"kafka_properties": {"session.timeout.ms": 60_000}})
    stream.send(1000)
    flow.wait_complete(15)
    for end in (server.kill9, server.terminate):
        end()
        stream.send(1000)
        begin = time.monotonic()
        server.start()
        flow.wait_complete(45)
        took = time.monotonic() - begin
        assert took < 30, f"{took:.1f} s: shorter than the session timeout, for the member is known by its instance id"


# --- what starts late ---------------------------------------------------------------------------------------------------


def test_a_missing_topic_is_waited_for(server, cluster, group):
    name = f"late-{group}"
    consumer = server.create_file_sink(cluster, name, group, server.out / "late.log")
    says = lambda: any(name in reason["detail"] for reason in server.consumer(consumer)["health"]["reasons"])
    wait_until(says, 15, lambda: f"it says what it waits for: {server.consumer(consumer)}")
    assert server.consumer(consumer)["status"] == "ACTIVE"
    cluster.make_topic_named(name, PARTITIONS)
    stream = Stream(cluster.servers, name, PARTITIONS)
    stream.send(1000)
    FileFlow(cluster, stream, group, server.out / "late.log").wait_complete(20)
    wait_until(lambda: server.consumer(consumer)["health"]["state"] == "ok", 10, "health is ok")


def test_a_broker_that_is_down_is_waited_for(make_server, group, tmp_path):
    broker = OwnBroker(tmp_path / "kafka")
    server = make_server(servers_address=broker.servers).start()
    consumer = server.create_file_sink(broker, "down", group, server.out / "down.log")
    wait_until(lambda: server.consumer(consumer)["health"]["reasons"], 15, "it says what it waits for")
    assert server.consumer(consumer)["status"] == "ACTIVE"
    broker.start()
    try:
        broker.make_topic_named("down", PARTITIONS)
        stream = Stream(broker.servers, "down", PARTITIONS)
        stream.send(1000)
        FileFlow(broker, stream, group, server.out / "down.log").wait_complete(30)
        assert server.terminate()[0] == 0
    finally:
        broker.stop()


def test_latest_skips_what_was_there_before(server, cluster, topic, stream, group):
    stream.send(500)
    file = server.out / "latest.log"
    consumer = server.create_file_sink(cluster, topic, group, file, consumer={"auto_offset_reset": "latest"})
    # Whoever starts at the end has no position before its first record, so the beginning is not sent before all partitions are held.
    held = lambda: [p for p in server.consumer(consumer)["metrics"]["partitions"] if p["position"] is not None]
    wait_until(lambda: len(held()) == PARTITIONS, 15, "all partitions are held")
    cluster.produce(topic, [(p, b"after") for p in range(PARTITIONS)])
    wait_until(lambda: len(lines(file)) >= PARTITIONS, 15, "the new records")
    assert lines(file) == [b"after"] * PARTITIONS


# --- positions ----------------------------------------------------------------------------------------------------------


def test_committed_offsets_never_run_ahead_of_the_file(server, cluster, topic, stream, group):
    flow = FileFlow(cluster, stream, group, server.out / "flow.log")
    server.create_file_sink(cluster, topic, group, flow.path, fsync_interval="50ms")
    with stream.sending(rate=80_000) as sending:
        wait_until(lambda: flow.size() > 0, 20, "the first bytes")
        for _ in range(8):
            flow.assert_holds()
        assert sending.alive()
    flow.wait_complete(40)
    flow.wait_committed()


@pytest.mark.parametrize("second_path", ("second.log", "second-{partition}.log"), ids=("shared", "by-partition"))
def test_every_processor_keeps_its_own_position(server, cluster, topic, stream, group, second_path):
    first = FileFlow(cluster, stream, group, server.out / "first.log")
    second = FileFlow(cluster, stream, group, server.out / second_path)
    sink = lambda flow: {"processor_type": "file_sink", "config": {"file_path": flow.path}}
    update = lambda *flows: server.expect(200, "PUT", f"/api/consumers/{consumer}", {"processor_configs": [sink(flow) for flow in flows]})
    in_second = lambda: sum(len(lines(pathlib.Path(file))) for file in second.active_files())
    consumer = server.create(cluster, topic, group, [("file_sink", {"file_path": first.path})])
    stream.send(2000)
    first.wait_complete(15)
    first.wait_committed()
    update(first, second)
    stream.send(1000)
    first.wait_complete(15)
    # A path without a position starts at the committed offset: it has the second part alone.
    wait_until(lambda: second.durable() == stream.next, 15, "the second file follows")
    assert in_second() == 1000 * PARTITIONS
    # The file that stays away falls behind, and the other is not written twice when it comes back.
    update(first)
    stream.send(1000)
    first.wait_complete(15)
    first.wait_committed()
    update(first, second)
    stream.send(500)
    first.wait_complete(15)
    wait_until(lambda: second.durable() == stream.next, 15, "the second file follows again")
    # A file that moves with its partition knows best where it stands, and catches up. Of a shared file another replica may have taken the
    # partition over meanwhile, into a file of its own: where the group has committed more, it goes on there.
    assert in_second() == (2500 if second.by_partition else 1500) * PARTITIONS


def test_a_new_group_starts_anew_and_the_old_one_goes_on(server, cluster, topic, stream, group):
    file = server.out / "flow.log"
    consumer = server.create_file_sink(cluster, topic, group, file)
    stream.send(1000)
    FileFlow(cluster, stream, group, file).wait_complete(15)
    server.expect(200, "PUT", f"/api/consumers/{consumer}", {"consumer_group": group + "-new"})
    again = FileFlow(cluster, stream, group + "-new", file)
    wait_until(lambda: again.durable() == stream.next, 15, "the new group has read everything")
    assert len(lines(file)) == 2000 * PARTITIONS
    server.expect(200, "PUT", f"/api/consumers/{consumer}", {"consumer_group": group})
    stream.send(10)
    wait_until(lambda: FileFlow(cluster, stream, group, file).durable() == stream.next, 15, "the old group goes on")
    assert len(lines(file)) == 2010 * PARTITIONS


def test_two_consumers_on_one_file_are_told_apart(make_server, cluster, topic, stream, group, tmp_path):
    """Within one process the second is refused at once; another process is kept out by the lock and takes over when it is free."""
    one = make_server("one", roots=tmp_path / "out").start()
    two = make_server("two", roots=tmp_path / "out").start()
    file = tmp_path / "out" / "shared.log"
    one.create_file_sink(cluster, topic, group, file)
    stream.send(100)
    wait_until(lambda: len(lines(file)) == 100 * PARTITIONS, 15, "the first writes")
    refused = one.api("POST", "/api/consumers", {
        "broker_ip": cluster.host, "broker_port": cluster.port, "topic": topic, "consumer_group": group + "-b", "auto_start": True,
        "processor_configs": [{"processor_type": "file_sink", "config": {"file_path": str(file)}}],
    })
    assert refused.status == 409, refused
    second = two.create_file_sink(cluster, topic, group + "-c", file)
    seen = two.wait_status(second, "ERROR", 15)
    assert str(file) in json.dumps(seen["health"]), seen["health"]
    assert len(lines(file)) == 100 * PARTITIONS
    one.terminate()
    two.wait_status(second, "ACTIVE", 40)
    wait_until(lambda: len(lines(file)) == 200 * PARTITIONS, 20, "the second has its turn")


# --- formats and paths --------------------------------------------------------------------------------------------------


def test_each_partition_may_have_its_file(server, cluster, topic, stream, group):
    flow = FileFlow(cluster, stream, group, server.out / "deep/{topic}/p{partition}.log".replace("{topic}", topic))
    server.create_file_sink(cluster, topic, group, server.out / "deep/{topic}/p{partition}.log")
    stream.send(2000)
    flow.wait_complete(15)
    for partition, file in enumerate(flow.active_files()):
        report = records.run_checker([file], expect={partition: 2000}, run=stream.run)
        assert report["ok"], report


def test_rotated_files_hold_every_record_once(server, cluster, topic, stream, group):
    flow = FileFlow(cluster, stream, group, server.out / "flow.log")
    server.create_file_sink(cluster, topic, group, flow.path, rotate_bytes=300_000)
    stream.send(5000)
    flow.wait_complete(20)
    finished = flow.finished_files(flow.path)
    assert len(finished) >= 5000 * PARTITIONS * 201 // 300_000 - 1
    assert all(0 < checkpoint.size_of(name) <= 300_000 for name in finished)


def test_files_are_finished_by_time_too(server, cluster, topic, stream, group):
    flow = FileFlow(cluster, stream, group, server.out / "flow.log")
    consumer = server.create_file_sink(cluster, topic, group, flow.path, rotate_interval="1s")
    stream.send(100)
    wait_until(lambda: flow.finished_files(flow.path), 15, "the file is finished")
    stream.send(100)
    wait_until(lambda: flow.durable() == stream.next, 15, lambda: f"durable {flow.durable()}")
    server.stop_consumer(consumer)  # so that no file gets another name while it is looked at
    flow.assert_exact()


def test_compressed_files_decompress_to_every_record_once(server, cluster, topic, stream, group):
    file = server.out / "flow.log.zst"
    flow = FileFlow(cluster, stream, group, file)
    consumer = server.create_file_sink(cluster, topic, group, file, compression="zstd")
    with stream.sending(count=20_000, rate=40_000):
        wait_until(lambda: flow.size() > 0, 15, "the first bytes")
        server.kill9()
        server.start()
    wait_until(lambda: flow.durable() == stream.next, 20, "everything is durable")
    server.expect(200, "POST", f"/api/consumers/{consumer}/stop")
    with subprocess.Popen(["zstd", "-dcq", str(file)], stdout=subprocess.PIPE) as zstd:
        records.assert_exact(["-"], stream, stdin=zstd.stdout)
    assert zstd.returncode == 0
    assert checkpoint.size_of(file) < stream.total * 201


def test_ndjson_tells_everything_that_kafka_keeps(server, cluster, group):
    topic = cluster.make_topic("odd", 1)
    file = server.out / "odd.ndjson"
    server.create_file_sink(cluster, topic, group, file, format="ndjson")
    binary = bytes(range(256))
    large = b"L" * 900_000
    odd = [
        (b"plain", b"key", [("h", b"v"), ("h", b"again"), ("none", None), ("bin", b"\xff\x00")]),
        (None, b"tombstone", None),
        (b"", b"", None),
        (binary, binary, None),
        (b"nul\0inside", None, None),
        (b"two\nlines\r\n", b"k\n", None),
        ('"quoted" \\ und Umlaute äöü €'.encode(), None, None),
        (large, None, None),
        (b'{"amount": 12}', None, None),
    ]
    cluster.produce(topic, [(0, value, key, headers) for value, key, headers in odd])
    wait_until(lambda: len(lines(file)) == len(odd), 15, lambda: f"{len(lines(file))} of {len(odd)} lines")

    def bytes_of(field):
        return base64.b64decode(field["base64"]) if isinstance(field, dict) else None if field is None else field.encode()

    for offset, (line, (value, key, headers)) in enumerate(zip(lines(file), odd)):
        told = json.loads(line)
        assert (told["topic"], told["partition"], told["offset"]) == (topic, 0, offset)
        assert abs(told["timestamp"] / 1000 - time.time()) < 600
        assert bytes_of(told["value"]) == value
        assert bytes_of(told["key"]) == key
        assert [(h["name"], bytes_of(h["value"])) for h in told["headers"]] == (headers or [])


def test_raw_is_the_value_and_a_newline(server, cluster, group):
    topic = cluster.make_topic("odd", 1)
    file = server.out / "odd.log"
    server.create_file_sink(cluster, topic, group, file)
    values = [b"plain", None, b"", b"nul\0inside", bytes(range(256)), b"L" * 900_000, b"two\nlines", b"end"]
    cluster.produce(topic, [(0, value) for value in values])
    expected = b"".join((value or b"") + b"\n" for value in values)
    wait_until(lambda: file.exists() and file.stat().st_size >= len(expected), 15, "all bytes")
    assert file.read_bytes() == expected


def test_ndjson_flows_as_exactly_as_raw(server, cluster, topic, stream, group):
    file = server.out / "flow.ndjson"
    flow = FileFlow(cluster, stream, group, file)
    server.create_file_sink(cluster, topic, group, file, format="ndjson")
    with stream.sending(count=20_000, rate=40_000):
        wait_until(lambda: flow.size() > 0, 15, "the first bytes")
        server.kill9()
        server.start()
    wait_until(lambda: flow.durable() == stream.next, 20, "everything is durable")
    records.assert_exact([str(file)], stream, embedded=True)


# --- monitoring ---------------------------------------------------------------------------------------------------------


def test_monitoring_agrees_with_an_independent_client(server, cluster, topic, stream, group):
    flow = FileFlow(cluster, stream, group, server.out / "flow.log")
    consumer = server.create_file_sink(cluster, topic, group, flow.path)
    stream.send(1234)
    flow.wait_complete(15)
    flow.wait_committed()
    committed = cluster.committed(group, topic)
    ends = cluster.end_offsets(topic, PARTITIONS)
    assert committed == ends
    offsets = server.expect(200, "GET", f"/monitor/consumer-group-offsets?group_id={group}")
    assert offsets == {topic: {str(p): offset for p, offset in committed.items()}}
    told = server.expect(200, "GET", f"/monitor/consumer-group-lag?group_id={group}&topic={topic}")
    assert told == {str(p): {"current_offset": committed[p], "log_end_offset": ends[p], "lag": 0} for p in range(PARTITIONS)}

    server.expect(200, "POST", f"/api/consumers/{consumer}/stop")
    stream.send(100)
    told = server.expect(200, "GET", f"/monitor/consumer-group-lag?group_id={group}&topic={topic}")
    assert {entry["lag"] for entry in told.values()} == {100}


def test_lag_reaches_zero_past_control_records(server, cluster, group):
    """Transactions leave markers in the log: the position must pass them, or lag never ends."""
    from confluent_kafka import Producer

    topic = cluster.make_topic("transactions", 1)
    producer = Producer({"bootstrap.servers": cluster.servers, "transactional.id": group, "log_level": 2})
    producer.init_transactions(15)
    kept = []
    for number in range(6):
        producer.begin_transaction()
        for i in range(50):
            producer.produce(topic, f"{number} {i}".encode(), partition=0)
        assert producer.flush(15) == 0, "of what has not been sent an abort leaves nothing in the log"
        if number % 2:
            producer.abort_transaction(15)
        else:
            producer.commit_transaction(15)
            kept += [f"{number} {i}".encode() for i in range(50)]
    file = server.out / "transactions.log"
    consumer = server.create_file_sink(cluster, topic, group, file)
    wait_until(lambda: len(lines(file)) >= len(kept), 15, lambda: f"{len(lines(file))} of {len(kept)} records")
    assert lines(file) == kept
    end = 6 * 51  # a marker follows each transaction, the last one's a moment after it has been aborted
    wait_until(lambda: cluster.end_offsets(topic, 1)[0] == end, 15, lambda: f"the last marker is there: {cluster.end_offsets(topic, 1)}, end {end}")
    wait_until(lambda: cluster.committed(group, topic).get(0) == end, 15, lambda: f"committed {cluster.committed(group, topic)}, end {end}")
    wait_until(lambda: server.consumer(consumer)["metrics"]["lag"] == 0, 15, lambda: f"lag 0: {server.consumer(consumer)['metrics']}")
