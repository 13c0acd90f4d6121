"""Partitions move between processes: storms, a frozen owner that wakes up too late.

Each partition has its file on storage that all processes see: file, checkpoint and lock move with the partition.
"""

import signal
import time

import pytest

from harness import paths
from harness.flow import FileFlow
from harness.knobs import knob
from harness.records import Stream
from harness.waiting import wait_until

PARTITIONS = 6


@pytest.fixture
def flow(cluster, group, out_folder):
    topic = cluster.make_topic("rebalance", PARTITIONS)
    return FileFlow(cluster, Stream(cluster.servers, topic, PARTITIONS), group, out_folder / "p{partition}.log")


def add_member(make_server, flow, name, strategy="range"):
    server = make_server(name, roots=str(flow.folder)).start()
    fields = {"partition_assignment_strategy": strategy}
    server.consumer_id = server.create_file_sink(flow.cluster, flow.stream.topic, flow.group, flow.path, consumer=fields)
    return server


def held(flow):
    """Partitions by member, when each partition is somebody's."""
    members = flow.cluster.members(flow.group)
    return members if sum(len(partitions) for partitions in members.values()) == PARTITIONS else {}


@pytest.mark.parametrize("strategy", ("cooperative-sticky", "range"))
@pytest.mark.timeout(500)
def test_members_that_come_and_go_lose_and_double_nothing(make_server, flow, strategy, dice):
    one = add_member(make_server, flow, "one", strategy)
    two = add_member(make_server, flow, "two", strategy)
    rounds = knob("STORM_ROUNDS", 5)
    with flow.stream.sending(rate=60_000) as _:
        wait_until(lambda: len(held(flow)) == 2, 60, "both have partitions")
        for _ in range(rounds):
            time.sleep(dice.uniform(1, 3))
            # Leaving in earnest, not a static member's restart: the consumer is stopped, or its process ends and stays away.
            how = dice.choice(("stop", "terminate", "kill"))
            if how == "stop":
                two.expect(200, "POST", f"/api/consumers/{two.consumer_id}/stop")
            elif how == "terminate":
                assert two.terminate()[0] == 0
            else:
                two.kill9()
            flow.assert_holds()
            time.sleep(dice.uniform(0.2, 2))
            if how == "stop":
                two.expect(200, "POST", f"/api/consumers/{two.consumer_id}/start")
            else:
                two.start()
    flow.wait_complete(150)
    flow.wait_committed()
    assert one.alive() and one.consumer(one.consumer_id)["status"] == "ACTIVE"


@pytest.mark.timeout(300)
def test_a_second_process_takes_its_share_and_gives_it_back(make_server, flow):
    add_member(make_server, flow, "one")
    with flow.stream.sending(rate=30_000) as _:
        wait_until(lambda: len(held(flow)) == 1, 60, "one has them all")
        two = add_member(make_server, flow, "two")
        wait_until(lambda: sorted(map(len, held(flow).values())) == [3, 3], 60, lambda: f"they share: {held(flow)}")
        time.sleep(1)
        flow.assert_holds()
        two.expect(204, "DELETE", f"/api/consumers/{two.consumer_id}")
        wait_until(lambda: len(held(flow)) == 1, 60, lambda: f"one has them all again: {flow.cluster.members(flow.group)}")
    flow.wait_complete(120)
    flow.wait_committed()


@pytest.mark.timeout(400)
def test_a_frozen_process_that_wakes_up_does_not_write_what_others_have_taken_over(make_server, flow):
    """Frozen beyond its session timeout it loses its partitions without knowing. It still holds the files' locks: the new owner waits
    and says so. Awake again, it must notice before it writes one byte more than its checkpoint covers."""
    one = add_member(make_server, flow, "one")
    two = add_member(make_server, flow, "two")
    with flow.stream.sending(rate=30_000) as _:
        before = wait_until(lambda: len(seen := held(flow)) == 2 and seen, 60, "both have partitions")
        time.sleep(1)
        one.freeze()
        after = wait_until(lambda: len(seen := held(flow)) == 1 and seen, 60, lambda: f"the frozen one has lost them: {held(flow)}")
        assert set(after) < set(before)
        health = lambda: str(two.consumer(two.consumer_id)["health"])
        wait_until(lambda: "is being written by another" in health(), 20, lambda: f"the new owner says what it waits for: {health()}")
        time.sleep(2)
        one.thaw()
        time.sleep(3)
        flow.assert_holds()
    flow.wait_complete(150)
    flow.wait_committed()
    wait_until(lambda: two.consumer(two.consumer_id)["health"]["state"] == "ok", 20, "the new owner is well")


@pytest.mark.timeout(400)
def test_a_frozen_process_that_is_killed_frees_its_partitions(make_server, flow):
    one = add_member(make_server, flow, "one")
    add_member(make_server, flow, "two")
    with flow.stream.sending(rate=30_000) as _:
        wait_until(lambda: len(held(flow)) == 2, 60, "both have partitions")
        time.sleep(1)
        one.freeze()
        wait_until(lambda: len(held(flow)) == 1, 60, "the frozen one has lost them")
        one.process.send_signal(signal.SIGKILL)
        one.process.wait(10)
    flow.wait_complete(150)
    flow.wait_committed()


def test_a_member_killed_amid_a_rebalance_leaves_no_partition_without_owner(make_server, cluster, group, out_folder):
    topic = cluster.make_topic("amid", PARTITIONS)
    Stream(cluster.servers, topic, PARTITIONS).send(20_000)
    servers = [make_server(name, binary=paths.TESTING_BINARY, roots=str(out_folder)).start() for name in ("one", "two")]
    everything = list(range(PARTITIONS))

    def create(server):  # slow, so that giving its partitions up takes a while
        server.create(cluster, topic, group, [("test_slow", {"delay_us_per_record": 300, "output_file": str(server.out / f"{server.port}")})])

    def owners():
        return sorted(partition for partitions in cluster.members(group).values() for partition in partitions)

    def stable():
        return cluster.describe_group(group).state.name == "STABLE"

    create(servers[0])
    wait_until(lambda: stable() and owners() == everything, 20, "the first has all")
    create(servers[1])
    wait_until(lambda: not stable(), 20, "the group is rebalancing", interval=0.01)
    servers[0].kill9()
    servers[0].start()
    wait_until(lambda: stable() and owners() == everything and len(cluster.members(group)) == 2, 30, lambda: f"each has a share: {cluster.members(group)}")
