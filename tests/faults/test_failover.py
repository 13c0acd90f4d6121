"""A PostgreSQL whose machine goes, with a standby that takes over: at another address of the same name, and without what it had not been sent yet."""

import json
import socket

import pytest

from harness.database import Database, TableFlow
from harness.flow import FileFlow
from harness.host_names import HostNames
from harness.http_server import HttpEndpoint
from harness.postgres import OwnPostgres
from harness.proxy import Proxy
from harness.records import Stream
from harness.waiting import wait_until

PARTITIONS = 3
NAME = "sink.test"


@pytest.fixture
def names(tmp_path):
    return HostNames(tmp_path / "names")


class Pair:
    """A primary at 127.0.0.1 and a standby at 127.0.0.2, on one port, with a database. Its name leads to both, to the standby first, as does a list of hosts."""

    def __init__(self, folder, names):
        self.link = Proxy()
        self.primary = OwnPostgres(folder / "primary")
        self.standby = OwnPostgres.standby_of(self.primary, folder / "standby", "127.0.0.2", self.link.port)
        self.link.target_port = self.primary.port
        names.lead(NAME, "127.0.0.2", "127.0.0.1")

    def start(self):
        self.primary.start()
        self.database = self.primary.make_database().rsplit("/", 1)[1]
        self.standby.start()
        url = self.primary.url(self.database)
        self.url = url.replace("127.0.0.1", NAME)
        self.url_of_hosts = url.replace("127.0.0.1:", f"127.0.0.2:{self.primary.port},127.0.0.1:")

    def cut_off(self):
        """What the primary writes from now on, the standby does not get. It has all that was there before."""
        end = self.primary.sql("SELECT pg_current_wal_lsn()")
        wait_until(lambda: self.standby.sql(f"SELECT pg_last_wal_replay_lsn() >= '{end}'") == "t", 20, "the standby follows")
        self.link.stall()

    def close(self):
        for server in (self.primary, self.standby):
            server.remove()
        self.link.close()


@pytest.fixture
def pair(tmp_path, names):
    pair = Pair(tmp_path, names)
    try:
        pair.start()
        yield pair
    finally:
        pair.close()


@pytest.mark.timeout(120)
def test_a_failover_that_loses_the_tail_of_a_table_is_written_again(make_server, cluster, group, tmp_path, names, pair):
    """The group has committed what the promoted one does not have: its own position counts."""
    stream = Stream(cluster.servers, cluster.make_topic("failover", PARTITIONS), PARTITIONS)
    flow = TableFlow(cluster, stream, group, Database(pair.primary.url(pair.database)), tmp_path, dsn=pair.url)
    server = make_server(**names.environment).start()
    consumer = flow.create(server)
    stream.send(2_000)
    flow.wait_complete(30)
    pair.cut_off()
    with stream.sending(rate=3_000):
        wait_until(lambda: sum(cluster.committed(group, stream.topic).values()) > 10_000, 30, "more is committed")
        flow.assert_holds()
        flow.database.close()
        pair.primary.kill9()
        flow.database = Database(pair.standby.url(pair.database))
        assert flow.total() == 6_000, "the standby lags"
        reasons = lambda: json.dumps(server.consumer(consumer)["health"])
        wait_until(lambda: "PostgreSQL at" in reasons(), 20, reasons)
        assert server.consumer(consumer)["status"] == "ACTIVE"
        pair.standby.promote()
        wait_until(lambda: flow.total() > 14_000, 30, lambda: f"the promoted one is written to: {flow.total()}; {reasons()}")
    flow.wait_complete(30)
    flow.wait_committed()
    flow.database.close()
    found = server.consumer(consumer)
    assert found["status"] == "ACTIVE" and found["metrics"]["gaps"] == 0
    assert "has gone back" in server.log.read_text()


