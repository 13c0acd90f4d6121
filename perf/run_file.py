#!/usr/bin/env python3
"""How fast does a topic get into a file, at what cost, and how soon after a restart?

Fills a topic of 4 partitions, then lets each contender move all of it into a file, in turn, so that whatever else the machine does hits all
of them alike. All are measured from outside by the same rule: from the first byte in the file to the last. Prints a table of medians, and
every single figure as JSON if asked. Everything runs on 127.0.0.1 and ends by itself.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid

from contenders import CONNECT_LIBS, ROOT, BareLoop, KafkaConnect, KafkaFetcher, wait_size

from harness import records
from harness.broker import Cluster

CONTENDERS = {"bare": BareLoop, "fetcher": KafkaFetcher, "connect": KafkaConnect}
PARTITIONS = 4
RESTART_RECORDS = 1000  # that wait when a contender starts again, per partition


def measure(kind, cluster, stream, folder):
    """One run of one contender."""
    group = f"perf-{uuid.uuid4().hex[:10]}"
    contender = kind(cluster, stream, group, folder / "work", folder / "out" / "records.log")
    contender.file.parent.mkdir(parents=True, exist_ok=True)
    total_bytes = stream.total * (stream.size + 1)
    try:
        began = time.monotonic()
        contender.start()
        first = wait_size(contender.file, 1, 120)
        last = wait_size(contender.file, total_bytes, 600)
        contender.settle()
        figures = {
            "records_per_second": stream.total / (last - first),
            "cpu_seconds": contender.cpu_seconds(),
            "peak_rss_mb": contender.peak_rss_bytes() / 1e6,
            "cold_start_seconds": first - began,
        }
        contender.end()
        if kind is KafkaFetcher:
            records.assert_exact([str(contender.file)], stream)
        stream.send(RESTART_RECORDS)
        size = 0 if kind is BareLoop else contender.file.stat().st_size
        began = time.monotonic()
        contender.again()
        figures["restart_seconds"] = wait_size(contender.file, size + 1, 120) - began
        contender.settle()
        return figures
    finally:
        contender.end()


def measure_in(parent, kind, cluster, stream):
    """measure() in a folder that is gone afterwards."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="perf-", dir=parent))
    try:
        return measure(kind, cluster, stream, folder)
    finally:
        shutil.rmtree(folder)


def table(results):
    rows = ["| | records/s | CPU s | peak RSS, MB | first record after a restart, s |", "|---|---|---|---|---|"]
    for name, runs in results.items():
        median = {key: statistics.median(run[key] for run in runs) for key in runs[0]}
        spread = [run["records_per_second"] for run in runs]
        rows.append(
            f"| {name} | {median['records_per_second'] / 1e6:.2f}M ({min(spread) / 1e6:.2f}–{max(spread) / 1e6:.2f}M) | "
            f"{median['cpu_seconds']:.2f} | {median['peak_rss_mb']:.0f} | {median['restart_seconds']:.2f} |"
        )
    return "\n".join(rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", default="127.0.0.1:9092")
    parser.add_argument("--records", type=int, default=5_000_000)
    parser.add_argument("--size", type=int, default=200, help="bytes of each value")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--contenders", default="bare,fetcher,connect")
    parser.add_argument("--folder", default="/dev/shm", help="where files are written: a tmpfs (default) or a disk")
    parser.add_argument("--json", help="file for every single figure")
    options = parser.parse_args()
    options.folder = str(pathlib.Path(options.folder).resolve())  # a sink takes absolute paths only
    kinds = [CONTENDERS[name] for name in options.contenders.split(",")]
    if KafkaConnect in kinds and not CONNECT_LIBS.exists():
        subprocess.run([ROOT / "scripts/kafka", "connect-libs"], check=True)

    cluster = Cluster(options.servers)
    if not cluster.answers():
        sys.exit(f"no broker on {options.servers}: run scripts/kafka start")
    topic = cluster.make_topic("perf", PARTITIONS)
    stream = records.Stream(cluster.servers, topic, PARTITIONS, size=options.size)
    stream.send(options.records // PARTITIONS)
    results = {kind.name: [] for kind in kinds}
    try:
        measure_in(options.folder, BareLoop, cluster, stream)  # not counted: the broker still writes back what it has just got
        for run in range(options.runs):
            for kind in kinds:
                figures = measure_in(options.folder, kind, cluster, stream)
                results[kind.name].append(figures)
                print(f"run {run + 1}: {kind.name}: {json.dumps({k: round(v, 3) for k, v in figures.items()})}", file=sys.stderr, flush=True)
    finally:
        cluster.delete_topic(topic)
    print(f"{options.records} records of {options.size} B, {PARTITIONS} partitions, medians of {options.runs}, files in {options.folder}\n")
    print(table(results))
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"records": options.records, "size": options.size, "results": results}, indent=1))


if __name__ == "__main__":
    main()
