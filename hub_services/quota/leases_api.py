"""Leases: seen, used, prolonged, given a holder, ended."""

from __future__ import annotations

from typing import Final

from hub_services.quota.answers import LeasePage, LeaseView, RenewalView
from hub_services.quota.asks import LeaseQuery
from hub_services.quota.problems import Problem, bad_input, not_allowed
from hub_services.quota.routes import Call, Reply
from hub_services.quota.scene import Scene
from hub_services.quota.views import lease_view
from mlhub.broker.ports import Page
from mlhub.core.admission import pressure
from mlhub.core.errors import NotFound
from mlhub.core.leases import EndReason, Lease, LeaseStatus
from mlhub.core.lifecycle import Observation, Presence
from mlhub.core.quantities import parse_duration
from mlhub.core.renewing import Renewal, RenewalOutcome

NONE: Final = "there is no such lease, or it ended long ago"


async def listed(call: Call) -> Reply:
    """Live or ended leases that the asker may see, newest first."""
    query: LeaseQuery = call.query
    user = whose(call, query.user)
    scene = await call.service.look()
    rows = _live(scene, user) if query.state == "live" else []
    rows = [row for row in rows if query.before is None or row[0] < query.before][: query.limit]
    if query.state == "ended":
        page = Page(query.limit, query.before)
        rows = await call.service.history.ended_leases(user, page)
    facts = scene.facts()
    after = rows[-1][0] if len(rows) == query.limit else None
    return Reply(LeasePage(items=[lease_view(lease, facts) for _, lease in rows], next=after))


def whose(call: Call, wanted: str | None) -> str | None:
    """Whose rows a list shows: None is everybody's.

    Raises:
        Problem: the asker may not see those.
    """
    everybody = call.who.operator or call.who.acts
    if wanted is None:
        return None if everybody else call.who.user
    if not call.who.may_see(wanted):
        raise not_allowed("You may see your own only.")
    return wanted


def _live(scene: Scene, user: str | None) -> list[tuple[int, Lease]]:
    """Live leases, newest first, numbered from the oldest.

    Numbers only ever get smaller, so that the next page may repeat a lease but misses none.
    """
    leases = sorted(scene.ledger.leases.values(), key=lambda row: (row.granted_at, row.id))
    rows = [(i, row) for i, row in enumerate(leases, 1) if user in {None, row.ask.user}]
    return rows[::-1]


async def show(call: Call) -> Reply:
    """One lease, live or ended lately."""
    return Reply(await _shown(call, await _find(call)))


async def used(call: Call) -> Reply:
    """The owner made a first request of their own: the claim window is closed."""
    lease = await _find(call)
    if not (call.who.is_user(lease.ask.user) or call.who.acts):
        raise not_allowed("Only the lease's owner can say that they use it.")
    return Reply(await _shown(call, await call.service.broker.use(lease.id)))


async def renew(call: Call) -> Reply:
    """Let it end later, where nobody waits, and say what came of that."""
    lease = await _find(call)
    duration = parse_duration(call.body.duration)
    renewal = await call.service.broker.renew(lease.id, duration, by=call.who.name)
    if renewal.refused:
        raise _not_renewed(call, await call.service.look(), renewal)
    shown = await _shown(call, renewal.lease)
    told = {"outcome": str(renewal.outcome), "message": renewal.message}
    return Reply(RenewalView(**shown.model_dump(), **told))


def _not_renewed(call: Call, scene: Scene, renewal: Renewal) -> Problem:
    """The answer to one whose lease ends as before: by which limit, and when to ask again."""
    lease, flavor = renewal.lease, renewal.lease.ask.flavor
    if renewal.outcome is RenewalOutcome.AT_MAXIMUM:
        longest = scene.policy.limit_for(lease.ask.user, lease.ask.groups).duration
        left = round((lease.ends_at - scene.now).total_seconds())
        limit, used, unit = longest and round(longest.total_seconds()), left, "seconds"
        again = None
    else:
        waiting = pressure(scene.ledger, scene.inventory, scene.policy, flavor, scene.now)
        limit, used, unit = 0, waiting.on(lease), "claims"
        coming = call.service.broker.outlook.line(flavor, scene.ledger).forecasts.values()
        again = max((row.expected for row in coming if row), default=None)
    facts = {"limit": limit, "used": used, "unit": unit, "retry_at": again and again.isoformat()}
    return Problem(409, str(renewal.outcome), renewal.message, "Not extended", facts)


