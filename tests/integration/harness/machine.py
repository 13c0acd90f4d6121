"""How much of its time the machine did not give to those that measure."""

import threading
import time


class Machine:
    """What excuses an answer that is late. Whether this machine, and this program, had time for us: a thread that does nothing but wake up notes
    how late it was."""

    def __init__(self):
        self._late = []  # (until, seconds)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        expected = time.monotonic() + 0.05
        while not self._stopping.wait(max(0, expected - time.monotonic())):
            now = time.monotonic()
            if now - expected > 0.05:
                self._late = [*self._late[-200:], (now, now - expected)]
            expected = now + 0.05

    def late_seconds(self, begin, end):
        """Between these moments, in all."""
        return sum(seconds for until, seconds in self._late if begin <= until <= end + 0.1)

    def close(self):
        self._stopping.set()
        self._thread.join(5)
