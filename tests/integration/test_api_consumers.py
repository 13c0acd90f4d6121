"""The consumers' routes as the API's contract writes them, and what they refuse. No broker is needed."""

import json
import re

import pytest

from test_api_support import api, assert_problem, consumer_body, make_api  # noqa: F401

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
CONTRACT = ["consumer_id", "broker_ip", "broker_port", "topic", "consumer_group", "status", "processor_configs", "created_at", "updated_at"]
ADDED = ["auto_offset_reset", "partition_assignment_strategy", "kafka_properties", "dead_letter", "retry", "restart", "revision", "health", "last_error", "metrics"]


def create(server, name="payments", **fields):
    return server.expect(201, "POST", "/api/consumers", consumer_body(server, name, **fields))


# --- the contract ----------------------------------------------------------------------------------------------------


def test_a_created_consumer_has_the_fields_of_the_contract(api):
    answer = api.api("POST", "/api/consumers", consumer_body(api))
    made = answer.body
    assert answer.status == 201 and answer.headers["location"] == f"/api/consumers/{made['consumer_id']}"
    assert list(made) == CONTRACT + ADDED
    assert UUID.fullmatch(made["consumer_id"]) and TIME.fullmatch(made["created_at"]) and made["updated_at"] == made["created_at"]
    assert made["status"] == "INACTIVE" and made["health"]["state"] == "stopped"
    (processor,) = made["processor_configs"]
    assert list(processor) == ["id", "processor_type", "config", "created_at", "updated_at", "required"]
    assert UUID.fullmatch(processor["id"])
    assert processor["config"] == {"file_path": str(api.out / "payments.log")}
    assert (made["auto_offset_reset"], made["partition_assignment_strategy"], made["revision"]) == ("earliest", "range", 1)
    shown = api.expect(200, "GET", f"/api/consumers/{made['consumer_id']}")
    assert {name: shown[name] for name in CONTRACT} == {name: made[name] for name in CONTRACT}


def test_a_consumer_without_a_broker_is_active_and_says_what_it_waits_for(api):
    made = create(api, auto_start=True)
    assert made["status"] == "ACTIVE"
    assert made["health"]["state"] == "waiting" and made["health"]["reasons"]
    assert {"records", "bytes", "records_per_second", "bytes_per_second", "errors", "lag", "partitions", "processors"} <= made["metrics"].keys()


def test_start_and_stop_may_be_repeated_and_answer_two_fields(api):
    consumer_id = create(api)["consumer_id"]
    for verb, status in (("start", "ACTIVE"), ("start", "ACTIVE"), ("stop", "INACTIVE"), ("stop", "INACTIVE")):
        answer = api.expect(200, "POST", f"/api/consumers/{consumer_id}/{verb}")
        assert answer == {"consumer_id": consumer_id, "status": status}
        assert api.consumer(consumer_id)["status"] == status


def test_an_update_merges_top_level_fields(api):
    before = create(api)
    after = api.expect(200, "PUT", f"/api/consumers/{before['consumer_id']}", {"topic": "new_topic", "broker_ip": "localhost", "broker_port": 2})
    assert (after["topic"], after["broker_ip"], after["broker_port"]) == ("new_topic", "localhost", 2)
    assert after["consumer_group"] == before["consumer_group"] and after["processor_configs"] == before["processor_configs"]
    assert after["created_at"] == before["created_at"] and after["updated_at"] > before["updated_at"]
    assert after["status"] == "INACTIVE" and after["revision"] == 2


def test_an_active_consumer_is_active_again_after_an_update(api):
    made = create(api, auto_start=True)
    assert api.expect(200, "PUT", f"/api/consumers/{made['consumer_id']}", {"topic": "other"})["status"] == "ACTIVE"


def test_the_only_processor_of_its_type_keeps_its_identity(api):
    made = create(api)
    (before,) = made["processor_configs"]
    changed = [{"processor_type": "file_sink", "config": {"file_path": str(api.out / "other.log")}}]
    (after,) = api.expect(200, "PUT", f"/api/consumers/{made['consumer_id']}", {"processor_configs": changed})["processor_configs"]
    assert (after["id"], after["created_at"]) == (before["id"], before["created_at"])
    assert after["updated_at"] > before["updated_at"]


def test_processors_of_an_answer_can_be_sent_back(api):
    made = create(api)
    answer = api.expect(200, "PUT", f"/api/consumers/{made['consumer_id']}", {"processor_configs": made["processor_configs"]})
    assert answer["processor_configs"] == made["processor_configs"] and answer["revision"] == 1


