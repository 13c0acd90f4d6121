"""database_sync: every record in the table once, whatever dies, hangs or is cut off. What is proven is proven of the rows."""

import json
import time

import pytest

from harness.database import TableFlow
from harness.flow import FileFlow
from harness.kills import kill_in_flow, wait_delivered
from harness.knobs import knob
from harness.proxy import Proxy
from harness.records import Stream
from harness.waiting import wait_until

PARTITIONS = 4
COPY_DONE = b"\xff\xffc\x00\x00\x00\x04"  # the last row's end and the message that ends a COPY


@pytest.fixture
def flow(cluster, group, database, tmp_path):
    topic = cluster.make_topic("database", PARTITIONS)
    return TableFlow(cluster, Stream(cluster.servers, topic, PARTITIONS), group, database, tmp_path)


def reasons(server, consumer_id):
    return json.dumps(server.consumer(consumer_id)["health"])


def last_error(server, consumer_id):
    """Why it is in ERROR."""
    server.wait_status(consumer_id, "ERROR")
    return wait_until(lambda: server.consumer(consumer_id)["last_error"], 10, "the reason is told")["detail"]


# --- what it writes ---------------------------------------------------------------------------------------------------


@pytest.mark.timeout(60)
def test_the_example_of_the_api_works(cluster, group, database, make_server):
    """Nothing but a db_dsn: the table is made, everything of a record is in it."""
    topic = cluster.make_topic("database", 1)
    cluster.produce(topic, [(0, b'{"a":1}', b"k", [("h", b"x")]), (0, None, b"gone"), (0, "né\n\t".encode())])
    server = make_server().start()
    server.create(cluster, topic, group, [("database_sync", {"db_dsn": database.url})])
    wait_until(lambda: database.value("SELECT to_regclass('kafka_messages')"), 20, "the table is made")
    wait_until(lambda: database.value("SELECT count(*) FROM kafka_messages") == "3", 20, "three rows")
    rows = database.query('SELECT topic, partition, "offset", key, headers, replace(value, chr(10), \'NL\') FROM kafka_messages ORDER BY "offset"')
    assert rows == [
        [topic, "0", "0", "k", '[{"name": "h", "value": "x"}]', '{"a":1}'],
        [topic, "0", "1", "gone", "", ""],
        [topic, "0", "2", "", "", "néNL\t"],
    ]
    assert database.value("SELECT count(*) FROM kafka_messages WHERE \"timestamp\" BETWEEN now() - interval '1 min' AND now()") == "3"


@pytest.mark.timeout(60)
def test_json_goes_into_typed_columns(cluster, group, database, make_server):
    database.run("CREATE TABLE orders (id bigint PRIMARY KEY, customer text NOT NULL, amount numeric(12,2), paid boolean, at timestamptz, line jsonb)")
    topic = cluster.make_topic("database", 1)
    values = [{"id": i, "who": {"name": f"c{i}"}, "amount": f"{i}.50", "paid": i % 2 == 0, "at": "2025-01-31T12:00:00Z", "line": [i]} for i in range(500)]
    cluster.produce(topic, [(0, json.dumps(value).encode()) for value in values])
    server = make_server().start()
    columns = {"id": "/id", "customer": "/who/name", "amount": "/amount", "paid": "/paid", "at": "/at", "line": "/line"}
    server.create(cluster, topic, group, [("database_sync", {"db_dsn": database.url, "table": "public.orders", "columns": columns})])
    wait_until(lambda: database.value("SELECT count(*) FROM orders") == "500", 20, "500 rows")
    assert database.value(
        "SELECT bool_and(customer = 'c' || id AND amount = id + 0.5 AND paid = (id % 2 = 0) AND at = '2025-01-31 12:00Z' AND line = jsonb_build_array(id)) FROM orders"
    ) == "t"


