"""Three lines in anybody's own configuration: what they set, and what they leave alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from mlhub.configuration import ConfigurationError
from mlhub.core.errors import BadInput
from mlhub.hub_config import ACT, OPERATE, configure
from mlhub.spawner.wiring import proxy_url, service_token, service_url

QUOTA = "access:services!service=quota"


@pytest.fixture
def c() -> Config:
    return Config()


def write(directory: Path, **settings: Any) -> Path:
    path = directory / "mlhub.yaml"
    path.write_text(json.dumps({"profiles": [{"display_name": "X"}]} | settings))
    return path


def role(c: Config, name: str) -> dict[str, Any]:
    (found,) = [row for row in c.JupyterHub.load_roles if row["name"] == name]
    return dict(found)


def test_the_spawner_and_its_credential_are_set(c: Config, tmp_path: Path) -> None:
    configure(c, write(tmp_path))
    assert c.JupyterHub.spawner_class == "mlhub.spawner.local.LocalGPUSpawner"
    assert c.GPULeaseMixin.profile_list == [{"display_name": "X"}]
    token = tmp_path / "secrets" / "spawner-token"
    assert token.stat().st_mode & 0o777 == 0o600
    assert service_token(c, "mlhub-spawner") == token.read_text().strip()
    assert len(token.read_text().strip()) == 64
    assert role(c, "mlhub-spawner")["scopes"] == [QUOTA, ACT]
    assert set(c.JupyterHub.custom_scopes) == {ACT, OPERATE}


def test_who_of_the_systems_accounts_may_sign_in_may_have_a_server(
    c: Config, tmp_path: Path
) -> None:
    sign_in = {"allowed_system_accounts": ["builder"]}
    configure(c, write(tmp_path, authentication=sign_in))
    assert c.LocalGPUSpawner.allowed_system_accounts == ["builder"]


def test_the_systems_accounts_that_were_allowed_before_stay_allowed(
    c: Config, tmp_path: Path
) -> None:
    c.LocalGPUSpawner.allowed_system_accounts = ["www-data"]
    configure(c, write(tmp_path, authentication={"allowed_system_accounts": ["builder"]}))
    assert c.LocalGPUSpawner.allowed_system_accounts == ["www-data"]


def test_a_second_start_has_the_same_token(c: Config, tmp_path: Path) -> None:
    configure(c, write(tmp_path))
    again = Config()
    configure(again, tmp_path / "mlhub.yaml")
    assert service_token(again, "mlhub-spawner") == service_token(c, "mlhub-spawner")


def test_a_token_that_is_empty_stops_the_start_instead_of_opening_the_hub(
    c: Config, tmp_path: Path
) -> None:
    (tmp_path / "secrets").mkdir()
    token = tmp_path / "secrets" / "spawner-token"
    token.touch(mode=0o600)
    with pytest.raises(BadInput, match=f"{token} is empty"):
        configure(c, write(tmp_path))


def test_users_and_their_servers_may_use_the_services_and_no_more(
    c: Config, tmp_path: Path
) -> None:
    configure(c, write(tmp_path))
    mlflow = "access:services!service=mlflow"
    assert c.JupyterHub.extra_user_scopes == {QUOTA, mlflow}
    assert c.Spawner.server_token_scopes == [
        "users:activity!user", "access:servers!server", QUOTA, mlflow
    ]  # fmt: skip
    assert role(c, "quota")["scopes"] == [
        "list:users", "read:users:groups", "read:users:name", "read:servers", "start:servers",
        "delete:servers",
    ]  # fmt: skip


def test_a_hub_without_mlflow_gives_no_right_to_it(c: Config, tmp_path: Path) -> None:
    configure(c, write(tmp_path, mlflow={"enabled": False}), run_services=True)
    assert c.JupyterHub.extra_user_scopes == {QUOTA}
    assert [row["name"] for row in c.JupyterHub.services] == ["mlhub-spawner", "quota"]


def test_the_hub_runs_the_services_where_it_is_told_to(c: Config, tmp_path: Path) -> None:
    configure(c, write(tmp_path), run_services=True)
    quota = next(row for row in c.JupyterHub.services if row["name"] == "quota")
    assert quota["command"][1:] == ["-m", "hub_services.quota"]
    assert quota["environment"] == {
        "MLHUB_CONFIG": str(tmp_path / "mlhub.yaml"), "MLHUB_HOME": str(tmp_path)
    }  # fmt: skip
    url = service_url(c, "quota", base_url="/gpu/")
    assert url == "http://127.0.0.1:10101/gpu/services/quota/api/v1"


def test_what_was_set_before_is_kept(c: Config, tmp_path: Path) -> None:
    c.JupyterHub.services.append({"name": "mine", "api_token": "x"})
    c.JupyterHub.load_roles = [{"name": "mine", "scopes": ["self"]}]
    c.JupyterHub.template_vars = {"mine": 1}
    c.JupyterHub.custom_scopes = {"custom:mine": {"description": "mine"}}
    configure(c, write(tmp_path))
    assert [row["name"] for row in c.JupyterHub.services] == ["mine", "mlhub-spawner"]
    assert role(c, "mine")["scopes"] == ["self"]
    assert c.JupyterHub.template_vars["mine"] == 1
    assert "custom:mine" in c.JupyterHub.custom_scopes


def test_what_is_set_afterwards_has_the_last_word(c: Config, tmp_path: Path) -> None:
    configure(c, write(tmp_path))
    c.JupyterHub.services.append({"name": "later", "api_token": "x"})
    c.LocalGPUSpawner.profile_list = []
    assert len(c.JupyterHub.services) == 2


@pytest.mark.parametrize(
    ("limits", "durations"),
    [
        pytest.param({}, ["1h", "2h", "4h", "8h", "12h", "24h", "72h"], id="no bound"),
        pytest.param({"everyone": {"duration": "4h"}}, ["1h", "2h", "14400s"], id="for everyone"),
        pytest.param(
            {"everyone": {"duration": "2h"}, "members": {"staff": {"duration": "6h"}}},
            ["1h", "2h", "4h", "21600s"],
            id="the longest of all",
        ),
        pytest.param(
            {"everyone": {"duration": "2h"}, "members": {"staff": {"devices": 1}}},
            ["1h", "2h", "4h", "8h", "12h", "24h", "72h"],
            id="some have none",
        ),
    ],
)
def test_the_form_offers_durations_that_somebody_may_have(
    c: Config, tmp_path: Path, limits: Any, durations: list[str]
) -> None:
    configure(c, write(tmp_path, limits=limits, times={"duration": "90min"}))
    assert c.GPULeaseMixin.durations == durations
    assert c.GPULeaseMixin.usual_duration == "1 h 30 min (usual)"


def test_a_mistake_in_the_settings_stops_the_start_with_its_line(c: Config, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"mlhub.yaml:1:.*Did you mean 'flavors'"):
        configure(c, write(tmp_path, flavours=[]))


@pytest.mark.parametrize(
    ("bind_url", "url"),
    [
        pytest.param(None, "http://127.0.0.1:8000/", id="default"),
        pytest.param("http://0.0.0.0:9000/gpu", "http://127.0.0.1:9000/gpu/", id="everywhere"),
        pytest.param("http://:9000", "http://127.0.0.1:9000/", id="no host"),
        pytest.param("http://[::1]:9000/", "http://[::1]:9000/", id="IPv6"),
        pytest.param("https://hub.example/", "https://hub.example/", id="no port"),
    ],
)
def test_the_proxys_address_as_programs_reach_it(c: Config, bind_url: Any, url: str) -> None:
    if bind_url:
        c.JupyterHub.bind_url = bind_url
    assert proxy_url(c) == url
