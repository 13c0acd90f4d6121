"""An HTTP endpoint that keeps what it is sent, and misbehaves as a test asks.

It is idempotent as an endpoint should be: what comes under a key that it knows is answered and not kept again, and must be the very same body.
"""

import dataclasses
import gzip
import http.server
import json
import socket
import ssl
import threading
import time


@dataclasses.dataclass
class Attempt:
    """One request as it came."""

    method: str
    path: str
    headers: dict  # names in lower case
    body: bytes  # as it was before compression where that is gzip
    at: float

    @property
    def key(self):
        return self.headers.get("idempotency-key", "")

    def range(self):
        """(partition, first offset, last offset) as its key says."""
        _, _, partition, span = self.key.rsplit("/", 3)
        first, last = span.split("-")
        return int(partition), int(first), int(last)


@dataclasses.dataclass
class Answer:
    status: int = 200
    headers: dict = dataclasses.field(default_factory=dict)
    body: bytes = b""


CUT = "cut"  # the connection is closed before anything is kept
CUT_AFTER = "cut after"  # kept, but nobody is told
CUT_BODY = "cut body"  # kept, answered with less than was announced
STALL = "stall"  # kept, answered `stall_seconds` later


class HttpEndpoint:
    """decide(attempt) -> an Answer or one of CUT…; None: 200 and keep it. Thread: any. What is larger than most_bytes is answered with 413 unread."""

    def __init__(self, decide=None, tls=None, stall_seconds=3, most_bytes=None):
        self.decide = decide or (lambda attempt: None)
        self.most_bytes = most_bytes
        self.stall_seconds = stall_seconds
        self.attempts = []  # every request
        self.kept = {}  # the first attempt that was kept, by key, in this order
        self.problems = []  # what no client may do
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._closing = threading.Event()
        endpoint = self

        class Handler(_Handler):
            owner = endpoint

        self._server = _Server(("127.0.0.1", 0), Handler)
        if most_bytes:
            self._server.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)  # so that what is not read is not sent either
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self._server.server_address[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/records"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self):
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def kept_by_partition(self):
        """partition -> [(first, last, body)] in the order in which they were kept."""
        with self._lock:
            kept = list(self.kept.values())
        found = {}
        for attempt in kept:
            partition, first, last = attempt.range()
            found.setdefault(partition, []).append((first, last, attempt.body))
        return found

    def records(self):
        """How many are kept, going by the keys (offsets without gaps)."""
        return sum(last - first + 1 for spans in self.kept_by_partition().values() for first, last, _ in spans)

    # --- for the handler ------------------------------------------------------------------------------------------

    def take(self, attempt):
        with self._lock:
            self.attempts.append(attempt)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)

    def done(self):
        with self._lock:
            self._at_once -= 1

    def keep(self, attempt):
        with self._lock:
            known = self.kept.setdefault(attempt.key, attempt)
            if known is not attempt and known.body != attempt.body:
                self.problems.append(f"another body under the same key {attempt.key}")

    def stall(self):
        self._closing.wait(self.stall_seconds)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # connections that are cut are what this is about


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave together
    owner = None

    def log_message(self, *_):
        pass

    def _handle(self):
        headers = {name.lower(): value for name, value in self.headers.items()}
        length = int(headers.get("content-length", 0))
        if self.owner.most_bytes and length > self.owner.most_bytes:
            self.send_error(413)
            self.close_connection = True
            return
        body = self.rfile.read(length)
        if len(body) < length:  # whoever sent it has died: no request
            self.close_connection = True
            return
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        attempt = Attempt(self.command, self.path, headers, body, time.monotonic())
        self.owner.take(attempt)
        try:
            self._answer(attempt, self.owner.decide(attempt))
        finally:
            self.owner.done()

    def _answer(self, attempt, decision):
        if decision == CUT:
            return self._cut()
        if decision in (None, CUT_AFTER, CUT_BODY, STALL):
            self.owner.keep(attempt)
        if decision == CUT_AFTER:
            return self._cut()
        if decision == STALL:
            self.owner.stall()
            return self._cut()
        answer = decision if isinstance(decision, Answer) else Answer()
        if isinstance(decision, Answer) and 200 <= answer.status < 300:
            self.owner.keep(attempt)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body) + (10 if decision == CUT_BODY else 0)))
        self.end_headers()
        self.wfile.write(answer.body)
        self.wfile.flush()
        if decision == CUT_BODY:
            self._cut()

    def _cut(self):
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    do_POST = do_PUT = do_PATCH = do_GET = _handle


def token_answer(token, expires_in=3600):
    body = json.dumps({"access_token": token, "token_type": "Bearer", "expires_in": expires_in}).encode()
    return Answer(200, {"Content-Type": "application/json"}, body)


def misbehaving(dice):
    """5 % 500, 3 % 429, connections that are cut before and after, cut answers, stalls."""
    lock = threading.Lock()

    def decide(attempt):
        with lock:
            roll = dice.random()
        if roll < 0.05:
            return Answer(500, body=b"out of luck")
        if roll < 0.08:
            return Answer(429, {"Retry-After": "0"})
        return CUT if roll < 0.10 else CUT_AFTER if roll < 0.12 else CUT_BODY if roll < 0.13 else STALL if roll < 0.133 else None

    return decide
