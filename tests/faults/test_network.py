"""Connections to the broker that are cut, swallow everything or trickle."""

import time

import pytest

from harness import process
from harness.broker import Cluster, OwnBroker
from harness.flow import FileFlow
from harness.proxy import Proxy
from harness.records import Stream
from harness.waiting import free_port, wait_until

PARTITIONS = 4


@pytest.fixture
def proxy():
    proxy = Proxy()
    yield proxy
    proxy.close()


@pytest.fixture
def proxied_broker(tmp_path, proxy):
    """A broker with a second listener that is reached, and advertised, through the proxy alone."""
    behind = free_port()
    broker = OwnBroker(tmp_path / "kafka", extra_listener=(behind, proxy.port))
    proxy.target_port = behind
    broker.start()
    yield broker
    broker.stop()


@pytest.mark.timeout(240)
def test_bad_connections_cost_time_and_nothing_else(make_server, proxied_broker, proxy, group, dice):
    broker = proxied_broker
    topic = broker.make_topic("proxied", PARTITIONS)
    stream = Stream(broker.servers, topic, PARTITIONS)
    server = make_server(servers_address=broker.servers).start()
    flow = FileFlow(broker, stream, group, server.out / "flow.log")
    consumer = server.create_file_sink(Cluster(f"127.0.0.1:{proxy.port}"), topic, group, flow.path)

    def flows_again(timeout):
        size = flow.size()
        wait_until(lambda: flow.size() > size, timeout, lambda: f"records flow again: {server.consumer(consumer)['health']}")

    with stream.sending(rate=30_000) as _:
        flows_again(30)
        files = process.open_files(server.pid)
        for _ in range(10):
            time.sleep(dice.uniform(0.1, 0.5))
            proxy.cut()
        flows_again(30)
        flow.assert_holds()

        proxy.stall()
        time.sleep(12)  # longer than the session timeout
        assert server.consumer(consumer)["status"] == "ACTIVE"
        flow.assert_holds()
        proxy.flow()
        flows_again(60)

        proxy.throttle(2_000)
        time.sleep(5)
        proxy.throttle(0)
        proxy.cut()
        flows_again(60)
    flow.wait_complete(60)
    flow.wait_committed(30)
    left = lambda: process.open_files(server.pid)
    wait_until(lambda: left() <= files + 8, 20, lambda: f"no connection is left behind: {left()}, {files}")
