"""The system gives no memory or no thread any more: the process lives on or ends, and nothing that it has committed is missing."""

import http.client
import pathlib
import resource

import pytest

from harness.flow import FileFlow
from harness.records import Stream
from harness.strace import Strace
from harness.waiting import wait_until

PARTITIONS = 2


@pytest.fixture
def flow(cluster, group, out_folder):
    topic = cluster.make_topic("starved", PARTITIONS)
    return FileFlow(cluster, Stream(cluster.servers, topic, PARTITIONS, size=1000), group, out_folder / "flow.log")


@pytest.fixture
def running(make_server, flow):
    server = make_server(roots=str(flow.folder)).start()
    server.create_file_sink(flow.cluster, flow.stream.topic, flow.group, flow.path)
    flow.stream.send(1000)
    flow.wait_complete(20)
    return server


def address_space(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()


def ask_for_more(server, flow, number):
    """Another consumer wants threads, connections and buffers. What comes of it is not the question."""
    try:
        server.create_file_sink(flow.cluster, flow.stream.topic, f"{flow.group}-{number}", flow.folder / f"more-{number}.log")
    except (OSError, http.client.HTTPException, AssertionError):
        pass


@pytest.mark.timeout(120)
@pytest.mark.parametrize("room", (1 << 20, 16 << 20, 64 << 20), ids=("1MiB", "16MiB", "64MiB"))
def test_without_memory_nothing_that_is_committed_is_missing(running, flow, room):
    server = running
    soft, hard = resource.prlimit(server.pid, resource.RLIMIT_AS)
    resource.prlimit(server.pid, resource.RLIMIT_AS, (address_space(server.pid) + room, hard))
    with flow.stream.sending(count=20_000, rate=20_000) as sending:
        number = 0
        while sending.alive() and server.alive() and number < 20:
            ask_for_more(server, flow, number)
            number += 1
            flow.assert_holds()
    flow.assert_holds()
    print(f"after {number} consumers more: {'it lives' if server.alive() else f'it ended with {server.process.returncode}: {server.log_tail(3)}'}")
    if server.alive():
        assert server.api("GET", "/livez").status == 200
        resource.prlimit(server.pid, resource.RLIMIT_AS, (soft, hard))
    else:
        server.start()
    flow.wait_complete(60)
    flow.wait_committed()


@pytest.mark.timeout(120)
def test_without_threads_consumers_say_so_and_come_back(running, flow):
    server = running
    with Strace(server.pid, "clone,clone3", "error=EAGAIN"):
        late = server.create_file_sink(flow.cluster, flow.stream.topic, f"{flow.group}-late", flow.folder / "late.log")
        seen = server.wait_status(late, "ERROR", 20)
        assert seen["last_error"], seen
        flow.stream.send(1000)
        flow.wait_complete(20)  # the other one goes on
    wait_until(lambda: (flow.folder / "late.log").exists() and (flow.folder / "late.log").stat().st_size == flow.size(), 60, "the late one catches up")
    flow.wait_committed()
