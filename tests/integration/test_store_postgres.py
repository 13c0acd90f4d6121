"""The configuration in PostgreSQL: several replicas on one database, and a database that goes away."""

import collections
import concurrent.futures
import itertools
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import time

import pytest

from harness import paths, process
from harness.machine import Machine
from harness.postgres import OwnPostgres
from harness.records import Stream, assert_exact
from harness.waiting import free_port, wait_until
from test_api_support import assert_problem, consumer_body, make_api  # noqa: F401


@pytest.fixture
def url(postgres_server):
    return postgres_server.make_database()


def create(server, name="payments", **fields):
    return server.expect(201, "POST", "/api/consumers", consumer_body(server, name, **fields))


def timed(server, method, path, body=None):
    begin = time.monotonic()
    answer = server.api(method, path, body)
    return answer, time.monotonic() - begin


def started(server, consumer_id, revision):
    return any(f"consumer {consumer_id}: started" in line and line.endswith(f"revision {revision}") for line in server.log.read_text().splitlines())


def stops(server, consumer_id):
    return server.log.read_text().count(f"consumer {consumer_id}: stopped")


# --- the start -------------------------------------------------------------------------------------------------------


def run(tmp_path, **environment):
    begin = time.monotonic()
    ended = subprocess.run(
        [paths.BINARY], cwd=tmp_path, env={"PATH": os.environ["PATH"], "PORT": str(free_port()), **environment}, capture_output=True, text=True, timeout=30
    )
    return ended, time.monotonic() - begin


def test_a_database_that_is_not_there_stops_the_start(tmp_path):
    address = f"127.0.0.1:{free_port()}"
    ended, seconds = run(tmp_path, DATABASE_URL=f"postgresql://fetcher:hunter2@{address}/fetcher")
    assert ended.returncode == 1 and seconds < 20
    assert "DATABASE_URL" in ended.stderr and address in ended.stderr and "hunter2" not in ended.stderr + ended.stdout
    assert len(ended.stderr.splitlines()) == 1


def test_a_wrong_password_stops_the_start_at_once(tmp_path, url):
    ended, seconds = run(tmp_path, DATABASE_URL=url.replace("fetcher:fetcher", "fetcher:hunter2") + "?connect_timeout=60")
    assert ended.returncode == 1 and seconds < 20  # of the 60 that it would wait for one that is away
    assert "DATABASE_URL" in ended.stderr and "authentication failed" in ended.stderr and "hunter2" not in ended.stderr + ended.stdout


def test_a_frozen_database_stops_the_start(tmp_path, postgres_server, url):
    frozen = postgres_server.freeze()
    try:
        ended, seconds = run(tmp_path, DATABASE_URL=url)
    finally:
        postgres_server.thaw(frozen)
    assert ended.returncode == 1 and seconds < 25 and "DATABASE_URL" in ended.stderr


def test_variables_of_libpq_do_not_leak_in(make_api, url):
    server = make_api(
        DATABASE_URL=url, PGOPTIONS="-c search_path=nowhere -c default_transaction_read_only=on", PGSERVICE="nowhere", PGSSLMODE="verify-full",
        PGHOSTADDR="192.0.2.1", PGPORT="1", PGUSER="nobody", PGPASSWORD="hunter2", PGTARGETSESSIONATTRS="standby", PGREQUIREPEER="nobody",
    )  # fmt: skip
    create(server)


def test_the_log_names_the_database_without_the_password(make_api, postgres_server, url):
    server = make_api(DATABASE_URL=url, LOG_LEVEL="TRACE")
    create(server)
    assert "fetcher:fetcher" not in server.log.read_text()
    assert f"fetcher@127.0.0.1:{postgres_server.port}" in server.log.read_text()
    assert not (server.data / "kafka-fetcher.db").exists()


