"""The cluster changes under a running consumer: partitions get other leaders, a broker comes back at another address."""

import pytest
from confluent_kafka import ElectionType, TopicPartition

from harness.broker import Cluster, OwnBroker
from harness.flow import FileFlow
from harness.proxy import Proxy
from harness.records import Stream
from harness.waiting import wait_until

PARTITIONS = 4


@pytest.fixture
def second_broker(tmp_path, own_broker):
    # The groups' offsets are not replicated: they shall be where nobody is killed.
    own_broker.make_topic_named("before")
    own_broker.commit("before", {0: 0}, "before")
    broker = OwnBroker.joining(own_broker, tmp_path / "second")
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def proxy():
    proxy = Proxy()
    yield proxy
    proxy.close()


def flows_again(server, consumer, flow, timeout=60):
    """Every partition moves on."""
    before = flow.durable()
    moved = lambda: all(flow.durable().get(p, 0) > before.get(p, 0) for p in range(PARTITIONS))
    wait_until(moved, timeout, lambda: f"every partition flows: {before}, {flow.durable()}, {server.consumer(consumer)['health']}")


@pytest.mark.timeout(240)
def test_partitions_that_get_other_leaders_cost_nothing(make_server, own_broker, second_broker, group):
    topic = own_broker.make_topic("led", PARTITIONS, replicas=2)
    stream = Stream(own_broker.servers, topic, PARTITIONS)
    server = make_server(servers_address=own_broker.servers).start()
    flow = FileFlow(own_broker, stream, group, server.out / "flow.log")
    consumer = server.create_file_sink(own_broker, topic, group, flow.path)
    led = own_broker.leaders(topic)
    assert set(led.values()) == {1, 2}, led
    with stream.sending(rate=20_000) as _:
        flows_again(server, consumer, flow)
        second_broker.kill9()
        wait_until(lambda: set(own_broker.leaders(topic).values()) == {1}, 30, lambda: f"one leads all: {own_broker.leaders(topic)}")
        flows_again(server, consumer, flow)
        flow.assert_holds()
        second_broker.start()
        partitions = [TopicPartition(topic, p) for p in range(PARTITIONS)]

        def elected():
            own_broker.admin.elect_leaders(ElectionType.PREFERRED, partitions).result(15)  # possible once it has caught up
            return own_broker.leaders(topic) == led

        wait_until(elected, 60, lambda: f"as it was, {led}: {own_broker.leaders(topic)}", interval=0.5)
        flows_again(server, consumer, flow)
        assert server.consumer(consumer)["status"] == "ACTIVE" and server.consumer(consumer)["metrics"]["restarts"] == 0
    flow.wait_complete(60)
    flow.wait_committed(30)
    wait_until(lambda: server.consumer(consumer)["health"]["state"] == "ok", 20, lambda: f"well: {server.consumer(consumer)['health']}")


@pytest.mark.timeout(180)
def test_a_broker_that_comes_back_at_another_address_is_found(make_server, own_broker, proxy, group):
    """The address that the consumer was given stays and leads to wherever the broker is, as a name or a load balancer does."""
    topic = own_broker.make_topic("moved", PARTITIONS)
    stream = Stream(own_broker.servers, topic, PARTITIONS)
    proxy.target_port = own_broker.port
    server = make_server(servers_address=own_broker.servers).start()
    flow = FileFlow(own_broker, stream, group, server.out / "flow.log")
    no_second_try = {"restart": {"attempts": 0}}
    consumer = server.create_file_sink(Cluster(f"127.0.0.1:{proxy.port}"), topic, group, flow.path, consumer=no_second_try)
    stream.send(1000)
    flow.wait_complete(30)
    own_broker.stop()
    seen = lambda: server.reason_codes(consumer)
    wait_until(lambda: "broker_unreachable" in seen(), 30, lambda: f"it says that the broker is away: {server.consumer(consumer)['health']}")
    wait_until(lambda: server.consumer(consumer)["metrics"]["restarts"] == 1, 60, "it begins anew")
    assert server.consumer(consumer)["status"] == "ACTIVE"
    own_broker.move()
    own_broker.start()
    proxy.target_port = own_broker.port
    stream.servers = own_broker.servers
    stream.send(1000)
    flow.wait_complete(60)
    flow.wait_committed(30)
    wait_until(lambda: not seen(), 20, lambda: f"well: {server.consumer(consumer)['health']}")