@pytest.mark.timeout(60)
def test_an_upsert_keeps_the_last_record_of_each_key(cluster, group, database, make_server):
    topic = cluster.make_topic("database", 1)
    sent = [(0, f"v{i}".encode(), f"k{i % 7}".encode()) for i in range(3000)] + [(0, None, b"k3")]
    cluster.produce(topic, sent)
    server = make_server().start()
    config = {"db_dsn": database.url, "table": "latest", "mode": "upsert", "key_columns": ["key"], "delete_on_null": True, "max_batch_records": 700}
    server.create(cluster, topic, group, [("database_sync", config)])
    wait_until(lambda: database.value("SELECT to_regclass('latest')"), 20, "the table is made")
    wanted = {f"k{i % 7}": f"v{i}" for i in range(3000)}
    del wanted["k3"]
    found = lambda: dict(database.query("SELECT key, value FROM latest"))
    wait_until(lambda: found() == wanted, 20, lambda: f"{found()}")


@pytest.mark.timeout(60)
def test_a_record_that_postgres_refuses_stops_the_consumer_behind_those_before_it(flow, database, make_server):
    database.run("CREATE TABLE checked (n int CHECK (n <> 777))")
    flow.cluster.produce(flow.stream.topic, [(0, json.dumps({"n": n}).encode()) for n in range(1000)])
    server = make_server().start()
    flow.table = "checked"
    consumer = flow.create(server, columns={"n": "/n"})
    error = last_error(server, consumer)
    assert "partition 0 offset 777" in error and 'violates check constraint "checked_n_check"' in error, error
    assert database.query("SELECT count(*), max(n) FROM checked") == [["777", "776"]]
    database.run("ALTER TABLE checked DROP CONSTRAINT checked_n_check")
    server.expect(200, "POST", f"/api/consumers/{consumer}/start")
    wait_until(lambda: database.query("SELECT count(*), count(DISTINCT n) FROM checked") == [["1000", "1000"]], 30, "all rows, once")


@pytest.mark.timeout(60)
def test_bytes_that_are_no_text_stop_the_consumer_with_the_remedy(flow, make_server):
    flow.cluster.produce(flow.stream.topic, [(0, b"good"), (0, b"\xff\xfe"), (0, b"good")])
    server = make_server().start()
    consumer = flow.create(server)
    error = last_error(server, consumer)
    assert "partition 0 offset 1" in error and "bytea" in error, error
    assert flow.positions() == {0: 1}


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(90)
def test_a_password_comes_from_a_secret_and_is_never_shown(flow, database, make_server, tmp_path):
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    flow.dsn = database.url.replace(":fetcher@", ":${secret:DB_PASSWORD}@")
    server = make_server(SECRETS_DIR=str(secrets)).start()
    flow.stream.send(1000)
    consumer = flow.create(server)
    error = last_error(server, consumer)
    assert "DB_PASSWORD" in error and str(secrets) in error and "FETCHER_SECRET_DB_PASSWORD" in error, error
    (secrets / "DB_PASSWORD").write_text("wrong-hunter2\n")
    server.expect(200, "POST", f"/api/consumers/{consumer}/start")
    seen = lambda: server.consumer(consumer)["last_error"]["detail"]
    wait_until(lambda: "password authentication failed" in seen(), 20, seen)
    (secrets / "DB_PASSWORD").write_text("fetcher\n")
    server.expect(200, "POST", f"/api/consumers/{consumer}/start")
    flow.wait_complete(30)
    shown = json.dumps(server.consumer(consumer)) + server.log.read_text()
    assert "hunter2" not in shown and "${secret:DB_PASSWORD}" in shown


@pytest.mark.timeout(60)
def test_a_literal_password_is_masked_and_survives_being_sent_back(flow, database, make_server):
    flow.dsn = database.url.replace("fetcher:fetcher@", "fetcher:hunter2@")
    server = make_server().start()
    consumer = flow.create(server)
    shown = server.consumer(consumer)["processor_configs"]
    assert shown[0]["config"]["db_dsn"] == database.url.replace("fetcher:fetcher@", "fetcher:***@")
    server.expect(200, "PUT", f"/api/consumers/{consumer}", {"processor_configs": shown})
    error = last_error(server, consumer)
    assert "password authentication failed" in error and "***" not in error, error  # the password that was given, not the mask
    shown[0]["config"]["db_dsn"] = shown[0]["config"]["db_dsn"].replace("127.0.0.1", "localhost")
    answer = server.api("PUT", f"/api/consumers/{consumer}", {"processor_configs": shown})
    assert answer.status == 422 and answer.body["errors"][0]["pointer"] == "/processor_configs/0/config/db_dsn"
    assert "hunter2" not in server.log.read_text()


