"""The process: settings that stop the start, its data folder, what survives it, and how it leaves."""

import json
import os
import pathlib
import signal
import socket
import sqlite3
import stat
import subprocess

import pytest

from harness import paths
from harness.checkpoint import size_of
from harness.waiting import free_port, wait_until
from test_api_support import api, assert_problem, consumer_body, make_api  # noqa: F401


def run(tmp_path, *flags, dotenv=None, **environment):
    """Runs the server until it ends by itself; it must."""
    if dotenv is not None:
        (tmp_path / ".env").write_text(dotenv)
    return subprocess.run(
        [paths.BINARY, *flags], cwd=tmp_path, env={"PATH": os.environ["PATH"], **environment}, capture_output=True, text=True, timeout=10, check=False
    )


# --- settings --------------------------------------------------------------------------------------------------------

WRONG = [
    ("PORT", "0"), ("PORT", "eighty"), ("PORT", "65536"), ("LOG_LEVEL", "LOUD"), ("MEMORY_BUDGET", "much"), ("MEMORY_BUDGET", "-5"),
    ("PIN_THREADS", "maybe"), ("HOST", "a b"), ("KAFKA_BOOTSTRAP_SERVERS", "nowhere"), ("API_TOKEN", "short"), ("API_TOKEN", ""),
    ("ALLOWED_HOSTS", "http://a.example"), ("ALLOWED_HOSTS", "a.example:80"), ("ALLOWED_HOSTS", "*.example"),
    ("ALLOW_UNAUTHENTICATED", "perhaps"), ("INSTANCE_ID", "a/b"), ("MONITOR_BOOTSTRAP_SERVERS", "x"), ("DATABASE_URL", "postgresql://u:hunter2@h:x/d"),
    ("DATABASE_URL", "postgresql://u:hunter2@h/d?service=x"), ("DATABASE_URL", ""),
]  # fmt: skip


@pytest.mark.parametrize("name, value", WRONG, ids=[f"{name}={value}" for name, value in WRONG])
def test_a_malformed_value_stops_the_start_and_is_named(tmp_path, name, value):
    flag = "--" + name.lower().replace("_", "-")
    for ended in (run(tmp_path, **{name: value}), run(tmp_path, dotenv=f"{name}={value}\n"), run(tmp_path, f"{flag}={value}", dotenv="")):
        assert ended.returncode != 0 and (name in ended.stderr or flag in ended.stderr) and "hunter2" not in ended.stderr, ended
        assert len(ended.stderr.splitlines()) <= 2
    assert not (tmp_path / "data").exists()


def test_unknown_settings_stop_the_start(tmp_path):
    for ended, word in ((run(tmp_path, "--prot=1"), "--prot"), (run(tmp_path, "stray"), "stray"), (run(tmp_path, dotenv="PROT=1\n"), "PROT")):
        assert ended.returncode != 0 and word in ended.stderr, ended


def test_an_address_for_others_needs_a_token_or_insistence(tmp_path):
    ended = run(tmp_path, HOST="0.0.0.0")
    assert ended.returncode != 0 and "API_TOKEN" in ended.stderr and "ALLOW_UNAUTHENTICATED" in ended.stderr


def test_help_and_version(tmp_path):
    ended = run(tmp_path, "--help")
    assert ended.returncode == 0
    for name in ("HOST", "PORT", "DATA_DIR", "KAFKA_BOOTSTRAP_SERVERS", "LOG_LEVEL", "FILE_SINK_ROOTS", "MEMORY_BUDGET", "PIN_THREADS", "API_TOKEN"):
        assert f"[{name}]" in ended.stdout
    ended = run(tmp_path, "--version")
    assert ended.returncode == 0 and ended.stdout.startswith("kafka-fetcher ")


def test_the_environment_wins_over_the_file(make_api):
    server = make_api(start=False)
    (server.folder / ".env").write_text(f"PORT=1\nDATA_DIR={server.folder}/elsewhere\n")
    server.start()
    assert server.api("GET", "/livez").status == 200
    assert not (server.folder / "elsewhere").exists()


def test_a_busy_port_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        ended = run(tmp_path, PORT=port)
    assert ended.returncode != 0 and "PORT" in ended.stderr and port in ended.stderr


