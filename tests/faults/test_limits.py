"""The system has no descriptor left: consumers say so and come back by themselves; the process stays and loses nothing."""

import os
import resource

from harness.flow import FileFlow
from harness.records import Stream
from harness.waiting import wait_until


def first_free_descriptor(pid):
    """The limit is one of numbers: closed files leave holes below the highest."""
    taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    return next(number for number in range(len(taken) + 1) if number not in taken)


def test_without_descriptors_consumers_wait_and_lose_nothing(make_server, cluster, group):
    topic = cluster.make_topic("limits", 1)
    stream = Stream(cluster.servers, topic, 1)
    server = make_server().start()
    flow = FileFlow(cluster, stream, group, server.out / "flow.log")
    server.create_file_sink(cluster, topic, group, flow.path)
    stream.send(1_000)
    wait_until(lambda: flow.size() > 0, 30, "records flow")

    _, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (first_free_descriptor(server.pid) + 1, hard))
    late = server.create_file_sink(cluster, topic, f"{group}-late", server.out / "late.log")
    told = lambda: (found := server.consumer(late))["status"] == "ERROR" and "descriptor" in (found["last_error"] or {}).get("detail", "")
    wait_until(told, 20, lambda: f"the late consumer says why it cannot run: {server.consumer(late)}")
    stream.send(1_000)
    assert server.api("GET", "/readyz").status == 200

    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (hard, hard))
    flow.wait_complete(60)
    flow.assert_exact()
    late_file = server.out / "late.log"
    wait_until(lambda: late_file.exists() and late_file.stat().st_size == flow.size(), 60, "the late one has everything too")