async def holder(call: Call) -> Reply:
    """The process that holds it from now on."""
    lease = await _find(call)
    seen = await _process(call, lease)
    if lease.status is LeaseStatus.ENDED or seen.age is None:
        raise Problem(409, "conflict", "This lease is over: end the process.")
    attached = await call.service.broker.attach(lease.id, holder=seen.holder, age=seen.age)
    return Reply(await _shown(call, attached))


async def _process(call: Call, lease: Lease) -> Observation:
    pid: int = call.body.pid
    if call.service.pids is None:
        raise Problem(409, "conflict", "The holders of this service's leases are no processes.")
    seen = await call.service.pids.holder_of(pid)
    if seen.presence is Presence.UNKNOWN:
        raise Problem(503, "unknown-process", "The processes cannot be seen now.", retry_after=2)
    if seen.presence is Presence.GONE:
        raise Problem(409, "no-such-process", f"There is no process {pid} on this machine.")
    wrong = await call.service.pids.contradiction(pid, lease) if lease.live else ""
    if wrong:
        raise bad_input("pid", wrong, "name the process that was started for this lease")
    return seen


async def release(call: Call) -> Reply:
    """End a lease; its devices are free when its status is "ended"."""
    lease = await _find(call)
    if lease.live:
        _need_reason(call, lease)
        lease = await _end(call, lease) or await _find(call)
    return Reply(await _shown(call, lease))


def _need_reason(call: Call, lease: Lease) -> None:
    """Refuse to end somebody else's lease without a word to them.

    Raises:
        Problem: an operator gives no reason.
    """
    if not (call.who.is_user(lease.ask.user) or call.who.acts or call.body.why.strip()):
        how = f"say why you end it: {lease.ask.user} is told"
        raise bad_input("why", "this lease is somebody else's, and no reason is given", how)


async def _end(call: Call, lease: Lease) -> Lease | None:
    """What became of it; None where only the ledger can tell."""
    broker, reason = call.service.broker, _end_reason(call, lease)
    try:
        ending = await broker.release(
            lease.id, by=_by(call, lease), why=call.body.why, reason=reason
        )
    except NotFound:
        return None  # its end was observed meanwhile
    # A server that is on its way would start on devices that are someone else's by then: only
    # the spawner knows that none comes any more.
    seen = await broker.observe_now([ending]) if ending.holder or call.who.acts else []
    if not seen or (await broker.store.snapshot()).waiting():
        call.service.wake.set()  # there is a process to end, or somebody to give the GPU to
    return seen[0] if seen else None


def _by(call: Call, lease: Lease) -> str:
    """Who wanted the end: the spawner only reports what became of the user's server."""
    return lease.ask.user if _reports(call) else call.who.name


def _reports(call: Call) -> bool:
    """Whether this is the spawner's report of an end, which has no reason to be told."""
    return call.who.acts and not call.body.why


def _end_reason(call: Call, lease: Lease) -> EndReason:
    if not _reports(call):
        return EndReason.RELEASED
    return EndReason.START_FAILED if lease.status is LeaseStatus.HELD else EndReason.STOPPED


async def _find(call: Call) -> Lease:
    """The lease of the path, if the asker may know of it.

    Raises:
        NotFound: there is none, or they may not.
    """
    lease_id = call.path["lease_id"]
    ledger, history = await call.service.broker.store.snapshot(), call.service.history
    lease = ledger.leases.get(lease_id) or await history.ended_lease(lease_id)
    if lease is None or not call.who.may_see(lease.ask.user):
        raise NotFound(NONE)
    return lease


async def _shown(call: Call, lease: Lease) -> LeaseView:
    return lease_view(lease, (await call.service.look()).facts())
