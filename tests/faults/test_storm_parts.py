"""What random sequences are made of: a seed gives the same faults again, and what looks at the members notices what it is there for."""

import itertools
import os
import threading
import time
import types

import pytest

from harness import machine
from harness.server import Answer
from harness.waiting import wait_until
from storm import acts, schedule, watch

MIB = 1 << 20
ID = "c0ffee"


def first_rounds(seed, **options):
    return list(itertools.islice(schedule.rounds(seed, **options), 500))


def test_a_seed_gives_the_same_faults_again():
    assert first_rounds(7) == first_rounds(7) != first_rounds(8)


def test_no_victim_has_two_faults_in_a_round():
    for happening in first_rounds(1):
        victims = [fault.victim for fault in happening.faults]
        assert len(victims) == len(set(victims)) > 0


def test_every_fault_comes_and_can_be_made():
    wanted = {(victim, name) for victim, entries in schedule.CATALOGUE.items() for _, name, _ in entries}
    assert {(fault.victim, fault.name) for happening in first_rounds(1) for fault in happening.faults} == wanted
    for victim, name in wanted:
        assert (victim, name) in acts._ACTS or name in acts._MEMBER_ACTS


def test_without_a_victim_the_other_faults_stay_the_same():
    others = [fault for happening in first_rounds(1) for fault in happening.faults if fault.victim != "disk"]
    assert [fault for happening in first_rounds(1, without=("disk",)) for fault in happening.faults][:300] == others[:300]


class FakeMachine:
    late = 0

    def late_seconds(self, begin, end):
        return self.late


class FakeServer:
    pid = os.getpid()

    def __init__(self, answer=lambda path: Answer(200, {"metrics": {"memory_bytes": 5}}, {})):
        self.answer = answer

    def api(self, method, path, timeout):
        return self.answer(path)


@pytest.fixture
def watched():
    made = []

    def make(server, machine=None, most_rss=1 << 40, most_in_flight=MIB):
        made.append(watch.Watch("one", server, machine or FakeMachine(), ID, most_rss, most_in_flight))
        made[-1].up()
        return made[-1]

    yield make
    for one in made:
        one.close()


def slow(path):
    time.sleep(3)  # well beyond what a stall of the machine would excuse
    return Answer(200, {"metrics": {"memory_bytes": 5}}, {})


def refuse(path):
    raise ConnectionRefusedError


PROBLEMS = {
    "too late": (slow, {}, " took "),
    "not at all": (refuse, {}, "was not answered"),
    "with an error": (lambda path: Answer(500, {"metrics": {"memory_bytes": 5}}, {}), {}, "was answered with 500"),
    "too much memory": (FakeServer().answer, {"most_rss": MIB}, "MiB in memory"),
    "too much in flight": (FakeServer().answer, {"most_in_flight": 4}, "5 bytes in flight"),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_member_that_answers_badly_is_noticed(watched, problem):
    answer, options, text = PROBLEMS[problem]
    one = watched(FakeServer(answer), **options)
    wait_until(lambda: one.problems, 40, "the problem is noticed")
    assert text in one.problems[0]


def test_a_member_that_answers_well_has_no_problem(watched):
    one = watched(FakeServer())
    wait_until(lambda: one.asked > len(watch.PATHS), 40, "everything is asked")
    assert not one.problems


def test_what_a_busy_machine_delays_is_no_problem_of_a_member(watched):
    machine = FakeMachine()
    machine.late = 5  # more than what really delays slow() here
    one = watched(FakeServer(slow), machine)
    wait_until(lambda: one.excused >= 2, 40, "it is excused")
    assert not one.problems


def test_what_was_under_way_when_a_member_was_killed_is_no_problem(watched):
    asked, killed = threading.Event(), threading.Event()

    def vanish(path):
        asked.set()
        killed.wait(10)
        raise ConnectionResetError

    one = watched(FakeServer(vanish))
    assert asked.wait(10)
    one.down()
    killed.set()
    one.close()
    assert not one.problems and one.asked == 0


def test_a_thread_that_is_held_up_is_noticed(monkeypatch):
    now = types.SimpleNamespace(monotonic=time.monotonic)
    monkeypatch.setattr(machine, "time", now)
    one = machine.Machine()
    begin = time.monotonic()
    now.monotonic = lambda: time.monotonic() + 3  # as if nobody had run for three seconds
    wait_until(lambda: one.late_seconds(begin, time.monotonic() + 10) > 2.5, 10, "it is noticed")
    one.close()
