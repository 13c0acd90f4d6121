"""A PostgreSQL of the tests' own through scripts/postgres: databases made for a test, the server stopped, killed or frozen, a standby that takes over."""

import os
import pathlib
import signal
import socket
import subprocess
import sys
import uuid

from . import paths
from .waiting import free_port, wait_until

# Tests kill processes and never the machine: what the operating system has been given is safe. And with some hundred databases,
# autovacuum would do nothing but go from one to the next.
FOR_TESTS = ("fsync = off", "autovacuum = off")


class OwnPostgres:
    def __init__(self, folder, settings=(), as_in_earnest=False, address="127.0.0.1", port=None):
        """`settings`: lines for postgresql.conf. `as_in_earnest`: without those that suit tests, for measurements."""
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.address = address
        self.port = port or free_port()
        lines = "\n".join((*(() if as_in_earnest else FOR_TESTS), *settings))
        where = {"POSTGRES_DIR": str(self.folder / "postgres"), "POSTGRES_ADDRESS": address, "POSTGRES_PORT": str(self.port)}
        self._environment = {**os.environ, **where, "POSTGRES_EXTRA_SETTINGS": lines}

    @classmethod
    def standby_of(cls, primary, folder, address, through):
        """At another address, on the same port as its primary. `through`: the port of a proxy to the primary, by which it follows."""
        standby = cls(folder, address=address, port=primary.port)
        standby._environment.update(POSTGRES_STANDBY_OF=primary._environment["POSTGRES_DIR"], POSTGRES_STANDBY_THROUGH=str(through))
        return standby

    def _script(self, *arguments):
        # Its output goes to a file: a pipe would stay open as long as the server runs.
        log = self.folder / "script.log"
        with open(log, "a") as output:
            done = subprocess.run(
                [paths.POSTGRES_SCRIPT, *arguments], env=self._environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output, timeout=120
            )
        assert done.returncode == 0, f"scripts/postgres {arguments}: {log.read_text()[-2000:]}"

    def start(self):
        self._script("start")
        return self

    def stop(self, *options):
        self._script("stop", *options)

    def remove(self):
        self._script("stop", "--immediate", "--fresh")  # a last checkpoint of some hundred databases takes a minute on a busy disk, for nothing

    def promote(self):
        self._script("promote")

    def sql(self, statement, database="fetcher"):
        """The statement's output, unaligned."""
        command = [paths.POSTGRES_SCRIPT, "psql", "-d", self.url(database), "-AtX", "-v", "ON_ERROR_STOP=1", "-c", statement]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def url(self, database="fetcher"):
        return f"postgresql://fetcher:fetcher@{self.address}:{self.port}/{database}"

    def make_database(self):
        """An empty database; its URL."""
        name = f"test_{uuid.uuid4().hex[:10]}"
        self.sql(f"CREATE DATABASE {name}")
        return self.url(name)

    # --- the server's processes -----------------------------------------------------------------------------------

    def _postmaster(self):
        """Whoever holds the listening socket."""
        listening = f"{int.from_bytes(socket.inet_aton(self.address), sys.byteorder):08X}:{self.port:04X}"
        lines = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
        inodes = {f"socket:[{line[9]}]" for line in lines if line[1] == listening and line[3] == "0A"}
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if any(os.readlink(fd) in inodes for fd in (process / "fd").iterdir()):
                    return int(process.name)
            except OSError:
                continue
        raise AssertionError(f"nobody listens on {self.port}")

    def freeze(self):
        """SIGSTOP to all of it: the kernel goes on taking connections and acknowledging bytes. Returns the processes for thaw()."""
        postmaster = self._postmaster()
        # The postmaster first, and last again: while it is stopped it makes no child, and buries none.
        os.kill(postmaster, signal.SIGSTOP)
        state = lambda: pathlib.Path(f"/proc/{postmaster}/stat").read_text().rsplit(")", 1)[1].split()[0]
        wait_until(lambda: state() == "T", 10, "it has stopped", interval=0.001)
        children = [int(pid) for pid in pathlib.Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()]
        for pid in children:
            os.kill(pid, signal.SIGSTOP)
        return [*children, postmaster]

    def kill9(self):
        """All of it at once, as when its machine goes."""
        for pid in self.freeze():
            os.kill(pid, signal.SIGKILL)

    @staticmethod
    def thaw(frozen):
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
