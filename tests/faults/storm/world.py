"""One consumer with a file, a table and an endpoint, run by replicas, and everything around it that faults happen to."""

import os
import pathlib
import subprocess
import time

from harness.broker import Cluster
from harness.database import Database, TableFlow
from harness.flow import FileFlow
from harness.machine import Machine
from harness.postgres import OwnPostgres
from harness.proxy import Proxy
from harness.records import Stream
from harness.server import Server
from harness.waiting import free_port, wait_until

from . import verdicts
from .asked import AskedBroker
from .watch import Watch

PARTITIONS = 6
MEMBERS = ("one", "two", "guest")
RECORD_BYTES = 120
RECORDS_PER_SECOND = 3000
MIB = 1 << 20
BUDGET = 32 * MIB
# Beside the budget: the program, librdkafka's own, of each database worker two batches, what malloc keeps.
MOST_RSS = BUDGET + 96 * MIB
MOST_IN_FLIGHT = len(MEMBERS) * BUDGET
FLOWS_AGAIN_SECONDS = 120  # pauses before a restart grow up to a minute
TABLE = "kafka_messages"


class SmallDisk:
    """A file system whose size can be changed, where that is allowed (root)."""

    ROOMY = "8g"

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={self.ROOMY}", "tmpfs", folder], capture_output=True)
        self.there = done.returncode == 0

    def resize(self, size):
        subprocess.run(["mount", "-o", f"remount,size={size}", self.folder], check=True, timeout=20)

    def fill(self):
        """Room for 64 KiB more."""
        found = os.statvfs(self.folder)
        self.resize((found.f_blocks - found.f_bfree) * found.f_frsize + 65_536)

    def make_room(self):
        self.resize(self.ROOMY)

    def close(self):
        if self.there:
            subprocess.run(["umount", "-l", self.folder], check=True, timeout=20)
            self.there = False


