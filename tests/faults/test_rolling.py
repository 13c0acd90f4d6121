"""Replicas are ended and started one after the other under load, as an update does it."""

import time

import pytest

from harness.flow import FileFlow
from harness.knobs import knob
from harness.records import Stream
from harness.waiting import wait_until

PARTITIONS = 4


@pytest.mark.timeout(360)
def test_rolling_restarts_under_load_lose_and_double_nothing(make_server, cluster, group, postgres_server, out_folder):
    topic = cluster.make_topic("rolling", PARTITIONS)
    flow = FileFlow(cluster, Stream(cluster.servers, topic, PARTITIONS), group, out_folder / "p{partition}.log")
    url = postgres_server.make_database()
    replicas = [make_server(f"r{n}", roots=str(out_folder), DATABASE_URL=url, INSTANCE_ID=f"r{n}").start() for n in range(2)]
    replicas[0].create_file_sink(cluster, topic, group, flow.path)
    with flow.stream.sending(rate=50_000):
        wait_until(lambda: len(cluster.members(group)) == 2, 30, "both have partitions")
        for _ in range(knob("ROLLING_ROUNDS", 2)):
            for replica in replicas:
                before = flow.durable()
                code, seconds = replica.terminate()
                assert code == 0 and seconds < 10, (code, seconds)
                flow.assert_holds()
                replica.start()
                begin = time.monotonic()
                grown = lambda: all(n > before.get(p, 0) for p, n in flow.durable().items())
                wait_until(grown, 20, lambda: f"each partition goes on: {before} {flow.durable()}")
                assert time.monotonic() - begin < 10, "nobody waits for the session of one that has left"
    flow.wait_complete(150)
    flow.wait_committed()
