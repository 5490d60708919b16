"""From settings to adapters: which are chosen, and what is said when one cannot be."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mlhub.adapters.clock import FileClock, SystemClock
from mlhub.adapters.nvml import NvmlInventory
from mlhub.bootstrap import Built, build, ledger_url, new_id
from mlhub.configuration import Settings
from mlhub.core.errors import BadInput, InventoryUnavailable

GPUS = """
nodes:
  - name: bench
    gpus:
      - {model: NVIDIA T4, count: 3, memory: 16 GiB}
"""


def built(settings: Settings, home: Path, gpus: str = "") -> Built:
    return build(
        settings, home=home, hub_url="http://127.0.0.1:1/hub/api", hub_token="x" * 32, gpus=gpus
    )


@pytest.fixture
async def at_home(tmp_path: Path) -> AsyncIterator[Built]:
    parts = built(Settings(), tmp_path, gpus="simulated")
    yield parts
    await parts.store.close()


async def test_the_ledger_is_an_sqlite_file_in_the_home_unless_said_otherwise(
    at_home: Built, tmp_path: Path
) -> None:
    await at_home.store.open("test")
    assert (tmp_path / "ledger.sqlite").exists()
    assert (await at_home.store.snapshot()).leases == {}


async def test_the_parts_are_connected_to_one_another(at_home: Built) -> None:
    broker = at_home.broker
    assert broker.store is at_home.store
    assert broker.notifier is at_home.bus
    assert broker.policy == Settings().policy()
    stock = await broker.hardware.inventory()
    assert stock.simulated
    assert [device.model for device in stock.devices].count("NVIDIA A100 80GB PCIe") == 4


async def test_without_a_driver_auto_shows_simulated_gpus(tmp_path: Path) -> None:
    parts = built(Settings(), tmp_path)
    if isinstance(parts.inventory, NvmlInventory):
        assert (await parts.inventory.read()).devices, "a driver without any GPU"
    else:
        assert (await parts.inventory.read()).simulated


async def test_what_was_decided_before_goes_before_the_settings(tmp_path: Path) -> None:
    settings = Settings.model_validate({"inventory": {"source": "simulated"}})
    nothing = await built(settings, tmp_path, gpus="none").inventory.read()
    assert (nothing.devices, nothing.simulated) == ((), False)
    assert isinstance(built(settings, tmp_path, gpus="nvml").inventory, NvmlInventory)


def test_what_an_operator_decides_of_signs_of_trouble_reaches_the_gpus(tmp_path: Path) -> None:
    settings = Settings.model_validate({"inventory": {"health": {"row-remap-pending": "sick"}}})
    inventory = built(settings, tmp_path, gpus="nvml").inventory
    assert isinstance(inventory, NvmlInventory)
    assert inventory.signs.rule("row-remap-pending").verdict == "sick"
    assert inventory.signs.rule("ecc-contained").verdict == "warn"


async def test_the_simulated_gpus_are_those_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "gpus.yaml"
    file.write_text(GPUS)
    settings = Settings.model_validate(
        {"inventory": {"source": "simulated", "simulated_file": str(file)}}
    )
    stock = await built(settings, tmp_path).inventory.read()
    assert [(row.node, row.model) for row in stock.devices] == [("bench", "NVIDIA T4")] * 3


def test_a_wrong_file_of_simulated_gpus_stops_the_start(tmp_path: Path) -> None:
    file = tmp_path / "gpus.yaml"
    file.write_text("nodes: many")
    settings = Settings.model_validate(
        {"inventory": {"source": "simulated", "simulated_file": str(file)}}
    )
    with pytest.raises((BadInput, InventoryUnavailable)):
        built(settings, tmp_path)


def test_the_clock_is_the_machine_s_unless_a_file_moves_it(tmp_path: Path) -> None:
    assert type(built(Settings(), tmp_path, gpus="none").clock) is SystemClock
    settings = Settings.model_validate({"simulation": {"clock_file": str(tmp_path / "clock")}})
    assert isinstance(built(settings, tmp_path, gpus="none").clock, FileClock)


def url_of(home: Path, environ: dict[str, str] | None = None, **ledger: str) -> str:
    settings = Settings.model_validate({"ledger": ledger})
    return ledger_url(settings, home, environ or {})


def test_the_ledger_s_address_is_read_from_a_file_that_is_nobody_else_s(tmp_path: Path) -> None:
    file = tmp_path / "url"
    file.write_text("postgresql+psycopg://mlhub:word@db/mlhub\n")
    file.chmod(0o600)
    assert url_of(tmp_path, url_file=str(file)) == "postgresql+psycopg://mlhub:word@db/mlhub"
    file.chmod(0o640)
    with pytest.raises(BadInput, match="open to other OS users") as caught:
        url_of(tmp_path, url_file=str(file))
    assert caught.value.remedy == f"chmod 600 {file}"
    assert "word" not in str(caught.value)


@pytest.mark.parametrize(("content", "words"), [(None, "No such file"), ("", "is empty")])
def test_a_file_without_an_address_is_said_with_the_setting_s_name(
    tmp_path: Path, content: str | None, words: str
) -> None:
    file = tmp_path / "url"
    if content is not None:
        file.write_text(content)
        file.chmod(0o600)
    with pytest.raises(BadInput, match=words) as caught:
        url_of(tmp_path, url_file=str(file))
    assert caught.value.field == "ledger.url_file"


def test_the_ledger_s_address_is_read_from_the_environment(tmp_path: Path) -> None:
    assert url_of(tmp_path, {"LEDGER": "sqlite:////x"}, url_env="LEDGER") == "sqlite:////x"
    with pytest.raises(BadInput, match="no variable LEDGER"):
        url_of(tmp_path, url_env="LEDGER")


def test_an_address_in_the_settings_is_taken_as_it_is(tmp_path: Path) -> None:
    assert url_of(tmp_path, url="postgresql+psycopg://db/mlhub") == "postgresql+psycopg://db/mlhub"


def test_ids_are_short_and_never_the_same() -> None:
    ids = {new_id() for _ in range(10_000)}
    assert len(ids) == 10_000
    assert {len(one) for one in ids} == {16}
