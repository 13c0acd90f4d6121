"""database_sync: what a database, a topic or a person may do to its table and its positions."""

import pytest

from harness.database import Database, TableFlow
from harness.records import Stream
from harness.waiting import wait_until

PARTITIONS = 4


@pytest.fixture
def database(postgres_server):
    database = Database(postgres_server.make_database())
    yield database
    database.close()


@pytest.fixture
def flow(cluster, group, database, tmp_path):
    topic = cluster.make_topic("database", PARTITIONS)
    return TableFlow(cluster, Stream(cluster.servers, topic, PARTITIONS), group, database, tmp_path)


@pytest.mark.timeout(120)
def test_an_idle_consumer_notices_that_the_database_has_lost_its_tail(flow, make_server, database):
    """As after a failover to a standby that lags: the latest rows are gone, and the position with them. No record comes meanwhile."""
    server = make_server().start()
    consumer = flow.create(server)
    flow.stream.send(5_000)
    flow.wait_complete(30)
    flow.wait_committed()
    database.run(
        'BEGIN; DELETE FROM kafka_messages m USING fetcher_positions p WHERE m.partition = p.partition AND m."offset" >= p.next - 700 AND p.partition < 2;'
        "UPDATE fetcher_positions SET next = next - 700 WHERE partition < 2; COMMIT"
    )
    assert flow.total() == flow.stream.total - 1400
    flow.wait_complete(60)
    assert server.consumer(consumer)["metrics"]["restarts"] == 1
    assert "has gone back" in server.log.read_text()


@pytest.mark.timeout(120)
@pytest.mark.parametrize("count", (100, 5_000), ids=("with fewer records", "with more records"))
def test_a_topic_that_is_made_anew_is_read_from_its_first_record(flow, make_server, database, count):
    server = make_server().start()
    consumer = flow.create(server)
    flow.stream.send(2_000)
    flow.wait_complete(30)
    flow.wait_committed()
    server.expect(200, "POST", f"/api/consumers/{consumer}/stop")
    topic = flow.stream.topic
    flow.cluster.delete_topic(topic)
    wait_until(lambda: topic not in flow.cluster.admin.list_topics(timeout=10).topics, 20, "the topic is gone")
    flow.cluster.make_topic_named(topic, PARTITIONS)
    fresh = Stream(flow.cluster.servers, topic, PARTITIONS)
    fresh.send(count)
    server.expect(200, "POST", f"/api/consumers/{consumer}/start")
    wanted = [[str(flow.stream.total + fresh.total)] * 2]
    found = lambda: database.query("SELECT count(*), count(DISTINCT value) FROM kafka_messages")
    wait_until(lambda: found() == wanted, 30, lambda: f"rows, distinct values: {found()}")
    assert database.query("SELECT sum(next) FROM fetcher_positions GROUP BY topic_id ORDER BY min(updated_at)") == [[str(flow.stream.total)], [str(fresh.total)]]
