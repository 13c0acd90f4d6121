"""A slow or stuck processor beside file_sink: memory stays bounded, the API answers, the group keeps its member, nothing is fetched twice."""

import contextlib
import statistics
import time

import pytest

from harness import paths, process, records
from harness.database import TableFlow
from harness.flow import FileFlow
from harness.knobs import knob
from harness.machine import Machine
from harness.records import Stream
from harness.waiting import wait_until

PARTITIONS = 4
MIB = 1 << 20


@pytest.fixture
def testing_server(make_server):
    if not paths.TESTING_BINARY.exists():
        pytest.fail(f"{paths.TESTING_BINARY} is not built")
    return make_server(binary=paths.TESTING_BINARY, MEMORY_BUDGET="32MiB").start()


class Watch:
    """Looks at the process while something goes on."""

    def __init__(self, server, cluster, group, consumer):
        self.server, self.cluster, self.group, self.consumer = server, cluster, group, consumer
        self.answer_seconds = []
        self.members = set()
        self.generations = set()
        self._next_group_look = 0

    def look(self):
        for path in (f"/api/consumers/{self.consumer}", "/api/consumers", "/livez"):
            begin = time.monotonic()
            self.server.expect(200, "GET", path)
            self.answer_seconds.append(time.monotonic() - begin)
        if time.monotonic() > self._next_group_look:
            self._next_group_look = time.monotonic() + 0.5
            self.members.add(tuple(sorted((m, tuple(p)) for m, p in self.cluster.members(self.group).items())))
        time.sleep(0.02)

    def p99(self):
        return statistics.quantiles(self.answer_seconds, n=100)[98]


