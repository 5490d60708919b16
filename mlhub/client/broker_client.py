"""The client of the quota service's REST API: one method for each thing that can be asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TypeVar
from urllib.parse import quote

from pydantic import TypeAdapter, ValidationError

from mlhub.client.answers import (
    ClaimAnswer,
    Finding,
    LeasePage,
    LeaseView,
    MeView,
    QueuePage,
    Readiness,
    RenewalView,
    TicketView,
    WaitingView,
)
from mlhub.client.credentials import credential_of
from mlhub.client.errors import Problem, Refused, ServiceUnavailable
from mlhub.client.stock import InventoryView
from mlhub.client.transport import API, Answer, Patience, Request, Transport
from mlhub.client.wishes import Wish, wire_duration

T = TypeVar("T")
REFUSAL: Final = 400


class BrokerClient:
    """Asks the quota service; every method may be repeated without harm.

    Use it as an async context manager, or call `close` at the end.

    Raises (all methods):
        Refused: the service said no; its `problem` says why.
        ServiceUnavailable: no usable answer came within the deadline.
        NoToken: there is no credential to ask with.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        token_file: Path | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Takes the service's address and one credential.

        Args:
            url: such as ``http://127.0.0.1:8000/services/quota``, with or without ``/api/v1``.
            token: a JupyterHub API token; else `token_file` holds it, read at each request.
            token_file: a file that holds the token alone.
            patience: how long answers are waited for.
        """
        base = url.rstrip("/").removesuffix(API)
        credential = credential_of(token, token_file)
        self._transport = Transport(base, credential=credential, patience=patience)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give up the connections."""
        await self._transport.close()

    async def claim(self, wish: Wish, *, key: str) -> ClaimAnswer:
        """Ask for devices; the same key always means the same claim.

        Args:
            wish: what is asked for.
            key: 8 to 128 printable characters, kept by the caller until the answer is known.

        Returns:
            A granted or queued claim; a denied one raises Refused.
        """
        return await self._get(ClaimAnswer, Request("POST", "/claims", wish.body(), key=key))

    async def claim_state(self, claim_id: str) -> ClaimAnswer:
        """How a claim stands now, also when it was denied or cancelled."""
        answer = await self._transport.ask(Request("GET", f"/claims/{_word(claim_id)}"))
        problem = answer.content if isinstance(answer.content, dict) else {}
        if answer.status >= REFUSAL and problem.get("state"):
            words = {"message": str(problem.get("detail", "")), "claim": claim_id}
            return self._read(ClaimAnswer, {**words, **problem})
        return self._read(ClaimAnswer, self._allowed(answer))

    async def cancel(self, claim_id: str) -> None:
        """Leave the queue; a claim that does not wait any more stays as it is."""
        self._allowed(await self._transport.ask(Request("DELETE", f"/claims/{_word(claim_id)}")))

    async def leases(
        self,
        *,
        state: str = "live",
        user: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> LeasePage:
        """Leases that the asker may see, `live` or `ended`, newest first."""
        query = {"state": state, "limit": str(limit)}
        query |= {"user": user} if user is not None else {}
        query |= {"before": str(before)} if before is not None else {}
        return await self._get(LeasePage, Request("GET", "/leases", query=query))

    async def lease(self, lease_id: str) -> LeaseView:
        """One lease."""
        return await self._get(LeaseView, Request("GET", f"/leases/{_word(lease_id)}"))

    async def release(self, lease_id: str, *, why: str = "") -> LeaseView:
        """End a lease; its `status` is `ended` once its holder's end was observed."""
        body = {"why": why} if why else None
        return await self._get(LeaseView, Request("DELETE", f"/leases/{_word(lease_id)}", body))

    async def renew(self, lease_id: str, duration: timedelta | str) -> RenewalView:
        """Let a lease end `duration` from now, where nobody waits for its flavor.

        Raises:
            Refused: somebody waits, or it cannot be any longer.
        """
        body = {"duration": wire_duration(duration)}
        path = f"/leases/{_word(lease_id)}/renew"
        return await self._get(RenewalView, Request("POST", path, body))

    async def holder(self, lease_id: str, pid: int) -> LeaseView:
        """Name the process that holds a lease.

        Raises:
            Refused: with status 409 the lease is over, and the caller must end the process.
        """
        path = f"/leases/{_word(lease_id)}/holder"
        return await self._get(LeaseView, Request("POST", path, {"pid": pid}))

    async def used(self, lease_id: str) -> LeaseView:
        """Its owner made a first request of their own: the claim window is closed."""
        return await self._get(LeaseView, Request("POST", f"/leases/{_word(lease_id)}/used", {}))

    async def inventory(self, *, devices: bool = True) -> InventoryView:
        """What exists and what is free for the asker; without `devices` the flavors alone."""
        query = None if devices else {"devices": "false"}
        return await self._get(InventoryView, Request("GET", "/inventory", query=query))

    async def queue(self) -> tuple[WaitingView, ...]:
        """The claims that wait, flavor by flavor, in the order of their queues."""
        found: list[WaitingView] = []
        after: int | None = 0
        while after is not None:
            query = {"after": str(after)} if after else None
            page = await self._get(QueuePage, Request("GET", "/queue", query=query))
            found += page.items
            after = page.next if page.next != after else None
        return tuple(found)

    async def ready(self) -> tuple[str, ...]:
        """Why the service cannot do its work just now; empty when it can.

        It needs no right, but the reasons are told to operators only.
        """
        answer = await self._transport.ask(Request("GET", "/readyz", vital=True))
        found = self._read(Readiness, answer.content)
        unready = () if found.status == "ready" else (f"it says: {found.status}",)
        return found.reasons or unready

    async def me(self) -> MeView:
        """The asker: limits, use, claims and leases."""
        return await self._get(MeView, Request("GET", "/me"))

    async def ticket(self, user: str, groups: Sequence[str] = ()) -> TicketView:
        """A short-lived credential with which that user's browser may read."""
        body = {"user": user, "groups": list(groups)}
        return await self._get(TicketView, Request("POST", "/tickets", body))

    async def doctor(self) -> tuple[Finding, ...]:
        """What the service finds about its invariants; needs an operator."""
        return await self._get(tuple[Finding, ...], Request("GET", "/doctor"))

    async def _get(self, kind: type[T], request: Request) -> T:
        return self._read(kind, self._allowed(await self._transport.ask(request)))

    def _read(self, kind: type[T], content: Any) -> T:
        try:
            return TypeAdapter(kind).validate_python(content)
        except ValidationError as error:
            where = ".".join(map(str, error.errors(include_input=False)[0]["loc"])) or "its form"
            why = f"its answer is not understood (at {where}); is it of another version?"
            raise ServiceUnavailable(self._transport.url, why, 1) from None

    def _allowed(self, answer: Answer) -> Any:
        if answer.status < REFUSAL:
            return answer.content
        problem = answer.content if isinstance(answer.content, dict) else {}
        given = {name: value for name, value in problem.items() if value is not None}
        raise Refused(self._read(Problem, {**given, "status": answer.status}))


def _word(text: str) -> str:
    """An id as one part of a path, whatever it holds."""
    return quote(text, safe="")
