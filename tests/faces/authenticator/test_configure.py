"""What only the machine can show stops the start: addresses, root, secrets, files."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jupyterhub.app import JupyterHub
from traitlets.config import Config

from mlhub.authentication_settings import AuthenticationSettings
from mlhub.authenticator import configure_authentication, make_plan
from mlhub.authenticator.multi import MultiAuthenticator
from mlhub.core.errors import BadInput

GOOD_SECRET = "0123456789abcdef0123456789abcdef01234567"
OIDC = {
    "type": "oidc",
    "client_id": "mlhub",
    "client_secret": {"env": "TEST_OAUTH_SECRET"},
    "issuer": "https://idp.acme.org",
    "allow_all": True,
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_OAUTH_SECRET", GOOD_SECRET)
    monkeypatch.delenv("JUPYTERHUB_CRYPT_KEY", raising=False)


def configured(
    state: Path,
    section: dict[str, Any],
    *,
    host: str = "127.0.0.1",
    root: bool = False,
    person: str | None = "alice",
) -> tuple[Config, Any]:
    c = Config()
    settings = AuthenticationSettings.model_validate(section)
    plan = make_plan(settings, public_host=host, as_root=root, person=person, state_dir=state)
    configure_authentication(c, plan)
    return c, plan


def test_one_person_without_settings_gets_a_generated_password(tmp_path: Path) -> None:
    c, plan = configured(tmp_path, {})
    assert plan.password_file.stat().st_mode & 0o777 == 0o600
    assert len(plan.password_file.read_text().strip()) >= 20
    assert JupyterHub(config=c).authenticator_class is MultiAuthenticator
    assert MultiAuthenticator(config=c).form.person == "alice"


def test_the_password_is_made_once_and_is_nowhere_the_same(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = configured(tmp_path / "a", {})[1].password_file.read_text()
    again = configured(tmp_path / "a", {})[1].password_file.read_text()
    other = configured(tmp_path / "b", {})[1].password_file.read_text()
    assert first == again
    assert first != other


def test_with_root_who_called_it_signs_in_by_pam_as_administrator(tmp_path: Path) -> None:
    c, plan = configured(tmp_path, {}, root=True)
    assert plan.settings.pam.admin_users == {"alice"}
    assert c.MultiAuthenticator.manage_groups is True


def test_no_secret_is_in_the_hubs_configuration_of_the_sign_in(tmp_path: Path) -> None:
    c, plan = configured(tmp_path, {"providers": {"idp": OIDC}, "local_password": True})
    shown = repr({key: value for key, value in c.items() if key != "CryptKeeper"})
    assert GOOD_SECRET not in shown
    assert plan.password_file.read_text().strip() not in shown


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "[::1]", "localhost"])
def test_the_local_password_is_offered_on_a_loopback_address(tmp_path: Path, host: str) -> None:
    configured(tmp_path, {"local_password": True}, host=host)


LOCAL = {"local_password": True}
PAM = {"pam": {"allow_all": True}}
PROVIDER = {"providers": {"idp": OIDC}}
REFUSED = {
    "every address": (LOCAL, {"host": ""}, "authentication.local_password", "every address"),
    "all interfaces": (LOCAL, {"host": "0.0.0.0"}, "authentication.local_password", "0.0.0.0"),
    "all of IPv6": (LOCAL, {"host": "::"}, "authentication.local_password", "::"),
    "a network": (LOCAL, {"host": "192.168.1.5"}, "authentication.local_password", "192.168.1.5"),
    "a name": (LOCAL, {"host": "gpu.acme.org"}, "authentication.local_password", "gpu.acme.org"),
    "a lookalike": (LOCAL, {"host": "localhost.acme.org"}, "authentication.local_password", ""),
    "nobody to have it": (LOCAL, {"person": None}, "authentication.local_password", "nobody"),
    "pam without root": (PAM, {}, "authentication.pam", "runs as root"),
    "accounts without root": (
        PROVIDER | {"os_users": "create"},
        {},
        "authentication.os_users",
        "'create' needs",
    ),
    "a name that nobody can have": (
        {"providers": {"idp": OIDC | {"admin_users": ["ali\x07ce"]}}},
        {},
        "authentication.providers.idp.admin_users",
        "control characters",
    ),
    "no method and nobody": ({}, {"person": None}, "authentication", "nobody could sign in"),
}


@pytest.mark.parametrize(
    ("section", "machine", "setting", "text"), REFUSED.values(), ids=REFUSED.keys()
)
def test_what_the_machine_does_not_allow_stops_the_start(
    tmp_path: Path, section: dict[str, Any], machine: dict[str, Any], setting: str, text: str
) -> None:
    with pytest.raises(BadInput) as error:
        configured(tmp_path, section, **machine)
    assert error.value.field == setting
    assert text in error.value.problem
    assert error.value.remedy


SECRETS = {
    "empty": ("", "empty"),
    "blanks": ("  \n", "empty"),
    "a known default": ("change-me", "well-known default"),
    "one in brackets": ("<your-client-secret>", "well-known default"),
    "one letter": ("x" * 40, "well-known default"),
    "too short": ("k7Qp2", "less than 12"),
    "the client's id": ("mlhub-client-id", "same as client_id"),
}


@pytest.mark.parametrize(("secret", "text"), SECRETS.values(), ids=SECRETS.keys())
def test_a_secret_that_is_none_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, secret: str, text: str
) -> None:
    monkeypatch.setenv("TEST_OAUTH_SECRET", secret)
    section = {"providers": {"idp": OIDC | {"client_id": "mlhub-client-id"}}}
    with pytest.raises(BadInput) as error:
        configured(tmp_path, section)
    assert error.value.field == "authentication.providers.idp.client_secret"
    assert text in error.value.problem


def test_a_secret_that_is_missing_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_OAUTH_SECRET")
    with pytest.raises(BadInput, match="no environment variable TEST_OAUTH_SECRET"):
        configured(tmp_path, PROVIDER)


@pytest.mark.parametrize(
    ("mode", "text"),
    [
        pytest.param(0o644, "open to other OS users", id="readable by all"),
        pytest.param(0o640, "open to other OS users", id="readable by a group"),
        pytest.param(None, "cannot be read", id="not there"),
    ],
)
def test_a_secrets_file_that_others_read_stops_the_start(
    tmp_path: Path, mode: int | None, text: str
) -> None:
    path = tmp_path / "secret"
    if mode is not None:
        path.write_text(GOOD_SECRET)
        path.chmod(mode)
    section = {"providers": {"idp": OIDC | {"client_secret": {"file": str(path)}}}}
    with pytest.raises(BadInput, match=text) as error:
        configured(tmp_path, section)
    assert error.value.field == "authentication.providers.idp.client_secret.file"


@pytest.mark.parametrize("text", ["", "short", "password\n"])
def test_a_password_that_is_not_a_generated_one_stops_the_start(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sign-in-password"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(BadInput, match=r"is empty|less than 16 characters"):
        configured(tmp_path, LOCAL)


@pytest.mark.parametrize("name", ["allow_all", "allow_existing_users"])
def test_a_setting_of_the_hub_that_passes_the_rules_by_stops_the_start(
    tmp_path: Path, name: str
) -> None:
    c, _plan = configured(tmp_path, PROVIDER)
    c.Authenticator[name] = True
    with pytest.raises(BadInput) as error:
        MultiAuthenticator(config=c).check_allow_config()
    assert error.value.field == f"c.Authenticator.{name}"


def test_identities_where_none_can_be_kept_stop_the_start_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_IDENTITIES", "mysql://mlhub@db/mlhub")
    c, _plan = configured(tmp_path, PROVIDER | {"identity_database": {"env": "TEST_IDENTITIES"}})
    with pytest.raises(BadInput, match="cannot be kept in 'mysql'"):
        MultiAuthenticator(config=c).check_allow_config()


def test_an_own_key_for_the_hubs_secrets_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTERHUB_CRYPT_KEY", "ab" * 32)
    c, _plan = configured(tmp_path, PROVIDER)
    assert "keys" not in c.CryptKeeper
    assert not (tmp_path / "auth-state-key").exists()


def test_who_only_checks_the_settings_leaves_no_key_of_the_hub(tmp_path: Path) -> None:
    settings = AuthenticationSettings.model_validate(LOCAL)
    make_plan(settings, public_host="127.0.0.1", as_root=False, person="alice", state_dir=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["sign-in-password"]


def test_the_process_of_mlhub_up_checks_the_sign_in_without_the_hub() -> None:
    program = "import json, sys, mlhub.stack.up; json.dump(list(sys.modules), sys.stdout)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    imported = {name.partition(".")[0] for name in json.loads(done.stdout)}
    assert not imported & {"jupyterhub", "oauthenticator", "sqlalchemy", "alembic", "tornado"}


def test_a_service_accounts_key_that_is_missing_stops_the_start(tmp_path: Path) -> None:
    directory = {"service_account_file": str(tmp_path / "none.json"), "administrator": "root"}
    google = {**OIDC, "type": "google", "hosted_domains": ["acme.org"]}
    del google["issuer"]
    section = {"providers": {"google": google | {"directory": {"acme.org": directory}}}}
    with pytest.raises(BadInput, match=r"none\.json cannot be read") as error:
        configured(tmp_path, section)
    assert error.value.field == "authentication.providers.google.directory.acme.org.file"
