"""A stream of numbered records through one consumer group into files, and what must hold of it at every moment:

S  what a file's checkpoint covers is an exact prefix of each partition, and the checkpoint's offsets say how long it is;
A  the group's committed offsets are never beyond the checkpoint;
at the end every record is there once, in order per partition.

The topic holds nothing but the stream, so a record's sequence number is its offset.
"""

import pathlib
import re

from . import checkpoint, records
from .waiting import wait_until


class FileFlow:
    def __init__(self, cluster, stream, group, path):
        """`path` may hold {partition}: then each partition has its file."""
        self.cluster = cluster
        self.stream = stream
        self.group = group
        self.path = str(path)
        self.folder = pathlib.Path(path).parent
        self.by_partition = "{partition}" in self.path

    def active_files(self):
        if self.by_partition:
            return [self.path.replace("{partition}", str(partition)) for partition in range(self.stream.partitions)]
        return [self.path]

    @staticmethod
    def finished_files(active):
        """Files that rotation has finished, oldest first: `a.log` becomes `a.<time>-<number that rises>.log`."""
        active = pathlib.Path(active)
        number = re.compile(re.escape(active.stem) + r"\.\d{8}T\d{6}Z-(\d+)" + re.escape(active.suffix))
        found = [(int(match[1]), str(f)) for f in active.parent.iterdir() if (match := number.fullmatch(f.name))]
        return [name for _, name in sorted(found)]

    def checkpoints(self):
        """Checkpoint by active file, where there is one."""
        found = {active: checkpoint.read(active) for active in self.active_files()}
        return {active: state for active, state in found.items() if state}

    def durable(self):
        """Next offset by partition, as the checkpoints say."""
        offsets = {}
        for state in self.checkpoints().values():
            offsets.update(state.next_offsets(self.group, self.stream.topic))
        return offsets

    def size(self):
        return sum(checkpoint.size_of(active) for active in self.active_files())

    def _covered(self, active, state, may_rotate):
        """The files that the checkpoint covers, and how much of the last one (None: all of it)."""
        finished = self.finished_files(active) if may_rotate else []
        if state.rotating_to and str(self.folder / state.rotating_to) in finished:
            return finished, None  # it has its final name already; what is at the active name now is the next one
        assert checkpoint.size_of(active) >= state.length, f"{active} is shorter than its checkpoint says ({state.length})"
        return ([*finished, active], state.length) if pathlib.Path(active).exists() else (finished, None)

    def assert_holds(self, may_rotate=False):
        """S and A, at any moment; with rotation (`may_rotate`) only while nobody writes. Returns the durable offsets."""
        committed = self.cluster.committed(self.group, self.stream.topic)  # before the checkpoint: both only grow
        durable = {}
        for active, state in self.checkpoints().items():
            files, length = self._covered(active, state, may_rotate)
            seen = records.assert_prefix(files, self.stream, length=length) if files else {}
            offsets = {p: n for p, n in state.next_offsets(self.group, self.stream.topic).items() if n}
            assert offsets == seen, f"{active}: the checkpoint says {offsets}, the file holds {seen}"
            durable.update(offsets)
        beyond = {p: (offset, durable.get(p)) for p, offset in committed.items() if offset > durable.get(p, 0)}
        assert not beyond, f"committed beyond the sink, as partition: (committed, durable): {beyond}"
        return durable

    def wait_complete(self, timeout):
        """Waits until everything that was sent is durable, then proves it of the files' bytes."""
        wanted = {p: n for p, n in self.stream.next.items() if n}
        wait_until(lambda: self.durable() == wanted, timeout, lambda: f"durable {self.durable()}, sent {wanted}", interval=0.1)
        self.assert_exact()

    def assert_exact(self, **options):
        files = []
        for active in self.active_files():
            files += self.finished_files(active)
            files += [active] if pathlib.Path(active).exists() else []
        records.assert_exact(files, self.stream, **options)

    def wait_committed(self, timeout=15):
        """The group's offsets reach the end: lag 0 for everybody who looks."""
        wanted = {p: n for p, n in self.stream.next.items() if n}
        committed = lambda: self.cluster.committed(self.group, self.stream.topic)
        wait_until(lambda: committed() == wanted, timeout, lambda: f"committed {committed()}, sent {wanted}", interval=0.2)