def test_an_encrypted_connection_is_verified(make_api, tmp_path, tmp_path_factory):
    """A certificate for localhost alone: by that name it is verified, by the address it is not."""

    def refused(url):
        ended, _ = run(tmp_path, DATABASE_URL=url + "&connect_timeout=1")  # what is cut short at the end of that time tells of the time alone
        assert ended.returncode == 1
        return ended.stderr

    # The server's user has to reach them.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="postgres-tls-"))
    folder.chmod(0o755)
    key, certificate = folder / "server.key", folder / "server.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate], check=True, capture_output=True,
    )  # fmt: skip
    if os.getuid() == 0:
        shutil.chown(key, "postgres")
    key.chmod(0o600)
    server = OwnPostgres(tmp_path_factory.mktemp("tls"), ["ssl = on", f"ssl_cert_file = '{certificate}'", f"ssl_key_file = '{key}'"])
    server.start()
    try:
        for host, verified in (("localhost", True), ("127.0.0.1", False)):
            url = server.make_database().replace("127.0.0.1", host) + f"?sslmode=verify-full&sslrootcert={certificate}"
            if not verified:
                wait_until(lambda: "certificate" in refused(url), 20, lambda: f"it is told why: {refused(url)}")
                continue
            api = make_api(DATABASE_URL=url)
            made = create(api)
            for number in range(20):
                api.expect(200, "PUT", f"/api/consumers/{made['consumer_id']}", {"topic": f"t{number}"})
            used = server.sql("SELECT count(*) FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE application_name = 'kafka-fetcher' AND NOT ssl")
            assert used == "0"
    finally:
        server.remove()
        shutil.rmtree(folder)


# --- what survives ---------------------------------------------------------------------------------------------------


def test_consumers_survive_kill_9(make_api, url):
    server = make_api(DATABASE_URL=url)
    running = create(server, "a", auto_start=True)
    stopped = create(server, "b")
    for number in range(3):
        changed = server.expect(200, "PUT", f"/api/consumers/{stopped['consumer_id']}", {"topic": f"topic{number}"})
        server.kill9()
        server.start()
        items = {item["consumer_id"]: item for item in server.expect(200, "GET", "/api/consumers")["items"]}
        assert items.keys() == {running["consumer_id"], stopped["consumer_id"]}
        assert items[running["consumer_id"]]["status"] == "ACTIVE" and items[stopped["consumer_id"]]["status"] == "INACTIVE"
        for name in ("topic", "processor_configs", "created_at", "updated_at", "revision"):
            assert items[stopped["consumer_id"]][name] == changed[name]


# --- replicas --------------------------------------------------------------------------------------------------------


def test_three_replicas_start_at_one_time_on_an_empty_database(make_api, postgres_server):
    for _ in range(3):
        url = postgres_server.make_database()
        replicas = [make_api(start=False, DATABASE_URL=url) for _ in range(3)]
        for replica in replicas:
            replica.start(wait=False)
        for replica in replicas:
            replica.wait_ready()
        made = create(replicas[0])
        for replica in replicas:
            assert replica.consumer(made["consumer_id"])["topic"] == "payments"
            replica.close()


@pytest.mark.alone
def test_every_change_reaches_the_other_replica_within_a_second(make_server, url, cluster, group, out_folder):
    one, two = (make_server(roots=str(out_folder), DATABASE_URL=url, INSTANCE_ID=f"instance-{name}").start() for name in ("one", "two"))
    topics = [cluster.make_topic("replicas", 4) for _ in range(2)]
    took = {}
    machine = Machine()
    delay = lambda: sum(process.run_delay_seconds(replica.pid) for replica in (one, two))

    def reaches(change, condition):
        begin, delayed = time.monotonic(), delay()
        wait_until(condition, 15, f"{change} reaches the other replica", interval=0.005)
        end = time.monotonic()
        excused = machine.late_seconds(begin, end) + max(0, delay() - delayed)
        took[change] = (round(end - begin, 3), round(excused, 3))
        assert end - begin - excused < 1, f"{change}: {took[change]}"

    consumer_id = one.create_file_sink(cluster, topics[0], group, out_folder / "{instance}.log")
    reaches("create", lambda: started(two, consumer_id, 1))
    path = f"/api/consumers/{consumer_id}"
    # The far end first: what is measured begins when the answer is there.
    assert one.api("POST", path + "/stop").status in (200, 202)
    reaches("stop", lambda: two.consumer(consumer_id)["health"]["state"] in ("stopping", "stopped"))
    two.wait_status(consumer_id, "INACTIVE")
    one.expect(200, "POST", path + "/start")
    reaches("start", lambda: started(two, consumer_id, 3))
    one.expect(200, "PUT", path, {"topic": topics[1]})
    reaches("update", lambda: started(two, consumer_id, 4) or stops(two, consumer_id) == 2 or two.consumer(consumer_id)["health"]["state"] == "stopping")
    wait_until(lambda: started(two, consumer_id, 4), 15, "the other replica runs the new definition")
    one.expect(204, "DELETE", path)
    wait_until(lambda: stops(two, consumer_id) == 3, 15, "the other replica has stopped it")
    machine.close()
    print("seconds, and those that the machine took:", took)


