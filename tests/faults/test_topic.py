"""What happens to a topic under a running consumer: deleted and made anew, cut by retention, truncated, given more partitions."""

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import NewPartitions

from harness.http_server import HttpEndpoint
from harness.waiting import wait_until


def lines(path):
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def values(prefix, count):
    return [f"{prefix} {number}".encode() for number in range(count)]


def send(cluster, topic, some, partition=0):
    cluster.produce(topic, [(partition, value) for value in some])


def delete(cluster, topic):
    cluster.delete_topic(topic)
    wait_until(lambda: topic not in cluster.admin.list_topics(timeout=10).topics, 20, "the topic is gone")


def wait_lines(server, consumer, file, expected, timeout=40):
    wait_until(
        lambda: len(lines(file)) >= len(expected), timeout, lambda: f"{len(lines(file))} of {len(expected)} lines: {server.consumer(consumer)}"
    )
    assert lines(file) == expected


def reasons(server, consumer):
    return {reason["code"]: reason["detail"] for reason in server.consumer(consumer)["health"]["reasons"]}


def wait_reason(server, consumer, code, *words):
    told = wait_until(lambda: reasons(server, consumer).get(code), 20, lambda: f"{code}: {server.consumer(consumer)}")
    assert all(word in told for word in words), told


# --- deleted, made anew -------------------------------------------------------------------------------------------------


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seen", (True, False), ids=("seen", "unseen"))
@pytest.mark.parametrize("count", (30, 250), ids=("fewer", "more"))
def test_a_topic_made_anew_under_a_running_consumer_is_read_from_its_first_record(server, cluster, group, count, seen):
    """Unseen: the new one holds its records before the consumer asks for the next ones. With more of them than the old one had, the broker
    has an answer for the old offset, and only the topic's id tells that it is another topic."""
    partitions = 1 if seen else 24  # for many of them the client is made anew before it joins the group
    topic = cluster.make_topic("anew", partitions)
    file = server.out / "anew.log"
    consumer = server.create_file_sink(cluster, topic, group, file)
    old, new = values("old", 100), values("new", count)
    send(cluster, topic, old)
    wait_lines(server, consumer, file, old)
    if not seen:
        server.freeze()
    delete(cluster, topic)
    cluster.make_topic_named(topic, partitions)
    send(cluster, topic, new)
    server.thaw()
    if count < 100:
        wait_lines(server, consumer, file, old + new)
    else:
        # What was taken for records of the old topic until the id was looked at comes again; none is left out.
        wait_until(lambda: lines(file)[-count:] == new, 40, lambda: f"every new record: {server.consumer(consumer)}")
        assert lines(file)[:100] == old and set(lines(file)[100:]) == set(new)
    wait_reason(server, consumer, "offset_gap", "created anew")
    assert server.consumer(consumer)["metrics"]["gaps"] >= 1 and "created anew" in server.log.read_text()
    send(cluster, topic, [b"more"])
    wait_until(lambda: lines(file)[-1] == b"more", 20, "it flows on")
    wait_until(lambda: server.consumer(consumer)["metrics"]["lag"] == 0, 20, "lag 0")


@pytest.mark.timeout(120)
def test_a_topic_made_anew_while_nobody_looked_is_read_from_its_first_record(server, cluster, group):
    """The file tells by its position, and where there is no position, the group's commit tells of which topic it was."""
    topic = cluster.make_topic("anew")
    first, second = server.out / "first.log", server.out / "second.log"
    brief = {"kafka_properties": {"session.timeout.ms": 1000}}  # so that the group is soon empty, and others may commit for it
    consumer = server.create_file_sink(cluster, topic, group, first, consumer=brief)
    send(cluster, topic, values("old", 100))
    wait_lines(server, consumer, first, values("old", 100))
    server.expect(200, "POST", f"/api/consumers/{consumer}/stop")

    def stop_and_commit_for_the_old_topic():
        server.expect(200, "POST", f"/api/consumers/{consumer}/stop")
        wait_until(lambda: not cluster.describe_group(group).members, 20, "nobody is in the group")
        cluster.commit(group, {0: 100}, topic, metadata="topic=anIdOfAnotherTopic0000")

    delete(cluster, topic)
    cluster.make_topic_named(topic)
    new = values("new", 250)
    send(cluster, topic, new)
    stop_and_commit_for_the_old_topic()
    server.expect(200, "POST", f"/api/consumers/{consumer}/start")
    wait_lines(server, consumer, first, values("old", 100) + new)

    stop_and_commit_for_the_old_topic()
    sink = {"processor_type": "file_sink", "config": {"file_path": str(second)}}
    server.expect(200, "PUT", f"/api/consumers/{consumer}", {"processor_configs": [sink]})
    server.expect(200, "POST", f"/api/consumers/{consumer}/start")
    wait_lines(server, consumer, second, new)
    wait_reason(server, consumer, "offset_gap", "created anew")


