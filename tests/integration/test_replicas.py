"""Several processes on one database answer for the whole, whichever is asked and whoever is dead."""

import pytest

from harness.records import Stream, assert_exact
from harness.waiting import wait_until
from test_api_support import consumer_body, make_api  # noqa: F401

PARTITIONS = 6


@pytest.fixture
def url(postgres_server):
    return postgres_server.make_database()


@pytest.fixture
def replicas(make_server, url, out_folder):
    return [make_server(roots=str(out_folder), DATABASE_URL=url, INSTANCE_ID=f"r{number}").start() for number in range(3)]


def instances(server):
    body = server.expect(200, "GET", "/api/instances")
    return {item["instance_id"]: item for item in body["items"]}, body["current"]


def covered(consumer):
    """The partitions that living replicas say they have; for half a second after a move two may name the same one."""
    return sorted(partition for replica in consumer["replicas"] if replica["alive"] for partition in replica["partitions"])


def told_of(consumer, code):
    return code in [reason["code"] for reason in consumer["health"]["reasons"]]


def test_alone_there_is_one_instance(make_api):
    server = make_api(INSTANCE_ID="lonely")
    known, current = instances(server)
    assert known.keys() == {"lonely"} and current
    assert known["lonely"]["self"] and known["lonely"]["alive"] and known["lonely"]["version"]
    made = server.expect(201, "POST", "/api/consumers", consumer_body(server))
    assert "replicas" not in made


def test_each_replica_answers_for_all(replicas, cluster, group, out_folder):
    topic = cluster.make_topic("whole", PARTITIONS)
    consumer_id = replicas[0].create_file_sink(cluster, topic, group, out_folder / "p{partition}.log")
    everything = list(range(PARTITIONS))
    for replica in replicas:
        wait_until(lambda replica=replica: covered(replica.consumer(consumer_id)) == everything, 30, "all partitions are known to each")
    stream = Stream(cluster.servers, topic, PARTITIONS)
    stream.send(500)
    wait_until(lambda: cluster.committed(group, topic) == stream.next, 20, "all is delivered")

    def whole(replica):
        seen = replica.consumer(consumer_id)
        metrics = seen["metrics"]
        return (
            seen["status"], seen["health"]["state"], metrics["records"], metrics["processors"][0]["records"], metrics["lag"],
            [partition["partition"] for partition in metrics["partitions"]], [part["instance_id"] for part in sorted(seen["replicas"], key=str)],
        )  # fmt: skip

    expected = ("ACTIVE", "ok", 500 * PARTITIONS, 500 * PARTITIONS, 0, list(range(PARTITIONS)))
    for replica in replicas:
        wait_until(lambda replica=replica: whole(replica)[:6] == expected, 10, lambda replica=replica: f"{whole(replica)} is {expected}")
    known, current = instances(replicas[1])
    assert known.keys() == {"r0", "r1", "r2"} and current and known["r1"]["self"]
    # What another one reports is up to half a second old, so a partition that has moved may be counted twice until its next report.
    wait_until(lambda: sum(item["partitions"] for item in instances(replicas[1])[0].values()) == PARTITIONS, 10, "each is counted once")

    # INACTIVE is said when it is so everywhere.
    replicas[2].stop_consumer(consumer_id)
    wait_until(lambda: all(f"consumer {consumer_id}: stopped" in replica.log.read_text() for replica in replicas), 2, "each has stopped it")
    for replica in replicas:
        wait_until(lambda replica=replica: replica.consumer(consumer_id)["status"] == "INACTIVE", 15, "known to all")


def test_a_dead_replica_is_told_and_its_partitions_are_taken_over(replicas, cluster, group, out_folder):
    topic = cluster.make_topic("dead", PARTITIONS)
    # Nobody takes over before the session is over: until then it is told.
    slow = {"kafka_properties": {"session.timeout.ms": 20_000}}
    consumer_id = replicas[0].create_file_sink(cluster, topic, group, out_folder / "p{partition}.log", consumer=slow)
    everything = list(range(PARTITIONS))
    asked, _, dies = replicas
    each_has_some = lambda parts: len(parts) == 3 and all(part.get("partitions") for part in parts)
    wait_until(lambda: each_has_some(asked.consumer(consumer_id)["replicas"]), 30, "each has partitions")
    stream = Stream(cluster.servers, topic, PARTITIONS)
    stream.send(500)
    wait_until(lambda: asked.consumer(consumer_id)["metrics"]["records"] == 500 * PARTITIONS, 20, "all has been read")

    dies.kill9()
    lost = wait_until(lambda: told_of(seen := asked.consumer(consumer_id), "replica_lost") and seen, 20, "the death is noticed")
    assert lost["health"]["state"] == "degraded" and lost["status"] == "ACTIVE", lost["health"]
    assert lost["metrics"]["records"] == 500 * PARTITIONS, "what the dead one did stays counted"
    wait_until(lambda: covered(asked.consumer(consumer_id)) == everything, 45, "the others have its partitions")
    wait_until(lambda: asked.consumer(consumer_id)["health"]["state"] == "ok", 20, "and all is well")
    known, _ = instances(asked)
    assert not known["r2"]["alive"] and known["r2"]["seconds_since_heartbeat"] >= 5 and known["r0"]["alive"] and known["r1"]["alive"]

    dies.start()
    wait_until(lambda: instances(asked)[0]["r2"]["alive"], 15, "it is back")
    stream.send(500)
    wait_until(lambda: cluster.committed(group, topic) == stream.next, 30, "all is delivered")
    assert_exact([out_folder / f"p{partition}.log" for partition in range(PARTITIONS)], stream)


def test_an_error_of_one_replica_is_an_error_of_the_consumer(replicas, cluster, group, out_folder):
    topic = cluster.make_topic("same-file", 3)
    # One path without {instance}: only one of them can have the file.
    consumer_id = replicas[0].create_file_sink(cluster, topic, group, out_folder / "same.log")
    for replica in replicas:
        seen = replica.wait_status(consumer_id, "ERROR", 30)
        assert any("on r" in reason["detail"] or reason["code"] in ("sink_blocked", "failed") for reason in seen["health"]["reasons"])


def test_a_process_that_leaves_is_gone_at_once(replicas):
    assert replicas[1].terminate()[0] == 0
    assert instances(replicas[0])[0].keys() >= {"r0"}
    wait_until(lambda: instances(replicas[0])[0].keys() == {"r0", "r2"}, 15, "it has left")


def test_without_the_database_nobody_is_declared_dead(replicas, postgres_server):
    wait_until(lambda: len(instances(replicas[0])[0]) == 3, 15, "they know each other")
    postgres_server.stop("--immediate")
    try:
        wait_until(lambda: not instances(replicas[0])[1], 15, "it says that this is what it last knew")
        assert all(item["alive"] for item in instances(replicas[0])[0].values())
    finally:
        postgres_server.start()
    wait_until(lambda: instances(replicas[0])[1] and len(instances(replicas[0])[0]) == 3, 20, "they know each other again")
