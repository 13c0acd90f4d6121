"""Versions of a consumer, ETag and If-Match, on both stores. No broker is needed."""

import threading

import pytest

from test_api_support import assert_problem, consumer_body, make_api  # noqa: F401


@pytest.fixture(params=["sqlite", "postgres"])
def api(request, make_api):  # noqa: F811
    if request.param == "sqlite":
        return make_api()
    return make_api(DATABASE_URL=request.getfixturevalue("postgres_server").make_database())


def create(server, name="payments", **fields):
    return server.expect(201, "POST", "/api/consumers", consumer_body(server, name, **fields))


def one(made, tail=""):
    return f"/api/consumers/{made['consumer_id']}{tail}"


DEFINITION = ["broker_ip", "broker_port", "topic", "consumer_group", "auto_offset_reset", "partition_assignment_strategy", "kafka_properties", "dead_letter", "retry", "restart", "processor_configs"]


def test_every_write_makes_a_version(api):
    made = create(api)
    api.expect(200, "PUT", one(made), {"topic": "second"})
    api.expect(200, "POST", one(made, "/start"))
    api.expect(200, "PUT", one(made), {"topic": "second"})  # changes nothing
    answer = api.expect(200, "GET", one(made, "/versions"))
    assert list(answer) == ["items", "next_cursor"] and answer["next_cursor"] is None
    assert [list(item) for item in answer["items"]] == [["version", "created_at", "desired_status", "config"]] * 3
    assert [(item["version"], item["desired_status"], item["config"]["topic"]) for item in answer["items"]] == [
        (3, "ACTIVE", "second"), (2, "INACTIVE", "second"), (1, "INACTIVE", "payments"),
    ]  # fmt: skip
    assert answer["items"][2]["created_at"] == made["created_at"]
    times = [item["created_at"] for item in answer["items"]]
    assert times == sorted(times, reverse=True) and len(set(times)) == 3
    assert answer["items"][2]["config"] == {name: made[name] for name in DEFINITION}


