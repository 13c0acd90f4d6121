"""Random sequences of faults against a file, a table and an endpoint together, while records flow; then everything is compared record by record.

FAULT_MINUTES says how long; KAFKA_FETCHER_SEED repeats a sequence (scripts/faults --minutes N --seed S)."""

import threading
import time

import pytest

from harness.knobs import knob
from harness.waiting import wait_until
from storm import acts, schedule
from storm.journal import Journal
from storm.world import RECORDS_PER_SECOND, World

MINUTES = knob("FAULT_MINUTES", 3.0)
WHOLE_EVERY = 5  # rounds between two looks at everything that file and table hold


def run_round(world, happening):
    """All its faults at their times; the first that could not be made, or whose victim did not behave, fails the run."""
    failures = []

    def one(fault):
        time.sleep(fault.after)
        try:
            acts.perform(world, fault)
        except Exception as error:
            failures.append((fault, error))

    threads = [threading.Thread(target=one, args=(fault,)) for fault in happening.faults]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for fault, error in failures:
        raise AssertionError(f"{fault}: {error!r}") from error


def run(world, journal, seed):
    end = time.monotonic() + MINUTES * 60
    faults = 0
    with world.stream.sending(rate=RECORDS_PER_SECOND, seconds=MINUTES * 60 + 900) as sending:
        world.wait_flows()
        for happening in schedule.rounds(seed, without=() if world.disk.there else ("disk",)):
            if time.monotonic() > end:
                break
            journal.tell(happening)
            run_round(world, happening)
            faults += len(happening.faults)
            world.table.database.close()  # whose connection may be dead by now
            assert sending.alive(), "the producer has ended"
            world.check_now(whole=happening.number % WHOLE_EVERY == 0)
            if happening.settles:
                world.wait_flows()
                journal.tell("flows")
    acts.start(world)
    journal.tell(f"{faults} faults; now everything comes to rest")
    wrong = world.wait_rest()
    wrong += world.verdict()
    for line in world.summary():
        journal.tell(line)
    assert not wrong, "\n".join(wrong)
    world.assert_watched()
    wait_until(lambda: world.any_up().consumer(world.consumer_id)["health"]["state"] == "ok", 60, lambda: f"all is well: {world.tell_health()}")


@pytest.mark.timeout(MINUTES * 60 + 900)
def test_random_sequences_of_faults_lose_and_double_nothing(tmp_path, seed, request):
    again = f"scripts/faults --minutes {MINUTES:g} --seed {seed}"
    if reporter := request.config.pluginmanager.getplugin("terminalreporter"):  # told at once, though output is captured; not where -n has no terminal
        reporter.ensure_newline()
        reporter.write_line(f"random faults: repeat with {again}")
    journal = Journal(tmp_path / "journal")
    world = World(tmp_path, journal)
    try:
        run(world, journal, seed)
    except BaseException:
        for server in world.members.values():
            print(f"--- {server.log}\n{server.log_tail(60)}")
        print(f"--- {again}")
        raise
    finally:
        world.close()
