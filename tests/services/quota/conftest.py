"""One real hub for all tests of the quota service, and a service of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.services.quota.desk import Desk, open_desk
from tests.services.quota.hub import ADMIN, Hub


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    with Hub(tmp_path_factory.mktemp("quota-hub")).running() as hub:
        yield hub


@pytest.fixture(scope="session")
def tokens(hub: Hub) -> dict[str, str]:
    """Credentials of every kind, by what the tests call them."""
    access = "access:services!service=quota"
    found = {
        "ada": hub.add_user("ada", "ml"),
        "bob": hub.add_user("bob"),
        "admin": hub.token_of(ADMIN),
        "a server of ada": hub.token_of("ada", ["access:servers!server=ada/", access]),
        "a server of the admin": hub.token_of(ADMIN, ["access:servers!server=root-ada/", access]),
        "ada without access": hub.token_of("ada", ["read:users!user"]),
        "nobody": "",
        "invalid": "0123456789abcdef0123456789abcdef",
    }
    services = ("spawner", "operator", "scraper", "stranger")
    return found | {f"the {name}": hub.tokens[name] for name in services}


@pytest.fixture
async def desk(hub: Hub, tokens: dict[str, str]) -> AsyncIterator[Desk]:
    """The service in this process, with a ledger in memory, four GPUs, and a clock by hand."""
    async with open_desk(hub, tokens) as desk:
        yield desk