@pytest.mark.timeout(120)
def test_a_failover_of_the_configurations_database_stops_no_pipeline(make_server, cluster, group, out_folder, pair):
    """Writes are answered with 503 until the standby is promoted. What was changed last is lost with the primary: then what the database says counts."""
    streams = [Stream(cluster.servers, cluster.make_topic("failover", 1), 1) for _ in range(2)]
    stays, lost = [FileFlow(cluster, stream, f"{group}-{n}", out_folder / f"{n}.log") for n, stream in enumerate(streams)]
    server = make_server(roots=str(out_folder), DATABASE_URL=pair.url_of_hosts).start()
    make = lambda flow: server.create_file_sink(cluster, flow.stream.topic, flow.group, flow.path)
    consumer = make(stays)
    path = f"/api/consumers/{consumer}"
    stays.stream.send(100)
    stays.wait_complete(20)
    pair.cut_off()
    forgotten = make(lost)
    server.expect(200, "PUT", path, {"retry": {"initial": "700ms"}})
    lost.stream.send(100)
    lost.wait_complete(20)
    with stays.stream.sending(rate=2_000):
        pair.primary.kill9()
        for method, tail, sent in (("PUT", path, {"retry": {"initial": "800ms"}}), ("POST", path + "/stop", None), ("DELETE", path, None)):
            answer = server.api(method, tail, sent)
            assert answer.status == 503 and int(answer.headers["retry-after"]) > 0, answer
        durable = lambda: sum(stays.durable().values())
        before = durable()
        wait_until(lambda: durable() > before + 2_000, 20, "records flow on")
        answer = server.api("GET", f"/api/consumers/{forgotten}")
        assert answer.status == 200 and "warning" in answer.headers, f"nobody believes the standby: {answer}"
        pair.standby.promote()
        wait_until(lambda: server.api("GET", f"/api/consumers/{forgotten}").status == 404, 20, "the promoted one is asked")
        wait_until(lambda: f"{forgotten}: stopped" in server.log.read_text(), 20, "what the database does not know is stopped")
        assert server.consumer(consumer)["retry"]["initial"] == "100ms"
        changed = server.expect(200, "PUT", path, {"retry": {"initial": "900ms"}})
        assert changed["retry"]["initial"] == "900ms" and changed["revision"] == 2
        before = durable()
        wait_until(lambda: durable() > before + 2_000, 20, "records flow on")
    stays.wait_complete(20)
    assert server.consumer(consumer)["status"] == "ACTIVE"


def black_hole(address, port):
    """Sockets that make connections to it wait: the one that may be waiting to be accepted already is."""
    hole = socket.socket()
    hole.bind((address, port))
    hole.listen(0)
    return [hole, socket.create_connection((address, port))]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("way", ("refuses", "hangs", "refuses, of a list of hosts"))
def test_a_name_whose_first_address_is_of_no_use_is_followed_to_the_next(make_server, cluster, group, names, tmp_path, postgres_server, database, way):
    """Of the table, of the endpoint and of the configuration's database."""
    endpoint = HttpEndpoint()
    names.lead(NAME, "127.0.0.3", "127.0.0.1")
    holes = [black_hole("127.0.0.3", port) for port in (postgres_server.port, endpoint.port)] if way == "hangs" else []
    by_name = lambda url: url.replace("127.0.0.1", NAME)
    at_database = (lambda url: url.replace("127.0.0.1:", f"127.0.0.3:{postgres_server.port},127.0.0.1:")) if "list" in way else by_name
    stream = Stream(cluster.servers, cluster.make_topic("addresses", PARTITIONS), PARTITIONS)
    flow = TableFlow(cluster, stream, group, database, tmp_path, dsn=at_database(database.url) + "?connect_timeout=2")
    stream.send(500)
    try:
        server = make_server(DATABASE_URL=at_database(postgres_server.make_database()) + "?connect_timeout=10", **names.environment).start()
        consumer = server.create(cluster, stream.topic, group, [
            ("database_sync", {"db_dsn": flow.dsn, "table": flow.table}),
            ("streaming_forwarder", {"endpoint_url": by_name(endpoint.url), "format": "ndjson", "connect_timeout": "1s"}),
        ])  # fmt: skip
        flow.wait_complete(20)
        wait_until(lambda: endpoint.records() == stream.total, 20, lambda: f"the endpoint has {endpoint.records()}: {server.consumer(consumer)['health']}")
        flow.wait_committed()
        assert server.expect(200, "PUT", f"/api/consumers/{consumer}", {"retry": {"initial": "200ms"}})["retry"]["initial"] == "200ms"
    finally:
        for sockets in holes:
            for each in sockets:
                each.close()
        endpoint.close()
