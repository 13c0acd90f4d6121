"""What must be true of the sinks when everything has come to rest, record by record. Each function returns what is wrong, in words."""

import hashlib
import threading

from harness import records
from harness.http_server import HttpEndpoint

FAULTS = ("missing", "duplicates", "out_of_order", "corrupt", "foreign", "unexpected")


def _wrong(where, report):
    if report["ok"]:
        return []
    found = {name: report[name] for name in FAULTS if report.get(name)}
    return [f"{where}: {found or report}; {report.get('examples', '')}"]


def of_files(files, stream):
    """Each record once, whole, in order per partition, over all files together."""
    if not files:
        return ["no file was written"]
    return _wrong("file", records.run_checker(files, expect=stream.next, run=stream.run))


def of_table(database, table, stream, folder):
    """Each record once, whole; by offset they are in order."""
    if not database.value(f"SELECT to_regclass('{table}')"):
        return ["no table was made"]
    file = folder / f"{table}.values"
    database.run(f"\\copy (SELECT value FROM {table} ORDER BY partition, \"offset\") TO '{file}'")
    wrong = _wrong("table", records.run_checker([str(file)], expect=stream.next, run=stream.run))
    file.unlink()
    misplaced = database.value(f"SELECT count(*) FROM {table} WHERE value NOT LIKE 'KFR1 % ' || lpad(partition::text, 5, '0') || ' ' || lpad(\"offset\"::text, 12, '0') || ' %'")
    return wrong + ([f"table: {misplaced} rows say another partition or offset than their record"] if misplaced != "0" else [])


class Ledger(HttpEndpoint):
    """An endpoint that writes each record to a file of its partition when it comes first, and counts the others.

    mode: how it answers at present, as HttpEndpoint.decide. Thread: any."""

    def __init__(self, folder):
        super().__init__(lambda attempt: self.mode(attempt) if self.mode else None)
        self.mode = None
        self.requests = self.repeated_records = 0
        self._folder = folder
        self._files, self._seen, self._hashes = {}, {}, {}
        self._keeping = threading.Lock()

    def take(self, attempt):
        self.requests += 1

    def done(self):
        pass

    def keep(self, attempt):
        partition, first, last = attempt.range()
        lines = attempt.body.removesuffix(b"\n").split(b"\n")
        digest = hashlib.blake2b(attempt.body, digest_size=12).digest()
        with self._keeping:
            if len(lines) != last - first + 1:
                self.problems.append(f"{attempt.key} holds {len(lines)} records")
                return
            if self._hashes.setdefault(attempt.key, digest) != digest:
                self.problems.append(f"another body under the same key {attempt.key}")
            self._write(partition, first, lines)

    def _write(self, partition, first, lines):
        if partition not in self._files:
            self._files[partition] = open(self.file_of(partition), "wb")
            self._seen[partition] = bytearray()
        seen, out = self._seen[partition], self._files[partition]
        seen.extend(bytes(max(0, first + len(lines) - len(seen))))
        for offset, line in enumerate(lines, first):
            if seen[offset]:
                self.repeated_records += 1
            else:
                seen[offset] = 1
                out.write(line + b"\n")

    def file_of(self, partition):
        return self._folder / f"endpoint-{partition}"

    def positions(self):
        """By partition, how far records have come without a gap."""
        with self._keeping:
            ends = {partition: (end if (end := seen.find(0)) >= 0 else len(seen)) for partition, seen in self._seen.items()}
        return {partition: end for partition, end in ends.items() if end}


def of_endpoint(ledger, stream):
    """Each record at least once, whole; those of a partition came first in order."""
    with ledger._keeping:
        for file in ledger._files.values():
            file.flush()
        files = [str(ledger.file_of(partition)) for partition in sorted(ledger._files)]
        problems = [f"endpoint: {problem}" for problem in ledger.problems]
    if not files:
        return ["nothing came to the endpoint"]
    return problems + _wrong("endpoint", records.run_checker(files, expect=stream.next, run=stream.run))


def of_commits(committed, held):
    """`held`: sink -> next offset by partition. Nothing is committed that a sink does not hold."""
    return [
        f"partition {partition}: {offset} is committed, {sink} holds {positions.get(partition, 0)}"
        for partition, offset in committed.items()
        for sink, positions in held.items()
        if offset > positions.get(partition, 0)
    ]
