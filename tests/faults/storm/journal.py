"""What has happened, as lines with their time: shown at once, and again if the run fails."""

import threading
import time


class Journal:
    """Thread: any."""

    def __init__(self, file):
        self._file = open(file, "w")
        self._begin = time.monotonic()
        self._lock = threading.Lock()

    def tell(self, text):
        with self._lock:
            line = f"{time.monotonic() - self._begin:7.1f} s  {text}"
            self._file.write(line + "\n")
            self._file.flush()
            print(line, flush=True)
