#!/usr/bin/env python3
"""How fast does a topic get into PostgreSQL, exactly once, against psql alone with the same rows?

Four shapes: the standard table, JSON into five typed columns, the same with a primary key, and an upsert. Each time kafka-fetcher moves a topic
into a table; what is in it is exported in binary, and psql loads that into an equal table by itself: `\\copy … (FORMAT BINARY)` of one file, for
the upsert the same statements in transactions of as many rows. All in turn, in one run, so that whatever else the machine does hits both alike.

Rates: of psql over the whole command; of kafka-fetcher from its first committed transaction to its last, and over all, from the creation of
the consumer. Everything runs on 127.0.0.1 and ends by itself.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

from contenders import ROOT

from confluent_kafka import Producer
from harness import process, records
from harness.broker import Cluster
from harness.database import Database
from harness.server import Server

PARTITIONS = 4
STANDARD = 'topic text NOT NULL, partition integer NOT NULL, "offset" bigint NOT NULL, "timestamp" timestamptz, key text, headers jsonb, value text'
TYPED = "id bigint, customer text, amount numeric, paid boolean, at timestamptz"
TYPED_COLUMNS = {"id": "/id", "customer": "/customer", "amount": "/amount", "paid": "/paid", "at": "/at"}


class Shape:
    def __init__(self, name, table, config, upsert=False):
        self.name, self.table, self.config, self.upsert = name, table, config, upsert

    def create(self, name):
        return f"DROP TABLE IF EXISTS {name}; CREATE TABLE {name} ({self.table});"


SHAPES = {
    "insert": Shape("standard table", STANDARD, {}),
    "json": Shape("JSON into 5 typed columns", TYPED, {"columns": TYPED_COLUMNS}),
    "json-key": Shape("JSON into 5 typed columns with a primary key", TYPED + ", PRIMARY KEY (id)", {"columns": TYPED_COLUMNS}),
    "upsert": Shape(
        "upsert of JSON by key", TYPED + ", PRIMARY KEY (id)", {"columns": TYPED_COLUMNS, "mode": "upsert", "key_columns": ["id"]}, upsert=True
    ),
}


def send_json(servers, topic, count, size):
    """The documents repeat every 100,000 but for their number; filled up to about `size` bytes."""
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 20, "batch.size": 1_000_000, "queue.buffering.max.messages": 500_000, "log_level": 2})
    for i in range(count):
        text = f'{{"id":{i},"customer":"customer-{i % 1000}","amount":{i % 100000}.{i % 100:02d},"paid":{"true" if i % 3 else "false"},"at":"2025-01-31T12:00:{i % 60:02d}.5Z","note":"'
        value = text + "x" * (size - len(text) - 2) + '"}'
        while True:
            try:
                producer.produce(topic, value, partition=i % PARTITIONS)
                break
            except BufferError:
                producer.poll(0.05)
    assert producer.flush(120) == 0


class Measured:
    """One topic in Kafka, one table; either side fills it anew."""

    def __init__(self, shape, cluster, database, topic, total, folder, options):
        self.shape, self.cluster, self.database, self.topic = shape, cluster, database, topic
        self.total, self.folder, self.options = total, folder, options

    def fetcher(self, run):
        table = "perf_fetcher"
        self.database.run(f"{self.shape.create(table)} DELETE FROM fetcher_positions WHERE target = 'public.{table}';")
        server = Server(self.folder / f"server{run}", self.cluster.servers, LOG_LEVEL="WARNING").start()
        try:
            before = process.cpu_seconds(server.pid)
            began = time.monotonic()
            server.create(self.cluster, self.topic, f"perf-{uuid.uuid4().hex[:8]}", [("database_sync", self.config(table))])
            first, held = self._wait(table, 1)
            last, _ = self._wait(table, self.total)
            cpu = process.cpu_seconds(server.pid) - before
            assert server.terminate()[0] == 0
        finally:
            server.close()
        return {
            "rate": (self.total - held) / (last - first),
            "whole": self.total / (last - began),
            "cpu_per_million": cpu / self.total * 1e6,
        }

    def config(self, table):
        more = json.loads(self.options.config)
        return {"db_dsn": self.database.url, "table": table, "create_table": False, **self.shape.config, **more}

    def _wait(self, table, count):
        sql = f"SELECT coalesce(sum(next), 0) FROM fetcher_positions WHERE target = 'public.{table}'"
        deadline = time.monotonic() + 300
        while True:
            held = int(self.database.value(sql))
            if held >= count:
                return time.monotonic(), held
            assert time.monotonic() < deadline, f"{held} of {self.total} rows after 300 s"
            # Each look costs the two cores half a millisecond, so only the two moments that count are looked at closely.
            time.sleep(0.004 if count == 1 or held > 0.9 * count else 0.02)

    def export(self):
        """Once: the rows that kafka-fetcher wrote, as files for psql."""
        self.file = self.folder / "rows.bin"
        self.database.run(f"\\copy perf_fetcher TO '{self.file}' (FORMAT BINARY)")
        rows = int(self.database.value("SELECT count(*) FROM perf_fetcher"))
        assert rows == self.total, f"{rows} rows, {self.total} records"
        if not self.shape.upsert:
            return
        self.parts = []
        for begin in range(0, self.total, self.options.upsert_rows):
            part = self.folder / f"rows{begin}.bin"
            end = begin + self.options.upsert_rows
            self.database.run(f"\\copy (SELECT * FROM perf_fetcher WHERE id >= {begin} AND id < {end}) TO '{part}' (FORMAT BINARY)")
            self.parts.append(part)

    def psql(self):
        table = "perf_psql"
        self.database.run(f"{self.shape.create(table)}")
        script = f"\\copy {table} FROM '{self.file}' (FORMAT BINARY)\n"
        if self.shape.upsert:
            sets = ", ".join(f"{name} = EXCLUDED.{name}" for name in TYPED_COLUMNS if name != "id")
            script = f"CREATE TEMPORARY TABLE stage ON COMMIT DELETE ROWS AS SELECT * FROM {table} WITH NO DATA;\n"
            for part in self.parts:
                script += f"BEGIN;\n\\copy stage FROM '{part}' (FORMAT BINARY)\n"
                script += f"INSERT INTO {table} SELECT * FROM stage ON CONFLICT (id) DO UPDATE SET {sets};\nCOMMIT;\n"
        began = time.monotonic()
        self.database.run(script)
        return {"rate": self.total / (time.monotonic() - began)}


def measure(shape, cluster, database, options, folder):
    topic = cluster.make_topic("perf-db", PARTITIONS)
    try:
        if shape.table is STANDARD:
            records.Stream(cluster.servers, topic, PARTITIONS, size=options.size).send(options.records // PARTITIONS)
        else:
            send_json(cluster.servers, topic, options.records, options.size)
        measured = Measured(shape, cluster, database, topic, options.records, folder, options)
        measured.fetcher("warm")  # not counted: the broker still writes back what it has just got
        measured.export()
        runs = []
        for run in range(options.runs):
            runs.append({"fetcher": measured.fetcher(run), "psql": measured.psql()})
            print(f"{shape.name}, run {run + 1}: {json.dumps(runs[-1])}", file=sys.stderr, flush=True)
        return runs
    finally:
        cluster.delete_topic(topic)
        database.run("DROP TABLE IF EXISTS perf_fetcher, perf_psql")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", default="127.0.0.1:9092")
    parser.add_argument("--url", help="of PostgreSQL (default: scripts/postgres url)")
    parser.add_argument("--records", type=int, default=2_000_000)
    parser.add_argument("--size", type=int, default=200, help="bytes of each value")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--shapes", default="insert,json,json-key,upsert")
    parser.add_argument("--config", default="{}", help="more options of database_sync, as JSON")
    parser.add_argument("--upsert-rows", type=int, default=50_000, help="rows a transaction of psql's upsert")
    options = parser.parse_args()

    cluster = Cluster(options.servers)
    if not cluster.answers():
        sys.exit(f"no broker on {options.servers}: run scripts/kafka start")
    url = options.url or subprocess.run([ROOT / "scripts/postgres", "url"], capture_output=True, text=True, check=True).stdout.strip()
    database = Database(url)
    if not database.answers():
        sys.exit("no PostgreSQL: run scripts/postgres start")
    database.run(
        "CREATE TABLE IF NOT EXISTS fetcher_positions (target text NOT NULL, consumer_group text NOT NULL, topic text NOT NULL, partition integer "
        "NOT NULL, next bigint NOT NULL, topic_id text NOT NULL DEFAULT '', updated_at timestamptz NOT NULL DEFAULT now(), "
        "PRIMARY KEY (target, consumer_group, topic, partition, topic_id)) WITH (fillfactor = 50)"
    )
    rows = ["| | rows/s | over all | of psql's | psql, rows/s | CPU s a million rows |", "|---|---|---|---|---|---|"]
    for name in options.shapes.split(","):
        shape = SHAPES[name]
        with tempfile.TemporaryDirectory(prefix="perf-db-", dir="/dev/shm") as folder:
            runs = measure(shape, cluster, database, options, pathlib.Path(folder))
        ours = [run["fetcher"]["rate"] for run in runs]
        theirs = [run["psql"]["rate"] for run in runs]
        median = statistics.median
        rows.append(
            f"| {shape.name} | {median(ours) / 1e3:.0f}k ({min(ours) / 1e3:.0f}–{max(ours) / 1e3:.0f}k) | "
            f"{median(run['fetcher']['whole'] for run in runs) / 1e3:.0f}k | {median(ours) / median(theirs):.2f} | "
            f"{median(theirs) / 1e3:.0f}k ({min(theirs) / 1e3:.0f}–{max(theirs) / 1e3:.0f}k) | "
            f"{median(run['fetcher']['cpu_per_million'] for run in runs):.2f} |"
        )
    print(f"{options.records} records of {options.size} B, {PARTITIONS} partitions, medians of {options.runs}\n")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
