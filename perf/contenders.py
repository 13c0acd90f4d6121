"""What is measured against each other: programs that move a topic into a file. Each is started, watched from outside and ended alike."""

import os
import pathlib
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/integration"))

from harness import paths, process  # noqa: E402
from harness.flow import FileFlow  # noqa: E402
from harness.server import Server  # noqa: E402
from harness.waiting import free_port, wait_until  # noqa: E402

BARE_LOOP = paths.BINARY.parent / "perf/bare_loop"
CONNECT_LIBS = ROOT / "build/kafka/connect-libs"


class Contender:
    """One run: start() with a new group, later again() with the group known. `file` is where records end up."""

    name = ""

    def __init__(self, cluster, stream, group, folder, file):
        self.cluster, self.stream, self.group = cluster, stream, group
        self.folder, self.file = pathlib.Path(folder), pathlib.Path(file)
        self.folder.mkdir(parents=True, exist_ok=True)

    def start(self):
        raise NotImplementedError

    def again(self):
        raise NotImplementedError

    def settle(self):
        """Waits until what was written is also acknowledged, as far as the program does so."""

    def pid(self):
        raise NotImplementedError

    def cpu_seconds(self):
        return process.cpu_seconds(self.pid())

    def peak_rss_bytes(self):
        return process.peak_rss_bytes(self.pid())

    def end(self):
        raise NotImplementedError


class KafkaFetcher(Contender):
    """This project's server: the consumer is made over REST, the file is exactly-once (fsync and checkpoint every 100 ms)."""

    name = "kafka-fetcher"

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._server = Server(self.folder, self.cluster.servers, roots=str(self.file.parent), LOG_LEVEL="WARNING")
        self._flow = FileFlow(self.cluster, self.stream, self.group, self.file)

    def start(self):
        self._server.start()
        self._server.create_file_sink(self.cluster, self.stream.topic, self.group, self.file)

    def again(self):
        self._server.start(wait=False)

    def settle(self):
        wait_until(lambda: self._flow.durable() == self.stream.next, 60, "the checkpoint covers everything", interval=0.005)

    def pid(self):
        return self._server.pid

    def end(self):
        if self._server.alive():
            assert self._server.terminate()[0] == 0


class BareLoop(Contender):
    """One librdkafka loop that drains and appends: no checkpoint, no fsync."""

    name = "bare loop"

    def start(self, count=None):
        command = [BARE_LOOP, "--bootstrap-servers", self.cluster.servers, "--topic", self.stream.topic, "--group", self.group]
        command += ["--count", str(count or self.stream.total), "--file", self.file, "--commit"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        self._usage = None

    def again(self):
        self.file.unlink()
        self.start(count=self.stream.total - self._delivered)

    def settle(self):
        self._delivered = self.stream.total
        _, status, self._usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        assert self._process.returncode == 0

    def pid(self):
        return self._process.pid

    def cpu_seconds(self):
        return self._usage.ru_utime + self._usage.ru_stime

    def peak_rss_bytes(self):
        return self._usage.ru_maxrss * 1024

    def end(self):
        if self._process.poll() is None:
            self._process.wait(30)


class KafkaConnect(Contender):
    """Kafka Connect's FileStreamSink, one standalone worker, one task, strings, the JVM options of its own start script."""

    name = "Kafka Connect"
    JVM = "-Xms256M -Xmx2G -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35 -XX:+ExplicitGCInvokesConcurrent"

    def start(self):
        worker, connector = self.folder / "worker.properties", self.folder / "connector.properties"
        string = "org.apache.kafka.connect.storage.StringConverter"
        worker.write_text(
            f"bootstrap.servers={self.cluster.servers}\nkey.converter={string}\nvalue.converter={string}\n"
            f"offset.storage.file.filename={self.folder}/offsets\nlisteners=http://127.0.0.1:{free_port()}\n"
            "consumer.auto.offset.reset=earliest\noffset.flush.interval.ms=1000\n"
        )
        connector.write_text(
            f"name={self.group}\nconnector.class=org.apache.kafka.connect.file.FileStreamSinkConnector\ntasks.max=1\n"
            f"topics={self.stream.topic}\nfile={self.file}\n"
        )
        command = ["java", *self.JVM.split(), "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{CONNECT_LIBS}/*"]
        command += ["org.apache.kafka.connect.cli.ConnectStandalone", str(worker), str(connector)]
        with open(self.folder / "connect.log", "ab") as log:
            self._process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    again = start

    def settle(self):
        wanted = self.stream.next
        committed = lambda: self.cluster.committed(f"connect-{self.group}", self.stream.topic)
        wait_until(lambda: committed() == wanted, 60, lambda: f"committed {committed()}", interval=0.2)

    def pid(self):
        return self._process.pid

    def end(self):
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            self._process.wait(60)


def wait_size(file, size, timeout, interval=0.001):
    """Returns when the file first has at least `size` bytes; the time of it."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            if os.stat(file).st_size >= size:
                return time.monotonic()
        except FileNotFoundError:
            pass
        if time.monotonic() > deadline:
            raise TimeoutError(f"{file} has not reached {size} bytes in {timeout} s")
        time.sleep(interval)
