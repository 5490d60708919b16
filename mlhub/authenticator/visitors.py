"""Who stands at the door: what a sign-in method found out, checked and capped. Pure."""

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

LONGEST_GROUP = 255
MOST_GROUPS = 1_000
LONGEST_SUBJECT = 255


class SignInRefused(Exception):
    """This person may not come in.

    Attributes:
        reason: the text that the person reads.
        code: the HTTP status that fits.
        retry_after: seconds after which another try makes sense, if one does.
    """

    def __init__(self, reason: str, *, code: int = 403, retry_after: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Visitor:
    """A person as a method knows them.

    Attributes:
        method: the key of the method in the settings.
        namespace: within which `subject` is unique, such as an OpenID issuer.
        subject: the id that never changes for a person.
        login: the name there; people change it, and others may get it after them.
        groups: names with the method's prefix.
        tokens: what a later refresh needs; never printed.
    """

    method: str
    namespace: str
    subject: str
    login: str
    groups: frozenset[str] = frozenset()
    tokens: Mapping[str, object] = field(default_factory=dict, repr=False, compare=False)


def subject_text(value: object) -> str:
    """Reads a stable id.

    Raises:
        SignInRefused: it is missing, or nothing that could identify a person.
    """
    number = isinstance(value, int) and not isinstance(value, bool)
    text = str(value) if number else value
    if not isinstance(text, str) or not text.strip() or len(text) > LONGEST_SUBJECT:
        raise SignInRefused("The provider did not say who you are (its stable id is missing).")
    if not text.isprintable():
        raise SignInRefused("The provider's id of you holds characters that no id has.")
    return text


def group_names(value: object, *, prefix: str = "") -> frozenset[str]:
    """Reads a provider's list of groups; what is no usable name is left out.

    Args:
        value: A list of names; a single text counts as one name, never as its letters.
        prefix: Put before each name.
    """
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, Iterable) or isinstance(names, Mapping | bytes):
        return frozenset()
    usable = sorted({prefix + name for name in names if _is_group_name(name, prefix)})
    return frozenset(usable[:MOST_GROUPS])


def _is_group_name(name: object, prefix: str) -> bool:
    if not isinstance(name, str) or not name.strip():
        return False
    return name.isprintable() and len(prefix + name) <= LONGEST_GROUP


def claim(claims: Mapping[str, object], path: str) -> object:
    """Finds a claim by its name, or by a path with dots (`realm_access.roles`)."""
    if path in claims:
        return claims[path]
    found: object = claims
    for step in path.split("."):
        if not isinstance(found, Mapping) or step not in found:
            return None
        found = found[step]
    return found


def printable(value: object, longest: int = 80) -> str:
    """Makes a text from outside fit for a log line: capped, without control characters."""
    text = str(value)
    shown = text if len(text) <= longest else f"{text[:longest]}...({len(text)} characters)"
    return "".join(
        "?" if unicodedata.category(character)[0] in "CZ" and character != " " else character
        for character in shown
    )