def test_processors_keep_their_order(api):
    paths = [str(api.out / f"{name}.log") for name in "cab"]
    processors = [{"processor_type": "file_sink", "config": {"file_path": path}} for path in paths]
    made = create(api, processor_configs=processors)
    assert [processor["config"]["file_path"] for processor in api.consumer(made["consumer_id"])["processor_configs"]] == paths


def test_a_deleted_consumer_is_gone(api):
    consumer_id = create(api, auto_start=True)["consumer_id"]
    answer = api.api("DELETE", f"/api/consumers/{consumer_id}")
    assert answer.status == 204 and answer.body == ""
    for method, path, body in (("GET", "", None), ("DELETE", "", None), ("PUT", "", {}), ("POST", "/start", None), ("POST", "/stop", None)):
        assert_problem(api.api(method, f"/api/consumers/{consumer_id}{path}", body), 404)


def test_lists_are_filtered_and_come_in_pages(api):
    ids = [create(api, f"topic{n}", consumer_group=f"g{n % 2}")["consumer_id"] for n in range(5)]
    api.expect(200, "POST", f"/api/consumers/{ids[2]}/start")

    def listed(query):
        answer = api.expect(200, "GET", f"/api/consumers{query}")
        return [item["consumer_id"] for item in answer["items"]], answer["next_cursor"]

    assert listed("") == (ids, None)
    assert listed("?status=ACTIVE") == ([ids[2]], None)
    assert listed("?topic=topic3") == ([ids[3]], None)
    assert listed("?group=g1&status=INACTIVE") == ([ids[1], ids[3]], None)
    seen, cursor = listed("?limit=2")
    while cursor:
        page, cursor = listed(f"?limit=2&cursor={cursor}")
        seen += page
    assert seen == ids


def test_processor_types_show_the_schema_of_their_config(api):
    items = api.expect(200, "GET", "/api/processor-types")["items"]
    sink = next(item for item in items if item["processor_type"] == "file_sink")
    assert sink["config_schema"]["additionalProperties"] is False and "file_path" in sink["config_schema"]["properties"]


# --- bad input -------------------------------------------------------------------------------------------------------

WRONG_FIELDS = [
    ({"colour": "red"}, "/colour"),
    ({"status": "ACTIVE"}, "/status"),
    ({"broker_port": 0}, "/broker_port"),
    ({"broker_port": 65536}, "/broker_port"),
    ({"broker_port": "9092"}, "/broker_port"),
    ({"broker_port": 90.5}, "/broker_port"),
    ({"broker_port": True}, "/broker_port"),
    ({"broker_port": None}, "/broker_port"),
    ({"broker_ip": ""}, "/broker_ip"),
    ({"broker_ip": 7}, "/broker_ip"),
    ({"broker_ip": "host:9092"}, "/broker_ip"),
    ({"broker_ip": "a,b"}, "/broker_ip"),
    ({"topic": ""}, "/topic"),
    ({"topic": "^pay.*"}, "/topic"),
    ({"topic": "__consumer_offsets"}, "/topic"),
    ({"topic": "with space"}, "/topic"),
    ({"topic": ".."}, "/topic"),
    ({"topic": "t" * 250}, "/topic"),
    ({"topic": ["a"]}, "/topic"),
    ({"consumer_group": ""}, "/consumer_group"),
    ({"consumer_group": {}}, "/consumer_group"),
    ({"auto_start": "yes"}, "/auto_start"),
    ({"auto_offset_reset": "newest"}, "/auto_offset_reset"),
    ({"partition_assignment_strategy": "random"}, "/partition_assignment_strategy"),
    ({"kafka_properties": "ssl"}, "/kafka_properties"),
    ({"kafka_properties": {"plugin.library.paths": "/tmp/evil.so"}}, "/kafka_properties/plugin.library.paths"),
    ({"kafka_properties": {"ssl.engine.location": "/tmp/evil.so"}}, "/kafka_properties/ssl.engine.location"),
    ({"kafka_properties": {"sasl.kerberos.kinit.cmd": "touch /tmp/evil"}}, "/kafka_properties/sasl.kerberos.kinit.cmd"),
    ({"kafka_properties": {"group.id": "other"}}, "/kafka_properties/group.id"),
    ({"kafka_properties": {"isolation.level": "read_uncommitted"}}, "/kafka_properties/isolation.level"),
    ({"kafka_properties": {"enable.ssl.certificate.verification": False}}, "/kafka_properties/enable.ssl.certificate.verification"),
    ({"kafka_properties": {"security.protocol": "ssl", "ssl.ca.location": "/etc/ssl/certs/ca.pem"}}, "/kafka_properties/ssl.ca.location"),
    ({"processor_configs": []}, "/processor_configs"),
    ({"processor_configs": {}}, "/processor_configs"),
    ({"processor_configs": ["file_sink"]}, "/processor_configs/0"),
    ({"processor_configs": [{"config": {}}]}, "/processor_configs/0/processor_type"),
    ({"processor_configs": [{"processor_type": "carrier_pigeon", "config": {}}]}, "/processor_configs/0/processor_type"),
    ({"processor_configs": [{"processor_type": "file_sink", "config": "x"}]}, "/processor_configs/0/config"),
    ({"processor_configs": [{"processor_type": "file_sink", "config": {}}]}, "/processor_configs/0/config/file_path"),
    ({"processor_configs": [{"processor_type": "file_sink"}]}, "/processor_configs/0/config/file_path"),
    ({"processor_configs": [{"processor_type": "file_sink", "config": {"file_path": 1}}]}, "/processor_configs/0/config/file_path"),
    ({"processor_configs": [{"processor_type": "file_sink", "config": {"file_path": "/etc/passwd"}}]}, "/processor_configs/0/config/file_path"),
]


