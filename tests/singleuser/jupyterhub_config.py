"""Configuration of the tests' hub; what differs between tests comes as JSON in TEST_HUB."""

import json
import os
import sys

options = json.loads(os.environ["TEST_HUB"])
directory = options["directory"]

c = get_config()  # noqa: F821
c.JupyterHub.bind_url = options["url"]
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{options['hub_port']}"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{options['proxy_api_port']}"
c.ConfigurableHTTPProxy.command = options["proxy_command"]
c.ConfigurableHTTPProxy.pid_file = f"{directory}/proxy.pid"
c.JupyterHub.db_url = f"sqlite:///{directory}/hub.sqlite"
c.JupyterHub.cookie_secret_file = f"{directory}/cookie_secret"
c.JupyterHub.authenticator_class = "shared-password"
c.SharedPasswordAuthenticator.user_password = os.environ["TEST_HUB_PASSWORD"]
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = f"{directory}/homes/{{username}}"
c.Spawner.cmd = [sys.executable, "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root", *options["arguments"]]
c.Spawner.default_url = "/lab"
c.Spawner.http_timeout = c.Spawner.start_timeout = 120
c.Spawner.server_token_scopes = [
    "users:activity!user",
    "access:servers!server",
    *options["token_scopes"],
]
c.JupyterHub.allow_named_servers = True
c.JupyterHub.services = [
    {"name": "tests", "api_token": os.environ["TEST_HUB_TOKEN"]},
    *options["services"],
]
c.JupyterHub.load_roles = [
    {"name": "tests", "services": ["tests"], "scopes": options["test_scopes"]},
    {"name": "user", "scopes": ["self", *options["token_scopes"]]},
]


def tell(spawner):
    """What mlhub's spawner tells a server, for the settings of this test."""
    given = {"API_TOKEN": spawner.api_token, "USER": spawner.user.name, "HUB": options["url"]}
    spawner.environment = {k: v.format_map(given) for k, v in options["environment"].items()}


c.Spawner.pre_spawn_hook = tell
