"""Bounded waiting: every test ends by itself, and says what it waited for when it gives up."""

import os
import random
import socket
import time

_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
# Below those that the system gives to connections: what has been stopped finds its port free when it starts again. Others for each process of pytest.
_ports = random.sample(range(10_000 + _WORKER % 8 * 2_000, 12_000 + _WORKER % 8 * 2_000), 2_000)


def wait_until(condition, timeout, what, interval=0.05):
    """Returns the first true value of condition(); fails after `timeout` seconds with `what` (a string or a function)."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:g} s: {what() if callable(what) else what}")
        time.sleep(interval)


def free_port():
    """One that nobody listens on, and that is not given a second time."""
    while _ports:
        port = _ports.pop()
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue
    raise AssertionError("no port is left")