@pytest.mark.parametrize("fields, pointer", WRONG_FIELDS, ids=[json.dumps(fields)[:60] for fields, _ in WRONG_FIELDS])
def test_a_wrong_field_is_named_and_nothing_is_kept(api, fields, pointer):
    body = consumer_body(api) | fields
    assert_problem(api.api("POST", "/api/consumers", body), 422, pointer)
    assert api.expect(200, "GET", "/api/consumers")["items"] == []
    kept = create(api)
    if fields.keys() != {"auto_start"}:
        assert_problem(api.api("PUT", f"/api/consumers/{kept['consumer_id']}", fields), 422, pointer)
    shown = api.consumer(kept["consumer_id"])
    assert {name: shown[name] for name in [*CONTRACT, "revision"]} == {name: kept[name] for name in [*CONTRACT, "revision"]}


def test_every_wrong_field_is_named_at_once(api):
    answer = api.api("POST", "/api/consumers", {"topic": "", "broker_port": "x", "colour": 1})
    assert_problem(answer, 422, "/topic", "/broker_port", "/colour", "/broker_ip", "/consumer_group", "/processor_configs")


def test_unknown_and_misplaced_options_are_named(api):
    config = {"file_path": str(api.out / "a.log"), "colour": "red"}
    body = consumer_body(api, processor_configs=[{"processor_type": "file_sink", "config": config, "extra": 1}])
    assert_problem(api.api("POST", "/api/consumers", body), 422, "/processor_configs/0/extra")
    del body["processor_configs"][0]["extra"]
    assert_problem(api.api("POST", "/api/consumers", body), 422, "/processor_configs/0/config/colour")


def test_a_symbolic_link_in_the_path_is_refused_at_once(api, tmp_path):
    (api.out / "link").symlink_to(tmp_path)
    body = consumer_body(api, processor_configs=[{"processor_type": "file_sink", "config": {"file_path": str(api.out / "link" / "a.log")}}])
    answer = api.api("POST", "/api/consumers", body)
    assert_problem(answer, 422, "/processor_configs/0/config/file_path")
    assert "symbolic link" in answer.body["errors"][0]["detail"]


def test_the_servers_own_files_are_no_sinks(make_api, tmp_path):
    server = make_api(roots=tmp_path)
    own = [file for file in server.data.iterdir()]
    assert len(own) >= 3
    for path in [*own, server.data / "KAFKA-FETCHER.DB", server.data / "kafka-fetcher.db-journal" / "a.log", server.data / "{topic}"]:
        body = consumer_body(server, topic="kafka-fetcher.db", processor_configs=[{"processor_type": "file_sink", "config": {"file_path": str(path)}}])
        answer = server.api("POST", "/api/consumers", body)
        assert_problem(answer, 422, "/processor_configs/0/config/file_path")
        assert "server's own files" in answer.body["errors"][0]["detail"]


