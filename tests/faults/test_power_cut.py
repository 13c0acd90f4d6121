"""The power goes: what was written and never synced is gone, names too. kill -9 alone proves nothing of that, for the page cache survives it."""

import pytest

from harness.flow import FileFlow
from harness.kills import kill_in_flow, wait_delivered
from harness.knobs import knob
from harness.power_cut import PowerCut
from harness.records import Stream
from harness.strace import Strace

PARTITIONS = 4
CONFIGS = {"one file": {}, "rotating": {"rotate_bytes": 2_000_000}}


@pytest.fixture
def flow(cluster, group, out_folder):
    topic = cluster.make_topic("power", PARTITIONS)
    return FileFlow(cluster, Stream(cluster.servers, topic, PARTITIONS), group, out_folder / "flow.log")


@pytest.fixture
def power(out_folder, tmp_path):
    return PowerCut(out_folder, tmp_path / "synced")


def start_flow(make_server, flow, power, **config):
    server = make_server(roots=str(flow.folder), **power.environment).start()
    server.create_file_sink(flow.cluster, flow.stream.topic, flow.group, flow.path, **config)
    return server


@pytest.mark.timeout(240)
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_power_cuts_in_flow_leave_an_exact_prefix(make_server, flow, power, dice, config):
    server = start_flow(make_server, flow, power, **config)
    lost = []

    def cut():
        size = flow.size()
        power.cut()
        lost.append(flow.size() != size)
        flow.assert_holds(may_rotate=True)

    with flow.stream.sending(rate=100_000):
        for _ in range(knob("POWER_CUTS", 6)):
            kill_in_flow(server, flow.size, dice, cut, pause=(0, 0.6))
    wait_delivered(flow, [server])
    assert any(lost), "no cut lost anything: the tool holds nothing back"


CALLS = [("fdatasync", (1, 2, 4)), ("fsync", (1, 2)), ("renameat2", (1, 2)), ("pwrite64", (1, 2))]


@pytest.mark.timeout(240)
@pytest.mark.parametrize("calls, moments", CALLS, ids=[calls for calls, _ in CALLS])
def test_a_power_cut_at_a_chosen_system_call_leaves_an_exact_prefix(make_server, flow, power, calls, moments):
    server = start_flow(make_server, flow, power, fsync_interval="20ms", rotate_bytes=2_000_000)
    hits = 0
    for moment in moments:
        with Strace(server.pid, calls, f"signal=SIGKILL:when={moment}"):
            flow.stream.send(10_000)
            hits += server.wait_gone(5) is not None
        if not server.alive():
            power.cut()
            flow.assert_holds(may_rotate=True)
            server.start()
        flow.wait_complete(30)
    assert hits >= len(moments) // 2, f"only {hits} of {len(moments)} kills came to pass: the test no longer meets these calls"
    flow.wait_committed()


@pytest.mark.timeout(90)
def test_a_disk_that_loses_what_it_said_it_had_is_noticed(make_server, flow, out_folder, tmp_path):
    """That the two tests above can fail: with a lying disk what they assert does not hold. And the server says so."""
    power = PowerCut(out_folder, tmp_path / "synced", forgets="flow.log")
    server = start_flow(make_server, flow, power)
    flow.stream.send(1_000)
    flow.wait_complete(20)
    server.kill9()
    power.cut()
    with pytest.raises(AssertionError, match="shorter than its checkpoint says"):
        flow.assert_holds()
    consumer = server.start().expect(200, "GET", "/api/consumers")["items"][0]["consumer_id"]
    assert "flow.log" in str(server.wait_status(consumer, "ERROR", 20)["health"])
