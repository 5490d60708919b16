"""Time passes over a queue: whoever is first in it gets what they were told, by then."""

from dataclasses import replace
from decimal import Decimal

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlhub.core.admission import admit, pressure, queue_forecasts
from mlhub.core.leases import LeaseStatus, Target, vacate
from mlhub.core.ledger import Changes
from mlhub.core.lifecycle import Observation, Presence, advance
from mlhub.core.policy import Policy
from tests.core.making import A100, HOUR, MINUTE, NOON, a100s, claim, ids, inventory, lease, ledger

POLICY = Policy(flavors=(A100,))
STOCK = inventory(*a100s(3, "n1"), *a100s(2, "n2"))
TICK = 5 * MINUTE
THERE = Observation(Presence.THERE)


class Day:
    """A ledger whose leases run to their end and whose queue is served, tick by tick."""

    def __init__(self, rows):
        self.book, self.now, self.new_id = ledger(*rows), NOON, ids()

    def serve(self):
        made = admit(self.book, STOCK, POLICY, "a100", self.now, self.new_id)
        started = [
            replace(row, status=LeaseStatus.ACTIVE, started_at=self.now, used_at=self.now,
                    holder=row.id, seen_at=self.now)
            for row in made.leases
        ]  # fmt: skip
        self.book = self.book.apply(replace(made, leases=tuple(started)))
        taken = self.book.taken()
        assert max(taken.values(), default=0) <= 1

    def pass_time(self):
        self.now += TICK
        pressing = pressure(self.book, STOCK, POLICY, "a100", self.now)
        for row in list(self.book.leases.values()):
            step = advance(row, THERE, policy=POLICY, waiting=pressing.on(row), price=Decimal(0),
                           now=self.now)  # fmt: skip
            over = step.lease.target is Target.ENDED
            after = vacate(step.lease, self.now) if over else step.lease
            self.book = self.book.apply(Changes(leases=(after,)))

    def join(self, row):
        self.book = self.book.apply(Changes(claims=(row,)))


def running(held):
    """Leases that began before noon, as many as fit, some past their end already."""
    free = {"n1": 3, "n2": 2}
    rows = []
    for i, (node, count, ticks) in enumerate(held):
        if count <= free[node]:
            names = [f"{node}-{free[node] - k - 1}" for k in range(count)]
            free[node] -= count
            rows.append(
                lease(f"l{i}", *names, at=NOON - 9 * HOUR, user=f"h{i}", holder=f"l{i}",
                      status=LeaseStatus.ACTIVE, started_at=NOON - 9 * HOUR, used_at=NOON,
                      ends_at=NOON + ticks * TICK)
            )  # fmt: skip
    return rows


held = st.lists(
    st.tuples(st.sampled_from(["n1", "n2"]), st.integers(1, 3), st.integers(-12, 48)), max_size=5
)
small = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 2), st.integers(1, 30)), max_size=25)


@given(held, small, st.integers(2, 3))
@example([("n1", 1, 3)], [(0, 1, 1)], 3)
@settings(max_examples=150)
def test_the_first_in_the_queue_gets_its_gpus_by_the_time_it_was_told(held, small, count):
    day = Day([*running(held), claim("large", count=count, user="large")])
    told = queue_forecasts(day.book, STOCK, POLICY, "a100", NOON)["large"]
    while "large" in day.book.queue:
        assert day.now <= told.expected + TICK
        tick = (day.now - NOON) // TICK
        for i, (at, some, ticks) in enumerate(small):
            if at == tick:
                day.join(claim(f"s{i}", at=day.now + MINUTE, count=some, user=f"s{i}",
                               duration=ticks * TICK))  # fmt: skip
        day.serve()
        day.pass_time()


@given(held, small)
@settings(max_examples=60)
def test_everybody_in_the_queue_is_served_in_the_end(held, small):
    day = Day(running(held))
    for i, (at, some, ticks) in enumerate(small):
        day.join(claim(f"s{i}", at=NOON + at * MINUTE, count=some, user=f"s{i}",
                       duration=ticks * TICK))  # fmt: skip
    for _ in range(24 * 12 * 3):
        if not day.book.queue:
            return
        day.serve()
        day.pass_time()
    assert not day.book.queue
