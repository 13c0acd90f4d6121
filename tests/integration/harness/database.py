"""What is in a database, seen through psql."""

import subprocess

from . import records
from .waiting import wait_until


class Database:
    """A PostgreSQL that runs already, seen through psql."""

    def __init__(self, url):
        self.url = url
        self._session = None

    def query(self, sql):
        """Rows as lists of strings, "" for null, on a connection that is kept."""
        if self._session is None:
            self._session = Session(self.url)
        try:
            return self._session.query(sql)
        except BrokenPipeError:
            self._session = None
            raise

    def value(self, sql):
        rows = self.query(sql)
        assert len(rows) == 1 and len(rows[0]) == 1, f"{sql}: {rows}"
        return rows[0][0]

    def run(self, sql):
        """Statements on a connection of their own; they must succeed."""
        done = subprocess.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", self.url], input=sql, text=True, capture_output=True, timeout=600)
        assert done.returncode == 0, f"{sql[:500]}: {done.stderr}"

    def answers(self):
        return subprocess.run(["psql", "-X", "-c", "SELECT 1", self.url], capture_output=True, timeout=30).returncode == 0

    def close(self):
        if self._session is not None:
            self._session.close()
            self._session = None


class Session:
    """One psql that is kept, for many small questions."""

    END = "--the end--"

    def __init__(self, url):
        self._process = subprocess.Popen(
            ["psql", "-X", "-A", "-t", "-q", "-F", "\x1f", url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def query(self, sql):
        self._process.stdin.write(f"{sql};\n\\echo {self.END}\n")
        self._process.stdin.flush()
        rows = []
        for line in self._process.stdout:
            line = line.rstrip("\n")
            if line == self.END:
                return rows
            assert not line.startswith(("ERROR:", "FATAL:")), f"{sql}: {line}"
            rows.append(line.split("\x1f"))
        raise BrokenPipeError("psql has ended")

    def close(self):
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(10)


class TableFlow:
    """A stream of numbered records through one consumer group into one table, and what must hold of it at every moment:

    S  the table holds exactly what the positions say, per partition;
    A  the group's committed offsets are never beyond the positions;
    at the end every record is there once, whole.

    The topic holds nothing but the stream, so a record's sequence number is its offset."""

    def __init__(self, cluster, stream, group, database, folder, table="kafka_messages", dsn=None):
        self.cluster, self.stream, self.group, self.database, self.table = cluster, stream, group, database, table
        self.dsn = dsn or database.url
        self.file = folder / f"{table}.values"

    def create(self, server, **config):
        """A consumer whose one sink is the table; its id."""
        processors = [("database_sync", {"db_dsn": self.dsn, "table": self.table, **config})]
        return server.create(self.cluster, self.stream.topic, self.group, processors)

    def positions(self):
        """Next offset by partition; {} before there is a table."""
        if not self.database.value("SELECT to_regclass('fetcher_positions')"):
            return {}
        rows = self.database.query(f"SELECT partition, next FROM fetcher_positions WHERE target = 'public.{self.table}' AND consumer_group = '{self.group}'")
        return {int(partition): int(position) for partition, position in rows}

    def total(self):
        return sum(self.positions().values())

    def assert_holds(self):
        committed = self.cluster.committed(self.group, self.stream.topic)  # before the positions: both only grow
        if not self.positions():
            return
        wrong = self.database.query(
            f'SELECT p.partition, p.next, c.rows, c.distinct_rows, c.last FROM fetcher_positions p LEFT JOIN (SELECT partition, count(*) AS rows, '
            f'count(DISTINCT "offset") AS distinct_rows, max("offset") AS last FROM {self.table} GROUP BY partition) c USING (partition) '
            f"WHERE p.target = 'public.{self.table}' AND p.consumer_group = '{self.group}' AND "
            f"(p.next, p.next, p.next) IS DISTINCT FROM (coalesce(c.rows, 0), coalesce(c.distinct_rows, 0), coalesce(c.last + 1, 0))"
        )
        assert not wrong, f"partition, position, rows, distinct rows, last offset: {wrong}"
        positions = self.positions()
        beyond = {p: (offset, positions.get(p)) for p, offset in committed.items() if offset > positions.get(p, 0)}
        assert not beyond, f"committed beyond the table, as partition: (committed, position): {beyond}"

    def wait_complete(self, timeout):
        wanted = {p: n for p, n in self.stream.next.items() if n}
        wait_until(lambda: self.positions() == wanted, timeout, lambda: f"positions {self.positions()}, sent {wanted}", interval=0.1)
        self.assert_exact()

    def assert_exact(self):
        """Every record once, whole; by what is in the rows, not by what the positions say."""
        self.assert_holds()
        self.database.run(f"\\copy (SELECT value FROM {self.table} ORDER BY partition, \"offset\") TO '{self.file}'")
        records.assert_exact([str(self.file)], self.stream)
        self.file.unlink()

    def wait_committed(self, timeout=15):
        wanted = {p: n for p, n in self.stream.next.items() if n}
        committed = lambda: self.cluster.committed(self.group, self.stream.topic)
        wait_until(lambda: committed() == wanted, timeout, lambda: f"committed {committed()}, sent {wanted}", interval=0.2)
