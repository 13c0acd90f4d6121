"""A processor that cannot keep up holds up no other of its consumer: it falls behind, and catches up by a reading of its own."""

import time

import pytest

from harness import paths, process, records
from harness.database import Database, TableFlow
from harness.flow import FileFlow
from harness.knobs import knob
from harness.records import Stream
from harness.waiting import wait_until

PARTITIONS = 4
MIB = 1 << 20


def processor(server, consumer, which):
    return server.consumer(consumer)["metrics"]["processors"][which]


@pytest.mark.timeout(180)
def test_a_database_that_is_away_costs_the_file_beside_it_nothing(cluster, group, postgres_server, make_server, out_folder):
    """Away under load, for much more than the lanes hold, with a kill -9 of the server meanwhile: the file goes on. Then the table catches up."""
    database = Database(postgres_server.make_database())
    topic = cluster.make_topic("away", PARTITIONS)
    stream = Stream(cluster.servers, topic, PARTITIONS)
    table = TableFlow(cluster, stream, group, database, out_folder)
    file = FileFlow(cluster, stream, group, out_folder / "beside.log")
    server = make_server(sqlite=True, roots=str(out_folder)).start()
    consumer = server.create(cluster, topic, group, [("file_sink", {"file_path": file.path}), ("database_sync", {"db_dsn": table.dsn})])
    goes_on = lambda more, why: (lambda seen: wait_until(lambda: file.size() > seen + more, 20, why))(file.size())
    with stream.sending(rate=100_000) as _:
        wait_until(lambda: table.total() > 50_000, 30, "rows flow")
        database.close()
        postgres_server.stop()
        try:
            wait_until(lambda: "behind" in server.reason_codes(consumer), 20, lambda: f"it falls behind: {server.reason_codes(consumer)}")
            goes_on(20 * MIB, "the file goes on")
            seen = server.consumer(consumer)
            assert seen["status"] == "ACTIVE" and seen["health"]["state"] == "degraded", seen["health"]
            server.kill9()
            server.start()
            goes_on(20 * MIB, "the file goes on after a kill, although the database cannot even be opened")
            seen = server.wait_status(consumer, "ACTIVE", 20)
            assert "sink_blocked" in server.reason_codes(consumer), seen["health"]
        finally:
            postgres_server.start()
        wait_until(lambda: "sink_blocked" not in server.reason_codes(consumer), 20, "the database is open")
    table.wait_complete(60)
    file.wait_complete(30)
    table.wait_committed()
    wait_until(lambda: server.consumer(consumer)["health"]["state"] == "ok", 20, lambda: server.reason_codes(consumer))
    assert processor(server, consumer, 1)["lag"] == 0
    assert server.consumer(consumer)["metrics"]["restarts"] == 0


@pytest.mark.timeout(180)
def test_a_slow_processor_with_more_backlog_than_memory_lets_the_others_go(cluster, group, make_server):
    server = make_server(binary=paths.TESTING_BINARY, MEMORY_BUDGET="16MiB").start()
    count, size = knob("SLOW_RECORDS", 30_000), 4096
    topic = cluster.make_topic("backlog", PARTITIONS)
    stream = Stream(cluster.servers, topic, PARTITIONS, size=size)
    file = FileFlow(cluster, stream, group, server.out / "flow.log")
    slow_file = server.out / "slow.log"
    stream.send(count // PARTITIONS)
    delay = knob("SLOW_DELAY_US", 500)
    idle = process.rss_bytes(server.pid)
    begin = time.monotonic()
    consumer = server.create(cluster, topic, group, [
        ("file_sink", {"file_path": file.path}),
        ("test_slow", {"delay_us_per_record": delay, "output_file": str(slow_file)}),
    ])
    wait_until(lambda: sum(file.durable().values()) == stream.total, 60, lambda: f"the file has everything: {file.durable()}")
    file_seconds = time.monotonic() - begin
    assert slow_file.stat().st_size < stream.total * (size + 1) * 0.9, "the slow one has not"
    assert "behind" in server.reason_codes(consumer)
    wait_until(lambda: slow_file.stat().st_size == stream.total * (size + 1), count * delay / 1e6 * 2 + 30, "the slow one has everything")
    records.assert_exact([str(slow_file)], stream)
    file.wait_complete(10)
    file.wait_committed()
    wait_until(lambda: server.consumer(consumer)["health"]["state"] == "ok", 20, lambda: server.reason_codes(consumer))
    peak = process.peak_rss_bytes(server.pid)
    print(f"the file took {file_seconds:.1f} s, the slow one {time.monotonic() - begin:.1f} s, peak RSS {peak / MIB:.0f} MiB, idle {idle / MIB:.0f} MiB")
    assert peak - idle < 16 * MIB + 48 * MIB, f"peak {peak / MIB:.0f} MiB, idle {idle / MIB:.0f} MiB, budget 16 MiB"


@pytest.mark.timeout(120)
def test_a_processor_that_is_not_required_holds_up_nothing_and_may_fail(cluster, group, make_server):
    """Stuck: the file and the commits go on, what it misses is counted. Failed for good: the consumer is ACTIVE and says so, and it is opened again
    by itself once that is mended."""
    server = make_server(binary=paths.TESTING_BINARY).start()
    topic = cluster.make_topic("extra", PARTITIONS)
    stream = Stream(cluster.servers, topic, PARTITIONS, size=1024)
    file = FileFlow(cluster, stream, group, server.out / "flow.log")
    cork = server.out / "cork"
    cork.touch()
    stream.send(10_000)
    file_sink = {"processor_type": "file_sink", "config": {"file_path": file.path}}
    stuck = {"processor_type": "test_slow", "required": False, "config": {"cork_file": str(cork)}}
    missing = server.out / "missing"
    failing = {"processor_type": "test_slow", "required": False, "config": {"output_file": str(missing / "out.log")}}
    consumer = server.create(cluster, topic, group, [], processor_configs=[file_sink, stuck, failing], restart={"initial": "200ms", "max": "1s"})
    file.wait_complete(30)
    file.wait_committed()
    seen = server.consumer(consumer)
    assert seen["status"] == "ACTIVE" and "sink_failed" in server.reason_codes(consumer), seen["health"]
    wait_until(lambda: processor(server, consumer, 2)["dropped"] == stream.total, 10, "all of the failed one's records are counted")
    assert 0 < processor(server, consumer, 1)["dropped"] < stream.total
    reason = next(r for r in server.consumer(consumer)["health"]["reasons"] if r["code"] == "sink_failed")
    assert reason["since"] and reason["next_try_at"], reason
    cork.unlink()
    accounted = lambda which: (lambda p: p["records"] + p["dropped"])(processor(server, consumer, which))
    wait_until(lambda: accounted(1) == stream.total, 20, lambda: f"each was written or counted: {accounted(1)} of {stream.total}")
    missing.mkdir()
    wait_until(lambda: "sink_failed" not in server.reason_codes(consumer), 10, lambda: f"it is open again: {server.reason_codes(consumer)}")
    wait_until(lambda: processor(server, consumer, 2)["lag"] is not None, 10, "it knows where it stands")
    without_it = stream.total
    stream.send(1_000)
    file.wait_complete(30)
    wait_until(lambda: accounted(2) == stream.total, 20, lambda: f"each was written or counted: {accounted(2)} of {stream.total}")
    assert processor(server, consumer, 2)["dropped"] == without_it, "it has all that came since"
