"""An id token counts only if the provider signed it, for this hub, and it still holds."""

from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mlhub.adapters.clock import SystemClock
from mlhub.authenticator.id_tokens import Expected, UntrustedToken, has_key, verified_claims

KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
EXPECTED = Expected("https://idp.acme.org", "mlhub", ("RS256", "ES256", "HS256", "none"))


def public(key: Any, name: str, algorithm: Any = jwt.algorithms.RSAAlgorithm) -> dict[str, Any]:
    return algorithm.to_jwk(key.public_key(), as_dict=True) | {"kid": name, "use": "sig"}


KEYS = {"keys": [public(KEY, "k1"), public(EC_KEY, "k2", jwt.algorithms.ECAlgorithm)]}
NOW = SystemClock().now()
CLAIMS = {
    "iss": "https://idp.acme.org",
    "sub": "1",
    "aud": "mlhub",
    "iat": NOW,
    "exp": NOW + timedelta(hours=12),  # past the end of any test run
}


def token(claims: dict[str, Any], key: Any = KEY, name: str = "k1", alg: str = "RS256") -> str:
    return jwt.encode(claims, key, algorithm=alg, headers={"kid": name})


def test_the_providers_own_token_is_read() -> None:
    assert verified_claims(token(CLAIMS), KEYS, EXPECTED)["sub"] == "1"
    assert verified_claims(token(CLAIMS, EC_KEY, "k2", "ES256"), KEYS, EXPECTED)["sub"] == "1"


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in CLAIMS.items() if key != name}


UNTRUSTED = {
    "another key": token(CLAIMS, OTHER_KEY),
    "a key nobody knows": token(CLAIMS, OTHER_KEY, "k9"),
    "no signature": jwt.encode(CLAIMS, None, algorithm="none", headers={"kid": "k1"}),
    "the public key as a password": token(
        CLAIMS, "mlhub-client-secret-of-32-letters", "k1", "HS256"
    ),
    "another issuer": token(CLAIMS | {"iss": "https://evil.org"}),
    "another hub": token(CLAIMS | {"aud": "other"}),
    "issued to another client": token(CLAIMS | {"aud": ["mlhub", "other"], "azp": "other"}),
    "over": token(CLAIMS | {"exp": NOW - timedelta(hours=1)}),
    "from the future": token(CLAIMS | {"iat": NOW + timedelta(hours=12)}),
    "without an end": token(without("exp")),
    "of nobody": token(without("sub")),
    "none": None,
    "no token": "x.y.z",
    "empty": "",
    "changed": token(CLAIMS)[:-6] + "AAAAAA",
}


@pytest.mark.parametrize("given", UNTRUSTED.values(), ids=UNTRUSTED.keys())
def test_any_other_token_is_not(given: object) -> None:
    with pytest.raises(UntrustedToken):
        verified_claims(given, KEYS, EXPECTED)


def test_a_key_that_came_later_is_missed_until_it_is_fetched() -> None:
    rotated = token(CLAIMS, OTHER_KEY, "k3")
    assert not has_key(rotated, KEYS)
    assert has_key(rotated, {"keys": [public(OTHER_KEY, "k3")]})
    assert not has_key(rotated, {})
