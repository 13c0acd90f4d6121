"""database_sync: what a database, a topic or a person may do to its table and its positions."""

import json
import os
import pathlib
import shutil
import socket
import tempfile
import time

import pytest

from harness.certificates import make_authority, make_revocation_list, make_server_certificate
from harness.database import Database, TableFlow
from harness.postgres import OwnPostgres
from harness.records import Stream
from harness.waiting import wait_until

PARTITIONS = 4


@pytest.fixture
def flow(cluster, group, database, tmp_path):
    topic = cluster.make_topic("database", PARTITIONS)
    return TableFlow(cluster, Stream(cluster.servers, topic, PARTITIONS), group, database, tmp_path)


def reasons(server, consumer_id):
    return json.dumps(server.consumer(consumer_id)["health"])


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


@pytest.mark.timeout(90)
@pytest.mark.parametrize("way", ("stop", "delete"))
def test_a_consumer_whose_database_never_answers_is_stopped_and_deleted_in_time(flow, make_server, way):
    """The port takes connections and says nothing, as behind a firewall that swallows or with a server that hangs."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as hole:
        flow.dsn = f"postgresql://u:p@127.0.0.1:{hole.getsockname()[1]}/d?connect_timeout=600"
        server = make_server().start()
        consumer = flow.create(server)
        hole.settimeout(20)
        kept = hole.accept()  # later ones wait in the backlog, which to them is the same
        began = time.monotonic()
        if way == "stop":
            server.expect(200, "POST", f"/api/consumers/{consumer}/stop", timeout=30)
            assert server.consumer(consumer)["status"] == "INACTIVE"
        else:
            server.expect(204, "DELETE", f"/api/consumers/{consumer}", timeout=30)
        assert time.monotonic() - began < 7
        kept[0].close()

@pytest.mark.timeout(120)
def test_a_transaction_that_takes_too_long_is_written_in_smaller_ones(flow, make_server, database):
    """57014: each row takes a millisecond, and the database gives a statement 300 ms. The 1,200 of a block never fit in."""
    name = database.url.rsplit("/", 1)[1]
    server = make_server().start()
    consumer = flow.create(server, workers=1)
    flow.stream.send(1)
    flow.wait_complete(30)
    database.run(
        "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(0.001); RETURN NEW; END';"
        "CREATE TRIGGER slow BEFORE INSERT ON kafka_messages FOR EACH ROW EXECUTE FUNCTION slow();"
        f"ALTER DATABASE {name} SET statement_timeout = '300ms'; SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        f"WHERE datname = '{name}' AND pid <> pg_backend_pid()"
    )
    database.close()
    database.url += "?options=-c%20statement_timeout%3D0"  # what the test asks may take its time
    flow.stream.send(300)
    flow.wait_complete(90)
    assert server.consumer(consumer)["metrics"]["restarts"] == 0


@pytest.mark.timeout(240)
def test_deadlocks_cost_time_and_nothing_else(flow, make_server, database):
    """40P01: somebody locks the positions first and the table then, as we do the other way round. Who waits longest is the victim: we are, for the other waits
    for us to wait, and for 0.4 s of PostgreSQL's deadlock_timeout of 1 s more."""
    server = make_server().start()
    consumer = flow.create(server, workers=1)
    flow.stream.send(1)
    flow.wait_complete(30)
    deadlocks = lambda: int(database.value("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"))
    other = (
        "BEGIN; UPDATE fetcher_positions SET updated_at = now();"
        "DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND locktype = 'transactionid') LOOP PERFORM pg_sleep(0.01); END LOOP; END $$;"
        "SELECT pg_sleep(0.4); LOCK TABLE kafka_messages IN ACCESS EXCLUSIVE MODE; COMMIT;"
    )

    def others_lock_first():
        try:
            database.run(other)
            return True
        except AssertionError as error:  # it came late and was the victim itself: once more
            assert "deadlock detected" in str(error), error
            return False

    with flow.stream.sending(rate=2_000) as _:
        for _ in range(3):
            before = flow.total()
            wait_until(others_lock_first, 60, "we are the victim")
            wait_until(lambda: flow.total() > before, 30, "rows flow")
    flow.wait_complete(60)
    flow.wait_committed()
    wait_until(lambda: deadlocks() > 0, 10, "there was a deadlock")
    assert server.consumer(consumer)["metrics"]["restarts"] == 0


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "code, moment", (("40001", "BEFORE INSERT ON kafka_messages FOR EACH ROW"), ("40P01", "AFTER INSERT ON kafka_messages FOR EACH STATEMENT")),
    ids=("serialization failure", "deadlock"),
)  # fmt: skip
def test_a_transaction_that_is_to_be_tried_again_is_tried_whole(flow, make_server, database, code, moment):
    """More often than it would take to find one row by halving, which would then be a dead letter. The sequence counts what is rolled back too."""
    server = make_server().start()
    letters = server.out / "letters"
    processors = [("database_sync", {"db_dsn": flow.dsn})]
    consumer = server.create(
        flow.cluster, flow.stream.topic, flow.group, processors, dead_letter={"file_path": str(letters)}, retry={"initial": "20ms", "max": "50ms"}
    )
    flow.stream.send(1)
    flow.wait_complete(30)
    database.run(
        "CREATE SEQUENCE tries; CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF nextval(''tries'') <= 40 THEN "
        f"RAISE ''try again'' USING ERRCODE = ''{code}''; END IF; RETURN NEW; END';"
        f"CREATE TRIGGER fail {moment} EXECUTE FUNCTION fail()"
    )
    flow.stream.send(1_000)
    flow.wait_complete(30)
    flow.wait_committed()
    assert int(database.value("SELECT last_value FROM tries")) > 40
    assert not letters.exists() or letters.read_bytes() == b""
    assert server.consumer(consumer)["metrics"]["restarts"] == 0


