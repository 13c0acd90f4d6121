"""The broker is killed and comes back under load."""

import pathlib
import time

import pytest

from harness.flow import FileFlow
from harness.knobs import knob
from harness.records import Stream
from harness.waiting import wait_until

PARTITIONS = 4


@pytest.mark.timeout(500)
def test_a_broker_that_is_killed_again_and_again_costs_nothing(make_server, own_broker, group, dice):
    topic = own_broker.make_topic("killed", PARTITIONS)
    stream = Stream(own_broker.servers, topic, PARTITIONS)
    server = make_server(servers_address=own_broker.servers).start()
    flow = FileFlow(own_broker, stream, group, server.out / "flow.log")
    consumer = server.create_file_sink(own_broker, topic, group, flow.path)
    kills = knob("BROKER_KILLS", 2)
    told = lambda: f"records flow, producer alive: {sending.alive()}, file: {flow.size()}, log: {own_broker.end_offsets(topic, PARTITIONS)}, {server.consumer(consumer)}"
    with stream.sending(rate=50_000) as sending:
        for _ in range(kills):
            size = flow.size()
            wait_until(lambda: flow.size() > size, 90, told)
            time.sleep(dice.uniform(0.5, 2))
            own_broker.kill9()
            begin = time.monotonic()
            wait_until(lambda: "broker_unreachable" in server.reason_codes(consumer), 30, lambda: f"it says that the broker is away: {server.consumer(consumer)['health']}")
            assert server.consumer(consumer)["status"] == "ACTIVE"
            assert time.monotonic() - begin < 30
            own_broker.start()
        size = flow.size()
        wait_until(lambda: flow.size() > size, 90, told)
    flow.wait_complete(150)
    flow.wait_committed(30)
    wait_until(lambda: server.consumer(consumer)["health"]["state"] == "ok", 20, lambda: f"well again: {server.consumer(consumer)}")


@pytest.mark.timeout(400)
def test_server_and_broker_killed_together_cost_nothing(make_server, own_broker, group, dice):
    topic = own_broker.make_topic("both-killed", PARTITIONS)
    stream = Stream(own_broker.servers, topic, PARTITIONS)
    server = make_server(servers_address=own_broker.servers).start()
    flow = FileFlow(own_broker, stream, group, server.out / "flow.log")
    server.create_file_sink(own_broker, topic, group, flow.path)
    with stream.sending(rate=50_000) as _:
        wait_until(lambda: flow.size() > 1_000_000, 60, "records flow")
        time.sleep(dice.uniform(0.1, 1))
        own_broker.kill9()
        server.kill9()
        server.start()  # before its broker is back
        own_broker.start()
        size = flow.size()
        wait_until(lambda: flow.size() > size, 90, "records flow again")
    flow.wait_complete(150)
    flow.wait_committed(30)


def refused_connections():
    """Of this machine, since it started."""
    names, values = [line.split() for line in pathlib.Path("/proc/net/snmp").read_text().splitlines() if line.startswith("Tcp:")]
    return int(values[names.index("AttemptFails")])


@pytest.mark.timeout(120)
def test_a_broker_that_is_away_is_not_stormed_with_connections(make_server, own_broker, group):
    topic = own_broker.make_topic("away", 2)
    server = make_server(servers_address=own_broker.servers).start()
    consumer = server.create_file_sink(own_broker, topic, group, server.out / "away.log")
    wait_until(lambda: len(server.consumer(consumer)["metrics"]["partitions"]) == 2, 30, "it has its partitions")
    own_broker.kill9()
    wait_until(lambda: "broker_unreachable" in server.reason_codes(consumer), 30, lambda: f"it says that the broker is away: {server.consumer(consumer)['health']}")
    before = refused_connections()
    time.sleep(20)  # long enough that several questions to the broker have been asked in vain
    refused = refused_connections() - before
    assert refused < 20_000, f"{refused} connections in 20 s"  # with what else runs here; a storm makes twenty times as many
    assert f"consumer {consumer}: broker_unreachable: " in server.log.read_text(), "who looks into the log finds it"
    own_broker.start()
    wait_until(lambda: server.consumer(consumer)["health"]["state"] == "ok", 60, lambda: f"well again: {server.consumer(consumer)}")
    wait_until(lambda: f"consumer {consumer}: broker_unreachable is over after " in server.log.read_text(), 20, "and that it is over")
