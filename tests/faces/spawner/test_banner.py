"""The hub's pages learn that GPUs are simulated, soon also where the service came after the hub."""

from __future__ import annotations

import asyncio
import time

import pytest
from traitlets.config import Config

from mlhub.spawner import banner
from mlhub.spawner.banner import Lookout
from tests.faces.spawner.small_service import SmallFlavor, SmallService


def config_of(service: SmallService) -> Config:
    c = Config()
    c.JupyterHub.services = [
        {"name": "quota", "url": service.address},
        {"name": "mlhub-spawner", "api_token": service.token},
    ]
    return c


async def heard(lookout: Lookout, c: Config, *, within_s: float) -> bool:
    """Whether a page that is shown again and again comes to say so."""
    deadline = time.monotonic() + within_s
    for _look in iter(lambda: not lookout.simulated(c) and time.monotonic() < deadline, False):
        await asyncio.sleep(0.05)
    return lookout.simulated(c)


async def test_a_service_that_failed_at_first_is_asked_again_soon(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(banner, "ASK_AGAIN_S", 1.0)
    with SmallService(flavors=[SmallFlavor("t4", "T4", 4)], simulated=True).running() as service:
        service.token, right = "another-token-of-tests", service.token
        c = config_of(service)
        c.JupyterHub.services[1]["api_token"] = right
        lookout = Lookout()
        assert not await heard(lookout, c, within_s=0.5)
        service.token = right
        assert await heard(lookout, c, within_s=10)
        await lookout.close()
