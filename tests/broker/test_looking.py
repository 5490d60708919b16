"""Shared looks: fewer of them, and none that is older than the question."""

import asyncio

from mlhub.broker.looking import SharedLook
from mlhub.core.lifecycle import Observation, Presence
from tests.core.making import lease


class Slow:
    """A source that takes a moment, and remembers what each look was for."""

    def __init__(self):
        self.looks = []
        self.go = asyncio.Event()

    async def observe(self, leases):
        self.looks.append({row.id for row in leases})
        await self.go.wait()
        return {row.id: Observation(Presence.GONE, holder=str(len(self.looks))) for row in leases}


async def test_those_who_ask_during_a_look_share_the_next_one():
    source = Slow()
    shared = SharedLook(source)
    first = asyncio.create_task(shared.observe([lease("a", "0")]))
    for _ in range(5):
        await asyncio.sleep(0)
    later = [asyncio.create_task(shared.observe([lease(n, "1")])) for n in ("a", "b", "c")]
    await asyncio.sleep(0)
    source.go.set()
    await first
    answers = await asyncio.gather(*later)
    assert source.looks == [{"a"}, {"a", "b", "c"}]
    assert [set(answer) for answer in answers] == [{"a"}, {"b"}, {"c"}]


async def test_one_who_gives_up_does_not_end_the_look_of_the_others():
    source = Slow()
    shared = SharedLook(source)
    asked = [asyncio.create_task(shared.observe([lease(n, "1")])) for n in ("a", "b")]
    await asyncio.sleep(0)
    asked[0].cancel()
    source.go.set()
    assert set(await asked[1]) == {"b"}
