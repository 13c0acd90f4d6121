"""The clock jumps by a year, ahead and back, in a process that is at work: what waits goes by a clock that does not."""

import pathlib
import time

import pytest

from harness.database import TableFlow
from harness.flow import FileFlow
from harness.records import Stream
from harness.waiting import wait_until
from storm import verdicts

PARTITIONS = 2
LIBRARY = next(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


@pytest.mark.timeout(400)
def test_a_clock_that_jumps_a_year_stops_nothing(make_server, cluster, group, database, endpoint, out_folder, tmp_path):
    assert LIBRARY, "libfaketime is missing: run scripts/setup --test"
    told = tmp_path / "clock"

    def jump(offset):
        (tmp_path / "clock.new").write_text(offset + "\n")
        (tmp_path / "clock.new").rename(told)

    jump("+0")
    server = make_server(
        roots=str(out_folder), LD_PRELOAD=LIBRARY, FAKETIME_TIMESTAMP_FILE=told, FAKETIME_NO_CACHE="1", FAKETIME_DONT_FAKE_MONOTONIC="1"
    ).start()
    stream = Stream(cluster.servers, cluster.make_topic("clock", PARTITIONS), PARTITIONS)
    file = FileFlow(cluster, stream, group, out_folder / "flow.log")
    table = TableFlow(cluster, stream, group, database, tmp_path)
    consumer = server.create(cluster, stream.topic, group, [
        ("file_sink", {"file_path": file.path}),
        ("database_sync", {"db_dsn": table.dsn, "table": table.table}),
        ("streaming_forwarder", {"endpoint_url": endpoint.url, "format": "ndjson"}),
    ])  # fmt: skip

    def flows():
        before = (file.durable(), table.positions(), endpoint.positions(), cluster.committed(group, stream.topic))
        now = lambda: (file.durable(), table.positions(), endpoint.positions(), cluster.committed(group, stream.topic))
        further = lambda: all(len(b) == PARTITIONS and all(b[p] > a.get(p, 0) for p in b) for a, b in zip(before, now()))
        wait_until(further, 40, lambda: f"everything goes on: {before} {now()} {server.consumer(consumer)['health']}")

    with stream.sending(rate=5_000):
        flows()
        for offset, year in (("+365d", 1), ("-365d", -1), ("+0", 0)):
            jump(offset)
            here = time.gmtime().tm_year
            flows()
            begin = time.monotonic()
            server.expect(200, "POST", f"/api/consumers/{consumer}/stop")
            server.expect(200, "POST", f"/api/consumers/{consumer}/start")
            assert time.monotonic() - begin < 10
            assert f"\n{here + year}-" in server.log.read_text(), "it believes the clock"
            flows()
            server.wait_status(consumer, "ACTIVE", 10)
            # A sink that opened later than the others catches up first.
            wait_until(lambda: server.consumer(consumer)["health"]["state"] == "ok", 20, lambda: f"well: {server.consumer(consumer)['health']}")
    file.wait_complete(90)
    table.wait_complete(90)
    wait_until(lambda: endpoint.positions() == stream.next, 30, "the endpoint has everything")
    assert verdicts.of_endpoint(endpoint, stream) == []
    code, seconds = server.terminate()
    assert code == 0 and seconds < 10