def test_a_path_outside_the_roots_names_the_variable(api):
    for path, named in (("/etc/cron.d/x", True), (f"{api.out}x/a.log", True), (f"{api.out}/../escape.log", False), ("relative.log", False)):
        body = consumer_body(api, processor_configs=[{"processor_type": "file_sink", "config": {"file_path": path}}])
        answer = api.api("POST", "/api/consumers", body)
        assert_problem(answer, 422, "/processor_configs/0/config/file_path")
        assert not named or "FILE_SINK_ROOTS" in answer.body["errors"][0]["detail"], answer.body


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"not json", b'{"a": 1} trailing', b'{"topic": "a", "topic": "b"}', b"\xff\xfe\x00", b"[" * 100_000, b'{"a":' * 40 + b"1" + b"}" * 40, b"NaN"],
    ids=["empty", "cut", "words", "trailing", "twice", "binary", "deep", "deep_objects", "nan"],
)
def test_what_is_not_json_is_a_400(api, body):
    assert_problem(api.api("POST", "/api/consumers", body), 400)
    consumer_id = create(api)["consumer_id"]
    assert_problem(api.api("PUT", f"/api/consumers/{consumer_id}", body), 400)


@pytest.mark.parametrize("body", [[], "text", 1, None, True], ids=str)
def test_json_that_is_no_object_is_a_422(api, body):
    assert_problem(api.api("POST", "/api/consumers", json.dumps(body).encode()), 422, "")


def test_two_active_consumers_cannot_write_one_file(api):
    first = create(api, auto_start=True)
    body = consumer_body(api, consumer_group="another", auto_start=True)
    refused = api.api("POST", "/api/consumers", body)
    assert_problem(refused, 409, "/processor_configs/0/config")
    assert first["consumer_id"] in refused.body["detail"]
    assert len(api.expect(200, "GET", "/api/consumers")["items"]) == 1

    second = create(api, consumer_group="another")  # stopped, so nothing is in the way
    assert_problem(api.api("POST", f"/api/consumers/{second['consumer_id']}/start"), 409)
    assert api.consumer(second["consumer_id"])["status"] == "INACTIVE"
    third = create(api, "third", auto_start=True)
    change = {"processor_configs": body["processor_configs"]}
    assert_problem(api.api("PUT", f"/api/consumers/{third['consumer_id']}", change), 409)

    api.expect(200, "POST", f"/api/consumers/{first['consumer_id']}/stop")
    api.expect(200, "POST", f"/api/consumers/{second['consumer_id']}/start")


def test_ids_of_processors_must_be_known(api):
    made = create(api)
    processor = {"id": "no-such-id", **consumer_body(api)["processor_configs"][0]}
    assert_problem(api.api("PUT", f"/api/consumers/{made['consumer_id']}", {"processor_configs": [processor]}), 422, "/processor_configs/0/id")


@pytest.mark.parametrize("query", ["status=WHATEVER", "limit=0", "limit=x", "limit=100000", "cursor=x", "cursor=-1", "colour=red", "topic=", "topic=a&topic=b"])
def test_a_wrong_query_is_a_422(api, query):
    assert_problem(api.api("GET", f"/api/consumers?{query}"), 422, "?" + query.split("=")[0])


@pytest.mark.parametrize(
    "method, path, allowed",
    [
        ("DELETE", "/api/consumers", "GET, HEAD, OPTIONS, POST"),
        ("PATCH", "/api/consumers/x", "DELETE, GET, HEAD, OPTIONS, PUT"),
        ("GET", "/api/consumers/x/start", "OPTIONS, POST"),
        ("POST", "/livez", "GET, HEAD, OPTIONS"),
    ],
)
def test_other_methods_are_a_405_that_says_which_are_possible(api, method, path, allowed):
    answer = api.api(method, path, {} if method == "PATCH" else None)
    assert_problem(answer, 405)
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize("path", ["/", "/api", "/api/consumers/", "/api/consumers/x", "/api/consumers/x/nonsense", "/api/consumers/..%2f..", "/%00", "/API/consumers"])
def test_unknown_paths_are_a_404(api, path):
    assert_problem(api.api("GET", path), 404)


def test_head_and_options_answer_without_a_body(api):
    head = api.api("HEAD", "/api/consumers")
    assert head.status == 200 and head.body == "" and int(head.headers["content-length"]) > 0
    options = api.api("OPTIONS", "/api/consumers")
    assert options.status == 204 and options.headers["allow"] == "GET, HEAD, OPTIONS, POST"
