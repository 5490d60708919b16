"""The generated password of the one person of a hub that only its own machine can reach."""

import hmac
import ipaddress
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from traitlets import Any as AnyTrait
from traitlets import Instance, Unicode, default
from traitlets.config import LoggingConfigurable

from mlhub import private_files
from mlhub.authenticator.rate_limit import WrongTries
from mlhub.authenticator.rules import HouseRules, person_refusal
from mlhub.authenticator.visitors import SignInRefused, Visitor, printable
from mlhub.core.errors import BadInput

NAMESPACE = "local"
SETTING = "authentication.local_password"
SHORTEST = 16
LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
TRIES_KEY = "password"


def make_password() -> str:
    """Makes a password of 99 bits that can be typed from a screen."""
    return "-".join("".join(secrets.choice(LETTERS) for _ in range(5)) for _ in range(4))


def make_password_file(path: Path) -> bool:
    """Makes the password's file, mode 600, unless there is one.

    Returns:
        Whether it was made now, and so should be shown once.

    Raises:
        BadInput: it cannot be written.
    """
    with _told():
        return private_files.make_once(path, make_password)


def read_password(path: Path) -> str:
    """Reads the password.

    Raises:
        BadInput: the file is missing, open to others, empty or too short to be a generated one.
    """
    with _told():
        return private_files.read(path, shortest=SHORTEST, remedy=private_files.MADE_ANEW)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except private_files.Unusable as error:
        raise BadInput(SETTING, error.problem, error.remedy) from error


def is_loopback(host: str) -> bool:
    """Says whether an address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def from_this_machine(remote: str, forwarded_for: str) -> bool:
    """Says whether a request came from this machine, past every proxy that it names."""
    hops = [hop.strip() for hop in forwarded_for.split(",") if hop.strip()]
    return all(is_loopback(hop.removeprefix("::ffff:")) for hop in (remote, *hops))


class LocalPasswordMethod(LoggingConfigurable):
    """Sign-in with the generated password."""

    method = Unicode("local")
    settings = AnyTrait(help="Its section of mlhub.yaml.")
    person = Unicode(help="The only user name.")
    password_file = Instance(Path)
    house = Instance(HouseRules)
    wrong_tries = Instance(WrongTries)

    @default("wrong_tries")
    def _limit_of_settings(self) -> WrongTries:
        return WrongTries(self.settings.wrong_tries_per_minute)

    @property
    def hint(self) -> str:
        """What the page says under the form."""
        return (
            f"The password was shown when mlhub first started; it is kept in {self.password_file}."
        )

    async def identify(self, handler: Any, data: Mapping[str, str]) -> Visitor:
        """Checks the password.

        Raises:
            SignInRefused: it is wrong, tried too often, or did not come from this machine.
        """
        self._refuse_from_afar(handler)
        self._refuse_others(data.get("username", ""))
        self._refuse_too_many()
        if not self._is_right(data.get("password", "")):
            self.wrong_tries.wrong(TRIES_KEY)
            raise SignInRefused(f"This is not the password. {self.hint}")
        self.wrong_tries.right(TRIES_KEY)
        return self._visitor()

    async def look_again(self, user: Any, handler: Any) -> Visitor | None:
        """Finds that the person is still the one."""
        return self._visitor() if user.name == self.person else None

    def _visitor(self) -> Visitor:
        return Visitor(self.method, NAMESPACE, self.person, self.person)

    def _refuse_others(self, name: str) -> None:
        if name != self.person:
            alone = f"Only '{self.person}' has the local password of this hub."
            raise SignInRefused(person_refusal(self.house, printable(name)) or alone)

    def _is_right(self, password: str) -> bool:
        try:
            right = read_password(self.password_file)
        except BadInput as problem:
            self.log.error("%s", problem)
            raise SignInRefused(f"The password cannot be checked: {problem}", code=503) from problem
        return hmac.compare_digest(password.encode("utf-8", "replace"), right.encode())

    def _refuse_from_afar(self, handler: Any) -> None:
        request = handler.request
        if not from_this_machine(request.remote_ip, request.headers.get("X-Forwarded-For", "")):
            raise SignInRefused(
                "The local password works only in a browser on the hub's own machine. "
                "For access from elsewhere, set up a provider in mlhub.yaml."
            )

    def _refuse_too_many(self) -> None:
        if wait := self.wrong_tries.wait_seconds(TRIES_KEY):
            raise SignInRefused(
                f"Too many wrong passwords. Try again in {wait} seconds.",
                code=429,
                retry_after=wait,
            )
