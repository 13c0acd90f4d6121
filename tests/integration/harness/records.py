"""Numbered records: sending them, and proving of files that each came once, in order."""

import json
import os
import signal
import subprocess

from . import paths


def run_checker(files, expect=None, run=None, length=None, embedded=False, partial_tail=False, order_per_file=False, stdin=None):
    """The checker's report as a dict, with report["ok"]. Without `expect` the files must be an exact prefix of each partition."""
    command = [paths.CHECKER, *files]
    if run is not None:
        command += ["--run", run]
    for partition, count in (expect or {}).items():
        command += ["--expect", f"{partition}={count}"]
    if expect is None:
        command += ["--prefix"]
    if length is not None:
        command += ["--length", str(length)]
    command += ["--embedded"] * embedded + ["--partial-tail"] * partial_tail + ["--order-per-file"] * order_per_file
    done = subprocess.run(command, stdin=stdin, capture_output=True, text=True, timeout=300)
    assert done.returncode in (0, 1), f"the checker could not look: {done.stderr}"
    report = json.loads(done.stdout)
    report["ok"] = done.returncode == 0
    report["next"] = {int(partition): value for partition, value in report["next"].items()}
    return report


def assert_exact(files, stream, **options):
    """Every record of the stream once, in order per partition, whole."""
    report = run_checker(files, expect=stream.next, run=stream.run, **options)
    assert report["ok"], f"{report} expected {stream.next}"
    return report


def assert_prefix(files, stream, **options):
    """What is there is an exact prefix of each partition. Returns the next sequence number by partition."""
    report = run_checker(files, run=stream.run, **options)
    assert report["ok"], report
    return report["next"]


class Stream:
    """Records of one run into one topic: dense sequence numbers in every partition, over any number of calls."""

    def __init__(self, servers, topic, partitions, size=200):
        self.servers = servers
        self.topic = topic
        self.partitions = partitions
        self.size = size
        self.run = os.urandom(4).hex()
        self.next = {partition: 0 for partition in range(partitions)}

    @property
    def total(self):
        return sum(self.next.values())

    def send(self, count, **options):
        """Sends `count` records per partition and waits until the broker has them."""
        with self.sending(count, **options):
            pass

    def sending(self, count=0, **options):
        """Sends in the background; leaving the `with` block waits for the end (count > 0) or ends it (count == 0)."""
        return _Sending(self, count, **options)


class _Sending:
    def __init__(self, stream, count, rate=0, seconds=300, properties=()):
        self._stream = stream
        self._count = count
        first = set(stream.next.values())
        assert len(first) == 1, "partitions have run apart"
        command = [paths.PRODUCER, "--bootstrap-servers", stream.servers, "--topic", stream.topic, "--run", stream.run]
        command += ["--partitions", str(stream.partitions), "--first-sequence", str(first.pop()), "--size", str(stream.size)]
        command += ["--count", str(count), "--rate", str(rate), "--seconds", str(seconds)]
        # One that meets a broker whose partitions have no leader yet would look again after five minutes.
        for name in ("topic.metadata.refresh.interval.ms=1000", *properties):
            command += ["--property", name]
        self._seconds = seconds
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, traceback):
        if kind is not None:
            self._process.kill()  # it may wait for a broker that does not come back
            self._process.communicate()
            return
        if self._count == 0:
            self.stop()
        self.wait()

    def alive(self):
        return self._process.poll() is None

    def stop(self):
        if self.alive():
            self._process.send_signal(signal.SIGTERM)

    def wait(self):
        """Waits for its end; from then on the stream knows what was sent."""
        if self._process.stdout.closed:
            return
        try:
            text, _ = self._process.communicate(timeout=self._seconds + 30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise
        self._process.stdout.close()
        assert self._process.returncode == 0, f"the producer failed ({self._process.returncode}): {text}"
        report = json.loads(text)
        self._stream.next = {int(partition): value for partition, value in report["next"].items()}
