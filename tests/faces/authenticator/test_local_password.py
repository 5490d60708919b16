"""The generated password: who may try it, how often, and what never helps."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mlhub.authentication_settings import LocalPasswordSettings
from mlhub.authenticator.local_password import (
    LocalPasswordMethod,
    from_this_machine,
    make_password,
    make_password_file,
)
from mlhub.authenticator.rate_limit import WrongTries
from mlhub.authenticator.rules import HouseRules
from mlhub.authenticator.visitors import SignInRefused


class Ticks:
    """A monotonic clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def request(remote: str = "127.0.0.1", forwarded: str = "") -> Any:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    return SimpleNamespace(request=SimpleNamespace(remote_ip=remote, headers=headers))


@pytest.fixture
def ticks() -> Ticks:
    return Ticks()


@pytest.fixture
def method(tmp_path: Path, ticks: Ticks) -> LocalPasswordMethod:
    path = tmp_path / "password"
    make_password_file(path)
    return LocalPasswordMethod(
        settings=LocalPasswordSettings(),
        person="alice",
        house=HouseRules(person="alice"),
        password_file=path,
        wrong_tries=WrongTries(3, ticks),
    )


def right(method: LocalPasswordMethod) -> dict[str, str]:
    return {"username": "alice", "password": method.password_file.read_text().strip()}


async def test_the_password_lets_the_person_in(method: LocalPasswordMethod) -> None:
    visitor = await method.identify(request(), right(method))
    assert (visitor.login, visitor.namespace) == ("alice", "local")


WRONG = ["", "x", "password", "ä" * 30, "\0", "p" * 1_000_000]


@pytest.mark.parametrize("password", WRONG, ids=[f"{word[:9]!r}" for word in WRONG])
async def test_another_password_does_not(method: LocalPasswordMethod, password: str) -> None:
    with pytest.raises(SignInRefused, match="not the password"):
        await method.identify(request(), {"username": "alice", "password": password})


@pytest.mark.parametrize("name", ["bob", "Alice", "alice ", "root", "", "../alice", "a\r\nb"])
async def test_any_other_name_is_told_why_even_with_the_password(
    method: LocalPasswordMethod, name: str
) -> None:
    with pytest.raises(SignInRefused, match="without root, as 'alice': only 'alice'"):
        await method.identify(request(), right(method) | {"username": name})


async def test_after_wrong_tries_even_the_right_one_waits_a_minute(
    method: LocalPasswordMethod, ticks: Ticks
) -> None:
    for _try in range(3):
        with pytest.raises(SignInRefused, match="not the password"):
            await method.identify(request(), {"username": "alice", "password": "no"})
    with pytest.raises(SignInRefused, match=r"Try again in 6[01] seconds") as refused:
        await method.identify(request(), right(method))
    assert refused.value.code == 429
    ticks.now += 61
    assert await method.identify(request(), right(method))


async def test_a_new_password_in_the_file_holds_at_once(method: LocalPasswordMethod) -> None:
    old = right(method)
    method.password_file.write_text(make_password())
    with pytest.raises(SignInRefused):
        await method.identify(request(), old)
    assert await method.identify(request(), right(method))


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604])
async def test_a_file_that_others_can_read_opens_nothing(
    method: LocalPasswordMethod, mode: int
) -> None:
    method.password_file.chmod(mode)
    with pytest.raises(SignInRefused, match="open to other OS users"):
        await method.identify(request(), right(method))


@pytest.mark.parametrize(
    ("remote", "forwarded", "near"),
    [
        pytest.param("127.0.0.1", "", True, id="the proxy on this machine"),
        pytest.param("127.0.0.1", "127.0.0.1", True, id="a browser on this machine"),
        pytest.param("::1", "::1", True, id="by IPv6"),
        pytest.param("127.0.0.1", "::ffff:127.0.0.1", True, id="by IPv6's form of IPv4"),
        pytest.param("10.0.0.7", "", False, id="a network"),
        pytest.param("127.0.0.1", "10.0.0.7, 127.0.0.1", False, id="a web server before the hub"),
        pytest.param("127.0.0.1", "evil", False, id="no address at all"),
    ],
)
def test_only_this_machine_counts_as_near(remote: str, forwarded: str, near: bool) -> None:
    assert from_this_machine(remote, forwarded) == near


async def test_from_afar_the_password_is_not_even_looked_at(method: LocalPasswordMethod) -> None:
    with pytest.raises(SignInRefused, match="only in a browser on the hub's own machine"):
        await method.identify(request(forwarded="10.0.0.7"), right(method))


def test_passwords_are_long_and_never_alike() -> None:
    assert len({make_password() for _time in range(1_000)}) == 1_000
    assert min(len(make_password().replace("-", "")) for _time in range(50)) == 20


def test_wrong_tries_of_one_name_do_not_keep_another_waiting(ticks: Ticks) -> None:
    tries = WrongTries(2, ticks)
    for _try in range(5):
        tries.wrong("alice")
    assert tries.wait_seconds("alice") > 0
    assert tries.wait_seconds("bob") == 0


def test_a_flood_of_names_does_not_fill_the_memory(ticks: Ticks) -> None:
    tries = WrongTries(2, ticks)
    for number in range(20_000):
        tries.wrong(f"name{number}")
    assert len(tries._tries) == 10_000