class World:
    def __init__(self, folder, journal):
        self.folder, self.journal = pathlib.Path(folder), journal
        self._closers = []
        self.members, self.watches = {}, {}
        try:
            self._build()
        except BaseException:
            self.close()
            raise

    def _made(self, thing, close):
        self._closers.append((thing, close))
        return thing

    def _build(self):
        self.disk = self._made(SmallDisk(self.folder / "disk"), SmallDisk.close)
        self.out = self.disk.folder
        self.broker_link = self._made(Proxy(), Proxy.close)
        self.database_link = self._made(Proxy(), Proxy.close)
        self.broker_link.target_port = free_port()
        self.broker = AskedBroker(self.folder / "kafka", extra_listener=(self.broker_link.target_port, self.broker_link.port))
        self._made(self.broker, AskedBroker.stop).start()
        self.postgres = OwnPostgres(self.folder / "postgres")
        self._made(self.postgres, OwnPostgres.remove).start()
        self.database_link.target_port = self.postgres.port
        self.endpoint = self._made(verdicts.Ledger(self.folder), verdicts.Ledger.close)
        self.stream = Stream(self.broker.servers, self.broker.make_topic("storm", PARTITIONS), PARTITIONS, size=RECORD_BYTES)
        self.group = "storm"
        database = Database(self.postgres.make_database())
        self._made(database, lambda database: database.close())
        self.table = TableFlow(self.broker, self.stream, self.group, database, self.folder, TABLE)
        self.table.dsn = database.url.replace(f":{self.postgres.port}/", f":{self.database_link.port}/")
        self.file = FileFlow(self.broker, self.stream, self.group, self.out / "p{partition}.log")
        settings = self.postgres.make_database()
        for name in MEMBERS:
            server = Server(self.folder / name, self.broker.servers, roots=str(self.out), DATABASE_URL=settings, INSTANCE_ID=name, MEMORY_BUDGET="32MiB")
            self.members[name] = self._made(server, Server.close)
        self.members["one"].start()
        self.consumer_id = self.members["one"].create(Cluster(f"127.0.0.1:{self.broker_link.port}"), self.stream.topic, self.group, self.processors())
        self.machine = self._made(Machine(), Machine.close)
        for name, server in self.members.items():
            self.watches[name] = self._made(Watch(name, server, self.machine, self.consumer_id, MOST_RSS, MOST_IN_FLIGHT), Watch.close)
        self.watches["one"].up()
        self.bring_up("two")

    def processors(self, fsync_interval="100ms", records=500):
        return [
            ("file_sink", {"file_path": self.file.path, "fsync_interval": fsync_interval}),
            ("database_sync", {"db_dsn": self.table.dsn, "table": TABLE, "max_batch_records": records * 10}),
            ("streaming_forwarder", {"endpoint_url": self.endpoint.url, "format": "ndjson", "max_batch_records": records, "request_timeout": "2s"}),
        ]

    def close(self):
        for thing, close in reversed(self._closers):
            try:
                close(thing)
            except Exception as error:  # the rest must be ended too
                print(f"while ending {type(thing).__name__}: {error!r}")
        self._closers = []

    # --- members ------------------------------------------------------------------------------------------------------

    def bring_up(self, name):
        """Starts it as a supervisor would: again, if it ends because its database is not there."""
        server, deadline = self.members[name], time.monotonic() + 90
        server.start(wait=False)
        while True:
            assert time.monotonic() < deadline, f"{name} does not become ready: {server.log_tail()}"
            code = server.wait_gone(0.02)
            if code is not None:
                assert code > 0 and "PostgreSQL" in server.log_tail(3), f"{name} ended with {code}: {server.log_tail()}"
                self.journal.tell(f"{name} ended, since it found no database, and is started again")
                server.start(wait=False)
                continue
            try:
                if server.api("GET", "/readyz", timeout=2).status == 200:
                    break
            except OSError:
                pass
        self.watches[name].up()

    def any_up(self, dice_index=0):
        up = [name for name in MEMBERS if self.watches[name].is_up()]
        return self.members[up[dice_index % len(up)]] if up else None

    # --- what it looks like ---------------------------------------------------------------------------------------------

    def held(self):
        return {"file": self.file.durable(), "table": self.table.positions(), "endpoint": self.endpoint.positions()}

    def check_now(self, whole):
        """What must hold at any moment while broker and database can be asked. `whole`: also what the file and table hold."""
        committed = self.broker.committed(self.group, self.stream.topic)  # before the sinks: all only grow
        wrong = verdicts.of_commits(committed, self.held())
        assert not wrong, wrong
        if whole:
            self.file.assert_holds()
            self.table.assert_holds()
        self.assert_watched()

    def assert_watched(self):
        problems = [problem for watch in self.watches.values() for problem in watch.problems]
        assert not problems, problems

    def wait_flows(self):
        """Each sink takes something new of each partition."""
        before = self.held()
        missing = lambda: [
            f"{sink} {p}" for sink, now in self.held().items() for p in range(PARTITIONS) if now.get(p, 0) <= before[sink].get(p, 0)
        ]
        wait_until(lambda: not missing(), FLOWS_AGAIN_SECONDS, lambda: f"flows again; not {missing()} of {self.broker.end_offsets(self.stream.topic, PARTITIONS)}: {self.tell_health()}", interval=0.2)

    def tell_health(self):
        server = self.any_up()
        if server is None:
            return "nobody is up"
        seen = server.consumer(self.consumer_id)
        return {key: seen[key] for key in ("status", "health", "last_error", "replicas") if key in seen}

    # --- the end ------------------------------------------------------------------------------------------------------

    def wait_rest(self, seconds=240):
        """Everything that was sent is in every sink, and committed. Says what is lacking; the verdicts say what of it is lost."""
        wanted = {p: n for p, n in self.stream.next.items() if n}

        def lacking():
            held = {**self.held(), "the group": self.broker.committed(self.group, self.stream.topic)}
            return {name: positions for name, positions in held.items() if positions != wanted}

        deadline = time.monotonic() + seconds
        while (left := lacking()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return [f"not within {seconds} s: everything arrives ({wanted}); {name} is at {found}" for name, found in left.items()]

    def verdict(self):
        files = [name for name in self.file.active_files() if pathlib.Path(name).exists()]
        return [
            *verdicts.of_files(files, self.stream),
            *verdicts.of_table(self.table.database, TABLE, self.stream, self.folder),
            *verdicts.of_endpoint(self.endpoint, self.stream),
            *verdicts.of_commits(self.broker.committed(self.group, self.stream.topic), self.held()),
        ]

    def summary(self):
        told = [f"{self.stream.total} records, {self.endpoint.requests} requests, {self.endpoint.repeated_records} records came to the endpoint again"]
        for name, watch in self.watches.items():
            told.append(f"{name}: {watch.asked} questions, the slowest {watch.slowest * 1000:.0f} ms, {watch.excused} late with the machine, at most {watch.most_rss >> 20} MiB")
        return told