@pytest.mark.timeout(60)
def test_keys_that_differ_in_case_alone_are_one_key_to_citext(flow, make_server, database, dice):
    """Hundreds of them in a transaction: the last one counts, however it is written, and so does the deletion."""
    database.run("CREATE EXTENSION citext; CREATE TABLE people (name citext PRIMARY KEY, n int)")
    names = ("Anna", "bERTA", "ćwir", "Émile", "ÖZGÜR")
    wanted, sent = {}, []
    for n in range(3_000):
        name = dice.choice(names)
        deletes = n % 13 == 0
        sent.append((0, None if deletes else b'{"n": %d}' % n, dice.choice((str.upper, str.lower, str.title, str))(name).encode()))
        wanted.pop(name.lower(), None) if deletes else wanted.update({name.lower(): n})
    flow.cluster.produce(flow.stream.topic, sent)
    config = {"table": "people", "columns": {"name": "$key", "n": "/n"}, "mode": "upsert", "key_columns": ["name"], "delete_on_null": True}
    server = make_server().start()
    consumer = server.create(flow.cluster, flow.stream.topic, flow.group, [("database_sync", {"db_dsn": flow.dsn, **config})])
    committed = lambda: flow.cluster.committed(flow.group, flow.stream.topic)
    wait_until(lambda: committed().get(0) == len(sent), 20, lambda: f"{committed()}: {server.consumer(consumer)}")
    assert {name.lower(): int(n) for name, n in database.query("SELECT name, n FROM people")} == wanted


@pytest.mark.timeout(120)
@pytest.mark.parametrize("isolation", ("repeatable read", "serializable"))
def test_a_stricter_isolation_of_the_database_changes_nothing(flow, make_server, database, isolation):
    """40001 has no place: what others change meanwhile is seen by the fence, not by the isolation."""
    database.run(f"ALTER DATABASE {database.url.rsplit('/', 1)[1]} SET default_transaction_isolation = '{isolation}'")
    database.close()
    server = make_server().start()
    consumer = flow.create(server)
    flow.stream.send(1)
    flow.wait_complete(30)
    with flow.stream.sending(rate=4_000) as _:
        for _ in range(20):
            database.run("BEGIN ISOLATION LEVEL READ COMMITTED; UPDATE fetcher_positions SET updated_at = now(); COMMIT")
    flow.wait_complete(60)
    assert server.consumer(consumer)["metrics"]["restarts"] == 0
    assert server.consumer(consumer)["metrics"]["errors"] == 0


@pytest.mark.timeout(120)
def test_too_many_connections_are_waited_for(flow, make_server, database):
    """53300"""
    name = database.url.rsplit("/", 1)[1]
    database.query(f"ALTER DATABASE {name} CONNECTION LIMIT 1")  # on the one connection that there may be
    server = make_server().start()
    consumer = flow.create(server)
    flow.stream.send(1_000)
    wait_until(lambda: "too many connections" in reasons(server, consumer), 20, lambda: reasons(server, consumer))
    database.query(f"ALTER DATABASE {name} CONNECTION LIMIT -1")
    flow.wait_complete(30)
    assert server.consumer(consumer)["metrics"]["restarts"] == 0


