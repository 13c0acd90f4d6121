"""Fixtures of the black-box tests, of integration/ and faults/ alike. They need a built server (KAFKA_FETCHER_BINARY, default build/release/kafka-fetcher) and a real broker
(KAFKA_BOOTSTRAP_SERVERS, default 127.0.0.1:9092; scripts/kafka start). Everything a test starts, it ends."""

import os
import pathlib
import random
import uuid

import pytest

from harness import paths
from harness.broker import Cluster, OwnBroker
from harness.database import Database
from harness.postgres import OwnPostgres
from harness.server import Server

pytest_plugins = ["harness.side_by_side"]


@pytest.fixture(scope="session")
def cluster():
    """The broker that all tests share: a test uses topics and groups of its own."""
    cluster = Cluster(os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092"))
    if not cluster.answers():
        pytest.exit(f"no broker on {cluster.servers}: run scripts/kafka start", returncode=1)
    return cluster


@pytest.fixture
def own_broker(tmp_path):
    """A running broker that the test may kill."""
    broker = OwnBroker(tmp_path / "kafka")
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory):
    """A PostgreSQL for all tests of a run: each makes a database of its own; whoever stops or freezes it makes it run again."""
    server = OwnPostgres(tmp_path_factory.mktemp("postgres"))
    server.start()
    yield server
    server.remove()


@pytest.fixture
def database(postgres_server):
    """An empty database of the test's own."""
    database = Database(postgres_server.make_database())
    yield database
    database.close()


@pytest.fixture
def make_server(tmp_path, request):
    """make_server(**options) -> a Server that does not run yet. Those left running are ended; their logs, and how
    one ended that ended by itself, are shown if the test fails. With TEST_STORE=postgres in the environment, each keeps its configuration
    in a database of its own, unless the test says where: sqlite=True if it stops the database of its sink and changes consumers meanwhile,
    or looks into the file."""
    if not paths.BINARY.exists():
        pytest.exit(f"no server at {paths.BINARY}: run cmake --workflow --preset release", returncode=1)
    servers = []

    def make(name=None, servers_address=None, sqlite=False, **options):
        folder = tmp_path / (name or f"server{len(servers)}")
        if os.environ.get("TEST_STORE") == "postgres" and "DATABASE_URL" not in options and not sqlite:
            options["DATABASE_URL"] = request.getfixturevalue("postgres_server").make_database()
        server = Server(folder, servers_address or request.getfixturevalue("cluster").servers, **options)
        servers.append(server)
        return server

    yield make
    for server in servers:
        print(server.close_and_tell())


@pytest.fixture
def server(make_server):
    """A running server with a data folder of its own."""
    return make_server().start()


@pytest.fixture
def group():
    return f"group-{uuid.uuid4().hex[:10]}"


@pytest.fixture
def seed(request):
    """It is printed: KAFKA_FETCHER_SEED repeats a run."""
    seed = int(os.environ.get("KAFKA_FETCHER_SEED", random.SystemRandom().randrange(1 << 32)))
    print(f"{request.node.name}: KAFKA_FETCHER_SEED={seed}")
    return seed


@pytest.fixture
def dice(seed):
    return random.Random(seed)


@pytest.fixture
def out_folder(tmp_path):
    folder = pathlib.Path(tmp_path / "out")
    folder.mkdir(exist_ok=True)
    return folder
