#!/usr/bin/env python3
"""What does a database that is away cost a file_sink on the same consumer?

Twice the same, alternately with the file alone and with a database_sync beside it whose PostgreSQL is stopped:
- full speed: a topic that is full already goes into the file; from the first byte in it to the last.
- following: a producer sends at a fixed rate for a while. Rows flow, then PostgreSQL is stopped for most of the time and started again. The file's rate is that
  of its slowest five seconds while PostgreSQL was away; alone, of the same seconds.
Then the database must catch up by itself, and file and table hold every record exactly once, or it fails. Prints a table of medians and ratios. Everything runs
on 127.0.0.1 and ends by itself.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import tempfile
import time
import uuid

from contenders import ROOT, wait_size

from harness.broker import Cluster
from harness.database import Database, TableFlow
from harness.flow import FileFlow
from harness.postgres import OwnPostgres
from harness.records import Stream
from harness.server import Server
from harness.waiting import wait_until

PARTITIONS = 4
WINDOW_SECONDS = 5


class Run:
    """One consumer with a file, and a table beside it or not."""

    def __init__(self, cluster, stream, postgres, folder, beside):
        group = f"perf-{uuid.uuid4().hex[:10]}"
        self.stream, self.postgres, self.beside = stream, postgres, beside
        self.server = Server(folder / "server", cluster.servers, roots=str(folder), LOG_LEVEL="WARNING")
        self.file = FileFlow(cluster, stream, group, folder / "records.log")
        self.sinks = [("file_sink", {"file_path": self.file.path})]
        if beside:
            self.database = Database(postgres.make_database())
            self.table = TableFlow(cluster, stream, group, self.database, folder)
            self.sinks.append(("database_sync", {"db_dsn": self.table.dsn}))
        self.cluster, self.group = cluster, group

    def create(self):
        self.server.start()
        self.consumer = self.server.create(self.cluster, self.stream.topic, self.group, self.sinks)

    def is_behind(self):
        return any(r["code"] == "behind" for r in self.server.consumer(self.consumer)["health"]["reasons"])

    def database_away(self, away):
        if not self.beside:
            return
        if away:
            self.database.close()
            self.postgres.stop()
        else:
            self.postgres.start()

    def prove(self):
        """Both have everything, once. Returns how long the table took."""
        began = time.monotonic()
        took = 0
        if self.beside:
            wait_until(lambda: self.table.total() == self.stream.total, 600, "the table has everything", interval=0.05)
            took = time.monotonic() - began
            self.table.wait_complete(60)
            self.table.wait_committed(60)
        self.file.wait_complete(120)
        return took

    def close(self):
        if self.server.alive():
            self.server.terminate()
        self.server.close()
        if self.beside:
            self.database.close()


def full_speed(run, options):
    run.stream.send(options.records // PARTITIONS)
    run.database_away(True)
    try:
        run.create()
        first = wait_size(pathlib.Path(run.file.path), 1, 120)
        last = wait_size(pathlib.Path(run.file.path), run.stream.total * (run.stream.size + 1), 600)
    finally:
        run.database_away(False)
    return {"rate": run.stream.total / (last - first), "catch_up_seconds": run.prove()}


def following(run, options):
    run.create()
    seen = []  # time, bytes of the file
    with run.stream.sending(rate=options.rate) as _:
        wait_until(lambda: (run.table.total() if run.beside else run.file.size()) > 0, 60, "records flow")
        run.database_away(True)
        try:
            end = time.monotonic() + options.seconds
            while time.monotonic() < end:
                seen.append((time.monotonic(), run.file.size()))
                time.sleep(0.1)
            assert not run.beside or run.is_behind()
        finally:
            run.database_away(False)
        time.sleep(2)
    return {"rate": slowest(seen) / (run.stream.size + 1), "catch_up_seconds": run.prove()}


def slowest(seen):
    """Bytes a second in the slowest window."""
    rates = []
    later = 0
    for at, size in seen:
        while later < len(seen) and seen[later][0] < at + WINDOW_SECONDS:
            later += 1
        if later == len(seen):
            break
        rates.append((seen[later][1] - size) / (seen[later][0] - at))
    return min(rates)


SHAPES = {"full speed": full_speed, "following": following}


def measure(shape, beside, cluster, postgres, options):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="perf-", dir=options.folder))
    topic = cluster.make_topic("perf-behind", PARTITIONS)
    run = Run(cluster, Stream(cluster.servers, topic, PARTITIONS, size=options.size), postgres, folder, beside)
    try:
        return SHAPES[shape](run, options)
    finally:
        run.close()
        cluster.delete_topic(topic)
        shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="of each, in turn")
    parser.add_argument("--records", type=int, default=4_000_000, help="at full speed")
    parser.add_argument("--size", type=int, default=200, help="bytes of a value")
    parser.add_argument("--seconds", type=int, default=30, help="how long PostgreSQL is away while records come")
    parser.add_argument("--rate", type=int, default=50_000, help="records a second that come")
    parser.add_argument("--shapes", default=",".join(SHAPES))
    parser.add_argument("--servers", default="127.0.0.1:9092")
    parser.add_argument("--folder", default="/dev/shm", help="where the files go")
    parser.add_argument("--json", help="all figures, into this file")
    options = parser.parse_args()
    cluster = Cluster(options.servers)
    home = pathlib.Path(tempfile.mkdtemp(prefix="perf-postgres-", dir=ROOT / "build"))
    postgres = OwnPostgres(home, as_in_earnest=True)
    postgres.start()
    results = {}
    try:
        for shape in options.shapes.split(","):
            runs = results[shape] = {"alone": [], "beside": []}
            for _ in range(options.runs):
                for kind in runs:
                    runs[kind].append(measure(shape, kind == "beside", cluster, postgres, options))
                    print(f"{shape}, {kind}: {runs[kind][-1]}", flush=True)
    finally:
        postgres.remove()
        shutil.rmtree(home)
    print("\n| | alone, records/s | beside a database that is away | ratio | the database has it all after, s |\n|---|---|---|---|---|")
    for shape, runs in results.items():
        rates = {kind: [r["rate"] for r in those] for kind, those in runs.items()}
        shown = [f"{statistics.median(r) / 1e3:,.0f}k ({min(r) / 1e3:,.0f}–{max(r) / 1e3:,.0f}k)" for r in rates.values()]
        ratio = statistics.median(rates["beside"]) / statistics.median(rates["alone"])
        caught_up = statistics.median(r["catch_up_seconds"] for r in runs["beside"])
        print(f"| {shape} | {shown[0]} | {shown[1]} | {ratio:.2f} | {caught_up:.1f} |")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