@pytest.mark.timeout(120)
def test_a_topic_that_is_deleted_is_waited_for(server, cluster, group):
    topic = cluster.make_topic("deleted")
    file = server.out / "deleted.log"
    consumer = server.create_file_sink(cluster, topic, group, file)
    send(cluster, topic, values("old", 10))
    wait_lines(server, consumer, file, values("old", 10))
    delete(cluster, topic)
    wait_reason(server, consumer, "topic_missing", topic)
    assert server.consumer(consumer)["status"] == "ACTIVE"
    cluster.make_topic_named(topic)
    send(cluster, topic, values("new", 10))
    wait_lines(server, consumer, file, values("old", 10) + values("new", 10))


# --- the log's ends -----------------------------------------------------------------------------------------------------


@pytest.mark.timeout(120)
@pytest.mark.parametrize("running", (True, False), ids=("running", "stopped"))
def test_what_retention_removed_unread_is_told(server, cluster, group, running):
    topic = cluster.make_topic("retention")
    file = server.out / "retention.log"
    consumer = server.create_file_sink(cluster, topic, group, file)
    send(cluster, topic, values("read", 10))
    wait_lines(server, consumer, file, values("read", 10))
    sent = values("read", 10)
    if running:
        server.freeze()
        sent += [b"answered"]  # it may have asked for this one already
        send(cluster, topic, sent[-1:])
    else:
        server.expect(200, "POST", f"/api/consumers/{consumer}/stop")
    late = values("late", 100)
    send(cluster, topic, late)
    sent += late
    low = len(sent) - 20
    cluster.admin.delete_records([TopicPartition(topic, 0, low)])[TopicPartition(topic, 0)].result(15)
    if running:
        server.thaw()
    else:
        server.expect(200, "POST", f"/api/consumers/{consumer}/start")
    wait_until(lambda: lines(file)[-20:] == sent[low:], 40, lambda: f"what is left of the log: {server.consumer(consumer)}")
    came = len(lines(file)) - 20
    assert lines(file)[:came] == sent[:came] and came in (10, 11)
    wait_reason(server, consumer, "offset_gap", f"{came} to {low - 1}", "retention")
    assert server.consumer(consumer)["metrics"]["gaps"] == 1
    assert f"offsets {came} to {low - 1} were removed" in server.log.read_text()


@pytest.mark.timeout(180)
def test_a_log_that_was_truncated_is_refused_until_a_person_decides(make_server, own_broker, group):
    topic = own_broker.make_topic("truncated")
    server = make_server(servers_address=own_broker.servers).start()
    file = server.out / "truncated.log"
    consumer = server.create_file_sink(own_broker, topic, group, file)
    send(own_broker, topic, values("kept", 100))
    wait_lines(server, consumer, file, values("kept", 100))
    with own_broker.going_back():
        send(own_broker, topic, values("lost", 100))
        wait_lines(server, consumer, file, values("kept", 100) + values("lost", 100))
    seen = wait_until(
        lambda: (found := server.consumer(consumer))["status"] == "ERROR" and "truncated" in found["last_error"]["detail"] and found,
        60,
        lambda: f"ERROR: {server.consumer(consumer)}",
    )
    assert "200" in seen["last_error"]["detail"] and "ends at 100" in seen["last_error"]["detail"]
    assert lines(file) == values("kept", 100) + values("lost", 100), "nothing is guessed"
    # The remedy that it names.
    server.expect(200, "PUT", f"/api/consumers/{consumer}", {"consumer_group": group + "-anew"})
    wait_lines(server, consumer, file, values("kept", 100) + values("lost", 100) + values("kept", 100))


