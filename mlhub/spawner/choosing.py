"""What every spawner of mlhub shows and understands: profiles, the form, user options."""

from __future__ import annotations

from collections.abc import Callable as Function
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from jupyterhub.utils import maybe_future, url_path_join
from traitlets import Any as AnyValue
from traitlets import Callable, Dict, Float, List, Unicode, Union, default
from traitlets.config import Configurable

from mlhub.core.devices import Flavor
from mlhub.core.errors import BadInput
from mlhub.profiles import Chosen, Profile, read_profiles, resolve
from mlhub.spawner.availability import Availability
from mlhub.spawner.claiming import Asker
from mlhub.spawner.form import options_of_form
from mlhub.spawner.overriding import asking_settings
from mlhub.spawner.picker import Visit, problem_text, render, wants_new_ticket
from mlhub.spawner.refusals import SpawnRefused, bad_input
from mlhub.spawner.wiring import ACTOR, API, QUOTA, service_token, service_url


class PickerMixin(Configurable):
    """Gives a spawner the picker as its form, and the meaning of what was chosen in it."""

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
                self.user.name, self.asker.groups, anew=wants_new_ticket(self.page_request)
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
        was for, and does not tell that server's spawner of the request.
        """
        posted = self.posted.pop(self.user, None)
        return self.user_options if posted is None or self.page_request else posted

    @property
    def page_request(self) -> Any:
        """The request that asks for the form; None when it is shown again after a post."""
        handler = self.handler
        return None if handler is None or handler._finished else handler

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
