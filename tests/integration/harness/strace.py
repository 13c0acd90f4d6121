"""Faults at chosen system calls of a running process, by strace's injection. `when` counts per thread, from the moment of attaching."""

import signal
import subprocess
import threading


def _expressions(calls, action):
    known = ",".join(f"?{call}" for call in calls.split(","))
    # --seccomp-bpf would be faster; it works only for processes that strace starts itself.
    return ["-e", f"trace={known}", "-e", f"inject={known}:{action}"]


class Strace:
    """with Strace(pid, "fdatasync", "error=EIO:when=2"): the fault is armed; afterwards the process goes on without it.

    path: only calls on this file."""

    def __init__(self, pid, calls, action, path=None):
        self._command = ["strace", "-f", "-p", str(pid), *(("-P", str(path)) if path else ()), *_expressions(calls, action)]
        self._process = None
        self.lines = []

    @staticmethod
    def command(calls, action):
        """A wrapper for a process that is to live under the fault from its start on."""
        return ["strace", "-f", "-o", "/dev/null", *_expressions(calls, action)]

    def __enter__(self):
        self._process = subprocess.Popen(self._command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        first = self._process.stderr.readline()
        assert "attached" in first, f"strace cannot attach: {first}"
        # All threads are attached before the first call is let through; the lines must be read, or strace would wait for us.
        self._reader = threading.Thread(target=lambda: self.lines.extend(self._process.stderr), daemon=True)
        self._reader.start()
        return self

    def __exit__(self, *_):
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)  # it detaches
        self._process.wait(15)
        self._reader.join(5)

    def injected(self):
        """How many calls the fault has met."""
        return sum("(INJECTED)" in line for line in self.lines)
