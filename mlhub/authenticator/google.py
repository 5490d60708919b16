"""Google: people of the named Workspace domains with a verified e-mail address."""

import asyncio
from collections.abc import Mapping
from typing import Any

from oauthenticator.google import GoogleOAuthenticator
from traitlets import default

from mlhub.authenticator.names import fold_case
from mlhub.authenticator.oauth_method import OAuthMethod


class GoogleMethod(OAuthMethod, GoogleOAuthenticator):
    """Sign-in with Google."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._service_credentials: dict[str, Any] = {}  # upstream's is one for all providers

    @default("hosted_domain")
    def _hosted_domains_of_settings(self) -> list[str]:
        return sorted(self.settings.hosted_domains)

    @default("google_service_account_keys")
    def _keys_of_settings(self) -> dict[str, str]:
        return {
            domain: str(directory.service_account_file)
            for domain, directory in self.settings.directory.items()
        }

    @default("gsuite_administrator")
    def _administrators_of_settings(self) -> dict[str, str]:
        return {d: directory.administrator for d, directory in self.settings.directory.items()}

    @default("include_nested_groups")
    def _nested_groups_of_settings(self) -> bool:
        return self.settings.nested_groups

    @property
    def namespace(self) -> str:
        """Google as a whole: its ids are unique over all domains."""
        return "https://accounts.google.com"

    def facts_refusal(self, facts: Mapping[str, Any]) -> str | None:
        """Refuses other domains and addresses that Google did not verify."""
        return facts_refusal(facts, self.settings.hosted_domains)

    def subject_of(self, facts: Mapping[str, Any]) -> object:
        """Reads the account's number."""
        return facts.get("id")

    def login_of(self, facts: Mapping[str, Any]) -> object:
        """Reads the address, without the domain where there is but one."""
        return short_address(facts.get("email"), self.settings.hosted_domains)

    def user_name_rule(self, name: str) -> str:
        """Brings an address in the settings to the form of the logins."""
        return short_address(fold_case(name), self.settings.hosted_domains) or name

    def user_info_to_username(self, user_info: Mapping[str, Any]) -> str:
        """Reads the login as every provider here, without upstream's rules for domains."""
        return OAuthMethod.user_info_to_username(self, user_info)

    def groups_in(self, tokens: Mapping[str, Any]) -> object:
        """Names the groups that were fetched."""
        return tokens.get("google_groups") or ()

    async def update_auth_model(self, auth_model: dict[str, Any]) -> dict[str, Any]:
        """Fetches the visitor's groups with the domain's service account, if there is one."""
        tokens = auth_model["auth_state"]
        facts = tokens[self.user_auth_state_key]
        domain = facts.get("hd")
        if domain in self.settings.directory and not self.facts_refusal(facts):
            keys = await asyncio.to_thread(self._get_service_credentials, domain)
            names = await self._fetch_member_groups(facts["email"], domain, credentials=keys)
            several = len(self.settings.hosted_domains) > 1
            tokens["google_groups"] = sorted(f"{n}@{domain}" if several else n for n in names)
        return auth_model


def facts_refusal(facts: Mapping[str, Any], hosted_domains: frozenset[str]) -> str | None:
    """Says why a Google account is refused, whatever the rules allow. Pure.

    Args:
        facts: What Google's userinfo says.
        hosted_domains: The Workspace domains of the settings.
    """
    if facts.get("hd") not in hosted_domains:
        domains = " or ".join(sorted(hosted_domains))
        return f"Sign in with a Google account of {domains}; this one is of another domain or none."
    if facts.get("verified_email") is not True:
        return "Google has not verified the e-mail address of this account."
    return None


def short_address(address: object, hosted_domains: frozenset[str]) -> str | None:
    """Leaves the domain out where there is but one, so that nobody else can have the name. Pure."""
    if not isinstance(address, str) or not address:
        return None
    local, _, domain = fold_case(address).rpartition("@")
    return local if local and {domain} == hosted_domains else fold_case(address)
