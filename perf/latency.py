#!/usr/bin/env python3
"""How long is a record under way from its producer's clock to the sink's file, beside a bare librdkafka consumer of the same records?

A steady 10,000 records/s for 20 s into 4 partitions; the first two seconds are not counted. Both ends are looked at by one program with one
clock (perf/latency_probe.cc). Everything runs on 127.0.0.1 and ends by itself.
"""

import argparse
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import uuid

from contenders import KafkaFetcher, wait_size

from harness import paths
from harness.broker import Cluster
from harness.records import Stream

PROBE = paths.BINARY.parent / "perf/latency_probe"
PARTITIONS = 4
SHARES = ("p50", "p90", "p99", "p99.9", "max")


def measure(cluster, options, folder):
    topic = cluster.make_topic("latency", PARTITIONS)
    stream = Stream(cluster.servers, topic, PARTITIONS, size=options.size)
    fetcher = KafkaFetcher(cluster, stream, f"latency-{uuid.uuid4().hex[:10]}", folder / "work", folder / "out" / "records.log")
    fetcher.file.parent.mkdir(parents=True, exist_ok=True)
    count = options.rate * options.seconds
    try:
        fetcher.start()
        stream.send(100)  # so that partitions are assigned and the file is there
        wait_size(fetcher.file, stream.total * (options.size + 1), 30)
        command = [PROBE, "--bootstrap-servers", cluster.servers, "--topic", topic, "--file", fetcher.file, "--run", stream.run]
        command += ["--partitions", str(PARTITIONS), "--count", str(count), "--warm-up", str(2 * options.rate)]
        command += ["--seconds", str(options.seconds + 20)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as probe:
            assert probe.stdout.readline() == "ready\n"
            stream.sending(count // PARTITIONS, rate=options.rate, properties=["linger.ms=1"]).wait()
            text = probe.stdout.readline()
        assert probe.returncode == 0, f"not everything was seen: {text}"
        return json.loads(text)
    finally:
        fetcher.end()
        cluster.delete_topic(topic)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", default="127.0.0.1:9092")
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", default="/dev/shm", help="where files are written")
    parser.add_argument("--json", help="file for every single figure")
    options = parser.parse_args()
    cluster = Cluster(options.servers)
    if not cluster.answers():
        sys.exit(f"no broker on {options.servers}: run scripts/kafka start")
    runs = []
    for _ in range(options.runs):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="latency-", dir=options.folder))
        try:
            runs.append(measure(cluster, options, folder))
        finally:
            shutil.rmtree(folder)
        print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
    print(f"{options.rate} records/s of {options.size} B for {options.seconds} s, medians of {options.runs}, milliseconds\n")
    print("| | " + " | ".join(SHARES) + " |\n|---|" + "---|" * len(SHARES))
    for end, name in (("bare_consumer", "received by a bare librdkafka consumer"), ("file", "visible in kafka-fetcher's file")):
        print(f"| {name} | " + " | ".join(f"{statistics.median(run[end][share] for run in runs):.1f}" for share in SHARES) + " |")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(runs, indent=1))


if __name__ == "__main__":
    main()