@pytest.mark.timeout(120)
def test_rights_that_are_revoked_and_a_table_that_is_altered_stop_the_consumer_with_the_reason(flow, make_server, database):
    """42501, 42703: a person has to mend it; then it goes on where it stood."""
    server = make_server().start()
    consumer = flow.create(server)
    flow.stream.send(1_000)
    flow.wait_complete(30)

    def breaks_and_is_mended(breaks, mends, said):
        database.run(breaks)
        flow.stream.send(100)
        server.wait_status(consumer, "ERROR")
        wait_until(lambda: said in json.dumps(server.consumer(consumer)["last_error"]), 20, lambda: server.consumer(consumer)["last_error"])
        database.run(mends)
        server.expect(200, "POST", f"/api/consumers/{consumer}/start")
        flow.wait_complete(30)

    breaks_and_is_mended("REVOKE INSERT ON kafka_messages FROM fetcher", "GRANT INSERT ON kafka_messages TO fetcher", "permission denied for table kafka_messages")
    breaks_and_is_mended("ALTER TABLE kafka_messages RENAME value TO content", "ALTER TABLE kafka_messages RENAME content TO value", "value")
    flow.wait_committed()


@pytest.mark.timeout(180)
def test_kills_and_crashes_amid_upserts_with_columns_leave_the_last_of_each_key(cluster, group, database, make_server, postgres_server, dice):
    """Upsert and mapped columns: what counts in the end is the last record of each key, and no deleted one comes back."""
    database.run("CREATE TABLE state (id int PRIMARY KEY, n bigint NOT NULL)")
    topic = cluster.make_topic("upsert", 1)
    server = make_server().start()
    config = {
        "db_dsn": database.url, "table": "state", "columns": {"id": "$key/id", "n": "/n"}, "mode": "upsert", "key_columns": ["id"],
        "delete_on_null": True, "max_batch_records": 500, "workers": 1,
    }  # fmt: skip
    server.create(cluster, topic, group, [("database_sync", config)])
    wanted, n = {}, 0
    for how in ("kill", "crash", "kill", "both"):
        sent = []
        for _ in range(20_000):
            n += 1
            key = dice.randrange(300)
            deletes = n % 11 == 0
            sent.append((0, None if deletes else json.dumps({"n": n}).encode(), json.dumps({"id": key}).encode()))
            if deletes:
                wanted.pop(key, None)
            else:
                wanted[key] = n
        cluster.produce(topic, sent)
        time.sleep(dice.uniform(0, 0.1))
        if how != "crash":
            server.kill9()
        if how != "kill":
            database.close()
            postgres_server.stop("--immediate")
            postgres_server.start()
        if how != "crash":
            server.start(wait=False)
    found = lambda: {int(key): int(value) for key, value in database.query("SELECT id, n FROM state")}
    wait_until(lambda: cluster.committed(group, topic) == {0: n}, 60, lambda: f"{cluster.committed(group, topic)} of {n}")
    assert found() == wanted


@pytest.fixture
def tls_server(tmp_path_factory):
    """A PostgreSQL with TLS whose certificate is for localhost, and the folder with ca.pem, which signed it, and other-ca.pem, which did not."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="postgres-tls-"))  # where the server's user can read it
    folder.chmod(0o755)
    other = make_authority(folder, "other-ca")
    # What libpq reads of an account unless it is told not to: with this one no certificate of the first authority is good.
    home = folder / "home/.postgresql"
    home.mkdir(parents=True)
    make_revocation_list(other, home / "root.crl")
    certificate, key = make_server_certificate(folder, make_authority(folder, "ca"), "DNS:localhost")
    if os.getuid() == 0:
        shutil.chown(key, "postgres")
    key.chmod(0o600)
    server = OwnPostgres(tmp_path_factory.mktemp("tls"), ["ssl = on", f"ssl_cert_file = '{certificate}'", f"ssl_key_file = '{key}'"])
    server.start()
    yield server, folder
    server.remove()
    shutil.rmtree(folder)


@pytest.mark.timeout(120)
def test_the_certificate_of_the_database_is_checked_where_that_is_asked_for(flow, make_server, tls_server):
    postgres, folder = tls_server
    url = postgres.make_database()
    flow.database = Database(url)
    server = make_server(CERTIFICATES_DIR=str(folder), HOME=str(folder / "home")).start()
    dsn = lambda host, authority: f"{url.replace('127.0.0.1', host)}?sslmode=verify-full&sslrootcert={authority}"
    flow.stream.send(500)
    flow.dsn = dsn("localhost", "other-ca.pem")
    consumer = flow.create(server)
    change = lambda to: server.expect(
        200, "PUT", f"/api/consumers/{consumer}", {"processor_configs": [{"processor_type": "database_sync", "config": {"db_dsn": to}}]}
    )
    said = lambda: json.dumps(server.consumer(consumer)["last_error"])
    wait_until(lambda: "certificate verify failed" in said(), 20, said)
    change(dsn("127.0.0.1", "ca.pem"))
    wait_until(lambda: "does not match host name" in said(), 20, said)
    change(dsn("localhost", "ca.pem"))
    flow.wait_complete(30)
    assert flow.database.value("SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'kafka-fetcher' AND NOT ssl") == "0"
    flow.database.close()
