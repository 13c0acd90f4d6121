"""A file, a table and an endpoint of one consumer, while the process is killed at a chosen system call: none of them lags behind what is committed."""

import pytest

from harness.database import TableFlow
from harness.flow import FileFlow
from harness.records import Stream
from harness.strace import Strace
from harness.waiting import wait_until
from storm import verdicts

PARTITIONS = 3
MOMENTS = {"sendto,sendmsg": (1, 3, 8), "recvfrom,recvmsg": (2, 7), "write,pwrite64": (1, 6), "fdatasync": (1, 3)}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("calls", MOMENTS, ids=lambda calls: calls.split(",")[0])
def test_a_kill_at_a_chosen_system_call_loses_and_doubles_nothing_anywhere(make_server, cluster, group, database, endpoint, out_folder, tmp_path, calls):
    stream = Stream(cluster.servers, cluster.make_topic("together", PARTITIONS), PARTITIONS)
    file = FileFlow(cluster, stream, group, out_folder / "flow.log")
    table = TableFlow(cluster, stream, group, database, tmp_path)
    server = make_server(roots=str(out_folder)).start()
    server.create(cluster, stream.topic, group, [
        ("file_sink", {"file_path": file.path, "fsync_interval": "20ms"}),
        ("database_sync", {"db_dsn": table.dsn, "table": table.table}),
        ("streaming_forwarder", {"endpoint_url": endpoint.url, "format": "ndjson"}),
    ])  # fmt: skip
    hits = 0
    for moment in MOMENTS[calls]:
        with Strace(server.pid, calls, f"signal=SIGKILL:when={moment}"):
            stream.send(5_000)
            hits += server.wait_gone(5) is not None
        if not server.alive():
            file.assert_holds()
            table.assert_holds()
            committed = cluster.committed(group, stream.topic)
            assert verdicts.of_commits(committed, {"endpoint": endpoint.positions()}) == []
            server.start()
        file.wait_complete(30)
        table.wait_complete(30)
        wait_until(lambda: endpoint.positions() == stream.next, 30, lambda: f"the endpoint has everything: {endpoint.positions()}")
    assert hits >= len(MOMENTS[calls]) // 2, f"only {hits} kills came to pass: the test no longer meets these calls"
    file.wait_committed()
    assert verdicts.of_endpoint(endpoint, stream) == []
