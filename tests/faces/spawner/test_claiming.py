"""Asking with a key that survives: lost answers, old answers, and what people are told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from mlhub.client import BrokerClient, ClaimAnswer, Patience, Problem, Refused, ServiceUnavailable
from mlhub.profiles import GpuAsk, read_profiles, resolve
from mlhub.spawner.claiming import Asker, Claiming, denial, obtain, queued, wish_of
from mlhub.spawner.refusals import SpawnRefused, Told
from tests.faces.spawner.small_service import SmallService

PROFILES = read_profiles([{"display_name": "X", "kubespawner_override": {"gpu": {"flavor": "t4"}}}])
Ask = Callable[..., Any]


@pytest.fixture
async def client(service: SmallService) -> AsyncIterator[BrokerClient]:
    url = f"{service.address}/services/quota"
    patience = Patience(deadline_s=1.0, try_s=0.3)
    async with BrokerClient(url, token=service.token, patience=patience) as client:
        yield client


class Memory:
    """A spawner's memory: what was saved, when."""

    def __init__(self, service: SmallService) -> None:
        self.claiming = Claiming()
        self.saved: list[tuple[dict[str, Any], int]] = []
        self.service = service

    def save(self) -> None:
        self.saved.append((self.claiming.state(), len(self.service.keys)))

    def after_a_crash(self) -> None:
        """Nothing is left but what was saved last."""
        self.claiming = Claiming.from_state(self.saved[-1][0])


@pytest.fixture
def memory(service: SmallService) -> Memory:
    return Memory(service)


@pytest.fixture
def ask(client: BrokerClient, memory: Memory) -> Ask:
    async def asked(**options: Any) -> ClaimAnswer:
        chosen = resolve(PROFILES, options)
        asker = Asker("ada", ("ml",), "")
        wish = wish_of(asker, GpuAsk("t4"), chosen)
        return await obtain(client, memory.claiming, wish, save=memory.save)

    return asked


async def test_the_key_is_saved_before_anybody_is_asked(ask: Ask, memory: Memory) -> None:
    await ask()
    ((saved, asked_before),) = memory.saved
    assert len(saved["key"]) >= 24
    assert asked_before == 0
    assert memory.claiming.state() == {}


async def test_an_unanswered_ask_keeps_its_key_for_the_next_time(
    ask: Ask, memory: Memory, service: SmallService
) -> None:
    service.faults.extend([("POST", "/claims", "lose")] * 50)
    with pytest.raises(ServiceUnavailable):
        await ask()
    service.faults.clear()
    memory.after_a_crash()
    answer = await ask()
    assert answer.state == "granted"
    assert len(set(service.keys)) == 1
    assert len(service.leases) == 1


async def test_another_ask_gets_a_key_of_its_own(
    ask: Ask, memory: Memory, service: SmallService
) -> None:
    service.faults.extend([("POST", "/claims", "lose")] * 50)
    with pytest.raises(ServiceUnavailable):
        await ask()
    service.faults.clear()
    await ask(duration="2h")
    assert len(set(service.keys)) == 2


async def test_an_old_grant_whose_lease_is_over_is_not_used(
    ask: Ask, memory: Memory, service: SmallService
) -> None:
    service.faults.extend([("POST", "/claims", "lose")] * 50)
    with pytest.raises(ServiceUnavailable):
        await ask()
    service.faults.clear()
    (first,) = service.leases.values()
    first.update(status="ended", target="ended")
    answer = await ask()
    assert answer.lease is not None
    assert answer.lease.id != first["id"]
    assert len(service.leases) == 2


async def test_an_old_refusal_is_not_repeated_once_a_gpu_is_free(
    ask: Ask, memory: Memory, service: SmallService
) -> None:
    service.flavors[1].out_of_service = 1
    with pytest.raises(Refused):
        await ask()
    assert memory.claiming.key == ""
    memory.claiming.key, memory.claiming.asked = memory.saved[-1][0].values()
    service.flavors[1].out_of_service = 0
    assert (await ask()).state == "granted"


async def test_an_old_place_in_the_queue_is_kept(
    ask: Ask, memory: Memory, service: SmallService
) -> None:
    service.flavors[1].out_of_service = 1
    first = await ask(wait=True)
    memory.after_a_crash()
    second = await ask(wait=True)
    assert (first.state, first.claim) == ("queued", second.claim)


async def test_a_claim_says_everything_that_was_chosen(ask: Ask, service: SmallService) -> None:
    await ask(duration="90min", wait=True)
    (body,) = service.calls("POST", "/claims")
    assert body == {
        "user": "ada", "groups": ["ml"], "server": "", "kind": "server", "flavor": "t4",
        "count": 1, "duration": timedelta(minutes=90).total_seconds(), "wait": True,
        "user_options": {"profile": "x", "duration": "90min", "wait": True},
    }  # fmt: skip


# --- What people are told


def test_a_denial_keeps_the_services_words_and_status() -> None:
    problem = Problem(403, detail="Your limit is 2 GPUs; you hold 2.", reason="device-limit",
                      remedy="stop one of them", state="denied")  # fmt: skip
    told = denial(problem)
    assert (
        told.message == "Your limit is 2 GPUs; you hold 2. (stop one of them) Nothing was started."
    )
    assert (told.status, told.reason, told.link) == (403, "device-limit", "")


def test_a_service_that_does_not_know_the_hub_is_the_administrators_business() -> None:
    told = denial(Problem(403, detail="missing scope custom:mlhub:act-for-users"))
    assert "Tell the hub's administrator" in told.message
    assert "scope" not in told.message
    assert told.status == 503


def test_a_place_in_the_queue_has_a_link_that_is_safe_in_a_page() -> None:
    answer = ClaimAnswer("queued", claim='<"x">/../y', position=2, message="You are <2nd>.")
    refused = SpawnRefused(queued(answer, pages="/hub/services/quota/"))
    assert refused.waiting_url == "/hub/services/quota/waiting/%3C%22x%22%3E%2F..%2Fy"
    assert refused.jupyterhub_html_message == (
        "You are &lt;2nd&gt;. Your server starts by itself when it is your turn. "
        '<a class="alert-link" href="/hub/services/quota/waiting/%3C%22x%22%3E%2F..%2Fy">'
        "Your place in the queue</a>"
    )
    assert "Location" not in refused.headers
    assert refused.status_code == 503


def test_a_refusal_is_bounded_whatever_it_quotes() -> None:
    refused = SpawnRefused(Told("x", "y" * 10**6))
    assert len(refused.jupyterhub_message) <= 2000
    assert len(refused.jupyterhub_html_message) <= 2000
