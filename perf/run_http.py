#!/usr/bin/env python3
"""How fast does a topic get to an HTTP endpoint, beside the same client library that only sends prepared bodies to the same server?

Both send to http_sink on this machine, in turn; the server counts and tells how long it took from the first request to the last. Prepared
bodies come from memory, a topic's from the broker: beside the ndjson cases stands what a bare librdkafka loop takes from the same topic when it
only counts. Prints a table of medians. Everything runs on 127.0.0.1 and ends by itself.
"""

import argparse
import contextlib
import http.client
import json
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import uuid

from contenders import BARE_LOOP  # noqa: I001  (makes harness importable)

from harness import paths, process, records
from harness.broker import Cluster
from harness.server import Server
from harness.waiting import wait_until

PERF = paths.BINARY.parent / "perf"
PARTITIONS = 8
BATCH_RECORDS = 1000
CASES = [("ndjson", 1), ("ndjson", 8), ("single", 1), ("single", 8)]


class Sink:
    """One http_sink. Its figures count from its start."""

    def __enter__(self):
        self._process = subprocess.Popen([PERF / "http_sink"], stdout=subprocess.PIPE, text=True)
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()

    def stats(self):
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", "/stats")
            return json.loads(connection.getresponse().read())


def bare(framing, connections, count, size):
    per_request = BATCH_RECORDS if framing == "ndjson" else 1
    with Sink() as sink:
        command = [PERF / "bare_http", "--port", str(sink.port), "--connections", str(connections), "--records", str(per_request)]
        command += ["--size", str(size), "--requests", str(count // per_request)]
        report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout)
        return {"rate": count / sink.stats()["seconds"], "cpu": report["cpu"]}


def drain(count, cluster, topic):
    command = [BARE_LOOP, "--bootstrap-servers", cluster.servers, "--topic", topic, "--count", str(count)]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout)
    return {"rate": report["rate"], "cpu": report["cpu"]}


def fetcher(framing, connections, count, size, cluster, topic):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="perf-", dir="/dev/shm"))
    server = Server(folder, cluster.servers, LOG_LEVEL="WARNING")
    try:
        with Sink() as sink:
            server.start()
            config = {"endpoint_url": f"http://127.0.0.1:{sink.port}/records", "format": framing, "max_in_flight": connections}
            config |= {"max_batch_records": BATCH_RECORDS} if framing == "ndjson" else {}
            group = f"perf-{uuid.uuid4().hex[:10]}"
            server.create(cluster, topic, group, [("streaming_forwarder", config)])
            total = count * (size + (1 if framing == "ndjson" else 0))
            wait_until(lambda: sink.stats()["bytes"] >= total, 300, lambda: f"{total} bytes arrive: {sink.stats()}", interval=0.05)
            stats = sink.stats()
            assert stats["bytes"] == total, f"{stats['bytes']} bytes of {total} arrived: some came twice"
            figures = {"rate": count / stats["seconds"], "cpu": process.cpu_seconds(server.pid), "requests": stats["requests"]}
        assert server.terminate()[0] == 0
        return figures
    finally:
        server.close()
        shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--servers", default="127.0.0.1:9092")
    parser.add_argument("--records", type=int, default=2_000_000, help="of the ndjson cases")
    parser.add_argument("--single-records", type=int, default=400_000)
    parser.add_argument("--size", type=int, default=200, help="bytes of each value")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    cluster = Cluster(options.servers)
    if not cluster.answers():
        sys.exit(f"no broker on {options.servers}: run scripts/kafka start")
    counts = {"ndjson": options.records, "single": options.single_records}
    topics, results = {}, {case: {"bare": [], "drain": [], "fetcher": []} for case in CASES}
    try:
        for framing, count in counts.items():
            topics[framing] = cluster.make_topic(f"perf-{framing}", PARTITIONS)
            records.Stream(cluster.servers, topics[framing], PARTITIONS, size=options.size).send(count // PARTITIONS)
        for run in range(options.runs):
            for framing, connections in CASES:
                count = counts[framing]
                for name, figures in (
                    ("bare", bare(framing, connections, count, options.size)),
                    ("drain", drain(count, cluster, topics[framing])),
                    ("fetcher", fetcher(framing, connections, count, options.size, cluster, topics[framing])),
                ):
                    results[framing, connections][name].append(figures)
                    print(f"run {run + 1}: {framing}, {connections}: {name}: {json.dumps(figures)}", file=sys.stderr, flush=True)
    finally:
        for topic in topics.values():
            cluster.delete_topic(topic)
    print("| | prepared bodies, records/s | bare drain, records/s | kafka-fetcher, records/s | of the lower one | CPU s, bare | CPU s |\n|---|---|---|---|---|---|---|")
    for (framing, connections), by_name in results.items():
        median = {name: {key: statistics.median(run[key] for run in runs) for key in ("rate", "cpu")} for name, runs in by_name.items()}
        one, other = median["bare"], median["fetcher"]
        limit = min(one["rate"], median["drain"]["rate"])
        print(
            f"| {framing}, {connections} connection{'s' if connections > 1 else ''} | {one['rate']:,.0f} | {median['drain']['rate']:,.0f} | "
            f"{other['rate']:,.0f} | {other['rate'] / limit:.2f} | {one['cpu']:.2f} | {other['cpu']:.2f} |"
        )


if __name__ == "__main__":
    main()
