"""What the providers share: oauthenticator's flow, with our names, errors and addresses."""

import json
from abc import ABCMeta, abstractmethod
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from jupyterhub.utils import url_path_join
from oauthenticator.oauth2 import OAuthenticator
from tornado import web
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from traitlets import Any as AnyTrait
from traitlets import Unicode, default

from mlhub.authenticator.names import LONGEST_LOGIN, fold_case
from mlhub.authenticator.visitors import SignInRefused, Visitor, group_names, subject_text

LARGEST_ANSWER = 2**20
BAD_ANSWER = (KeyError, TypeError, ValueError, AttributeError, json.JSONDecodeError)
SILENCE = (OSError, TimeoutError)


class ProviderSilent(Exception):
    """The provider did not answer, or not as one that works."""


class _AbstractWithTraits(ABCMeta, type(OAuthenticator)):
    """Makes a class that has both traits and abstract methods."""


class OAuthMethod(OAuthenticator, metaclass=_AbstractWithTraits):
    """One provider on the sign-in page; subclasses say where its facts are."""

    method = Unicode(help="The provider's key in the settings; also the prefix of its addresses.")
    settings = AnyTrait(help="The provider's section of mlhub.yaml.")

    @default("http_client")
    def _bounded_client(self) -> AsyncHTTPClient:
        return AsyncHTTPClient(force_instance=True, max_body_size=LARGEST_ANSWER)

    @property
    def label(self) -> str:
        """What the button says after "Sign in with"."""
        return self.settings.label or self.login_service

    @property
    @abstractmethod
    def namespace(self) -> str:
        """Within which this provider's ids are unique."""

    @abstractmethod
    def subject_of(self, facts: Mapping[str, Any]) -> object:
        """Finds the stable id in what the provider says of a person."""

    @abstractmethod
    def login_of(self, facts: Mapping[str, Any]) -> object:
        """Finds the login in what the provider says of a person."""

    def groups_in(self, tokens: Mapping[str, Any]) -> object:
        """Finds the names of the groups in what was fetched."""
        return ()

    def facts_refusal(self, facts: Mapping[str, Any]) -> str | None:
        """Says why what the provider says of a person keeps them out, whatever the rules allow."""
        return None

    def user_name_rule(self, name: str) -> str:
        """Brings a name in the settings to the form of this provider's logins."""
        return fold_case(name)

    def is_issuer(self, issuer: str) -> bool:
        """Says whether an answer may be this provider's by the issuer it names (RFC 9207)."""
        return True

    async def prepare(self) -> None:
        """Makes the provider's addresses known; called before each use of them."""

    def normalize_username(self, username: str) -> str:
        """Leaves the login as it is: the user name is made of it elsewhere."""
        return username

    def user_info_to_username(self, user_info: Mapping[str, Any]) -> str:
        """Reads the login; never fails, so that the refusal can say what is wrong."""
        login = self.login_of(user_info)
        return login if isinstance(login, str) else ""

    def get_callback_url(self, handler: Any = None) -> str:
        """Gives this provider's own redirect address, on the hub's public one."""
        if self.oauth_callback_url:
            return self.oauth_callback_url
        request, base = handler.request, handler.hub.base_url
        public = handler.settings.get("public_url")
        origin = f"{request.protocol}://{request.host}"
        if public:
            origin = "://".join(urlsplit(public.geturl())[:2])
        return origin + url_path_join(base, self.method, "oauth_callback")

    def login_url(self, base_url: str) -> str:
        """Gives the address of this provider's button."""
        return url_path_join(base_url, self.method, "oauth_login")

    async def identify(self, handler: Any, data: Any = None) -> Visitor:
        """Finds out who came back from the provider.

        Raises:
            SignInRefused: the provider does not vouch for a usable person, or is silent.
        """
        try:
            await self.prepare()
            model = await self.authenticate(handler, data)
            return self.visitor(model["auth_state"])
        except (HTTPClientError, web.HTTPError) as error:
            raise self._failed(error) from error
        except (ProviderSilent, *SILENCE) as error:
            raise self.no_answer() from error
        except BAD_ANSWER as error:
            self.log.exception("The answer of %s could not be read", self.method)
            raise SignInRefused(f"The answer of {self.label} could not be read.") from error

    async def look_again(self, user: Any, handler: Any) -> Visitor | None:
        """Asks the provider again about somebody who is signed in.

        Returns:
            Who they are now; None: they must sign in again.

        Raises:
            ProviderSilent: it does not answer; what was known may be kept for a while.
            SignInRefused: it vouches for them no longer.
        """
        try:
            await self.prepare()
            model = await self.refresh_user(user, handler)
        except (web.HTTPError, HTTPClientError, *SILENCE) as error:
            raise ProviderSilent(str(error)) from error
        except BAD_ANSWER as error:
            raise ProviderSilent(f"{self.method} gave an answer that cannot be read") from error
        return self.visitor(model["auth_state"]) if isinstance(model, dict) else None

    def visitor(self, tokens: Mapping[str, Any]) -> Visitor:
        """Makes a visitor of what was fetched.

        Raises:
            SignInRefused: what the provider says is not enough, or keeps them out.
        """
        facts = tokens[self.user_auth_state_key]
        if not isinstance(facts, Mapping):
            raise SignInRefused(f"The answer of {self.label} could not be read.")
        if problem := self.facts_refusal(facts):
            raise SignInRefused(problem)
        return Visitor(
            method=self.method,
            namespace=self.namespace,
            subject=subject_text(self.subject_of(facts)),
            login=self._login(facts),
            groups=group_names(self.groups_in(tokens), prefix=self.settings.group_prefix),
            tokens=tokens,
        )

    def _login(self, facts: Mapping[str, Any]) -> str:
        login = self.login_of(facts)
        if not isinstance(login, str) or not login:
            raise SignInRefused(f"{self.label} gave no login of yours ({self.login_fact}).")
        if len(login) > LONGEST_LOGIN:
            raise SignInRefused(f"Your login is longer than {LONGEST_LOGIN} characters.")
        return fold_case(login)

    @property
    def login_fact(self) -> str:
        """Names the fact that the login is read from, for the text of a refusal."""
        return str(self.username_claim)

    def _failed(self, error: HTTPClientError | web.HTTPError) -> SignInRefused:
        code = error.code if isinstance(error, HTTPClientError) else error.status_code
        if 400 <= code < 500:
            return SignInRefused(f"{self.label} did not accept this sign-in. Start it again.")
        return self.no_answer()

    def no_answer(self) -> SignInRefused:
        """Makes the refusal for a silent provider."""
        return SignInRefused(
            f"{self.label} does not answer just now. Try again in a minute, "
            "or choose another way to sign in.",
            code=503,
            retry_after=60,
        )
