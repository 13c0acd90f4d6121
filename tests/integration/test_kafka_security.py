"""A broker that wants a password (SCRAM over TLS) or a certificate: right ones, wrong ones, changed ones, and who may see them."""

import time

import pytest

from harness.flow import FileFlow
from harness.records import Stream
from harness.secure_broker import PASSWORD, USER, SecureBroker
from harness.waiting import wait_until

PARTITIONS = 2
WRONG = "wrong-password-5TzR"


@pytest.fixture(scope="session")  # the order of the tests may mix the modules
def broker(tmp_path_factory):
    broker = SecureBroker(tmp_path_factory.mktemp("secure") / "kafka")
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def secrets(tmp_path):
    folder = tmp_path / "secrets"
    folder.mkdir()
    return folder


@pytest.fixture
def server(make_server, broker, secrets):
    return make_server(servers_address=broker.servers, CERTIFICATES_DIR=broker.certificates, SECRETS_DIR=secrets, LOG_LEVEL="TRACE").start()


@pytest.fixture
def flow(server, broker, group):
    topic = broker.make_topic("secure", PARTITIONS)
    return FileFlow(broker, Stream(broker.servers, topic, PARTITIONS), group, server.out / "flow.log")


def scram(password=PASSWORD, **more):
    return {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": USER,
        "sasl.password": password,
        "ssl.ca.location": "ca.pem",
        **{name.replace("_", "."): value for name, value in more.items()},
    }


def create(server, cluster, flow, properties):
    return server.create_file_sink(cluster, flow.stream.topic, flow.group, flow.path, consumer={"kafka_properties": properties})


def refused(server, consumer, *words):
    """The consumer is ERROR, with these words in its last error and in its health, and says when it tries again."""
    is_so = lambda seen: seen["status"] == "ERROR" and seen["health"]["next_retry_at"]
    seen = wait_until(lambda: is_so(found := server.consumer(consumer)) and found, 20, lambda: f"ERROR: {server.consumer(consumer)}")
    for word in words:
        assert word in seen["last_error"]["detail"], seen["last_error"]
        assert word in str(seen["health"]["reasons"]), seen["health"]
    return seen


def assert_told_nobody(server, consumer, *passwords):
    shown = [server.api("GET", path).body for path in ("/api/consumers", f"/api/consumers/{consumer}", f"/api/consumers/{consumer}/versions")]
    for password in passwords:
        assert password not in str(shown) and password not in server.log.read_text(errors="replace")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("mechanism", ("SCRAM-SHA-256", "SCRAM-SHA-512"))
def test_records_flow_with_the_right_password(server, broker, flow, group, mechanism):
    consumer = create(server, broker.with_password, flow, scram(sasl_mechanism=mechanism))
    flow.stream.send(1000)
    flow.wait_complete(30)
    flow.wait_committed()
    server.terminate()
    server.start()
    flow.stream.send(1000)
    flow.wait_complete(30)
    told = server.consumer(consumer)
    assert told["status"] == "ACTIVE" and told["kafka_properties"]["sasl.password"] == "***" and told["kafka_properties"]["sasl.username"] == USER
    assert_told_nobody(server, consumer, PASSWORD)

    # Questions about the group go to the broker with the consumer's password.
    at = f"group_id={group}&bootstrap_servers={broker.with_password.servers}"
    flow.wait_committed()
    lag = server.expect(200, "GET", f"/monitor/consumer-group-lag?topic={flow.stream.topic}&{at}")
    assert {partition["lag"] for partition in lag.values()} == {0}
    assert server.expect(200, "GET", f"/monitor/consumer-group-offsets?{at}") == {flow.stream.topic: {str(p): 2000 for p in range(PARTITIONS)}}


