"""The real broker through scripts/kafka, and what an independent client sees of it."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import uuid

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from . import paths
from .waiting import free_port, wait_until

TIMEOUT = 15


class Cluster:
    """A broker that runs already, seen through librdkafka's Python client."""

    def __init__(self, servers):
        self.servers = servers
        self.host, port = servers.rsplit(":", 1)
        self.port = int(port)
        self._admin = None

    @property
    def admin(self):
        if self._admin is None:
            self._admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 2})
        return self._admin

    def answers(self):
        try:
            with socket.create_connection((self.host, self.port), timeout=2):
                pass
            return AdminClient({"bootstrap.servers": self.servers, "log_level": 0}).list_topics(timeout=3) is not None
        except (OSError, KafkaException):
            return False

    def make_topic(self, prefix, partitions=1, replicas=1, **config):
        """Makes a topic with a name of its own and returns the name."""
        name = f"{prefix}-{uuid.uuid4().hex[:10]}"
        self.make_topic_named(name, partitions, replicas, **config)
        return name

    def make_topic_named(self, name, partitions=1, replicas=1, **config):
        topic = NewTopic(name, partitions, replicas, config={key.replace("_", "."): str(value) for key, value in config.items()})
        self.admin.create_topics([topic])[name].result(TIMEOUT)
        answer = None

        def led():
            nonlocal answer
            if name not in self.admin.list_topics(timeout=TIMEOUT).topics:
                return False  # a question for offsets of what is not known yet waits for its leaders until its time is over
            try:
                answer = self.end_offsets(name, partitions, timeout=3)
                return len(answer) == partitions
            except KafkaException as error:  # a leader answers between any two of the steps by which it hears that it leads
                answer = error
                return False

        wait_until(led, TIMEOUT, lambda: f"topic {name} is known, and its leaders know it: {answer}")

    def delete_topic(self, name):
        self.admin.delete_topics([name])[name].result(TIMEOUT)
        wait_until(lambda: name not in self.admin.list_topics(timeout=TIMEOUT).topics, 20, f"topic {name} is known no more")

    def list_partitions(self, topic):
        return list(self.admin.list_topics(topic, timeout=TIMEOUT).topics[topic].partitions)

    def leaders(self, topic):
        """Broker id by partition."""
        return {number: found.leader for number, found in self.admin.list_topics(topic, timeout=TIMEOUT).topics[topic].partitions.items()}

    def commit(self, group, offsets, topic, metadata=""):
        """Commits in the name of a group that has no members."""
        partitions = [TopicPartition(topic, partition, offset, metadata) for partition, offset in offsets.items()]

        def committed():
            answer = self.admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, partitions)])[group].result(TIMEOUT)
            errors = {partition.error.code() for partition in answer.topic_partitions if partition.error}
            assert errors <= {KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS}, errors
            return not errors

        wait_until(committed, TIMEOUT, "the group has a coordinator")

    def produce(self, topic, records):
        """Sends (partition, value[, key[, headers]]) tuples one after the other and waits for all of them."""
        producer = Producer({"bootstrap.servers": self.servers, "enable.idempotence": True, "message.max.bytes": 8_000_000, "log_level": 2,
                             "topic.metadata.refresh.interval.ms": 1000})  # fmt: skip
        failures = []
        for partition, value, *rest in records:
            key = rest[0] if rest else None
            headers = rest[1] if len(rest) > 1 else None
            report = lambda error, _: failures.append(error) if error else None
            producer.produce(topic, value, key, partition=partition, headers=headers, on_delivery=report)
            producer.poll(0)
        assert producer.flush(TIMEOUT) == 0, "not everything was sent"
        assert not failures, failures

    def committed(self, group, topic):
        """Committed offset by partition; partitions without one are left out. {} where the group is not known or nobody answers.

        Asked as a consumer: the admin client, which has no group, crashes when it hears that the coordinator has moved."""
        asker = Consumer({"bootstrap.servers": self.servers, "group.id": group, "enable.auto.commit": False, "log_level": 0})
        try:
            partitions = asker.list_topics(topic, timeout=TIMEOUT).topics[topic].partitions
            found = asker.committed([TopicPartition(topic, partition) for partition in partitions], timeout=TIMEOUT)
        except KafkaException:
            return {}
        finally:
            asker.close()
        return {p.partition: p.offset for p in found if p.error is None and p.offset >= 0}

    def end_offsets(self, topic, partitions, timeout=TIMEOUT):
        asked = {TopicPartition(topic, partition): OffsetSpec.latest() for partition in range(partitions)}
        answers = self.admin.list_offsets(asked, request_timeout=timeout)
        return {p.partition: future.result(timeout + 5).offset for p, future in answers.items()}

    def describe_group(self, group):
        return self.admin.describe_consumer_groups([group])[group].result(TIMEOUT)

    def members(self, group):
        """Partitions by member id, of members that hold some."""
        members = {m.member_id: sorted(p.partition for p in m.assignment.topic_partitions) for m in self.describe_group(group).members}
        return {member: held for member, held in members.items() if held}