@pytest.mark.timeout(240)
def test_a_log_that_was_cut_and_has_grown_again_is_read_from_the_cut(make_server, own_broker, group, database):
    """As after an unclean election of a leader, or with a broker that was restored from a backup. Three consumers are stopped meanwhile, two run and
    see nothing until the log has grown past where they were. The other partition's log is not cut."""
    topic = own_broker.make_topic("cut", 2)
    server, other = make_server(servers_address=own_broker.servers).start(), make_server(servers_address=own_broker.servers).start()
    bodies = HttpEndpoint()
    stopped = [
        server.create_file_sink(own_broker, topic, group + "-file", server.out / "file.log"),
        server.create(own_broker, topic, group + "-table", [("database_sync", {"db_dsn": database.url})]),
        server.create(own_broker, topic, group + "-http", [("streaming_forwarder", {"endpoint_url": bodies.url})]),
    ]
    running = [
        other.create_file_sink(own_broker, topic, f"{group}-{strategy}", other.out / strategy, consumer={"partition_assignment_strategy": strategy})
        for strategy in ("range", "cooperative-sticky")
    ]
    everywhere = [(server, consumer) for consumer in stopped] + [(other, consumer) for consumer in running]
    has_table = lambda: database.value("SELECT to_regclass('kafka_messages')")
    looks = (
        lambda: lines(server.out / "file.log"),
        lambda: [value.encode() for (value,) in database.query("SELECT value FROM kafka_messages ORDER BY ctid")] if has_table() else [],
        lambda: [attempt.body for attempt in bodies.attempts],
        lambda: lines(other.out / "range"),
        lambda: lines(other.out / "cooperative-sticky"),
    )

    def wait_everywhere(first, second):
        wanted = len(first) + len(second)
        told = lambda: [where.consumer(consumer)["health"] for where, consumer in everywhere]
        wait_until(lambda: all(len(look()) >= wanted for look in looks), 60, lambda: f"{[len(look()) for look in looks]} of {wanted}: {told()}")
        for look in looks:
            found = look()
            assert [value for value in found if not value.startswith(b"other")] == first
            assert [value for value in found if value.startswith(b"other")] == second

    kept, lost, new, others = values("kept", 100), values("lost", 100), values("new", 250), values("other", 200)
    send(own_broker, topic, kept)
    send(own_broker, topic, others[:100], 1)
    wait_everywhere(kept, others[:100])
    with own_broker.losing(topic):
        send(own_broker, topic, lost)
        wait_everywhere(kept + lost, others[:100])
        for consumer in stopped:
            server.expect(200, "POST", f"/api/consumers/{consumer}/stop")
        other.freeze()
    send(own_broker, topic, new)
    send(own_broker, topic, others[100:], 1)
    for consumer in stopped:
        server.expect(200, "POST", f"/api/consumers/{consumer}/start")
    other.thaw()
    wait_everywhere(kept + lost + new, others)
    for where, consumer in everywhere:
        wait_reason(where, consumer, "offset_gap", "partition 0", "cut at offset 100", "grown again")
        assert where.consumer(consumer)["metrics"]["gaps"] == 1
        where.expect(200, "POST", f"/api/consumers/{consumer}/restart")
    assert all(where.log.read_text().count("cut at offset 100") == count for where, count in ((server, 3), (other, 2)))
    send(own_broker, topic, [b"more"])
    wait_everywhere(kept + lost + new + [b"more"], others)  # and nothing comes twice
    bodies.close()


# --- partitions ---------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(120)
@pytest.mark.parametrize("reset", ("earliest", "latest"))
def test_partitions_that_are_added_are_read_from_their_first_record(server, cluster, group, reset):
    """Also with `latest`: what comes into a partition before it is noticed has come after the consumer was started."""
    topic = cluster.make_topic("grows", 1)
    file = server.out / "grows.log"
    consumer = server.create_file_sink(cluster, topic, group, file, consumer={"auto_offset_reset": reset})
    begun = lambda: (seen := server.consumer(consumer)["metrics"]["partitions"]) and seen[0]["durable"] == 0
    wait_until(begun, 20, "its partition has begun")
    cluster.admin.create_partitions([NewPartitions(topic, 3)])[topic].result(15)
    wait_until(lambda: len(cluster.list_partitions(topic)) == 3, 15, "three partitions")
    for partition in range(3):
        send(cluster, topic, values(f"p{partition}", 10), partition)
    wait_until(lambda: len(lines(file)) >= 30, 40, lambda: f"{len(lines(file))} of 30 lines: {server.consumer(consumer)}")
    for partition in range(3):
        assert [line for line in lines(file) if line.startswith(b"p%d " % partition)] == values(f"p{partition}", 10)
    assert len(lines(file)) == 30
