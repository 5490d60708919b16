"""From a login at a provider to a user name here: safe on Linux, in URLs, and injective. Pure."""

import base64
import hashlib
import re
import unicodedata

LONGEST_LOGIN = 255
LONGEST_NAME = 32
DIGEST_LENGTH = 12

_PLAIN = re.compile(r"[a-z_][a-z0-9_-]*(?:\.[a-z0-9_-]+)*", re.ASCII)
_LIKE_ALTERED = re.compile(rf".*-[a-z2-7]{{{DIGEST_LENGTH}}}", re.ASCII)
_UNFIT = re.compile(r"[^a-z0-9]+", re.ASCII)
_UNPRINTABLE = frozenset({"Cc", "Cs", "Cn", "Zl", "Zp"})


class UnusableLogin(ValueError):
    """A login that no user name can be made of; the text says why."""


def user_name(login: object) -> str:
    """Makes the user name of a login.

    A login that is a plain Linux name (lower case, digits, `_`, `-`, inner dots, up to 32) is its
    own user name. Any other is rewritten and gets 60 bits of its SHA-256 as a suffix, and so does
    a plain one that looks rewritten: two logins never share a name, short of a hash collision.

    Args:
        login: What the provider says; only text is accepted.

    Returns:
        A name of at most 32 characters that starts with a letter or `_`.

    Raises:
        UnusableLogin: it is no text, empty, longer than 255 or holds control characters.
    """
    text = _checked(login)
    if _is_plain(text):
        return text
    return f"{_slug(text)}-{_digest(text)}"


def _checked(login: object) -> str:
    if not isinstance(login, str) or not login:
        raise UnusableLogin("the provider gave no login")
    if len(login) > LONGEST_LOGIN:
        raise UnusableLogin(f"the login is longer than {LONGEST_LOGIN} characters")
    if any(unicodedata.category(character) in _UNPRINTABLE for character in login):
        raise UnusableLogin("the login holds control characters")
    return login


def _is_plain(text: str) -> bool:
    fits = len(text) <= LONGEST_NAME and _PLAIN.fullmatch(text) is not None
    return fits and _LIKE_ALTERED.fullmatch(text) is None


def _slug(text: str) -> str:
    ascii_text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    slug = _UNFIT.sub("-", ascii_text).strip("-")
    if not slug[:1].isalpha():
        slug = f"u-{slug}".rstrip("-")
    return slug[: LONGEST_NAME - DIGEST_LENGTH - 1].rstrip("-")


def _digest(text: str) -> str:
    digest = hashlib.sha256(b"mlhub user name\0" + text.encode()).digest()
    return base64.b32encode(digest)[:DIGEST_LENGTH].decode().lower()


def fold_case(login: str) -> str:
    """Lower-cases a login of a provider that ignores case.

    Only ASCII: lower-casing the Kelvin sign would make a plain `k` of it, and so another's login.
    """
    return login.lower() if login.isascii() else login