def test_versions_come_in_pages(api):
    made = create(api)
    for number in range(5):
        api.expect(200, "PUT", one(made), {"topic": f"topic{number}"})
    seen, cursor = [], None
    while True:
        page = api.expect(200, "GET", one(made, "/versions?limit=2") + (f"&cursor={cursor}" if cursor else ""))
        seen += [item["version"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == [6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "cursor=x", "cursor=0", "colour=red", "limit="])
def test_a_wrong_query_is_a_422(api, query):
    made = create(api)
    assert_problem(api.api("GET", one(made, f"/versions?{query}")), 422, "?" + query.split("=")[0])


def test_a_rollback_is_a_new_version_with_the_old_definition(api):
    made = create(api)
    other = [{"processor_type": "file_sink", "config": {"file_path": str(api.out / "other.log"), "format": "ndjson"}}]
    changed = api.expect(200, "PUT", one(made), {"topic": "second", "processor_configs": other})
    answer = api.api("POST", one(made, "/rollback"), {"version": 1})
    assert answer.status == 200 and answer.headers["etag"] == '"3"'
    back = answer.body
    assert back["revision"] == 3 and back["topic"] == "payments" and back["updated_at"] > changed["updated_at"]
    (was,), (now,) = made["processor_configs"], back["processor_configs"]
    assert (now["id"], now["config"], now["created_at"]) == (was["id"], was["config"], was["created_at"]) and now["updated_at"] > was["updated_at"]
    assert [item["version"] for item in api.expect(200, "GET", one(made, "/versions"))["items"]] == [3, 2, 1]
    assert api.consumer(made["consumer_id"])["topic"] == "payments"


def test_a_rollback_mends_what_is_damaged(make_api, postgres_server):  # noqa: F811
    url = postgres_server.make_database()
    api = make_api(DATABASE_URL=url)  # noqa: F811
    made = create(api)
    api.expect(200, "PUT", one(made), {"topic": "second"})
    postgres_server.sql("UPDATE kafka_fetcher.consumer_revisions SET document = '{' WHERE revision = 2", url.rsplit("/", 1)[1])
    assert api.consumer(made["consumer_id"])["status"] == "ERROR"
    assert_problem(api.api("PUT", one(made), {"topic": "third"}), 409)
    damaged, whole = api.expect(200, "GET", one(made, "/versions"))["items"]
    assert damaged["config"] is None and "damaged" in damaged["unreadable"] and whole["config"]["topic"] == "payments"
    assert_problem(api.api("POST", one(made, "/rollback"), {"version": 2}), 409)
    mended = api.expect(200, "POST", one(made, "/rollback"), {"version": 1})
    assert (mended["revision"], mended["topic"], mended["status"]) == (3, "payments", "INACTIVE")


def test_a_rollback_leaves_running_what_runs(api):
    made = create(api)
    api.expect(200, "PUT", one(made), {"topic": "second"})
    api.expect(200, "POST", one(made, "/start"))
    back = api.expect(200, "POST", one(made, "/rollback"), {"version": 1})
    assert back["status"] == "ACTIVE" and back["topic"] == "payments"


def test_a_rollback_cannot_take_the_file_of_another(api):
    made = create(api)
    moved = [{"processor_type": "file_sink", "config": {"file_path": str(api.out / "moved.log")}}]
    api.expect(200, "PUT", one(made), {"processor_configs": moved})
    api.expect(200, "POST", one(made, "/start"))
    create(api, auto_start=True, consumer_group="another")
    assert_problem(api.api("POST", one(made, "/rollback"), {"version": 1}), 409, "/processor_configs/0/config")


@pytest.mark.parametrize(
    "body, pointers",
    [({}, ["/version"]), ({"version": "1"}, ["/version"]), ({"version": 0}, ["/version"]), ({"version": 1.5}, ["/version"]),
     ({"version": None}, ["/version"]), ({"version": 1, "colour": 1}, ["/colour"]), ([], [""]), ({"version": 10**19}, ["/version"])],
)  # fmt: skip
def test_a_wrong_rollback_is_a_422(api, body, pointers):
    made = create(api)
    assert_problem(api.api("POST", one(made, "/rollback"), body), 422, *pointers)
    assert api.consumer(made["consumer_id"])["revision"] == 1


def test_what_does_not_exist_is_a_404(api):
    made = create(api)
    assert_problem(api.api("POST", one(made, "/rollback"), {"version": 2}), 404)
    for method, path, body in (("GET", "/versions", None), ("POST", "/rollback", {"version": 1})):
        assert_problem(api.api(method, f"/api/consumers/nobody{path}", body), 404)


# --- ETag and If-Match -----------------------------------------------------------------------------------------------


def test_every_answer_with_a_consumer_has_its_etag(api):
    answer = api.api("POST", "/api/consumers", consumer_body(api))
    made = answer.body
    assert answer.headers["etag"] == '"1"'
    assert api.api("GET", one(made)).headers["etag"] == '"1"'
    assert api.api("PUT", one(made), {"topic": "second"}).headers["etag"] == '"2"'
    assert api.api("POST", one(made, "/start")).headers["etag"] == '"3"'
    assert api.api("POST", one(made, "/stop")).headers["etag"] == '"4"'


CHANGES = [("PUT", "", {"topic": "mine"}), ("POST", "/start", None), ("POST", "/stop", None), ("POST", "/rollback", {"version": 1}), ("DELETE", "", None)]


@pytest.mark.parametrize("method, tail, body", CHANGES, ids=[f"{method}{tail}" for method, tail, _ in CHANGES])
def test_a_change_that_names_another_revision_is_a_412(api, method, tail, body):
    made = create(api)
    api.expect(200, "PUT", one(made), {"topic": "theirs"})
    for tag in ('"1"', 'W/"2"', '"3", "1"', '"abc"'):
        assert_problem(api.api(method, one(made, tail), body, headers={"If-Match": tag}), 412)
    for tag in ("2", '"2', '"2" "1"', ""):
        assert_problem(api.api(method, one(made, tail), body, headers={"If-Match": tag}), 400)
    found = api.consumer(made["consumer_id"])
    assert (found["topic"], found["revision"], found["status"]) == ("theirs", 2, "INACTIVE")
    assert api.api(method, one(made, tail), body, headers={"If-Match": '"1", "2"'}).status in (200, 204)


def test_a_star_matches_whatever_there_is(api):
    made = create(api)
    assert api.api("PUT", one(made), {"topic": "mine"}, headers={"If-Match": "*"}).status == 200
    assert_problem(api.api("PUT", "/api/consumers/nobody", {"topic": "mine"}, headers={"If-Match": "*"}), 404)


def race(servers, requests):
    """Sends all requests (method, path, body, headers) at once, in turn through the servers. The answers."""
    answers = [None] * len(requests)
    barrier = threading.Barrier(len(requests))

    def send(number):
        method, path, body, headers = requests[number]
        barrier.wait()
        answers[number] = servers[number % len(servers)].api(method, path, body, headers=headers)

    threads = [threading.Thread(target=send, args=(number,)) for number in range(len(requests))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


@pytest.mark.parametrize("replicas", [1, 2])
@pytest.mark.parametrize("with_tag", [False, True], ids=["plain", "if_match"])
def test_of_changes_at_one_time_none_is_lost_silently(make_api, postgres_server, out_folder, replicas, with_tag):  # noqa: F811
    url = postgres_server.make_database()
    servers = [make_api(roots=str(out_folder), DATABASE_URL=url) for _ in range(replicas)]
    made = create(servers[0])
    valid = 0
    for number in range(1, 6):
        before = servers[0].consumer(made["consumer_id"])["revision"]
        headers = {"If-Match": f'"{before}"'} if with_tag else {}
        answers = race(servers, [("PUT", one(made), {"topic": f"round{number}-{writer}"}, headers) for writer in range(6)])
        statuses = sorted(answer.status for answer in answers)
        if 503 in statuses:  # the machine was busy; a change that was answered with it may be there as well
            continue
        valid += 1
        assert set(statuses) <= {200, 412 if with_tag else 409}, statuses
        won = [answer.body for answer in answers if answer.status == 200]
        # Each success is a version of its own: nobody's change is beneath another's unseen.
        assert sorted(body["revision"] for body in won) == list(range(before + 1, before + 1 + len(won))), statuses
        assert not with_tag or len(won) == 1
        kept = servers[-1].consumer(made["consumer_id"])
        assert kept["topic"] == max(won, key=lambda body: body["revision"])["topic"]
    assert valid >= 3


def test_starts_and_stops_at_one_time_are_all_served(api):
    made = create(api)
    answers = race([api], [("POST", one(made, tail), None, {}) for tail in ("/start", "/stop") * 3])
    assert {answer.status for answer in answers} <= {200, 202}, answers