def test_a_consumer_created_on_one_runs_on_all_and_each_record_is_there_once(make_server, url, cluster, group, out_folder):
    topic = cluster.make_topic("shared", 6)
    replicas = [make_server(roots=str(out_folder), DATABASE_URL=url, INSTANCE_ID=f"r{number}").start() for number in range(3)]
    consumer_id = replicas[0].create_file_sink(cluster, topic, group, out_folder / "p{partition}.log")
    wait_until(lambda: len(cluster.members(group)) == 3 and all(cluster.members(group).values()), 30, "each replica has partitions")
    stream = Stream(cluster.servers, topic, 6)
    stream.send(2_000)
    files = [out_folder / f"p{partition}.log" for partition in range(6)]
    wait_until(lambda: cluster.committed(group, topic) == stream.next, 20, "all is delivered")
    assert_exact(files, stream)
    replicas[2].stop_consumer(consumer_id)
    wait_until(lambda: not cluster.members(group), 40, "stopped on all")


# --- a database that goes away ---------------------------------------------------------------------------------------


def test_pipelines_flow_on_without_the_database(make_server, postgres_server, url, cluster, group, out_folder):
    server = make_server(roots=str(out_folder), DATABASE_URL=url).start()
    topic = cluster.make_topic("flow", 1)
    consumer_id = server.create_file_sink(cluster, topic, group, out_folder / "a.log")
    path = f"/api/consumers/{consumer_id}"
    stream = Stream(cluster.servers, topic, 1)
    stream.send(1_000)
    wait_until(lambda: cluster.committed(group, topic) == {0: 1_000}, 20, "the first records")
    postgres_server.stop("--immediate")
    try:
        stream.send(1_000)
        wait_until(lambda: cluster.committed(group, topic) == {0: 2_000}, 20, "records flow on")
        body = {**consumer_body(server), "processor_configs": [{"processor_type": "file_sink", "config": {"file_path": str(out_folder / "b.log")}}]}
        for method, tail, sent in (
            ("POST", "/api/consumers", body), ("PUT", path, {"topic": "x"}), ("POST", path + "/stop", None), ("DELETE", path, None),
            ("POST", path + "/rollback", {"version": 1}),
        ):  # fmt: skip
            answer, seconds = timed(server, method, tail, sent)
            assert_problem(answer, 503)
            assert int(answer.headers["retry-after"]) > 0 and seconds < 5
        # What was known is still told, and that it may be old.
        answer, seconds = timed(server, "GET", path)
        assert answer.status == 200 and answer.body["status"] == "ACTIVE" and answer.headers["warning"].startswith("110 ") and seconds < 5
        listed = server.api("GET", "/api/consumers")
        assert [item["consumer_id"] for item in listed.body["items"]] == [consumer_id] and "warning" in listed.headers
        assert server.api("GET", "/livez").status == 200 and server.api("GET", "/readyz").status == 503
    finally:
        postgres_server.start()
    wait_until(lambda: server.api("POST", path + "/stop").status in (200, 202), 20, "writes work again")
    server.wait_status(consumer_id, "INACTIVE")
    answer = wait_until(lambda: "warning" not in (answer := server.api("GET", path)).headers and answer, 10, "what is told is new")
    assert answer.body["revision"] == 2


def test_changes_made_while_it_could_not_look_catch_up(make_api, postgres_server, url, out_folder):
    replicas = [make_api(roots=str(out_folder), DATABASE_URL=url) for _ in range(2)]
    processor = {"processor_type": "file_sink", "config": {"file_path": str(out_folder / "{instance}.log")}}
    made = create(replicas[0], auto_start=True, processor_configs=[processor])
    wait_until(lambda: started(replicas[1], made["consumer_id"], 1), 15, "both run it")
    postgres_server.stop()
    try:
        time.sleep(2)
    finally:
        postgres_server.start()
    wait_until(lambda: replicas[0].api("POST", f"/api/consumers/{made['consumer_id']}/stop").status in (200, 202), 20, "writes work again")
    wait_until(lambda: replicas[1].consumer(made["consumer_id"])["health"]["state"] == "stopped", 15, "the other catches up")


