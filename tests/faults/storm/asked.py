"""A cluster that is asked by a process of its own for each question: a client library that crashes while brokers die and come back must not take
hours of a run with it."""

import json
import subprocess
import sys

from harness import paths
from harness.broker import OwnBroker

PROGRAM = """
import json, sys
sys.path.insert(0, sys.argv[1])
from harness.broker import Cluster
servers, question, *arguments = json.loads(sys.argv[2])
print(json.dumps(getattr(Cluster(servers), question)(*arguments)), flush=True)
"""
CRASHES = 3


class AskedBroker(OwnBroker):
    def start(self):
        self._script("start")  # which waits until it answers

    def _ask(self, question, *arguments):
        for _ in range(CRASHES):
            command = [sys.executable, "-c", PROGRAM, str(paths.ROOT / "tests/integration"), json.dumps([self.servers, question, *arguments])]
            done = subprocess.run(command, capture_output=True, text=True, timeout=90)
            if done.returncode >= 0:
                break
        assert done.returncode == 0, f"{question}: {done.returncode} {done.stderr[-1000:]}"
        return json.loads(done.stdout.splitlines()[-1])

    def make_topic(self, prefix, partitions=1):
        return self._ask("make_topic", prefix, partitions)

    def committed(self, group, topic):
        return {int(partition): offset for partition, offset in self._ask("committed", group, topic).items()}

    def end_offsets(self, topic, partitions):
        return {int(partition): offset for partition, offset in self._ask("end_offsets", topic, partitions).items()}
