"""Bounded waiting: every test ends by itself, and says what it waited for when it gives up."""

import socket
import time


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
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
