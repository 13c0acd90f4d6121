"""Looks at each member all the time: the API answers within a second, memory stays in budget, no process ends by itself."""

import http.client
import threading
import time

from harness import process

ASK_EVERY = 0.2
MOST_SECONDS = 1.0
PATHS = ("/api/consumers/{id}", "/api/consumers", "/readyz", "/livez", "/api/processor-types", "/api/instances", "/api/consumers/{id}/versions")
MAY_BE_AWAY = ("/readyz", "/versions")  # without the configuration's database these say 503; the others tell what was last known


class Watch:
    """One member. Between up() and down() it must answer; what was under way at down() does not count. Thread: any."""

    def __init__(self, name, server, machine, consumer_id, most_rss, most_in_flight):
        """Bytes: `most_rss` of the process, `most_in_flight` of the consumer as the API tells it, over all members."""
        self.name, self.server = name, server
        self.problems = []
        self.asked = self.excused = 0
        self.slowest = 0.0
        self.most_rss = 0
        self._machine, self._consumer_id, self._allowed_rss, self._allowed_in_flight = machine, consumer_id, most_rss, most_in_flight
        self._life = 0  # odd: up
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def up(self):
        assert self._life % 2 == 0
        self._life += 1

    def down(self):
        if self._life % 2 == 1:
            self._life += 1

    def is_up(self):
        return self._life % 2 == 1

    def close(self):
        self._stopping.set()
        self._thread.join(10)

    def _run(self):
        turn = 0
        while not self._stopping.wait(ASK_EVERY):
            life = self._life
            if life % 2 == 0:
                continue
            turn += 1
            problem = self._ask(PATHS[turn % len(PATHS)].format(id=self._consumer_id)) or self._weigh()
            if problem and life == self._life:
                self.problems.append(f"{self.name}: {problem}")

    def _ask(self, path):
        begin, life, delayed = time.monotonic(), self._life, process.run_delay_seconds(self.server.pid)
        failure = None
        try:
            answer = self.server.api("GET", path, timeout=5)
            if answer.status != 200 and not (answer.status == 503 and path.endswith(MAY_BE_AWAY)):
                failure = f"{path} was answered with {answer.status} {answer.body}"
            elif path.endswith(self._consumer_id) and (bytes_in_flight := answer.body["metrics"]["memory_bytes"]) > self._allowed_in_flight:
                failure = f"{bytes_in_flight} bytes in flight, at most {self._allowed_in_flight} are allowed"
        except (OSError, http.client.HTTPException) as error:
            failure = f"{path} was not answered: {error!r}"
        end = time.monotonic()
        if life != self._life:
            return None
        self.asked += 1
        late = self._machine.late_seconds(begin, end) + max(0, process.run_delay_seconds(self.server.pid) - delayed)
        if end - begin - late > MOST_SECONDS:
            return failure or f"{path} took {end - begin:.2f} s"
        if end - begin > MOST_SECONDS:
            self.excused += 1
        else:
            self.slowest = max(self.slowest, end - begin)
        return failure

    def _weigh(self):
        try:
            rss = process.rss_bytes(self.server.pid)
        except (OSError, AssertionError):
            return None
        self.most_rss = max(self.most_rss, rss)
        return f"{rss >> 20} MiB in memory, at most {self._allowed_rss >> 20} are allowed" if rss > self._allowed_rss else None
