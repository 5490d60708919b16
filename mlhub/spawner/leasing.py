"""What every spawner of mlhub shares: claim before start, release after stop, refusal, form."""

from __future__ import annotations

from collections.abc import Callable as Function
from collections.abc import Mapping, Sequence
from inspect import isawaitable
from typing import Any, ClassVar, Final
from weakref import WeakKeyDictionary

from jupyterhub.utils import maybe_future, url_path_join
from sqlalchemy.orm import object_session
from traitlets import Any as AnyValue
from traitlets import Callable, Dict, Float, List, Unicode, Union, default
from traitlets.config import Configurable

from mlhub.client import NoToken, Refused, ServiceUnavailable
from mlhub.core.devices import Flavor
from mlhub.core.errors import BadInput
from mlhub.profiles import Chosen, GpuAsk, Profile, read_profiles, resolve
from mlhub.spawner import claiming
from mlhub.spawner.availability import NO_ANSWER, Availability
from mlhub.spawner.claiming import SILENT, Asker, Claiming
from mlhub.spawner.form import options_of_form
from mlhub.spawner.overriding import asking_settings, evaluated, lay_over
from mlhub.spawner.picker import Visit, problem_text, render, wants_new_ticket
from mlhub.spawner.refusals import SpawnRefused, Told, bad_input, uncounted, wants_page
from mlhub.spawner.wiring import ACTOR, API, QUOTA, service_token, service_url

STATE: Final = "mlhub"
LEASE_IS_OVER: Final = frozenset({404, 409, 410})


