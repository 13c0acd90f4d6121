"""kill -9 at random moments and at chosen system calls, SIGTERM under load: every record once, in order per partition.

After every kill and before the restart, S and A are proven of what lies on the disk. KILLS, KILL_RECORDS and the like make the tests larger.
"""

import time

import pytest

from harness.flow import FileFlow
from harness.kills import kill_in_flow, wait_delivered
from harness.knobs import knob
from harness.records import Stream
from harness.strace import Strace
from harness.waiting import wait_until

PARTITIONS = 4


@pytest.fixture
def flow(cluster, group, out_folder):
    topic = cluster.make_topic("kill", PARTITIONS)
    return FileFlow(cluster, Stream(cluster.servers, topic, PARTITIONS), group, out_folder / "flow.log")


def start_flow(make_server, flow, name="server", **config):
    server = make_server(name, roots=str(flow.folder)).start()
    server.create_file_sink(flow.cluster, flow.stream.topic, flow.group, flow.path, **config)
    return server


@pytest.mark.timeout(600)
def test_random_kills_lose_and_double_nothing(make_server, flow, dice):
    kills = knob("KILLS", 25)
    records = knob("KILL_RECORDS", 1_500_000)
    flow.stream.send(records // 2 // PARTITIONS)
    server = start_flow(make_server, flow)
    done = killed_in_flow = 0
    # About as many come while processes die, and more until enough of the kills have met them.
    with flow.stream.sending(rate=records * 0.5 / (kills * 0.75), seconds=kills * 20) as sending:
        while killed_in_flow < kills:
            assert done < 2 * kills, f"only {killed_in_flow} of {done} kills fell while records flowed"
            done += 1
            killed_in_flow += kill_in_flow(server, flow.size, dice, flow.assert_holds) and sending.alive()
    wait_delivered(flow, [server])
    print(f"{done} kills, {killed_in_flow} of them while records flowed, {flow.stream.total} records")


@pytest.mark.timeout(300)
def test_kills_with_a_second_member_lose_and_double_nothing(make_server, cluster, group, out_folder, dice):
    """Two processes share the partitions, each partition with its file on storage that both see; now one is killed, now the other."""
    topic = cluster.make_topic("kill-two", PARTITIONS)
    flow = FileFlow(cluster, Stream(cluster.servers, topic, PARTITIONS), group, out_folder / "p{partition}.log")
    servers = [start_flow(make_server, flow, name) for name in ("one", "two")]
    with flow.stream.sending(rate=100_000) as _:
        for _ in range(knob("KILLS_OF_TWO", 8)):
            time.sleep(dice.uniform(0.5, 2))
            victim = dice.choice(servers)
            victim.kill9()
            flow.assert_holds()
            victim.start(wait=False)
    wait_delivered(flow, servers)


CALLS = [
    # (system calls, on which call of a thread to die, sink options)
    ("fdatasync", (1, 2, 3, 6), {}),
    ("write,pwrite64,writev,pwritev,pwritev2", (1, 2, 3, 7), {}),
    ("rename,renameat,renameat2", (1, 2), {"rotate_bytes": 2_000_000}),
    ("fsync", (1, 2), {"rotate_bytes": 2_000_000}),
    ("openat,openat2", (1, 2), {"rotate_bytes": 2_000_000}),
    ("sendto,sendmsg", (1, 4, 9), {}),
]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("calls, moments, config", CALLS, ids=[calls.split(",")[0] for calls, _, _ in CALLS])
def test_a_kill_at_a_chosen_system_call_loses_and_doubles_nothing(make_server, flow, calls, moments, config):
    server = start_flow(make_server, flow, fsync_interval="20ms", **config)
    hits = 0
    for moment in moments:
        with Strace(server.pid, calls, f"signal=SIGKILL:when={moment}"):
            flow.stream.send(10_000)
            hits += server.wait_gone(5) is not None
        if not server.alive():
            flow.assert_holds(may_rotate=True)
            server.start()
        flow.wait_complete(30)
    assert hits >= len(moments) // 2, f"only {hits} of {len(moments)} kills came to pass: the test no longer meets these calls"
    flow.wait_committed()


@pytest.mark.timeout(300)
def test_a_kill_while_a_killed_tail_is_cut_off_loses_and_doubles_nothing(make_server, flow):
    """The restart's own steps: reading the checkpoint, cutting the tail, syncing."""
    server = start_flow(make_server, flow, fsync_interval="1s")
    hits = 0
    for calls in ("ftruncate", "fdatasync", "fsync", "pwrite64", "flock"):
        size = flow.size()
        flow.stream.send(10_000)
        wait_until(lambda: flow.size() >= size + 1_000_000, 10, "a tail that is not synced yet")
        server.kill9()
        flow.assert_holds()
        server.start(wrapper=Strace.command(calls, "signal=SIGKILL:when=1"), wait=False)
        hits += server.wait_gone(8) is not None
        server.close()
        flow.assert_holds()
        server.start()
        flow.wait_complete(30)
    assert hits >= 3, f"only {hits} kills came to pass"


@pytest.mark.timeout(120)
def test_sigterm_under_load_leaves_in_time_and_loses_nothing(make_server, flow):
    server = start_flow(make_server, flow)
    again = []
    with flow.stream.sending(rate=150_000) as _:
        for _ in range(3):
            size = flow.size()
            wait_until(lambda: flow.size() > size, 15, "records flow")
            time.sleep(0.5)
            code, seconds = server.terminate()
            assert code == 0
            assert seconds < 10
            durable = flow.assert_holds()
            committed = lambda: flow.cluster.committed(flow.group, flow.stream.topic)
            wait_until(lambda: committed() == durable, 15, lambda: f"everything that is durable is committed: {committed()}, {durable}")
            begin, size = time.monotonic(), flow.size()
            server.start()
            wait_until(lambda: flow.size() > size, 15, "records flow again")
            again.append(time.monotonic() - begin)
    assert min(again) < 6, f"its partitions are its own again at once: {again}"
    flow.wait_complete(30)
    flow.wait_committed()
