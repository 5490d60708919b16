"""Whether an id token is the provider's, for this hub, and still holds.

The rules are those of OpenID Connect Core 1.0, section 3.1.3.7.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt

LEEWAY_SECONDS = 60
ASYMMETRIC = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)


class UntrustedToken(Exception):
    """The token proves nothing; the text says why, for the log."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must say.

    Attributes:
        issuer: exactly as in the settings.
        client_id: this hub, as the provider knows it.
        algorithms: those that the provider uses; only asymmetric ones count.
    """

    issuer: str
    client_id: str
    algorithms: tuple[str, ...]


def has_key(token: object, keys: Mapping[str, Any]) -> bool:
    """Says whether a key set holds the key that a token names."""
    try:
        _key_of(token, keys)
    except UntrustedToken:
        return False
    return True


def verified_claims(token: object, keys: Mapping[str, Any], expected: Expected) -> dict[str, Any]:
    """Reads a token whose signature, issuer, audience and times are right.

    Args:
        token: As the provider's token endpoint gave it.
        keys: The provider's JWK set.
        expected: What it must say.

    Raises:
        UntrustedToken: any of it is wrong.
    """
    algorithms = [name for name in expected.algorithms if name in ASYMMETRIC]
    try:
        claims = jwt.decode(
            str(token),
            _key_of(token, keys),
            algorithms=algorithms,
            audience=expected.client_id,
            issuer=expected.issuer,
            leeway=LEEWAY_SECONDS,
            options={"require": ["iss", "sub", "aud", "exp", "iat"]},
        )
    except (jwt.PyJWTError, NotImplementedError) as error:  # PyJWT's for a key it cannot use
        raise UntrustedToken(str(error)) from error
    if claims.get("azp", expected.client_id) != expected.client_id:
        raise UntrustedToken("it was issued to another client")
    return claims


def _key_of(token: object, keys: Mapping[str, Any]) -> jwt.PyJWK:
    if not isinstance(token, str):
        raise UntrustedToken("there is none")
    try:
        name = jwt.get_unverified_header(token).get("kid")
        known = jwt.PyJWKSet.from_dict(dict(keys)).keys
    except (jwt.PyJWTError, AttributeError) as error:
        raise UntrustedToken(str(error)) from error
    for key in known:
        if key.key_id == name and key.public_key_use in {None, "sig"}:
            return key
    raise UntrustedToken("its key is none of the provider's")
