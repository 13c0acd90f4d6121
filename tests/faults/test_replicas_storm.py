"""Three replicas write one table while they and the database die, restart and freeze: every record is there once."""

import time

import pytest

from harness.database import TableFlow
from harness.knobs import knob
from harness.records import Stream
from harness.waiting import wait_until

PARTITIONS = 6
FROZEN_SECONDS = 13  # longer than the group's session timeout


def restart_database(postgres_server, database, how):
    database.close()
    postgres_server.stop(*how)
    postgres_server.start()
    wait_until(database.answers, 20, "the database answers")


@pytest.mark.timeout(900)
def test_replicas_and_database_that_die_and_freeze_lose_and_double_nothing(make_server, cluster, group, postgres_server, database, tmp_path, dice):
    kills, records = knob("STORM_KILLS", 25), knob("STORM_RECORDS", 2_000_000)
    stream = Stream(cluster.servers, cluster.make_topic("storm", PARTITIONS), PARTITIONS)
    flow = TableFlow(cluster, stream, group, database, tmp_path)
    url = postgres_server.make_database()
    replicas = [make_server(DATABASE_URL=url, INSTANCE_ID=f"r{number}").start() for number in range(3)]
    stream.send(records // 2 // PARTITIONS)
    consumer_id = flow.create(replicas[0])
    done = in_flow = 0
    with stream.sending(rate=records / 2 / (kills * 1.5), seconds=kills * 20) as sending:
        while in_flow < kills:
            assert done < 2 * kills, f"only {in_flow} of {done} kills fell while rows came"
            before = wait_until(lambda: (now := flow.total()) and now, 60, "there are rows")
            wait_until(lambda: flow.total() > before, 60, "rows come")
            time.sleep(dice.uniform(0, 0.3))
            victim = dice.choice(replicas)
            before = flow.total()
            time.sleep(0.6)  # within which rows must come for this kill to count; a transaction takes about half of it
            victim.kill9()
            done += 1
            in_flow += flow.total() > before and sending.alive()
            if done % 8 == 0:
                restart_database(postgres_server, database, dice.choice([(), ("--immediate",)]))
            victim.start(wait=False)
            if done == kills // 2:
                frozen = dice.choice([replica for replica in replicas if replica is not victim])
                frozen.freeze()
                time.sleep(FROZEN_SECONDS)
                frozen.thaw()
            if done % 8 == 4:
                flow.assert_holds()  # reads the whole table
    for replica in replicas:
        replica.wait_ready()
    flow.wait_complete(120)
    flow.wait_committed()
    rows = database.value('SELECT count(*) || \' \' || count(DISTINCT (partition, "offset")) FROM kafka_messages')
    assert rows == f"{stream.total} {stream.total}"
    for replica in replicas:
        wait_until(lambda replica=replica: replica.consumer(consumer_id)["health"]["state"] == "ok", 30, lambda: f"{replica.consumer(consumer_id)['health']}")
    print(f"{done} kills, {in_flow} of them while rows came, {stream.total} rows")