@pytest.mark.alone
@pytest.mark.timeout(180)
def test_a_slow_processor_beside_a_file_slows_itself_alone(testing_server, cluster, group):
    server = testing_server
    count = knob("SLOW_RECORDS", 30_000)  # of 4 KiB: several times the memory budget
    size = 4096
    topic = cluster.make_topic("slow", PARTITIONS)
    stream = Stream(cluster.servers, topic, PARTITIONS, size=size)
    flow = FileFlow(cluster, stream, group, server.out / "flow.log")
    slow_file = server.out / "slow.log"
    stream.send(count // PARTITIONS)
    delay = knob("SLOW_DELAY_US", 500)
    idle_rss = process.rss_bytes(server.pid)
    consumer = server.create(cluster, topic, group, [
        ("file_sink", {"file_path": flow.path}),
        ("test_slow", {"delay_us_per_record": delay, "output_file": str(slow_file)}),
    ])
    wait_until(lambda: slow_file.exists() and slow_file.stat().st_size > 0, 20, "records flow")
    watch = Watch(server, cluster, group, consumer)
    deadline = time.monotonic() + count * delay / 1e6 * 2 + 30
    other = FileFlow(cluster, stream, group + "-other", server.out / "other.log")
    server.create_file_sink(cluster, topic, other.group, other.path)
    other.wait_complete(60)
    assert slow_file.stat().st_size < 0.9 * count * (size + 1), "another consumer is done before this one"
    while (written := slow_file.stat().st_size) < count * (size + 1):
        assert time.monotonic() < deadline, f"{written} of {count * (size + 1)} bytes"
        flow.assert_holds() if len(watch.answer_seconds) % 150 == 0 else None
        watch.look()
    flow.wait_complete(20)
    flow.wait_committed()
    records.assert_exact([str(slow_file)], stream)

    assert len(watch.members) == 1, f"the member stayed, with its partitions: {watch.members}"
    assert server.consumer(consumer)["metrics"]["rebalances"] == 1
    assert watch.p99() < 0.1, f"p99 of the API: {watch.p99() * 1000:.1f} ms"
    peak = process.peak_rss_bytes(server.pid)
    assert peak - idle_rss < 32 * MIB + 48 * MIB, f"peak {peak / MIB:.0f} MiB, idle {idle_rss / MIB:.0f} MiB, budget 32 MiB"
    print(f"p99 of the API {watch.p99() * 1000:.1f} ms, peak RSS {peak / MIB:.0f} MiB, idle {idle_rss / MIB:.0f} MiB")


@pytest.mark.timeout(180)
def test_what_is_fetched_is_delivered_and_never_thrown_away(make_server, cluster, group):
    """Bytes received from the broker stay within 2 % of what is delivered, however often the sink has no room. The backlog is smaller than
    the memory: a slow sink is waited for, and nothing is read a second time for it.

    A processor that the machine has held up for a second is read for by itself: then nothing has been measured."""
    for turn in range(3):
        server = make_server(binary=paths.TESTING_BINARY, MEMORY_BUDGET=f"{knob('SLOW_RECORDS', 30_000) * 4096 * 2 // MIB}MiB").start()
        received = received_of_delivered(server, cluster, f"{group}-{turn}")
        if "has fallen behind" not in server.log.read_text():
            break
        server.close()
    else:
        pytest.fail("the processor has fallen behind in each turn")
    assert 1 <= received < 1.02, f"received {received:.4f} of what was delivered"
    print(f"received {received:.4f} of what was delivered")


def received_of_delivered(server, cluster, group):
    """The producer's batches are small: a broker cuts its answers anywhere, and every consumer asks again for a batch that was cut."""
    count, size = knob("SLOW_RECORDS", 30_000), 4096
    topic = cluster.make_topic("fetched", PARTITIONS)
    stream = Stream(cluster.servers, topic, PARTITIONS, size=size)
    stream.send(count // PARTITIONS, properties=["batch.size=65536"])
    slow_file = server.out / "slow.log"
    flow = FileFlow(cluster, stream, group, server.out / "flow.log")
    before = process.received_bytes(server.pid, cluster.port)
    server.create(cluster, topic, group, [
        ("file_sink", {"file_path": flow.path}),
        ("test_slow", {"delay_us_per_record": knob("SLOW_DELAY_US", 500) // 2, "output_file": str(slow_file)}),
    ])
    most = 0

    def all_there():
        nonlocal most
        most = max(most, process.received_bytes(server.pid, cluster.port) - before)
        return flow.durable() == stream.next and slow_file.stat().st_size == count * (size + 1)

    wait_until(all_there, 120, "everything is delivered", interval=0.2)
    return most / (count * size)


@pytest.mark.alone
@pytest.mark.timeout(knob("STUCK_SECONDS", 15) + 165)
def test_a_stuck_processor_keeps_its_membership_beyond_the_session_timeout(testing_server, cluster, group):
    """Stuck for longer than the session timeout (10 s), with STUCK_SECONDS=310 than max.poll.interval.ms (5 min): still a member, still heard by
    the API, and the file beside it has everything; then everything arrives in the stuck one too, once."""
    server = testing_server
    topic = cluster.make_topic("stuck", PARTITIONS)
    stream = Stream(cluster.servers, topic, PARTITIONS, size=1024)
    flow = FileFlow(cluster, stream, group, server.out / "flow.log")
    cork = server.out / "cork"
    cork.touch()
    stuck_file = server.out / "stuck.log"
    stream.send(20_000)
    consumer = server.create(cluster, topic, group, [
        ("file_sink", {"file_path": flow.path}),
        ("test_slow", {"cork_file": str(cork), "output_file": str(stuck_file)}),
    ])
    wait_until(lambda: flow.size() > 0, 20, "the file has its share")
    watch = Watch(server, cluster, group, consumer)
    end = time.monotonic() + knob("STUCK_SECONDS", 15)
    while time.monotonic() < end:
        watch.look()
    flow.wait_complete(30)
    assert not any(cluster.committed(group, topic).values()), "nothing is committed that one processor has not taken"
    cork.unlink()
    wait_until(lambda: stuck_file.stat().st_size == stream.total * 1025, 30, "the stuck one has everything")
    records.assert_exact([str(stuck_file)], stream)
    flow.wait_committed()
    assert len(watch.members) == 1, f"the member stayed, with its partitions: {watch.members}"
    assert watch.p99() < 0.1, f"p99 of the API: {watch.p99() * 1000:.1f} ms"


@pytest.mark.timeout(120)
def test_a_stuck_processor_does_not_keep_the_process_from_leaving(testing_server, cluster, group):
    server = testing_server
    topic = cluster.make_topic("stuck", PARTITIONS)
    stream = Stream(cluster.servers, topic, PARTITIONS)
    flow = FileFlow(cluster, stream, group, server.out / "flow.log")
    cork = server.out / "cork"
    cork.touch()
    stuck_file = server.out / "stuck.log"
    stream.send(5_000)
    server.create(cluster, topic, group, [
        ("file_sink", {"file_path": flow.path}),
        ("test_slow", {"cork_file": str(cork), "output_file": str(stuck_file)}),
    ])
    wait_until(lambda: flow.size() > 0, 20, "the file has its share")
    with contextlib.closing(Machine()) as machine:
        begin = time.monotonic()
        code, seconds = server.terminate(30)
        late = machine.late_seconds(begin, begin + seconds)
    assert code == 0 and seconds - late < 10.5, (code, seconds, late)
    flow.assert_holds()
    cork.unlink()
    server.start()
    flow.wait_complete(30)
    wait_until(lambda: stuck_file.stat().st_size == stream.total * 201, 30, "the stuck one has everything")


@pytest.mark.timeout(120)
def test_a_processor_that_cannot_be_opened_is_an_error_where_nothing_flows_beside_it(testing_server, cluster, group):
    server = testing_server
    topic = cluster.make_topic("unavailable", PARTITIONS)
    stream = Stream(cluster.servers, topic, PARTITIONS)
    flow = FileFlow(cluster, stream, group, server.out / "flow.log")
    unavailable = server.out / "unavailable"
    unavailable.touch()
    stream.send(1_000)
    consumer = server.create(cluster, topic, group, [
        ("file_sink", {"file_path": flow.path}),
        ("test_slow", {"unavailable_file": str(unavailable), "output_file": str(server.out / "slow.log")}),
    ])
    alone = server.create(cluster, topic, group + "-alone", [("test_slow", {"unavailable_file": str(unavailable)})])
    seen = server.wait_status(alone, "ERROR", 20)
    assert str(unavailable) in str(seen["health"])
    flow.wait_complete(20)  # beside it, the file flows
    seen = wait_until(lambda: (seen := server.consumer(consumer))["health"]["state"] == "degraded" and seen, 10, lambda: f"{server.consumer(consumer)}")
    assert seen["status"] == "ACTIVE" and str(unavailable) in str(seen["health"]), seen["health"]
    assert not any(cluster.committed(group, topic).values()), "nothing is committed that one processor has not taken"
    unavailable.unlink()
    server.wait_status(alone, "ACTIVE", 40)
    flow.wait_committed(40)
    wait_until(lambda: server.consumer(consumer)["health"]["state"] == "ok", 20, "the reasons go")


@pytest.mark.alone
@pytest.mark.timeout(180)
def test_a_backlog_does_not_wait_for_partitions_that_have_nothing(make_server, cluster, group, database, tmp_path):
    """A table, slower than what is prefetched: all of a backlog in one of four partitions goes about as fast as spread over them. Where it waits
    it takes seven times as long, each time."""
    server = make_server().start()

    def seconds(name, partitions):
        topic = cluster.make_topic("backlog", PARTITIONS)
        stream = Stream(cluster.servers, topic, partitions)
        stream.send(400_000 // partitions)
        flow = TableFlow(cluster, stream, f"{group}-{name}", database, tmp_path, table=f"backlog_{name}")
        began = time.monotonic()
        consumer = flow.create(server, workers=1)  # the same sink for both: a partition keeps to one connection
        wait_until(lambda: flow.total() == stream.total, 50, lambda: f"{flow.positions()}", interval=0.02)
        took = time.monotonic() - began
        flow.assert_exact()
        server.stop_consumer(consumer)
        return took

    took = []
    while not took or took[-1][1] >= 2.5 * took[-1][0]:
        assert len(took) < 3, f"spread, in one: {took}"
        took.append((seconds(f"{len(took)}_spread", PARTITIONS), seconds(f"{len(took)}_in_one", 1)))
