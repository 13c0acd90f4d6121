"""Which faults happen, by a seed alone: the same seed gives the same rounds, however long somebody listens."""

import dataclasses
import random


@dataclasses.dataclass(frozen=True)
class Fault:
    name: str
    victim: str  # no two faults of a round have the same
    after: float  # seconds from the beginning of the round
    parameters: dict

    def __str__(self):
        told = "".join(f" {name}={value:.2f}" if isinstance(value, float) else f" {name}={value}" for name, value in self.parameters.items())
        return f"{self.victim}: {self.name}{told} (after {self.after:.1f} s)"


@dataclasses.dataclass(frozen=True)
class Round:
    number: int
    faults: tuple
    settles: bool  # the next round waits until everything flows again

    def __str__(self):
        end = "then until everything flows" if self.settles else "and on at once"
        return f"round {self.number}: " + "; ".join(map(str, self.faults)) + f"; {end}"


SESSION_TIMEOUT = 10  # of the members: whoever is away for longer loses its partitions


def _away(dice):
    """Seconds: mostly short, now and then so long that the partitions move."""
    return dice.uniform(SESSION_TIMEOUT + 1, SESSION_TIMEOUT + 4) if dice.random() < 0.2 else dice.uniform(0, 3)


# victim -> [(weight, fault, its parameters)]
_MEMBER = [
    (4, "kill", lambda dice: {"pause": _away(dice)}),
    (2, "freeze", lambda dice: {"seconds": max(0.3, _away(dice))}),
    (2, "terminate", lambda dice: {"pause": _away(dice)}),
    (1, "slow disk", lambda dice: {"milliseconds": dice.randint(50, 400), "seconds": dice.uniform(1, 4)}),
]
CATALOGUE = {
    "one": _MEMBER,
    "two": _MEMBER,
    "guest": [(1, "visit", lambda dice: {"seconds": dice.uniform(1, 8), "end": dice.choice(("kill", "terminate"))})],
    "broker": [
        (2, "kill", lambda dice: {"pause": dice.uniform(0, 3)}),
        (1, "restart", lambda dice: {"pause": dice.uniform(0, 1)}),
    ],
    "link to the broker": [
        (2, "cut", lambda dice: {"times": dice.randint(1, 6)}),
        (1, "stall", lambda dice: {"seconds": dice.uniform(0.5, 5)}),
        (1, "throttle", lambda dice: {"bytes_per_second": dice.randint(2_000, 50_000), "seconds": dice.uniform(1, 4)}),
    ],
    "database": [
        (2, "restart", lambda dice: {"pause": dice.uniform(0, 2)}),
        (2, "crash", lambda dice: {"pause": dice.uniform(0, 2)}),
        (1, "freeze", lambda dice: {"seconds": dice.uniform(0.5, 5)}),
    ],
    "link to the database": [
        (2, "cut", lambda dice: {"times": dice.randint(1, 6)}),
        (1, "stall", lambda dice: {"seconds": dice.uniform(0.5, 5)}),
        (2, "lose an answer", lambda dice: {"seconds": dice.uniform(0.2, 2)}),
    ],
    "endpoint": [
        (2, "misbehave", lambda dice: {"seconds": dice.uniform(2, 8), "seed": dice.randrange(1 << 32)}),
        (1, "be away", lambda dice: {"seconds": dice.uniform(1, 5)}),
        (1, "hang", lambda dice: {"seconds": dice.uniform(1, 5)}),
    ],
    "disk": [(1, "fill", lambda dice: {"seconds": dice.uniform(1, 6)})],
    "api": [
        (1, "stop and start", lambda dice: {"pause": dice.uniform(0, 3)}),
        (1, "change", lambda dice: {"fsync_interval": f"{dice.choice((20, 100, 300))}ms", "records": dice.choice((100, 500, 1000))}),
    ],
}


def rounds(seed, without=()):
    """Rounds without end. `without`: victims that cannot be had here."""
    dice = random.Random(seed)
    number = 0
    while True:
        number += 1
        victims = dice.sample(list(CATALOGUE), dice.choice((1, 2, 2, 3, 3, 4)))
        faults = []
        for victim in victims:
            weights, names, makers = zip(*CATALOGUE[victim])
            chosen = dice.choices(range(len(names)), weights)[0]
            faults.append(Fault(names[chosen], victim, dice.uniform(0, 2), makers[chosen](dice)))
        settles = dice.random() < 0.6
        faults = tuple(fault for fault in faults if fault.victim not in without)
        if faults:
            yield Round(number, faults, settles)
