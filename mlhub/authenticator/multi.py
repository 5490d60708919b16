"""The hub's one authenticator: it shows every way to sign in and asks the doorkeeper."""

from typing import Any

from jupyterhub.auth import Authenticator
from traitlets import Any as AnyTrait
from traitlets import Instance, default

from mlhub.authenticator import audit
from mlhub.authenticator.doorkeeper import Admitted, Doorkeeper, SignInStale
from mlhub.authenticator.handlers import RefusedError, SignInHandler, provider_handlers
from mlhub.authenticator.identity_book import IdentitiesUnavailable, IdentityBook
from mlhub.authenticator.methods import Method, doors_of, methods_of
from mlhub.authenticator.oauth_method import OAuthMethod, ProviderSilent
from mlhub.authenticator.os_accounts import AccountUnseen
from mlhub.authenticator.plan import Plan
from mlhub.authenticator.refreshes import Refreshes
from mlhub.authenticator.starts import Starts
from mlhub.authenticator.visitors import SignInRefused, Visitor, printable
from mlhub.core.errors import BadInput

METHOD_KEY = "mlhub_method"
ADMITTED_KEY = "mlhub_admitted"
BYPASSES = ("allow_all", "allowed_users", "allow_existing_users", "admin_users")


class MultiAuthenticator(Authenticator):
    """Several providers and one form on one sign-in page.

    The decisions are not here: a method finds out who came (`identify`), the doorkeeper says
    which user they are and whether they may come in, and this class translates for the hub.
    """

    plan = Instance(Plan, config=True, help="What `make_plan` made of the settings.")
    methods = AnyTrait(help="The sign-in methods by name.")
    doors = AnyTrait(help="Who may come in by which method.")
    doorkeeper = Instance(Doorkeeper)
    refreshes = Instance(Refreshes)
    starts = Instance(Starts, args=())

    @default("methods")
    def _make_methods(self) -> dict[str, Method]:
        return methods_of(self.plan, self)

    @default("doors")
    def _make_doors(self) -> Any:
        return doors_of(self.plan, self.methods)

    @default("doorkeeper")
    def _make_doorkeeper(self) -> Doorkeeper:
        return Doorkeeper(self.plan.house, IdentityBook(self.plan.identity_url()))

    @default("refreshes")
    def _make_refreshes(self) -> Refreshes:
        return Refreshes(self.plan.settings.outage_grace_seconds)

    @property
    def form(self) -> Method | None:
        """The method that the page's form belongs to."""
        forms = (m for m in self.methods.values() if not isinstance(m, OAuthMethod))
        return next(forms, None)

    @property
    def providers(self) -> list[OAuthMethod]:
        """The methods that have a button."""
        return [m for m in self.methods.values() if isinstance(m, OAuthMethod)]

    def check_allow_config(self) -> None:
        """Stops the start where what is set cannot hold; the hub calls it before anybody comes.

        Raises:
            BadInput: one of the hub's own settings would pass the rules of mlhub.yaml by, or the
                identities are to be kept where they cannot be.
            SchemaMismatch: a newer mlhub wrote the identities.
        """
        _ = self.doors  # made now, for what is wrong with them to be said now
        self._open_identities()
        for name in BYPASSES:
            if getattr(self, name):
                raise BadInput(
                    f"c.Authenticator.{name}",
                    "it would let people in past the rules of mlhub.yaml",
                    f"remove it, and set `{name}` of the method under `authentication:`",
                )

    def _open_identities(self) -> None:
        """Opens the book now; only a server that is away or silent may come later than the hub."""
        try:
            self.doorkeeper.book.open_at_start()
        except IdentitiesUnavailable as problem:
            text = "The identities: %s. Nobody can sign in before their database answers."
            self.log.warning(text, printable(problem, 300))

    def get_handlers(self, app: Any) -> list[tuple[str, type]]:
        """Adds the page itself and two addresses for each provider."""
        pages = [handler for provider in self.providers for handler in provider_handlers(provider)]
        return [("/login", SignInHandler), *pages]

    def normalize_username(self, username: str) -> str:
        """Leaves names as they are: the doorkeeper made them."""
        return username

    async def authenticate(self, handler: Any, data: Any) -> dict[str, Any]:
        """Finds out who came, and lets them in or not; one audit line either way.

        Raises:
            RefusedError: they may not come in.
        """
        method = getattr(handler, "sign_in_provider", None) or self.form
        remote = audit.remote_address(handler.request)
        visitor = None
        try:
            if method is None:
                raise SignInRefused("Sign in with one of the buttons.")
            visitor = await method.identify(handler, data)
            admitted = await self.doorkeeper.admit(self.doors[method.method], visitor)
        except SignInRefused as refused:
            if isinstance(refused.__cause__, IdentitiesUnavailable):
                self.log.error("The identities: %s", printable(refused.__cause__, 300))
            name = method.method if method else "form"
            audit.refused(self.log, name, visitor, reason=refused.reason, remote=remote)
            raise RefusedError(refused) from refused
        audit.admitted(self.log, visitor, user=admitted.name, remote=remote)
        self.refreshes.forget(admitted.name)
        return self._model(visitor, admitted)

    def check_allowed(self, username: str, authentication: dict[str, Any] | None = None) -> bool:
        """Allows exactly whom the doorkeeper admitted in this sign-in."""
        return authentication is not None and authentication.get(ADMITTED_KEY) == username

    async def refresh_user(self, user: Any, handler: Any = None, **_more: Any) -> Any:
        """Looks somebody up again who is signed in: groups, rights, and whether they may stay.

        Returns:
            True: nothing changed; False: they must sign in again; else what is now.

        Raises:
            RefusedError: they may not stay, and this request cannot send them to sign in.
            AlreadyStartingError: this request would start what another one is starting.
        """
        self.starts.begin(user.name, handler)
        async with self.refreshes.turn(user.name):
            if self.refreshes.just_done(user.name):
                return True
            method = await self._method_of(user)
            return await self._look_again(method, user, handler) if method else False

    async def _method_of(self, user: Any) -> Method | None:
        kept = await user.get_auth_state() or {}
        return self.methods.get(kept.get(METHOD_KEY))

    async def _look_again(self, method: Method, user: Any, handler: Any) -> Any:
        visitor = None
        try:
            visitor = await method.look_again(user, handler)
            if visitor is None:
                return False
            admitted = await self.doorkeeper.recheck(self.doors[method.method], visitor, user.name)
        except SignInStale:
            return False
        except (ProviderSilent, IdentitiesUnavailable, AccountUnseen) as problem:
            return self._bear_silence(user.name, problem)
        except SignInRefused as refused:
            return self._end_stay(method, visitor, user, handler, refused)
        self.refreshes.succeeded(user.name)
        return self._model(visitor, admitted)

    def _bear_silence(self, name: str, problem: Exception) -> bool:
        stays = self.refreshes.silence_is_bearable(name)
        what = "keeps what was known" if stays else "must sign in again"
        self.log.warning("%s could not be looked up and %s: %s", name, what, printable(problem))
        return stays

    def _end_stay(
        self,
        method: Method,
        visitor: Visitor | None,
        user: Any,
        handler: Any,
        refused: SignInRefused,
    ) -> bool:
        known = visitor or Visitor(method.method, "-", "-", user.name)
        audit.revoked(self.log, known, user=user.name, reason=refused.reason)
        if self.manage_groups:
            user.sync_groups([])
        if _can_sign_in_again(handler, user):
            return False
        raise RefusedError(refused)

    def _model(self, visitor: Visitor, admitted: Admitted) -> dict[str, Any]:
        model = {
            "name": admitted.name,
            "admin": admitted.admin,
            "auth_state": {**visitor.tokens, METHOD_KEY: visitor.method},
            ADMITTED_KEY: admitted.name,
        }
        return {**model, "groups": sorted(admitted.groups)} if self.manage_groups else model


def _can_sign_in_again(handler: Any, user: Any) -> bool:
    """Says whether a request is the user's own page, which the hub sends to sign in."""
    own = getattr(handler, "_jupyterhub_user", None) is user
    return own and not getattr(handler, "_token_authenticated", False)
