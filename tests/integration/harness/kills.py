"""kill -9 while records flow, again and again: what the tests of all sinks have in common."""

import time

from .waiting import wait_until


def kill_in_flow(server, progress, dice, check=lambda: None, pause=(0, 0.5), over=lambda: False):
    """It is killed, some seconds of `pause` after progress() has changed; check() proves what it leaves; it starts again. over(): nothing flows any more.
    True: records flowed in its last moment."""
    before = progress()
    wait_until(lambda: progress() != before or over(), 60, "records flow")
    time.sleep(dice.uniform(*pause))
    before = progress()
    time.sleep(0.05)
    server.kill9()
    flowed = progress() != before
    check()
    server.start(wait=False)
    return flowed


def wait_delivered(flow, servers):
    """Everything is in the sink, once, and committed."""
    for server in servers:
        server.wait_ready()
    flow.wait_complete(150)
    flow.wait_committed(30)