def test_every_answered_change_survives_restarts_of_the_database(make_api, postgres_server, url, out_folder):
    replicas = [make_api(roots=str(out_folder), DATABASE_URL=url) for _ in range(2)]
    processor = {"processor_type": "file_sink", "config": {"file_path": str(out_folder / "{instance}.log")}}
    path = f"/api/consumers/{create(replicas[0], processor_configs=[processor])['consumer_id']}"
    done = threading.Event()
    kept, statuses = {}, collections.Counter()

    def write(writer):
        for number in itertools.count():
            if done.is_set():
                return
            topic = f"topic-{writer}-{number}"
            answer = replicas[writer].api("PUT", path, {"topic": topic})
            statuses[answer.status] += 1
            if answer.status in (200, 202):
                assert kept.setdefault(answer.body["revision"], topic) == topic, "one revision for two writers"
            else:
                assert answer.status in (409, 503), answer
                time.sleep(0.02)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write, writer) for writer in range(2)]
        try:
            for options in (["--immediate"], [], ["--immediate"]):
                time.sleep(0.5)
                postgres_server.stop(*options)
                time.sleep(0.5)
                postgres_server.start()
                before = len(kept)
                wait_until(lambda: len(kept) > before + 20, 30, "writes work again")
        finally:
            done.set()
        for writer in writers:
            writer.result(10)
    # A change that was answered with 503 may be there as well; one that was answered with 200 or 202 is there, unless it is too old to be kept.
    stored, cursor = {}, ""
    while cursor is not None:
        page = replicas[0].expect(200, "GET", f"{path}/versions?limit=1000" + (f"&cursor={cursor}" if cursor else ""))
        stored.update({item["version"]: item["config"]["topic"] for item in page["items"]})
        cursor = page["next_cursor"]
    oldest = min(stored)
    assert {revision: topic for revision, topic in kept.items() if revision >= oldest} == {
        revision: topic for revision, topic in stored.items() if revision in kept
    }
    assert statuses[503] > 0 and max(kept) <= max(stored)
    print(dict(statuses), "revisions", max(stored))


@pytest.mark.alone
def test_a_frozen_database_holds_nobody_up_for_long(make_api, postgres_server, url):
    server = make_api(DATABASE_URL=url)
    made = create(server, auto_start=True)
    path = f"/api/consumers/{made['consumer_id']}"
    frozen = postgres_server.freeze()
    try:
        requests = [("PUT", path, {"topic": f"t{n}"}) for n in range(10)] + [("GET", path, None)] * 10 + [("GET", "/api/consumers", None)] * 10
        requests += [("POST", path + "/start", None)] * 5 + [("DELETE", path, None)] * 5
        with concurrent.futures.ThreadPoolExecutor(len(requests)) as pool:
            answers = list(pool.map(lambda request: (request[0], *timed(server, *request)), requests))
        assert max(seconds for _, _, seconds in answers) < 10, sorted(seconds for _, _, seconds in answers)
        assert {answer.status for method, answer, _ in answers if method == "GET"} == {200}
        assert {answer.status for method, answer, _ in answers if method != "GET"} == {503}
        print("longest answer:", max(seconds for _, _, seconds in answers))
        # From now on it is known, and nobody waits but one at a time.
        took = sorted(timed(server, "GET", path)[1] for _ in range(10))
        assert took[5] < 0.5, took
        alive = [timed(server, "GET", "/livez") for _ in range(5)]
        assert {answer.status for answer, _ in alive} == {200} and min(seconds for _, seconds in alive) < 0.5, alive
    finally:
        postgres_server.thaw(frozen)
    wait_until(lambda: server.api("PUT", path, {"topic": "thawed"}).status in (200, 404), 10, "writes work again")


def test_it_leaves_in_time_although_the_database_is_frozen(make_api, postgres_server, url):
    server = make_api(DATABASE_URL=url)
    create(server, auto_start=True)
    frozen = postgres_server.freeze()
    try:
        time.sleep(1)
        code, seconds = server.terminate()
    finally:
        postgres_server.thaw(frozen)
    assert code == 0 and seconds < 10