class OwnBroker(Cluster):
    """A broker that a test may kill: an instance of its own on ports of its own.

    extra_listener: (port, advertised port) of a second listener, for clients that come through a proxy.
    secure_listeners: more of them by name, as (port, advertised port, security protocol); properties: more lines of the broker's configuration."""

    def __init__(self, folder, extra_listener=None, secure_listeners=None, properties=()):
        port, controller_port = free_port(), free_port()
        super().__init__(f"127.0.0.1:{port}")
        self.controller_port = controller_port
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        # A broker that was killed is let back into its cluster when its old session is over: soon.
        properties = ["broker.session.timeout.ms=2000", "broker.heartbeat.interval.ms=500", *properties]
        listeners = {"PLAINTEXT": (port, port, "PLAINTEXT")}
        if extra_listener:
            listeners["PROXIED"] = (*extra_listener, "PLAINTEXT")
        listeners.update(secure_listeners or {})
        if len(listeners) > 1:
            bound = [f"{name}://127.0.0.1:{its_port}" for name, (its_port, _, _) in listeners.items()]
            properties += [
                f"listeners={','.join(bound)},CONTROLLER://127.0.0.1:{controller_port}",
                "advertised.listeners=" + ",".join(f"{name}://127.0.0.1:{told}" for name, (_, told, _) in listeners.items()),
                "listener.security.protocol.map="
                + ",".join(f"{name}:{protocol}" for name, (_, _, protocol) in listeners.items())
                + ",CONTROLLER:PLAINTEXT",
            ]
        self._environment = dict(
            os.environ,
            KAFKA_DIR=str(self.folder),
            KAFKA_PORT=str(port),
            KAFKA_CONTROLLER_PORT=str(controller_port),
            KAFKA_EXTRA_PROPERTIES="\n".join(properties),
            JAVA_TOOL_OPTIONS="-XX:TieredStopAtLevel=1",  # it does not live long enough to be worth optimising
        )

    @classmethod
    def joining(cls, first, folder):
        """A second broker of the cluster of `first`, which remains the controller."""
        broker = cls(folder)
        broker.controller_port = first.controller_port
        more = ["process.roles=broker", "node.id=2", f"controller.quorum.voters=1@127.0.0.1:{first.controller_port}"]
        more += [f"listeners=PLAINTEXT://127.0.0.1:{broker.port}"]
        broker._environment["KAFKA_EXTRA_PROPERTIES"] += "\n" + "\n".join(more)
        return broker

    def move(self):
        """It listens on another port from its next start on. Only for one without further listeners."""
        self.port = free_port()
        self.servers = f"127.0.0.1:{self.port}"
        self._environment["KAFKA_PORT"] = str(self.port)
        self._admin = None

    def _script(self, *arguments):
        # Its output goes to a file: a pipe would stay open as long as the broker runs.
        with open(self.folder / "script.log", "a") as log:
            done = subprocess.run(
                [paths.KAFKA_SCRIPT, *arguments], env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, timeout=120
            )
        assert done.returncode == 0, f"scripts/kafka {arguments}: {(self.folder / 'script.log').read_text()[-2000:]}"

    def start(self):
        self._script("start")
        wait_until(self.answers, 60, "the broker answers")

    def stop(self):
        self._script("stop")

    @contextlib.contextmanager
    def going_back(self):
        """Whatever is written within is lost afterwards: the broker is killed and starts again with what its disk held before."""
        self.kill9()
        shutil.copytree(self.folder / "data", self.folder / "data-before")
        self.start()
        yield
        self.kill9()
        shutil.rmtree(self.folder / "data")
        (self.folder / "data-before").rename(self.folder / "data")
        self.start()

    @contextlib.contextmanager
    def losing(self, topic):
        """What is written to the topic within is lost afterwards, and the cluster, whose metadata stay, knows nothing of it: a broker that was restored from a backup."""
        self.kill9()
        before = self.folder / "before"
        kept = [*self._logs_of(topic), *(self.folder / "data").glob("*-offset-checkpoint")]
        before.mkdir()
        for path in kept:
            (shutil.copytree if path.is_dir() else shutil.copy)(path, before / path.name)
        self.start()
        yield
        self.kill9()
        for path in self._logs_of(topic):
            shutil.rmtree(path)
        for path in before.iterdir():
            path.rename(self.folder / "data" / path.name)
        before.rmdir()
        self.start()

    def _logs_of(self, topic):
        return [*(self.folder / "data").glob(f"{topic}-*")]

    def kill9(self):
        pid = int((self.folder / "kafka.pid").read_text())
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not pathlib.Path(f"/proc/{pid}/cmdline").exists() or _is_zombie(pid), 10, "the broker is gone")


def _is_zombie(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True
