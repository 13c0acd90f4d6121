"""One process of the server with a data folder of its own: started, killed, restarted, and asked over HTTP."""

import dataclasses
import http.client
import json
import os
import pathlib
import signal
import subprocess
import time

from . import paths
from .waiting import free_port, wait_until


@dataclasses.dataclass
class Answer:
    status: int
    body: object  # parsed JSON, or the text where it is none
    headers: dict


class Server:
    def __init__(self, folder, servers, binary=None, roots=None, **environment):
        """`roots`: where file sinks may write; a folder `out` of its own unless told. `environment`: more of the server's variables."""
        self.folder = pathlib.Path(folder)
        self.data = self.folder / "data"
        self.out = pathlib.Path(roots) if roots else self.folder / "out"
        for made in (self.data, self.out):
            made.mkdir(parents=True, exist_ok=True)
        self.binary = binary or paths.BINARY
        self.port = free_port()
        self.log = self.folder / "server.log"
        self.process = None
        self._wrapped = False
        self._ended_by_test = False
        self._environment = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG", "TMPDIR")}
        self._environment.update(
            HOST="127.0.0.1",
            PORT=str(self.port),
            DATA_DIR=str(self.data),
            FILE_SINK_ROOTS=str(self.out),
            KAFKA_BOOTSTRAP_SERVERS=servers,
            **{name: str(value) for name, value in environment.items()},
        )

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self, wrapper=(), wait=True):
        """Starts the process; `wrapper` is a command before it that runs it as its child (strace). Waits until it is ready."""
        assert not self.alive(), "it runs already"
        self._wrapped = bool(wrapper)
        self._ended_by_test = False
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*wrapper, self.binary], env=self._environment, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=20):
        def ready():
            assert self.alive(), f"the server ended with {self.process.returncode}: {self.log_tail()}"
            try:
                return self.api("GET", "/readyz", timeout=2).status == 200
            except OSError:
                return False

        wait_until(ready, timeout, lambda: f"the server is ready; {self.log_tail()}", interval=0.01)

    def alive(self):
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self):
        """Of the server itself, also under a wrapper."""
        own = self.process.pid
        if not self._wrapped:
            return own
        children = pathlib.Path(f"/proc/{own}/task/{own}/children").read_text().split()
        return int(children[0]) if children else own

    def _signal(self, number):
        os.kill(self.pid, number)

    def kill9(self):
        self._ended_by_test = True
        self._signal(signal.SIGKILL)
        self.process.wait(10)

    def terminate(self, timeout=15):
        """SIGTERM; returns the exit code and the seconds it took."""
        begin = time.monotonic()
        self._ended_by_test = True
        self._signal(signal.SIGTERM)
        code = self.process.wait(timeout)
        return code, time.monotonic() - begin

    def wait_gone(self, timeout):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def freeze(self):
        self._signal(signal.SIGSTOP)

    def thaw(self):
        self._signal(signal.SIGCONT)

    def close(self):
        """Ends it, whatever state it is in."""
        if self.alive():
            self.thaw()
            self.kill9()

    def close_and_tell(self, lines=60):
        """Ends it. Returns what the report of a failed test should show: the end of its log, and how it ended if it was not a test's doing."""
        code = None if self.process is None or self._ended_by_test else self.process.poll()
        self.close()
        text = f"--- {self.log}\n{self.log_tail(lines)}"
        if code is None:
            return text
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        return f"{text}\n--- the server had ended by itself, {how}"

    def log_tail(self, lines=30):
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    # --- HTTP -----------------------------------------------------------------------------------------------------

    def api(self, method, path, body=None, timeout=20, headers=None):
        """One request on a connection of its own. `body`: something for JSON, or bytes to be sent as they are."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            all_headers = {"Content-Type": "application/json"} if body is not None else {}
            all_headers.update(headers or {})
            data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
            connection.request(method, path, data, all_headers)
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        finally:
            connection.close()
        try:
            parsed = json.loads(text)
        except ValueError:
            parsed = text
        return Answer(response.status, parsed, {name.lower(): value for name, value in response.getheaders()})

    def expect(self, status, method, path, body=None, **options):
        """The body of an answer that must have this status."""
        answer = self.api(method, path, body, **options)
        assert answer.status == status, f"{method} {path}: {answer.status} {answer.body}"
        return answer.body

    def create(self, cluster, topic, group, processors, auto_start=True, **fields):
        """Makes a consumer of `processors` (type, config) and returns its id."""
        body = {
            "broker_ip": cluster.host,
            "broker_port": cluster.port,
            "topic": topic,
            "consumer_group": group,
            "auto_start": auto_start,
            "processor_configs": [{"processor_type": kind, "config": config} for kind, config in processors],
            **fields,
        }
        return self.expect(201, "POST", "/api/consumers", body)["consumer_id"]

    def create_file_sink(self, cluster, topic, group, file, auto_start=True, consumer=None, **config):
        """A consumer with one file_sink; `consumer`: more fields of the consumer itself."""
        processors = [("file_sink", {"file_path": str(file), **config})]
        return self.create(cluster, topic, group, processors, auto_start, **(consumer or {}))

    def reason_codes(self, consumer_id):
        return [reason["code"] for reason in self.consumer(consumer_id)["health"]["reasons"]]

    def consumer(self, consumer_id):
        return self.expect(200, "GET", f"/api/consumers/{consumer_id}")

    def stop_consumer(self, consumer_id, timeout=25):
        """Stops it and waits until that is so everywhere: a stop that takes longer than an answer may is answered with 202."""
        answer = self.api("POST", f"/api/consumers/{consumer_id}/stop")
        assert answer.status == 202 or (answer.status, answer.body["status"]) == (200, "INACTIVE"), answer
        return self.wait_status(consumer_id, "INACTIVE", timeout)

    def wait_status(self, consumer_id, status, timeout=20):
        return wait_until(
            lambda: (found := self.consumer(consumer_id))["status"] == status and found,
            timeout,
            lambda: f"status {status}: {self.consumer(consumer_id)}",
        )