def test_the_demo_runs_whatever_the_roots(tmp_path):
    port = str(free_port())
    (tmp_path / "data" / "demo").mkdir(parents=True)
    (tmp_path / "data" / "demo" / "old").write_text("old")
    (tmp_path / "data" / "kept").write_text("kept")
    environment = {"PATH": os.environ["PATH"], "PORT": port, "FILE_SINK_ROOTS": str(tmp_path / "elsewhere")}
    demo = subprocess.Popen([paths.BINARY, "--demo"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        wait_until(lambda: demo.poll() is not None or size_of(tmp_path / "data/demo/payments.log") > 0, 20, "payments in the file")
        assert demo.poll() is None, demo.stdout.read()
        assert not (tmp_path / "data/demo/old").exists() and (tmp_path / "data/kept").exists()
    finally:
        demo.terminate()
        assert demo.wait(15) == 0


def test_a_demo_that_cannot_run_says_which_field_is_wrong(tmp_path):
    ended = run(tmp_path, "--demo", DATA_DIR="a{b}", PORT=str(free_port()))
    assert ended.returncode == 1 and "file_path" in ended.stderr and "{b}" in ended.stderr, ended


# --- the data folder -------------------------------------------------------------------------------------------------


def test_a_second_process_on_the_folder_is_refused(api):
    ended = run(api.folder, DATA_DIR=str(api.data), PORT="1")
    assert ended.returncode != 0 and "DATA_DIR" in ended.stderr and str(api.data) in ended.stderr
    assert api.api("GET", "/livez").status == 200


def test_what_it_keeps_is_private(api):
    api.expect(201, "POST", "/api/consumers", consumer_body(api))
    for file in pathlib.Path(api.data).iterdir():
        assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file


def test_a_folder_that_cannot_be_used_is_named(tmp_path):
    ended = run(tmp_path, DATA_DIR="/proc/nowhere")
    assert ended.returncode != 0 and "DATA_DIR" in ended.stderr


def test_the_first_line_says_what_it_is(api):
    first = api.log.read_text().splitlines()[0]
    assert "kafka-fetcher " in first and f"127.0.0.1:{api.port}" in first and str(api.data) in first


# --- what survives ---------------------------------------------------------------------------------------------------


def test_consumers_survive_kill_9(api):
    running = api.expect(201, "POST", "/api/consumers", consumer_body(api, "a", auto_start=True))
    stopped = api.expect(201, "POST", "/api/consumers", consumer_body(api, "b"))
    deleted = api.expect(201, "POST", "/api/consumers", consumer_body(api, "c", auto_start=True))
    assert api.api("DELETE", f"/api/consumers/{deleted['consumer_id']}").status == 204
    for _ in range(3):
        api.kill9()
        api.start()
        items = {item["consumer_id"]: item for item in api.expect(200, "GET", "/api/consumers")["items"]}
        assert items.keys() == {running["consumer_id"], stopped["consumer_id"]}
        for before, status in ((running, "ACTIVE"), (stopped, "INACTIVE")):
            after = items[before["consumer_id"]]
            assert after["status"] == status
            for name in ("topic", "processor_configs", "created_at", "updated_at", "revision"):
                assert after[name] == before[name]


def test_every_answered_change_survives_kill_9(api):
    consumer_id = api.expect(201, "POST", "/api/consumers", consumer_body(api))["consumer_id"]
    for number in range(5):
        api.expect(200, "PUT", f"/api/consumers/{consumer_id}", {"topic": f"topic{number}"})
        api.kill9()
        api.start()
        assert api.consumer(consumer_id)["topic"] == f"topic{number}"


DAMAGES = [
    ("cut", lambda document: document[:20], "unreadable"),
    ("no_object", lambda document: "[]", "unreadable"),
    ("no_config", lambda document: json.dumps({**json.loads(document), "processor_configs": [{**json.loads(document)["processor_configs"][0], "config": {}}]}), "failed"),
]


@pytest.mark.parametrize("damage, code", [case[1:] for case in DAMAGES], ids=[case[0] for case in DAMAGES])
def test_a_damaged_consumer_keeps_no_other_from_running(api, damage, code):
    names = ("before", "damaged", "after")
    before, damaged, after = (api.expect(201, "POST", "/api/consumers", consumer_body(api, name, auto_start=True))["consumer_id"] for name in names)
    api.kill9()
    with sqlite3.connect(api.data / "kafka-fetcher.db") as database:
        (document,) = database.execute("SELECT document FROM consumer_revisions WHERE consumer_id = ?", (damaged,)).fetchone()
        database.execute("UPDATE consumer_revisions SET document = ? WHERE consumer_id = ?", (damage(document), damaged))
    database.close()
    api.start()
    assert [item["consumer_id"] for item in api.expect(200, "GET", "/api/consumers")["items"]] == [before, damaged, after]
    for consumer_id in (before, after):
        assert api.consumer(consumer_id)["status"] == "ACTIVE"
    shown = api.consumer(damaged)
    assert shown["status"] == "ERROR" and [reason["code"] for reason in shown["health"]["reasons"]] == [code] and shown["last_error"]
    assert damaged in api.log.read_text()
    # The others can be changed and new ones made; the damaged one can only be deleted.
    api.expect(200, "PUT", f"/api/consumers/{after}", {"topic": "other"})
    api.expect(201, "POST", "/api/consumers", consumer_body(api, "new", auto_start=True))
    if code == "unreadable":
        for method, path, body in (("PUT", "", {"topic": "x"}), ("POST", "/start", None), ("POST", "/stop", None)):
            assert_problem(api.api(method, f"/api/consumers/{damaged}{path}", body), 409)
    assert api.api("DELETE", f"/api/consumers/{damaged}").status == 204
    assert api.api("GET", "/readyz").status == 200


def test_the_instance_keeps_its_name(api):
    name = (api.data / "kafka-fetcher.instance_id").read_text()
    api.kill9()
    api.start()
    assert (api.data / "kafka-fetcher.instance_id").read_text() == name


def test_the_report_of_a_test_tells_of_a_crash(make_api):
    server = make_api()
    os.kill(server.pid, signal.SIGABRT)
    server.process.wait(10)
    assert "SIGABRT" in server.close_and_tell()
    server.start()
    assert "by itself" not in server.close_and_tell()


# --- leaving ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_leaves_in_time_with_code_0(api, number):
    for name in "abc":
        api.expect(201, "POST", "/api/consumers", consumer_body(api, name, auto_start=True))
    os.kill(api.pid, number)
    assert api.process.wait(10) == 0


def test_it_leaves_although_clients_hang_on(api):
    with socket.create_connection(("127.0.0.1", api.port)) as idle, socket.create_connection(("127.0.0.1", api.port)) as slow:
        # Both are accepted: what is not is reset by the kernel.
        for client in (slow, idle):
            client.sendall(b"HEAD /health HTTP/1.1\r\nHost: here\r\n\r\n")
            assert client.recv(4096).startswith(b"HTTP/1.1 ")
        slow.sendall(b"POST /api/consumers HTTP/1.1\r\n")
        code, seconds = api.terminate()
        assert code == 0 and seconds < 5
        assert idle.recv(1) == b""
