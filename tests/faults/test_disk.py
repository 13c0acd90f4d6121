"""A disk that fails, fills up or slows down, and a checkpoint that is damaged."""

import contextlib
import os
import shutil
import subprocess
import time

import pytest

from harness import checkpoint
from harness.flow import FileFlow
from harness.machine import Machine
from harness.records import Stream
from harness.strace import Strace
from harness.waiting import wait_until

PARTITIONS = 4


@pytest.fixture
def flow(cluster, group, out_folder):
    topic = cluster.make_topic("disk", PARTITIONS)
    return FileFlow(cluster, Stream(cluster.servers, topic, PARTITIONS), group, out_folder / "flow.log")


@pytest.fixture
def running(make_server, flow):
    """(server, consumer id): the flow's consumer runs."""
    server = make_server(roots=str(flow.folder)).start()
    return server, server.create_file_sink(flow.cluster, flow.stream.topic, flow.group, flow.path, fsync_interval="20ms")


# --- 4: fsync fails -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", (1, 2, 3))
def test_a_failed_fsync_is_never_taken_for_a_success(running, flow, when):
    """What a failed fdatasync covered may be gone from the disk though the page cache still shows it: it is written anew."""
    server, consumer = running
    flow.stream.send(1000)
    flow.wait_complete(15)
    with Strace(server.pid, "fdatasync", f"error=EIO:when={when}") as strace:
        with flow.stream.sending(count=10_000, rate=40_000) as sending:
            while sending.alive():
                flow.assert_holds()
        wait_until(lambda: server.consumer(consumer)["last_error"], 10, "the failure is told")
    assert strace.injected() >= 1
    flow.wait_complete(40)
    flow.wait_committed()
    wait_until(lambda: server.consumer(consumer)["health"]["state"] == "ok", 15, lambda: f"it is well again: {server.consumer(consumer)}")


def test_a_write_that_fails_is_tried_again(running, flow):
    server, _ = running
    flow.stream.send(1000)
    flow.wait_complete(15)
    with Strace(server.pid, "write,writev,pwrite64,pwritev", "error=EIO:when=2+3", path=flow.path) as strace:
        flow.stream.send(5000)
        wait_until(strace.injected, 10, "a write fails")
        flow.assert_holds()
    flow.wait_complete(40)


# --- 5: no room ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"cannot mount a tmpfs: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("config", [{}, {"format": "ndjson"}, {"rotate_bytes": 300_000}], ids=["raw", "ndjson", "rotating"])
def test_a_full_disk_is_waited_for(make_server, cluster, group, small_disk, config):
    topic = cluster.make_topic("full", PARTITIONS)
    flow = FileFlow(cluster, Stream(cluster.servers, topic, PARTITIONS), group, small_disk / "flow.log")
    other = FileFlow(cluster, Stream(cluster.servers, topic, PARTITIONS), group + "-other", small_disk.parent / "other.log")
    server = make_server(roots=f"{small_disk.parent}").start()
    consumer = server.create_file_sink(cluster, topic, group, flow.path, **config)
    server.create_file_sink(cluster, topic, other.group, other.path)
    other.stream = flow.stream
    flow.stream.send(5000)  # four times what fits

    def full():
        found = server.consumer(consumer)
        return found["health"]["state"] == "degraded" and "space" in str(found["health"]).lower() and found

    seen = wait_until(full, 20, lambda: f"it says so: {server.consumer(consumer)}")
    assert seen["status"] == "ACTIVE", seen
    other.wait_complete(15)  # another consumer of the process does not notice
    if "format" not in config:
        flow.assert_holds(may_rotate="rotate_bytes" in config)
    server.kill9()  # with a full disk under it
    server.start()
    time.sleep(1)
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    wait_until(lambda: flow.durable() == flow.stream.next, 60, "it flows on by itself")
    flow.assert_exact(embedded="format" in config)
    flow.wait_committed()
    wait_until(lambda: server.consumer(consumer)["health"]["state"] == "ok", 15, "it is well again")


# --- 6: slow disk -------------------------------------------------------------------------------------------------------


def test_a_slow_disk_slows_the_flow_and_nothing_else(running, flow):
    server, consumer = running
    with contextlib.closing(Machine()) as machine, Strace(server.pid, "fdatasync", "delay_enter=300000"):
        with flow.stream.sending(count=20_000, rate=40_000) as sending:
            while sending.alive():
                flow.assert_holds()
                begin = time.monotonic()
                assert server.consumer(consumer)["status"] == "ACTIVE"
                end = time.monotonic()
                assert end - begin - machine.late_seconds(begin, end) < 2, "the API answers"
    flow.wait_complete(30)


# --- 7: damage ----------------------------------------------------------------------------------------------------------


def damage_all_slots(path):
    data = bytearray(path.read_bytes())
    half = (len(data) - checkpoint.BLOCK) // 2
    for slot in range(2):
        data[checkpoint.BLOCK + slot * half + 40] ^= 1
    path.write_bytes(data)


def cut_short(path):
    os.truncate(path, path.stat().st_size // 2)


def empty(path):
    os.truncate(path, 0)


@pytest.mark.parametrize("damage", (damage_all_slots, cut_short, empty))
def test_a_damaged_checkpoint_is_refused_and_the_file_left_alone(running, flow, damage, tmp_path):
    server, consumer = running
    flow.stream.send(1000)
    flow.wait_complete(15)
    server.kill9()
    state = flow.folder / "flow.log.checkpoint"
    shutil.copy(state, tmp_path / "kept")
    damage(state)
    before = (flow.folder / "flow.log").read_bytes()
    flow.stream.send(100)
    server.start()
    seen = server.wait_status(consumer, "ERROR", 20)
    assert str(state) in str(seen["health"]) and "damaged" in str(seen["health"]), seen["health"]
    time.sleep(1)
    assert (flow.folder / "flow.log").read_bytes() == before
    shutil.copyfile(tmp_path / "kept", state)  # a person mends it
    flow.wait_complete(60)
    server.wait_status(consumer, "ACTIVE", 10)


def truncate_file(path):
    os.truncate(path, path.stat().st_size - 100)


def replace_file(path):
    copy = path.with_suffix(".copy")
    shutil.copyfile(path, copy)
    copy.rename(path)


def delete_file(path):
    path.unlink()


@pytest.mark.parametrize("tamper", (truncate_file, replace_file, delete_file))
@pytest.mark.parametrize("alive", (True, False), ids=("running", "stopped"))
def test_a_file_that_somebody_changed_is_reported_and_not_papered_over(running, flow, tamper, alive):
    server, consumer = running
    flow.stream.send(1000)
    flow.wait_complete(15)
    if not alive:
        server.kill9()
    tamper(flow.folder / "flow.log")
    if not alive:
        server.start()
    flow.stream.send(100)
    seen = server.wait_status(consumer, "ERROR", 20)
    assert "flow.log" in str(seen["health"]), seen["health"]
    committed = flow.cluster.committed(flow.group, flow.stream.topic)
    assert all(offset <= 1000 for offset in committed.values()), committed