@pytest.mark.parametrize(
    "dsn", ["host=/var/run/postgresql", "postgresql://h/d?options=-csearch_path%3Dx", "host=h service=x", "host=169.254.169.254", "host=h sslrootcert=/etc/passwd"]
)
def test_what_a_dsn_must_not_hold_is_refused_by_name(cluster, group, server, dsn):
    processors = [{"processor_type": "database_sync", "config": {"db_dsn": dsn}}]
    body = {"broker_ip": cluster.host, "broker_port": cluster.port, "topic": "t", "consumer_group": group, "processor_configs": processors}
    answer = server.api("POST", "/api/consumers", body)
    assert answer.status == 422 and answer.body["errors"][0]["pointer"] == "/processor_configs/0/config/db_dsn", answer


# --- faults -----------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(300)
def test_kills_in_flow_lose_and_double_nothing(flow, make_server, dice):
    kills = knob("DATABASE_KILLS", 8)
    records = knob("DATABASE_KILL_RECORDS", 800_000)
    server = make_server().start()
    flow.create(server)
    with flow.stream.sending(count=records // PARTITIONS, rate=records / (kills * 1.6)) as sending:
        for _ in range(kills):
            kill_in_flow(server, flow.total, dice, flow.assert_holds, over=lambda: not sending.alive())
    wait_delivered(flow, [server])


@pytest.mark.timeout(300)
def test_kills_of_one_of_two_members_lose_and_double_nothing(flow, make_server, dice):
    servers = [make_server(name).start() for name in ("one", "two")]
    for server in servers:
        flow.create(server)
    with flow.stream.sending(rate=60_000) as _:
        for _ in range(knob("DATABASE_KILLS_OF_TWO", 5)):
            time.sleep(dice.uniform(0.5, 2))
            victim = dice.choice(servers)
            victim.kill9()
            flow.assert_holds()
            victim.start(wait=False)
    wait_delivered(flow, servers)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "how, config", (([], {}), (["--immediate"], {}), (["--immediate"], {"synchronous_commit": "off"})), ids=("fast", "immediate", "asynchronous")
)
def test_a_database_that_is_restarted_in_flow_loses_and_doubles_nothing(flow, make_server, postgres_server, how, config):
    server = make_server().start()
    consumer = flow.create(server, **config)
    with flow.stream.sending(rate=100_000) as _:
        for _ in range(knob("DATABASE_RESTARTS", 2)):
            total = flow.total()
            wait_until(lambda: flow.total() > total + 50_000, 30, "rows flow")
            flow.database.close()
            postgres_server.stop(*how)
            wait_until(lambda: "PostgreSQL" in reasons(server, consumer), 20, lambda: f"the health says why: {reasons(server, consumer)}")
            assert config or server.consumer(consumer)["status"] == "ACTIVE"  # one that starts again meanwhile, for its tail, cannot be opened
            postgres_server.start()
            if not config:
                flow.assert_holds()
    flow.wait_complete(60)
    flow.wait_committed()
    wait_until(lambda: server.consumer(consumer)["health"]["state"] == "ok", 20, lambda: reasons(server, consumer))
    if not config:  # whose tail is gone is read again from Kafka, by starting again
        assert server.consumer(consumer)["metrics"]["restarts"] == 0


