"""A hub whose sign-in is mlhub's; what to set up comes in TEST_SIGN_IN."""

import json
import os
from pathlib import Path

from mlhub.authentication_settings import AuthenticationSettings
from mlhub.authenticator import configure_authentication, make_plan

options = json.loads(os.environ["TEST_SIGN_IN"])
directory = Path(options["directory"])

c = get_config()  # noqa: F821
c.JupyterHub.bind_url = f"http://127.0.0.1:{options['ports'][0]}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{options['ports'][1]}"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{options['ports'][2]}"
c.ConfigurableHTTPProxy.command = options["proxy_command"]
c.JupyterHub.db_url = f"sqlite:///{directory}/hub.sqlite"
c.JupyterHub.cookie_secret_file = str(directory / "cookie-secret")
c.JupyterHub.default_url = "/hub/home"
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = f"{directory}/{{username}}"
c.Spawner.cmd = ["false"]
c.JupyterHub.services = [{"name": "test", "api_token": os.environ["TEST_HUB_TOKEN"]}]
c.JupyterHub.load_roles = [
    {"name": "test", "services": ["test"], "scopes": ["admin:users", "tokens", "servers"]}
]
plan = make_plan(
    AuthenticationSettings.model_validate(options["settings"]),
    public_host="127.0.0.1",
    as_root=options["as_root"],
    person=options["person"],
    state_dir=directory,
)
configure_authentication(c, plan)
