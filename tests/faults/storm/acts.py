"""How each fault is made, and unmade: when an act returns, its victim can do its work again."""

import http.client
import random
import threading
import time

from harness.http_server import CUT, CUT_AFTER, CUT_BODY, STALL, Answer
from harness.strace import Strace
from harness.waiting import wait_until

COPY_DONE = b"\xff\xffc\x00\x00\x00\x04"  # the last row's end and the message that ends a COPY
LEAVES_WITHIN_SECONDS = 20
ANSWERS_WITHIN_SECONDS = 60


def perform(world, fault):
    act = _MEMBER_ACTS.get(fault.name) if fault.victim in world.members else _ACTS[fault.victim, fault.name]
    if fault.victim in world.members:
        act(world, fault.victim, **fault.parameters)
    else:
        act(world, **fault.parameters)


# --- members ------------------------------------------------------------------------------------------------------------


def _kill(world, name, pause):
    world.watches[name].down()
    world.members[name].kill9()
    time.sleep(pause)
    world.bring_up(name)


def _leave(world, name):
    world.watches[name].down()
    code, seconds = world.members[name].terminate(LEAVES_WITHIN_SECONDS)
    assert code == 0, f"{name} left with {code} after {seconds:.1f} s"


def _terminate(world, name, pause):
    _leave(world, name)
    time.sleep(pause)
    world.bring_up(name)


def _freeze(world, name, seconds):
    world.watches[name].down()
    world.members[name].freeze()
    time.sleep(seconds)
    world.members[name].thaw()
    world.watches[name].up()


def _slow_disk(world, name, milliseconds, seconds):
    with Strace(world.members[name].pid, "fdatasync", f"delay_enter={milliseconds * 1000}"):
        time.sleep(seconds)


def _visit(world, name, seconds, end):
    world.bring_up(name)
    time.sleep(seconds)
    if end == "kill":
        world.watches[name].down()
        world.members[name].kill9()
    else:
        _leave(world, name)


_MEMBER_ACTS = {"kill": _kill, "terminate": _terminate, "freeze": _freeze, "slow disk": _slow_disk, "visit": _visit}


# --- what they work with ------------------------------------------------------------------------------------------------


def _broker_kill(world, pause):
    world.broker.kill9()
    time.sleep(pause)
    world.broker.start()


def _broker_restart(world, pause):
    world.broker.stop()
    time.sleep(pause)
    world.broker.start()


def _cut(link):
    def act(world, times):
        for _ in range(times):
            getattr(world, link).cut()
            time.sleep(0.2)

    return act


def _stall(link):
    def act(world, seconds):
        getattr(world, link).stall()
        time.sleep(seconds)
        getattr(world, link).flow()

    return act


def _throttle(world, bytes_per_second, seconds):
    world.broker_link.throttle(bytes_per_second)
    time.sleep(seconds)
    world.broker_link.throttle(0)
    world.broker_link.cut()  # what stands in the way at that rate would go on at it


def _lose_answer(world, seconds):
    world.database_link.hold_answers_from(COPY_DONE)
    time.sleep(seconds)
    world.database_link.cut()
    world.database_link.let_answers()


def _database_stop(*how):
    def act(world, pause):
        world.postgres.stop(*how)
        time.sleep(pause)
        world.postgres.start()

    return act


def _database_freeze(world, seconds):
    frozen = world.postgres.freeze()
    time.sleep(seconds)
    world.postgres.thaw(frozen)


def _endpoint(make):
    def act(world, seconds, **more):
        world.endpoint.mode = make(**more)
        time.sleep(seconds)
        world.endpoint.mode = None

    return act


def _misbehaving(seed):
    dice, lock = random.Random(seed), threading.Lock()

    def answer(attempt):
        with lock:
            roll = dice.random()
        for most, what in ((0.1, Answer(500)), (0.15, Answer(429, {"Retry-After": "0"})), (0.25, CUT), (0.35, CUT_AFTER), (0.45, CUT_BODY), (0.47, STALL)):
            if roll < most:
                return what
        return None

    return answer


def _fill_disk(world, seconds):
    world.disk.fill()
    time.sleep(seconds)
    world.disk.make_room()


# --- its users ----------------------------------------------------------------------------------------------------------


def _ask(world, method, path, body=None):
    """Asks whoever is up until one has done it: database and members may be away meanwhile."""
    turn = 0

    def done():
        nonlocal turn
        turn += 1
        server = world.any_up(turn)
        if server is None:
            return False
        try:
            answer = server.api(method, path, body, timeout=20)
        except (OSError, http.client.HTTPException):
            return False
        assert answer.status in (200, 202, 409, 503), f"{method} {path}: {answer.status} {answer.body}"
        return answer.status in (200, 202)

    wait_until(done, ANSWERS_WITHIN_SECONDS, f"{method} {path} is done", interval=0.2)


def start(world):
    _ask(world, "POST", f"/api/consumers/{world.consumer_id}/start")


def _stop_and_start(world, pause):
    _ask(world, "POST", f"/api/consumers/{world.consumer_id}/stop")
    time.sleep(pause)
    start(world)


def _change(world, fsync_interval, records):
    processors = [{"processor_type": kind, "config": config} for kind, config in world.processors(fsync_interval, records)]
    _ask(world, "PUT", f"/api/consumers/{world.consumer_id}", {"processor_configs": processors})


_ACTS = {
    ("broker", "kill"): _broker_kill,
    ("broker", "restart"): _broker_restart,
    ("link to the broker", "cut"): _cut("broker_link"),
    ("link to the broker", "stall"): _stall("broker_link"),
    ("link to the broker", "throttle"): _throttle,
    ("database", "restart"): _database_stop(),
    ("database", "crash"): _database_stop("--immediate"),
    ("database", "freeze"): _database_freeze,
    ("link to the database", "cut"): _cut("database_link"),
    ("link to the database", "stall"): _stall("database_link"),
    ("link to the database", "lose an answer"): _lose_answer,
    ("endpoint", "misbehave"): _endpoint(_misbehaving),
    ("endpoint", "be away"): _endpoint(lambda: lambda attempt: Answer(503)),
    ("endpoint", "hang"): _endpoint(lambda: lambda attempt: STALL),
    ("disk", "fill"): _fill_disk,
    ("api", "stop and start"): _stop_and_start,
    ("api", "change"): _change,
}
