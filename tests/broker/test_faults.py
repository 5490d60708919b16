"""Random use with random faults: the invariants hold after every step, and all ends quietly."""

import random

import pytest

from mlhub.core.decisions import Granted
from mlhub.core.errors import Conflict, NotFound
from mlhub.core.policy import Limit
from tests.broker.world import SECOND, World
from tests.core.making import HOUR, MINUTE

USERS = "abcdefgh"


async def act(world, dice):
    """One thing that a person or the world does."""
    user, server = dice.choice(USERS), dice.choice(["", "two"])
    what = dice.choice(
        ["spawn", "queue", "stop", "crash", "leave", "release", "use", "renew", "orphan"]
    )
    ledger = await world.ledger()
    mine = ledger.leases_of(user)
    waiting = [row for row in ledger.waiting() if row.ask.user == user]
    count, hours = dice.choice([1, 1, 2, 4]), dice.choice([1, 4, 8])
    try:
        if what == "spawn" and (user, server) not in world.hub.servers:
            await world.spawn(
                user, server=server, count=count, hours=hours, wait=dice.random() < 0.5
            )
        elif what == "queue":
            await world.ask(user, server=server, count=count, hours=hours, wait=True)
        elif what == "stop" and not world.hub.away:
            await world.hub.stop(user, server)
        elif what == "crash":
            world.hub.servers.pop((user, server), None)
        elif what == "leave" and waiting:
            await world.broker.cancel(waiting[0].id, by=user)
        elif what == "release" and mine:
            await world.broker.release(mine[0].id, by="root", why="needed elsewhere")
        elif what == "use" and mine:
            await world.broker.use(mine[0].id)
        elif what == "renew" and mine:
            await world.broker.renew(mine[0].id, 4 * HOUR, by=user)
        elif what == "orphan" and world.hub.servers:
            dice.choice(list(world.hub.servers.values())).stubborn = True
    except (Conflict, NotFound):
        return


FAULTS = {
    "hub away": lambda w, on: setattr(w.hub, "away", on),
    "processes unseen": lambda w, on: setattr(w.hub, "blind", on),
    "starts refused": lambda w, on: setattr(w.hub, "refuses", "sign in again" if on else ""),
    "servers crash at start": lambda w, on: setattr(w.hub, "crashes", on),
    "driver silent": lambda w, on: setattr(w.stock, "broken", "no answer" if on else ""),
    "clock an hour on": lambda w, on: w.step_clock(HOUR) if on else None,
    "clock an hour back": lambda w, on: w.step_clock(-HOUR) if on else None,
    "service restarted": lambda w, on: w.wire(),
    "machine restarted": lambda w, on: (w.hub.servers.clear(), w.clock.reboot()) if on else None,
    "a device lost": lambda w, on: w.lose(1) if on else None,
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("seed", range(6))
async def test_invariants_hold_through(fault, seed):
    dice = random.Random(f"{fault}{seed}")
    limit = Limit(devices=4, servers=2)
    world = await World(gpus=6, everyone=limit).open()
    for step in range(160):
        if step in (40, 100):
            FAULTS[fault](world, True)
        if step in (60, 130):
            FAULTS[fault](world, False)
        await act(world, dice)
        await world.tick(dice.choice([SECOND, 5 * SECOND, MINUTE, 10 * MINUTE]))
        await world.tick(10 * SECOND, times=6)
        assert await world.findings() == [], f"after step {step}"
    await recover(world)


async def recover(world):
    """Nobody asks for anything any more: what waits is served, what is held has a holder."""
    await world.tick(SECOND * 5, times=24)
    ledger = await world.ledger()
    running = {server.lease_id for server in world.hub.servers.values() if server.lease_id}
    assert running <= ledger.leases.keys()
    await world.tick(MINUTE, times=20)
    for user, server in list(world.hub.servers):
        del world.hub.servers[user, server]
    await world.tick(MINUTE, times=60)
    for claim in (await world.ledger()).waiting():
        await world.broker.cancel(claim.id, by="root")
    world.hub.servers.clear()
    await world.tick(MINUTE, times=30)
    assert not (await world.ledger()).leases
    assert await world.findings() == []
    assert isinstance(await world.ask("a"), Granted)
