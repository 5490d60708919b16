"""What every spawner of mlhub does: claim before start, release after stop, refuse in words."""

from __future__ import annotations

from inspect import isawaitable
from typing import Any, Final

from sqlalchemy.orm import object_session

from mlhub.client import NoToken, Refused, ServiceUnavailable
from mlhub.core.errors import BadInput
from mlhub.profiles import Chosen, GpuAsk
from mlhub.spawner import claiming
from mlhub.spawner.availability import NO_ANSWER
from mlhub.spawner.choosing import PickerMixin
from mlhub.spawner.claiming import Claiming
from mlhub.spawner.overriding import evaluated, lay_over
from mlhub.spawner.refusals import SpawnRefused, Told, bad_input, uncounted, wants_page

STATE: Final = "mlhub"
LEASE_IS_OVER: Final = frozenset({404, 409, 410})


class GPULeaseMixin(PickerMixin):
    """Makes a spawner claim the GPUs of the chosen profile before its server starts.

    Put it before the spawner's own class: ``class Mine(GPULeaseMixin, TheSpawner)``.
    """

    def __init__(self, **kwargs: Any) -> None:
        self.claiming = Claiming()
        self.unreleased: set[str] = set()
        super().__init__(**kwargs)

    # Claim before start

    async def start(self) -> Any:
        """Claims what was chosen, then starts the server; without a GPU it asks nobody."""
        chosen = await self.apply_choice()
        if chosen.ask is not None:
            await self.take_lease(chosen.ask, chosen)
        address = await super().start()
        await self.name_holder()
        return address

    async def apply_choice(self) -> Chosen:
        """Lays the profile's overrides over this spawner's settings, or refuses the spawn."""
        try:
            chosen = await self.choose(self.user_options)
            ignored = lay_over(self, await evaluated(chosen.overrides, self))
        except BadInput as error:
            self.forget_options()
            raise self.refused(bad_input(error)) from error
        if ignored:
            self.log.debug("%s: no settings of this spawner: %s", self._log_name, sorted(ignored))
        return chosen

    async def take_lease(self, ask: GpuAsk, chosen: Chosen) -> None:
        """Gets the lease, or refuses the spawn."""
        wish = claiming.wish_of(self.asker, ask, chosen)
        client = self.availability.insisting
        try:
            answer = await claiming.obtain(client, self.claiming, wish, save=self.save_state)
        except Refused as error:
            raise self.refused(claiming.denial(error.problem)) from error
        except (ServiceUnavailable, NoToken) as error:
            self.log.warning("%s: %s", self._log_name, error)
            raise self.refused(claiming.unanswered(error)) from error
        finally:
            self.save_state()
        if answer.lease is None:
            raise self.refused(claiming.queued(answer, pages=self.quota_pages))
        self.claiming.lease = claiming.kept_of(answer.lease)
        self.save_state()

    async def name_holder(self) -> None:
        """Tells the service which process holds the lease; ends it if the lease is over."""
        lease, pid = self.claiming.lease, self.holder_pid()
        if not lease or not pid:
            return
        self.save_state()
        try:
            await self.availability.insisting.holder(lease["id"], pid)
        except ServiceUnavailable as error:
            # Once it is back, the service finds the process by the lease in its environment.
            self.log.warning("%s: its holder was not named: %s", self._log_name, error)
        except Refused as error:
            if error.problem.status in LEASE_IS_OVER:
                await self.stop(now=True)
                text = f"The server was ended again: {error.problem.text}"
                raise self.refused(Told("lease-over", text, 409)) from error
            self.log.error("%s: its holder was not taken: %s", self._log_name, error)

    def holder_pid(self) -> int:
        """The process that holds the lease; 0 where the service finds the holder by itself."""
        return 0

    def refused(self, told: Told) -> SpawnRefused:
        """The exception for a refusal, as whoever asked can read it."""
        uncounted(self.handler)
        return SpawnRefused(told, as_redirect=told.redirect and wants_page(self.handler))

    def forget_options(self) -> None:
        """Options that make no sense are not offered again as the last choice."""
        self.user_options = {}
        self.orm_spawner.user_options = {}

    # Release after stop

    async def stop(self, now: bool = False) -> None:
        """Ends the server, then gives the lease back."""
        await super().stop(now=now)
        await self.release()

    async def run_post_stop_hook(self) -> Any:
        """Runs after every end of a server, a crash and a failed start too."""
        done = super().run_post_stop_hook()
        if isawaitable(done):
            done = await done
        await self.release()
        return done

    async def release(self) -> None:
        """Gives back what the server held; unanswered, the service sees the end by itself."""
        self.let_go()
        await self.clean_up(next(iter(self.unreleased), ""))
        while self.unreleased:
            lease_id = self.unreleased.pop()
            try:
                await self.availability.quick.release(lease_id)
            except NO_ANSWER as error:
                self.log.warning("%s: lease %s: %s", self._log_name, lease_id, error)

    async def clean_up(self, lease_id: str) -> None:
        """Ends what outlives the server, before its lease is given back."""

    def let_go(self) -> None:
        """Notes that the lease is to be given back."""
        if self.claiming.lease:
            self.unreleased.add(self.claiming.lease["id"])
            self.claiming.lease = {}

    # State

    def get_state(self) -> dict[str, Any]:
        """What the hub keeps of this spawner in its database."""
        mine = self.claiming.state()
        return super().get_state() | ({STATE: mine} if mine else {})

    def load_state(self, state: dict[str, Any]) -> None:
        """What an earlier hub process kept."""
        super().load_state(state)
        self.claiming = Claiming.from_state(state.get(STATE))

    def clear_state(self) -> None:
        """Forgets the server, but no ask without an answer: it may have been heard."""
        super().clear_state()
        self.let_go()

    def save_state(self) -> None:
        """Writes the state to the hub's database now, for a hub that dies in the next moment."""
        self.orm_spawner.state = self.get_state()
        session = object_session(self.orm_spawner)
        if session is not None:
            session.commit()
