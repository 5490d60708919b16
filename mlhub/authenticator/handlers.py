"""The hub's pages for signing in: each provider's two addresses, and the page that says no."""

from typing import Any

from jupyterhub.handlers.login import LoginHandler
from oauthenticator.oauth2 import OAuthCallbackHandler, OAuthLoginHandler
from tornado import web

from mlhub.authenticator.oauth_method import OAuthMethod, ProviderSilent
from mlhub.authenticator.visitors import SignInRefused, printable

STATE_COOKIE = "mlhub-sign-in-{}"
STATE_DAYS = 1 / 24


class RefusedError(web.HTTPError):
    """A refusal, as the hub's handlers raise it; its text is what the person reads."""

    def __init__(self, refused: SignInRefused) -> None:
        super().__init__(refused.code, refused.reason)
        self.jupyterhub_message = refused.reason
        retry = refused.retry_after
        self.headers = {} if retry is None else {"Retry-After": str(retry)}


class SignInHandler(LoginHandler):
    """The page with every way to sign in, and where its form goes."""

    async def post(self) -> None:
        """Takes the form; a form without its fields is one with empty ones."""
        for name in ("username", "password"):
            self.request.body_arguments.setdefault(name, [b""])
            self.request.arguments.setdefault(name, [b""])
        await super().post()


class _ProviderPage:
    """What both addresses of a provider share.

    The state cookie is the provider's own and goes to its own addresses only: an answer of one
    provider is never taken for another's, and tabs with two providers do not disturb each other.
    """

    sign_in_provider: OAuthMethod

    @property
    def _cookie(self) -> dict[str, str]:
        path = f"{self.hub.base_url}{self.sign_in_provider.method}/"
        return {"name": STATE_COOKIE.format(self.sign_in_provider.method), "path": path}

    async def show_refusal(self, refused: RefusedError) -> None:
        """Shows the sign-in page again, with the reason on it."""
        self.set_status(refused.status_code)
        for name, value in refused.headers.items():
            self.set_header(name, value)
        page = await self.render_template(
            "login.html",
            authenticator=self.settings["authenticator"],
            authenticator_login_url=self.settings["login_url"],
            login_error=refused.jupyterhub_message,
            username="",
            next="",
            custom_html="",
        )
        self.finish(page)


class ProviderLoginHandler(_ProviderPage, OAuthLoginHandler):
    """Where a provider's button goes."""

    @property
    def authenticator(self) -> OAuthMethod:
        """The provider, whose addresses and client id upstream reads here."""
        return self.sign_in_provider

    async def refresh_auth(self, user: Any, force: bool = False) -> Any:
        """Looks nobody up again: the one signed in may be known to another provider only."""
        return user

    def set_state_cookie(self, state_cookie_value: str) -> None:
        """Keeps the state for the provider's own addresses."""
        self._set_cookie(
            self._cookie["name"],
            state_cookie_value,
            path=self._cookie["path"],
            expires_days=STATE_DAYS,
            httponly=True,
            samesite="Lax",
        )

    async def get(self) -> None:
        """Sends the browser to the provider."""
        try:
            await self.sign_in_provider.prepare()
        except ProviderSilent as problem:
            self.log.error("%s", printable(problem, 300))
            await self.show_refusal(RefusedError(self.sign_in_provider.no_answer()))
        else:
            super().get()


class ProviderCallbackHandler(_ProviderPage, OAuthCallbackHandler):
    """Where a provider sends the browser back to."""

    def get_state_cookie(self) -> str:
        """Reads the provider's own state, once."""
        if self._state_cookie is None:
            stored = self.get_secure_cookie(self._cookie["name"], max_age_days=STATE_DAYS) or b""
            self._state_cookie = stored.decode("utf8", "replace")
            self.clear_cookie(self._cookie["name"], path=self._cookie["path"])
        return self._state_cookie

    def check_error(self) -> None:
        """Reads the provider's error; anybody may have written it into the address."""
        error = self.get_argument("error", "")
        if error == "access_denied":
            raise SignInRefused(f"You stopped the sign-in at {self.sign_in_provider.label}.")
        if error:
            said = printable(self.get_argument("error_description", error), 200)
            raise SignInRefused(
                f"{self.sign_in_provider.label} ended the sign-in: {said}", code=400
            )

    def check_arguments(self) -> None:
        """Checks error, code and state of what the provider sent."""
        self.check_error()
        if not self.sign_in_provider.is_issuer(self.get_argument("iss", "")):
            raise SignInRefused("This answer is of another provider. Start again.", code=400)
        try:
            self.check_code()
            self.check_state()
        except (web.HTTPError, UnicodeError, AttributeError) as problem:
            raise SignInRefused(
                "This sign-in is over or was begun in another browser. Start it again.", code=400
            ) from problem

    async def get(self) -> None:
        """Lets the visitor in, or shows the sign-in page with the reason."""
        try:
            self.check_arguments()
            user = await self.login_user()
        except SignInRefused as refused:
            await self.show_refusal(RefusedError(refused))
        except RefusedError as refused:
            await self.show_refusal(refused)
        else:
            self.redirect(self.get_next_url(user))


def provider_handlers(provider: OAuthMethod) -> list[tuple[str, type]]:
    """Makes a provider's two addresses, below the prefix of its name."""
    pages = {"oauth_login": ProviderLoginHandler, "oauth_callback": ProviderCallbackHandler}
    return [
        (f"/{provider.method}/{path}", type(page.__name__, (page,), {"sign_in_provider": provider}))
        for path, page in pages.items()
    ]
