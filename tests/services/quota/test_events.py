"""The stream of events: what changed, to whom, for how long."""

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import pytest

from hub_services.quota import events
from hub_services.quota.events import Rhythm
from hub_services.quota.hub_word import HubWord
from hub_services.quota.tickets import LIFETIME
from mlhub.core.errors import HubUnavailable
from tests.services.quota.desk import Desk, open_desk, until

PATIENCE = 10


class Reader:
    """What came over one stream, as messages."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer

    async def next(self) -> dict[str, str]:
        """The next message that is no beat."""
        found: dict[str, str] = {}
        async with asyncio.timeout(PATIENCE):
            while line := (await self.answer.content.readline()).decode():
                if line == "\n" and "event" in found:
                    return found
                name, _, value = line.rstrip("\n").partition(": ")
                found |= {name: value} if name else {}
        raise EOFError

    async def until(self, event: str) -> dict[str, str]:
        while True:
            message = await self.next()
            if message["event"] == event:
                return message

    async def settled(self) -> None:
        """Past the messages that every stream begins with."""
        assert [(await self.next())["event"] for _ in events.TOPICS] == list(events.TOPICS)

    async def ended(self) -> bool:
        async with asyncio.timeout(PATIENCE):
            await self.answer.content.read()
        return True


@asynccontextmanager
async def stream(desk: Desk, who: str, **headers: str):
    url = f"{desk.url}api/v1/events"
    given = {**desk.credential(who), **headers}
    async with desk.session.get(url, headers=given) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        yield Reader(answer)


async def test_a_stream_begins_with_everything_to_be_fetched_once(desk: Desk):
    async with stream(desk, "ada") as reader:
        await reader.settled()


async def test_a_grant_is_told_to_its_owner_and_the_inventory_to_all(desk: Desk):
    async with stream(desk, "ada") as mine, stream(desk, "bob") as theirs:
        await mine.settled()
        await theirs.settled()
        await desk.lease("ada")
        assert {(await mine.next())["event"] for _ in range(2)} == {"inventory", "leases"}
        await desk.claim("ada", count=4, wait=True, server="second")
        assert [(await theirs.next())["event"] for _ in range(2)] == ["inventory", "queue"]


async def test_an_operator_is_told_of_everyones_leases(desk: Desk):
    async with stream(desk, "admin") as reader:
        await reader.settled()
        await desk.lease("ada")
        await reader.until("leases")


async def test_a_notice_goes_to_its_user_only(desk: Desk):
    async with stream(desk, "ada") as mine, stream(desk, "admin") as theirs:
        await mine.settled()
        desk.service.bus.tell("ada", "ending", "Save your work.\nNow.", "lease-1")
        desk.service.bus.changed("queue")
        message = await mine.until("notice")
        assert message["id"] == "1"
        assert message["data"] == (
            '{"text": "Save your work.\\nNow.", "lease_id": "lease-1", "event": "ending"}'
        )
        await theirs.settled()
        assert (await theirs.next())["event"] == "queue"


async def test_who_comes_back_is_told_what_they_missed(desk: Desk):
    for number in range(3):
        desk.service.bus.tell("ada", "note", f"text {number}")
    async with stream(desk, "ada", **{"Last-Event-ID": "1"}) as reader:
        await reader.settled()
        assert [(await reader.until("notice"))["id"] for _ in range(2)] == ["2", "3"]


async def test_a_thousand_changes_are_one_message(desk: Desk):
    async with stream(desk, "ada") as reader:
        await reader.settled()
        for _ in range(1000):
            desk.service.bus.changed("inventory")
        desk.service.bus.changed("queue")
        assert [(await reader.next())["event"] for _ in range(2)] == ["inventory", "queue"]


async def test_silence_is_broken_by_a_beat(hub, tokens):
    rhythm = Rhythm(beat=0.1)
    async with open_desk(hub, tokens, rhythm=rhythm) as desk, stream(desk, "ada") as reader:
        await reader.settled()
        async with asyncio.timeout(PATIENCE):
            while await reader.answer.content.readline() != b": beat\n":
                pass


async def test_a_stream_needs_a_credential(desk: Desk):
    answer = await desk.ask("GET", "events")
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


async def test_a_stream_ends_when_its_token_is_revoked(hub, tokens):
    async with open_desk(hub, tokens, rhythm=Rhythm(beat=0.1, check=0.2)) as desk:
        made = hub.api("POST", "users/bob/tokens", json={"note": "to be revoked"}).json()
        desk.tokens = {**tokens, "a browser": made["token"]}
        async with stream(desk, "a browser") as reader:
            await reader.settled()
            hub.api("DELETE", f"users/bob/tokens/{made['id']}")
            assert await reader.ended()


async def test_a_stream_of_a_ticket_ends_with_the_ticket(hub, tokens):
    async with open_desk(hub, tokens, rhythm=Rhythm(beat=0.1)) as desk:
        ticket = desk.service.tickets.make("ada", (), desk.service.now())
        async with stream(desk, "", Authorization=f"Ticket {ticket.text}") as reader:
            await reader.settled()
            desk.world.clock.advance(LIFETIME)
            assert await reader.ended()


async def test_a_stream_of_a_ticket_ends_with_its_user(hub, tokens):
    async with open_desk(hub, tokens, rhythm=Rhythm(beat=0.1)) as desk:
        passed, looks = 0.0, []

        def clock() -> float:
            looks.append(passed)
            return passed

        desk.service.hub_word = HubWord(clock)
        desk.world.users("ada")
        ticket = desk.service.tickets.make("ada", (), desk.service.now())
        async with stream(desk, "", Authorization=f"Ticket {ticket.text}") as reader:
            await reader.settled()
            await until(lambda: looks)
            del desk.world.hub.users["ada"]
            passed = 59.0
            await until(lambda: looks.count(59.0) > 2)
            assert not reader.answer.content.at_eof()
            passed = 60.0
            assert await reader.ended()


async def test_a_hub_that_does_not_say_is_asked_for_a_user_once_a_minute_too(desk: Desk):
    asked, passed = [], 0.0

    async def away(name: str) -> None:
        asked.append(name)
        raise HubUnavailable("JupyterHub does not answer.")

    desk.world.hub.user = away
    word = HubWord(lambda: passed)
    for passed in (0.0, 59.0, 60.0):  # noqa: B007 - the clock reads it
        assert await word.has(desk.world.hub, "ada", keep=60)
    assert asked == ["ada", "ada"]


async def test_many_streams_of_tickets_do_not_ask_the_hub_again_and_again(hub, tokens):
    async with open_desk(hub, tokens, rhythm=Rhythm(beat=0.1, check=0.2)) as desk:
        desk.world.users("ada")
        user, asked = desk.world.hub.user, []

        async def counted(name: str) -> object:
            asked.append(name)
            return await user(name)

        desk.world.hub.user = counted
        ticket = desk.service.tickets.make("ada", (), desk.service.now())
        async with stream(desk, "", Authorization=f"Ticket {ticket.text}") as reader:
            await reader.settled()
            await until(lambda: asked)
            with pytest.raises(TimeoutError):
                await until(lambda: len(asked) > 1, seconds=1)


async def test_one_user_has_only_so_many_streams(desk: Desk, monkeypatch):
    monkeypatch.setattr(events, "MOST_STREAMS", 1)
    async with stream(desk, "ada"):
        refused = await desk.ask("GET", "events", who="ada")
        assert (refused.status, refused.body["limit"]) == (429, 1)
        assert refused.headers["Retry-After"]
        async with stream(desk, "bob"):
            pass


async def test_a_stream_that_was_closed_is_forgotten(desk: Desk):
    async with stream(desk, "ada"):
        assert desk.service.bus.streams("ada") == 1
    await until(lambda: not desk.service.bus.streams("ada"))


async def test_a_reader_that_does_not_read_is_dropped(desk: Desk, monkeypatch):
    monkeypatch.setattr(events, "PATIENCE", 0.2)
    monkeypatch.setattr(events, "PAUSE", 0.0)
    _, writer = await desk.connect()
    token = desk.tokens["ada"]
    writer.write(
        f"GET {desk.path('events')} HTTP/1.1\r\nHost: x\r\nAuthorization: token {token}\r\n\r\n"
        .encode()
    )  # fmt: skip
    await until(lambda: desk.service.bus.streams("ada"))

    def dropped() -> bool:
        desk.service.bus.tell("ada", "note", "x" * 200_000)
        return not desk.service.bus.streams("ada")

    await until(dropped)
    writer.close()


async def test_streams_end_when_the_service_does(desk: Desk):
    async with stream(desk, "ada") as reader:
        await reader.settled()
        desk.service.closing.set()
        desk.service.bus.wake_all()
        assert await reader.ended()


@pytest.mark.parametrize("text", ["", "x", "x.y", "é.é", "e30.", "a" * 20_000])
async def test_a_bad_ticket_is_no_credential(desk: Desk, text: str):
    answer = await desk.ask("GET", "inventory", headers={"Authorization": f"Ticket {text}"})
    assert answer.status == 401


async def test_a_ticket_of_another_service_is_no_credential(desk: Desk):
    ticket = type(desk.service.tickets)(b"another secret").make("ada", (), desk.service.now())
    answer = await desk.ask("GET", "me", headers={"Authorization": f"Ticket {ticket.text}"})
    assert (answer.status, answer.body["type"]) == (401, "urn:mlhub:problem:ticket-over")