@pytest.mark.timeout(120)
def test_a_wrong_password_is_an_error_until_the_right_one_is_put(server, broker, flow, group):
    consumer = create(server, broker.with_password, flow, scram(WRONG))
    flow.stream.send(100)
    refused(server, consumer, "Authentication failed", "SCRAM-SHA-512")
    told = server.api("GET", f"/monitor/consumer-group-offsets?group_id={group}&bootstrap_servers={broker.with_password.servers}")
    assert told.status == 502 and "Authentication failed" in told.body["detail"], told
    assert flow.size() == 0

    changed = server.expect(200, "PUT", f"/api/consumers/{consumer}", {"kafka_properties": scram()})
    assert changed["kafka_properties"]["sasl.password"] == "***"
    flow.wait_complete(30)
    server.wait_status(consumer, "ACTIVE")

    # What an answer shows can be sent back: the password behind the mask stays.
    shown = server.consumer(consumer)["kafka_properties"]
    answer = server.expect(200, "PUT", f"/api/consumers/{consumer}", {"kafka_properties": {**shown, "fetch.wait.max.ms": 100}})
    assert answer["kafka_properties"] == {**shown, "fetch.wait.max.ms": "100"}
    flow.stream.send(100)
    flow.wait_complete(30)

    # The wrong one comes back with its version, and goes with the next.
    server.expect(200, "POST", f"/api/consumers/{consumer}/rollback", {"version": 1})
    refused(server, consumer, "Authentication failed")
    server.expect(200, "POST", f"/api/consumers/{consumer}/rollback", {"version": 2})
    flow.stream.send(100)
    flow.wait_complete(30)
    assert_told_nobody(server, consumer, PASSWORD, WRONG)


@pytest.mark.timeout(120)
def test_a_secret_by_reference_is_looked_up_at_each_try(server, broker, flow, secrets):
    consumer = create(server, broker.with_password, flow, scram("${secret:KAFKA_PASSWORD}"))
    flow.stream.send(100)
    refused(server, consumer, "KAFKA_PASSWORD")
    (secrets / "KAFKA_PASSWORD").write_text(WRONG)
    wait_until(lambda: "Authentication failed" in server.consumer(consumer)["last_error"]["detail"], 30, "the wrong one is tried")
    (secrets / "KAFKA_PASSWORD").write_text(PASSWORD + "\n")
    flow.wait_complete(60)  # by itself
    server.wait_status(consumer, "ACTIVE")
    assert server.consumer(consumer)["kafka_properties"]["sasl.password"] == "${secret:KAFKA_PASSWORD}"
    assert_told_nobody(server, consumer, PASSWORD, WRONG)


@pytest.mark.timeout(120)
def test_a_broker_that_nobody_vouches_for_gets_no_password(server, broker, flow):
    consumer = create(server, broker.with_password, flow, scram(ssl_ca_location="other-ca.pem"))
    flow.stream.send(100)
    refused(server, consumer, "certificate")
    server.expect(200, "PUT", f"/api/consumers/{consumer}", {"kafka_properties": scram()})
    flow.wait_complete(30)


@pytest.mark.timeout(120)
def test_a_certificate_lets_in_too(server, broker, flow):
    properties = {"security.protocol": "SSL", "ssl.ca.location": "ca.pem"}
    consumer = create(server, broker.with_certificate, flow, properties)
    flow.stream.send(100)
    time.sleep(3)
    assert flow.size() == 0 and server.consumer(consumer)["health"]["state"] != "ok", "without one nothing flows"
    properties |= {"ssl.certificate.location": "client.pem", "ssl.key.location": "client-key.pem"}
    server.expect(200, "PUT", f"/api/consumers/{consumer}", {"kafka_properties": properties})
    flow.wait_complete(30)


@pytest.mark.timeout(120)
def test_a_password_that_is_changed_under_a_running_consumer_ends_it_with_the_reason(server, broker, flow):
    consumer = create(server, broker.with_password, flow, scram())
    flow.stream.send(100)
    flow.wait_complete(30)
    broker.set_password("another-password")
    try:
        broker.proxy.cut()
        refused(server, consumer, "Authentication failed")
        server.expect(200, "PUT", f"/api/consumers/{consumer}", {"kafka_properties": scram("another-password")})
        flow.stream.send(100)
        flow.wait_complete(60)
    finally:
        broker.set_password(PASSWORD)