@pytest.mark.timeout(180)
def test_a_frozen_process_that_wakes_writes_nothing_twice(flow, make_server):
    """Frozen beyond its session timeout it loses its partitions without knowing; awake again it may still be within a transaction."""
    one, two = (make_server(name).start() for name in ("one", "two"))
    flow.create(one)
    flow.create(two)
    held = lambda: flow.cluster.members(flow.group)
    with flow.stream.sending(rate=40_000) as _:
        wait_until(lambda: len(held()) == 2, 30, "both have partitions")
        wait_until(lambda: len(flow.positions()) == PARTITIONS, 30, lambda: f"rows of all partitions: {flow.positions()}")
        for _ in range(knob("DATABASE_FREEZES", 1)):
            time.sleep(1)
            one.freeze()
            wait_until(lambda: len(held()) == 1, 60, "the frozen one has lost them")
            frozen_at = flow.positions()
            wait_until(lambda: all(n > frozen_at.get(p, 0) for p, n in flow.positions().items()), 30, "every partition goes on")
            one.thaw()
            time.sleep(2)
            flow.assert_holds()
            wait_until(lambda: len(held()) == 2, 60, "both have partitions again")
    flow.wait_complete(60)
    flow.wait_committed()


@pytest.mark.timeout(120)
def test_a_commit_whose_answer_is_lost_is_not_repeated(flow, make_server, postgres_server):
    proxy = Proxy()
    proxy.target_port = postgres_server.port
    flow.dsn = flow.database.url.replace(f":{postgres_server.port}/", f":{proxy.port}/")
    try:
        server = make_server().start()
        consumer = flow.create(server, workers=1)
        for turn in range(knob("DATABASE_LOST_ANSWERS", 5)):
            flow.stream.send(2_000)
            flow.wait_complete(30)
            if turn == 1:  # from now on it is the index that refuses what is there already
                flow.database.run('CREATE UNIQUE INDEX ON kafka_messages (partition, "offset")')
            before = flow.total()
            proxy.hold_answers_from(COPY_DONE)
            flow.stream.send(2_000)
            wait_until(lambda: flow.total() > before, 20, "it is committed")
            assert proxy.answers_held()
            proxy.cut()
            proxy.let_answers()
        flow.wait_complete(60)
        assert server.consumer(consumer)["metrics"]["restarts"] == 0
    finally:
        proxy.close()


@pytest.mark.timeout(120)
def test_a_database_that_hangs_keeps_nobody_from_stopping(flow, make_server, postgres_server):
    server = make_server(sqlite=True).start()
    consumer = flow.create(server)
    flow.stream.send(10_000)
    flow.wait_complete(30)
    frozen = postgres_server.freeze()
    try:
        flow.stream.send(50_000)
        time.sleep(1)
        began = time.monotonic()
        answer = server.api("POST", f"/api/consumers/{consumer}/stop", timeout=30)
        assert answer.status in (200, 202), answer
        wait_until(lambda: server.consumer(consumer)["status"] == "INACTIVE", 20, lambda: reasons(server, consumer))
        assert time.monotonic() - began < 25
    finally:
        postgres_server.thaw(frozen)
    server.expect(200, "POST", f"/api/consumers/{consumer}/start")
    flow.wait_complete(60)


@pytest.mark.timeout(180)
def test_a_stopped_database_holds_up_no_file_beside_it(flow, make_server, postgres_server, out_folder):
    """Both sinks of one consumer: while the database is away the file goes on within the budget; then both are complete, each exactly once."""
    file = FileFlow(flow.cluster, flow.stream, flow.group, out_folder / "beside.log")
    server = make_server(roots=str(out_folder)).start()
    sinks = [("file_sink", {"file_path": str(file.path)}), ("database_sync", {"db_dsn": flow.dsn})]
    server.create(flow.cluster, flow.stream.topic, flow.group, sinks)
    flow.stream.send(5_000)
    flow.wait_complete(30)
    flow.database.close()
    postgres_server.stop()
    try:
        flow.stream.send(5_000)
        wait_until(lambda: sum(file.durable().values()) == flow.stream.total, 20, lambda: f"the file goes on: {file.durable()}")
    finally:
        postgres_server.start()
    flow.stream.send(5_000)
    flow.wait_complete(60)
    file.wait_complete(30)
    flow.wait_committed()