class GPULeaseMixin(Configurable):
    """Makes a spawner claim the GPUs of the chosen profile before its server starts.

    Put it before the spawner's own class: ``class Mine(GPULeaseMixin, TheSpawner)``.
    """

    user_options = AnyValue(
        {}, help="What was chosen; hub 5.5 passes on any JSON, `start` judges it."
    )
    profile_list = Union(
        [List(trait=Dict()), Dict(), Callable()],
        help="""
        The environments of the form, as KubeSpawner's `profile_list`: a list, a dict (sorted by
        its keys), or a function of the spawner, async or not. A profile or a choice asks for GPUs
        by `extra_resource_limits` as with KubeSpawner, or by
        `kubespawner_override: {"gpu": {"flavor": "a100", "count": 1}}`; `"gpus": "any"` in a
        profile offers every flavor. Example: `[{"display_name": "Python", "gpus": "any"}]`.
        """,
    ).tag(config=True)
    flavors = List(
        trait=Dict(),
        help="""
        Flavors with what resource names are matched by: `name`, `resource`, `selector`. Default:
        as the quota service tells them. Example:
        `[{"name": "a100", "resource": "nvidia.com/gpu", "selector": {"gpu": "a100"}}]`.
        """,
    ).tag(config=True)
    quota_url = Unicode(
        help="""
        Where the quota service's API is, such as
        `http://127.0.0.1:9001/services/quota/api/v1`. Default: the hub's service named `quota`.
        """,
    ).tag(config=True)
    quota_token = Unicode(
        help="""
        The token of the hub-side credential that may act for users. Default: that of the hub's
        service named `mlhub-spawner`.
        """,
    ).tag(config=True)
    quota_patience = Float(
        6.0,
        help="""
        Seconds that a spawn waits for a service that does not answer, before it is refused. Long
        enough for one restart of the service.
        """,
    ).tag(config=True)

    durations = List(
        Unicode(),
        ["1h", "2h", "4h", "8h", "12h", "24h", "72h"],
        help="""
        How long a GPU may be asked for in the form. The service's limits are judged when it is
        asked. Example: `["2h", "1h30m", "3d"]`.
        """,
    ).tag(config=True)
    usual_duration = Unicode(
        "As usual",
        help="""
        What the form calls the duration of those who choose none. Example: `"8 h (usual)"`.
        """,
    ).tag(config=True)
    posted: ClassVar[WeakKeyDictionary[Any, dict[str, Any]]] = WeakKeyDictionary()
    known_availability: ClassVar[dict[tuple[str, str], Availability]] = {}

    @default("quota_url")
    def _default_quota_url(self) -> str:
        return service_url(self.config, QUOTA, base_url=self.base_path)

    @default("quota_token")
    def _default_quota_token(self) -> str:
        return service_token(self.config, ACTOR)

    @default("options_form")
    def _default_options_form(self) -> Function[..., Any]:
        return type(self).render_options_form

    @default("options_from_form")
    def _default_options_from_form(self) -> Function[..., Any]:
        return self.read_options_form

    @default("apply_user_options")
    def _default_apply_user_options(self) -> Function[..., Any]:
        # What is chosen is applied in `start`. With a function here hub 6 does not warn.
        return lambda spawner, user_options: None

    def __init__(self, **kwargs: Any) -> None:
        self.claiming = Claiming()
        self.unreleased: set[str] = set()
        super().__init__(**kwargs)

    # The form

    async def render_options_form(self) -> str:
        """The picker, with what is free now; "" where there is nothing to choose."""
        try:
            profiles = await self.profiles()
        except BadInput as error:
            self.log.error("the profile_list: %s", error)
            return problem_text(error)
        return render(await self.visit(profiles)) if profiles else ""

    async def visit(self, profiles: Sequence[Profile]) -> Visit:
        """For whom the form is made, and what is known just now."""
        return Visit(
            profiles=profiles,
            flavors=await self.known_flavors(),
            inventory=await self.availability.inventory(),
            base=asking_settings(self),
            last=self.last_options(),
            user=self.user.name,
            api=f"{self.quota_pages}{API}",
            pages=self.quota_pages,
            page=self.form_path,
            ticket=await self.availability.ticket(
                self.user.name, self.asker.groups, anew=wants_new_ticket(self.handler)
            ),
            durations=self.durations,
            usual=self.usual_duration,
        )

    async def read_options_form(self, form: Mapping[str, list[str]]) -> dict[str, Any]:
        """User options from the form's fields; what makes no sense is refused at once."""
        try:
            options = options_of_form(form)
            self.posted[self.user] = options
            chosen = await self.choose(options)
        except BadInput as error:
            raise SpawnRefused(bad_input(error)) from error
        return dict(chosen.options)

    def last_options(self) -> object:
        """What was chosen last: in the form that is shown again now, else for the last start.

        After a refused post the hub shows the form of the default server, whichever server it
        was for; then nobody's request is noted on that server's spawner.
        """
        posted = self.posted.pop(self.user, None)
        return self.user_options if posted is None or self.handler else posted

    # The choice

    async def profiles(self) -> tuple[Profile, ...]:
        """The profiles that this user may choose from.

        Raises:
            BadInput: the profile_list is not shaped like one.
        """
        found = self.profile_list
        if callable(found):
            found = await maybe_future(found(self))
        return read_profiles(found, await self.known_flavors())

    async def known_flavors(self) -> list[Flavor] | None:
        """The flavors as configured, else as the service last told them; None if it never did."""
        return await self.availability.flavors(self.flavors)

    async def choose(self, options: object) -> Chosen:
        """What user options mean for this spawner.

        Raises:
            BadInput: they make no sense here.
        """
        flavors = await self.known_flavors()
        return resolve(await self.profiles(), options, flavors, base=asking_settings(self))

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
            raise self.refused(SILENT) from error
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

    # The service

    @property
    def availability(self) -> Availability:
        """What is free, as far as this hub knows; one for all spawners of one service."""
        known = self.known_availability
        key = (self.quota_url, self.quota_token)
        if key not in known:
            known[key] = Availability(*key, patience_s=self.quota_patience)
        return known[key]

    @property
    def base_path(self) -> str:
        """The path before everything, with a slash at both ends."""
        return str(self.hub.base_url).removesuffix("hub/")

    @property
    def quota_pages(self) -> str:
        """The path of the quota service's pages, as browsers have it, with a slash at its end."""
        return url_path_join(self.base_path, "services", QUOTA, "/")

    @property
    def form_path(self) -> str:
        """The path of this server's form."""
        return url_path_join(self.hub.base_url, "spawn", self.user.escaped_name, self.name)

    @property
    def asker(self) -> Asker:
        """Whom the lease is for: the server's owner, whoever starts it."""
        groups = tuple(sorted(group.name for group in self.user.groups))
        return Asker(user=self.user.name, groups=groups, server=self.name)
