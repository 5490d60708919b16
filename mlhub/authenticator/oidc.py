"""Any OpenID Connect provider: found by its issuer, its id tokens verified."""

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from oauthenticator.generic import GenericOAuthenticator
from tornado.httpclient import AsyncHTTPClient, HTTPClientError
from traitlets import Dict, TraitError, default

from mlhub.authenticator import id_tokens
from mlhub.authenticator.oauth_method import LARGEST_ANSWER, OAuthMethod, ProviderSilent
from mlhub.authenticator.visitors import SignInRefused, Visitor, claim, printable

DISCOVERY = "/.well-known/openid-configuration"


class OidcMethod(OAuthMethod, GenericOAuthenticator):
    """Sign-in with an OpenID provider."""

    discovered = Dict(help="The provider's discovery document, once it was read.")
    signing_keys = Dict(help="The provider's public keys (a JWK set), once they were read.")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._discovery = asyncio.Lock()

    @default("login_service")
    def _label_of_settings(self) -> str:
        return self.method.replace("-", " ").capitalize()

    @default("scope")
    def _scope_of_settings(self) -> list[str]:
        return list(self.settings.scopes)

    @default("username_claim")
    def _username_claim_of_settings(self) -> str:
        return self.settings.username_claim

    @default("authorize_url")
    def _authorize_url_of_settings(self) -> str:
        return self.settings.authorize_url or ""

    @default("token_url")
    def _token_url_of_settings(self) -> str:
        return self.settings.token_url or ""

    @default("userdata_url")
    def _userdata_url_of_settings(self) -> str:
        return self.settings.userinfo_url or ""

    @default("http_client")
    def _bounded_client(self) -> AsyncHTTPClient:
        return AsyncHTTPClient(force_instance=True, max_body_size=LARGEST_ANSWER)

    @property
    def namespace(self) -> str:
        """The issuer, or the host of the explicit addresses."""
        return self.settings.issuer or "://".join(urlsplit(self.settings.authorize_url)[:2])

    def subject_of(self, facts: Mapping[str, Any]) -> object:
        """Reads `sub`, or the claim that the settings name."""
        return claim(facts, self.settings.subject_claim)

    def login_of(self, facts: Mapping[str, Any]) -> object:
        """Reads the claim that the settings name."""
        return claim(facts, self.settings.username_claim)

    def groups_in(self, tokens: Mapping[str, Any]) -> object:
        """Reads the groups' claim."""
        path = self.settings.groups_claim
        return claim(tokens[self.user_auth_state_key], path) if path else ()

    def facts_refusal(self, facts: Mapping[str, Any]) -> str | None:
        """Refuses an address that the provider did not verify, where that matters."""
        if self.settings.needs_verified_email and facts.get("email_verified") is not True:
            return f"{self.label} has not verified the e-mail address of this account."
        return None

    def is_issuer(self, issuer: str) -> bool:
        """Says whether an answer may be this provider's by the issuer it names (RFC 9207)."""
        known = self.settings.issuer
        return not issuer or known is None or issuer == known

    async def prepare(self) -> None:
        """Reads the discovery document, once.

        Raises:
            ProviderSilent: it cannot be read, or is of another issuer.
        """
        async with self._discovery:
            if self.settings.issuer is not None and not self.discovered:
                self._use(await self._document(self.settings.issuer.rstrip("/") + DISCOVERY))

    async def identify(self, handler: Any, data: Any = None) -> Visitor:
        """Finds out who came back, and holds it against the provider's signed statement."""
        visitor = await super().identify(handler, data)
        if self.settings.issuer is not None:
            await self._verify(visitor)
        return visitor

    async def _verify(self, visitor: Visitor) -> None:
        token = visitor.tokens.get("id_token")
        try:
            claims = id_tokens.verified_claims(token, await self._keys_for(token), self._expected())
        except id_tokens.UntrustedToken as problem:
            self.log.warning("The id token of %s is refused: %s", self.method, problem)
            raise SignInRefused(f"{self.label} sent an id token that cannot be trusted.") from None
        if claims["sub"] != visitor.subject:
            raise SignInRefused(f"{self.label} spoke of two different people in one sign-in.")

    async def _keys_for(self, token: object) -> dict[str, Any]:
        if not id_tokens.has_key(token, self.signing_keys):  # none yet, or the provider rotated
            try:
                self.signing_keys = await self._document(self.discovered["jwks_uri"])
            except ProviderSilent as error:
                raise self.no_answer() from error
        return self.signing_keys

    def _expected(self) -> id_tokens.Expected:
        algorithms = self.discovered.get("id_token_signing_alg_values_supported") or ["RS256"]
        return id_tokens.Expected(self.settings.issuer, self.client_id, tuple(algorithms))

    async def _document(self, address: str) -> dict[str, Any]:
        try:
            document = await self.httpfetch(address, label=f"asking {self.method}")
        except (HTTPClientError, OSError, ValueError) as error:
            raise ProviderSilent(f"{address}: {error}") from error
        if not isinstance(document, dict):
            raise ProviderSilent(f"{address} gave no JSON object")
        return document

    def _use(self, document: dict[str, Any]) -> None:
        if document.get("issuer") != self.settings.issuer:
            said = printable(document.get("issuer"))
            raise ProviderSilent(f"{self.settings.issuer} calls itself {said}: correct `issuer`")
        try:
            self.authorize_url = document["authorization_endpoint"]
            self.token_url = document["token_endpoint"]
            self.userdata_url = document["userinfo_endpoint"]
            self.discovered = {**document, "jwks_uri": document["jwks_uri"]}
        except (KeyError, TraitError) as error:
            raise ProviderSilent(f"{self.settings.issuer} lacks {error} in discovery") from error
